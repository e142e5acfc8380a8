/**
 * Rows that the same keys decide about are of one class, which has a number; a connection remembers of which class a row is, and what an expression
 * says of a class. What is counted then costs a look into two arrays a row, and nothing is read. docs/adr/0057-classes-of-rows.md
 *
 * Invariant: what is remembered of a row is so in the snapshot that is being read. Of a type all is forgotten as soon as what decides about one of its
 * rows has changed, or the row is gone (class-changes.ts).
 */
import { all, type Expression } from '../../search/expression.ts';
import { type Judge, judgementOf } from '../deciding-keys.ts';
import { linesOf } from '../packed-check.ts';
import { decidingChanges } from './class-changes.ts';
import { type Database, one } from './database.ts';

/** Counted from 1. */
type RowClass = number;

/** Those of one type, as long as the snapshot lasts. */
export type Classes = {
  /** How many rows are known. */
  known(): number;
  classOf(rid: number): RowClass;
  isKnown(rid: number): boolean;
  /** The same parts, the same answers at once. */
  judgeBy(parts: readonly Expression[]): Verdicts;
  /** By key, or ALL: how many rows it had when all of them were looked at. */
  readonly sizes: Map<string, number>;
  /** What follows this beginning in the keys of the class. */
  named(of: RowClass, naming: string): readonly string[];
};

/** Of a row: what its class comes to, as far as that is remembered. Of a class: false, true, or undefined where it depends on other keys, or on the row's id. */
export type Verdicts = { readonly remembered: (rid: number) => Verdict; readonly of: (of: RowClass) => boolean | undefined };

/** 0: not remembered. */
export type Verdict = 0 | typeof NO | typeof YES | typeof DEPENDS;
export const [NO, YES, DEPENDS] = [1, 2, 3] as const;

/** Rows whose numbers follow each other lie together: those of other types lie between. */
const PAGE_BITS = 10;
const PAGE = 1 << PAGE_BITS;
/** Four kilobytes each. */
const MOST_PAGES = 8_192;
const MOST_CLASSES = 250_000;
const MOST_SIZES = 1_000;
/** What is behind is looked up each time. */
const LAST_REMEMBERED = 2 ** 31 - 1;

/** `pages`: by where they begin, with gaps. */
type Rows = {
  readonly changes: number;
  readonly pages: (Uint32Array | undefined)[];
  used: number;
  known: number;
  readonly sizes: Map<string, number>;
};

type Memory = {
  readonly texts: string[];
  readonly numbers: Map<string, RowClass>;
  readonly rows: Map<string, Rows>;
  /** By the first of their parts. */
  readonly judgements: WeakMap<Expression, Judgements[]>;
  /** The oldest first. */
  readonly judging: WeakRef<Judgements>[];
  readonly names: Map<string, (readonly string[])[]>;
};

const empty = (): Memory => ({ texts: [''], numbers: new Map(), rows: new Map(), judgements: new WeakMap(), judging: [], names: new Map() });

/** Of each connection. */
const memories = new WeakMap<Database['connection'], Memory>();

/** What is known of a type in the snapshot that is being read, which nobody may undo. */
export function classesIn(database: Database, type: string): Classes {
  const { connection } = database;
  const known = memories.get(connection);
  const memory = known && !isFull(known) ? known : empty();
  memories.set(connection, memory);
  const changes = decidingChanges(database, type);
  const before = memory.rows.get(type);
  const rows = before?.changes === changes ? before : { changes, pages: [], used: 0, known: 0, sizes: new Map<string, number>() };
  memory.rows.set(type, rows);
  return classesOf(database, memory, rows);
}

/** Looked at between two questions alone: numbers stand as long as one lasts. */
function isFull({ texts, rows }: Memory): boolean {
  if ([...rows.values()].some(({ sizes }) => sizes.size > MOST_SIZES)) return true;
  return texts.length > MOST_CLASSES || [...rows.values()].reduce((sum, { used }) => sum + used, 0) > MOST_PAGES;
}

function classesOf({ statement }: Database, memory: Memory, rows: Rows): Classes {
  const decides = statement('SELECT keys FROM deciding WHERE rid = ?');
  const learn = (rid: number): RowClass => {
    const text = one<[string]>(decides, rid)?.[0];
    if (text === undefined) throw new Error('An index entry names a row of which nothing is known that decides.');
    const number = numberOf(memory, text);
    if (rid > LAST_REMEMBERED) return number;
    rows.known++;
    return (pageOf(rows, rid)[rid % PAGE] = number);
  };
  const { pages, sizes } = rows;
  // 0: not known.
  const recall = (rid: number): number => (rid > LAST_REMEMBERED ? 0 : (pages[rid >> PAGE_BITS]?.[rid & (PAGE - 1)] ?? 0));
  return {
    known: () => rows.known,
    isKnown: (rid) => recall(rid) !== 0,
    sizes,
    classOf: (rid) => recall(rid) || learn(rid),
    judgeBy(parts) {
      const judgements = judgementsBy(memory, parts);
      return { remembered: (rid) => (judgements.known[recall(rid)] ?? 0) as Verdict, of: (of) => judged(memory, judgements, of) };
    },
    named: (of, naming) => namesIn(memory, of, naming),
  };
}

function pageOf(rows: Rows, rid: number): Uint32Array {
  const { pages } = rows;
  const at = rid >> PAGE_BITS;
  // Without a hole it stays an array, and is looked into as one.
  while (pages.length <= at) pages.push(undefined);
  const known = pages[at];
  if (known) return known;
  rows.used++;
  return (pages[at] = new Uint32Array(PAGE));
}

function numberOf({ texts, numbers }: Memory, text: string): RowClass {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, texts.length);
  return texts.push(text) - 1;
}

function namesIn({ texts, names }: Memory, of: RowClass, naming: string): readonly string[] {
  const known = names.get(naming) ?? [];
  names.set(naming, known);
  return (known[of] ??= linesOf(texts[of] ?? '', naming).flatMap((key) => (key.startsWith(naming) ? [key.slice(naming.length)] : [])));
}

/** `known`: by class, of none at 0. */
type Judgements = { readonly parts: readonly Expression[]; readonly judge: Judge; known: Uint8Array };

/** A byte for each class. */
const MOST_JUDGING = 64;

/** Parts are a scope's, and last as long: a conjunction of them is made for each question. */
function judgementsBy(memory: Memory, parts: readonly Expression[]): Judgements {
  const { judgements, judging } = memory;
  const [first = all] = parts;
  const alike = judgements.get(first) ?? [];
  const known = alike.find((one) => one.parts.length === parts.length && one.parts.every((part, i) => part === parts[i]));
  if (known) return known;
  const oldest = judging.length >= MOST_JUDGING ? judging.shift()?.deref() : undefined;
  const made = { parts, judge: judgementOf({ kind: 'and', of: parts }), known: new Uint8Array(memory.texts.length) };
  judgements.set(first, [...alike.filter((one) => one !== oldest), made]);
  judging.push(new WeakRef(made));
  const [begins] = oldest?.parts ?? [];
  if (begins && begins !== first)
    judgements.set(
      begins,
      (judgements.get(begins) ?? []).filter((one) => one !== oldest),
    );
  return made;
}

function judged({ texts }: Memory, judgements: Judgements, of: RowClass): boolean | undefined {
  if (of >= judgements.known.length) {
    const more = new Uint8Array(Math.max(2 * judgements.known.length, texts.length, of + 1));
    more.set(judgements.known);
    judgements.known = more;
  }
  const { known, judge } = judgements;
  if (known[of] === 0) {
    const judgement = judge(texts[of] ?? '');
    known[of] = judgement === undefined ? DEPENDS : judgement ? YES : NO;
  }
  return known[of] === DEPENDS ? undefined : known[of] === YES;
}
