/**
 * Rows that the same keys decide about are of one class, which has a number; a connection remembers of which class a row is, and what an expression
 * says of a class. What is counted then costs a look into two arrays a row, and nothing is read. docs/adr/0057-classes-of-rows.md
 *
 * Invariant: what is remembered of a row is so in the snapshot that is being read. Of a type all is forgotten as soon as what decides about one of its
 * rows has changed, or the row is gone (class-changes.ts).
 */
import type { Expression } from '../../search/expression.ts';
import { judgementOf } from '../deciding-keys.ts';
import { linesOf } from '../packed-check.ts';
import { decidingChanges } from './class-changes.ts';
import { type Database, one } from './database.ts';

/** Counted from 1. */
type RowClass = number;

/** Those of one type, as long as the snapshot lasts. */
export type Classes = {
  /** How many rows are known. */
  known(): number;
  isKnown(rid: number): boolean;
  classOf(rid: number): RowClass;
  /** Undefined: it depends on other keys, or on its id. The same parts, the same answers at once. */
  judgeBy(parts: readonly Expression[]): (of: RowClass) => boolean | undefined;
  /** What follows this beginning in the keys of the class. */
  named(of: RowClass, naming: string): readonly string[];
};

/** Rows whose numbers follow each other lie together: those of other types lie between. */
const PAGE = 256;
/** A kilobyte each. */
const MOST_PAGES = 32_768;
const MOST_CLASSES = 250_000;

type Rows = { readonly changes: number; readonly pages: Map<number, Uint32Array>; known: number };

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
  const rows = before?.changes === changes ? before : { changes, pages: new Map<number, Uint32Array>(), known: 0 };
  memory.rows.set(type, rows);
  return classesOf(database, memory, rows);
}

/** Looked at between two questions alone: numbers stand as long as one lasts. */
function isFull({ texts, rows }: Memory): boolean {
  return texts.length > MOST_CLASSES || [...rows.values()].reduce((sum, { pages }) => sum + pages.size, 0) > MOST_PAGES;
}

function classesOf({ statement }: Database, memory: Memory, rows: Rows): Classes {
  const decides = statement('SELECT keys FROM deciding WHERE rid = ?');
  const learn = (rid: number): RowClass => {
    const text = one<[string]>(decides, rid)?.[0];
    if (text === undefined) throw new Error('An index entry names a row of which nothing is known that decides.');
    const page = Math.floor(rid / PAGE);
    const classes = rows.pages.get(page) ?? new Uint32Array(PAGE);
    rows.pages.set(page, classes);
    rows.known++;
    return (classes[rid % PAGE] = numberOf(memory, text));
  };
  const recall = (rid: number): RowClass => rows.pages.get(Math.floor(rid / PAGE))?.[rid % PAGE] ?? 0;
  return {
    known: () => rows.known,
    isKnown: (rid) => recall(rid) !== 0,
    classOf: (rid) => recall(rid) || learn(rid),
    judgeBy: (parts) => judgementsBy(memory, parts).of,
    named: (of, naming) => namesIn(memory, of, naming),
  };
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

type Judgements = { readonly parts: readonly Expression[]; readonly of: (of: RowClass) => boolean | undefined };

/** A byte for each class. */
const MOST_JUDGING = 64;

/** Parts are a scope's, and last as long: a conjunction of them is made for each question. */
function judgementsBy(memory: Memory, parts: readonly Expression[]): Judgements {
  const { judgements, judging } = memory;
  const [first] = parts;
  if (!first) return { parts, of: () => true };
  const alike = judgements.get(first) ?? [];
  const known = alike.find((one) => one.parts.length === parts.length && one.parts.every((part, i) => part === parts[i]));
  if (known) return known;
  const oldest = judging.length >= MOST_JUDGING ? judging.shift()?.deref() : undefined;
  const made = { parts, of: judgingBy(memory, parts) };
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

const [NO, YES, DEPENDS] = [1, 2, 3];

function judgingBy({ texts }: Memory, parts: readonly Expression[]): Judgements['of'] {
  const judge = judgementOf({ kind: 'and', of: parts });
  let known = new Uint8Array(texts.length);
  return (of) => {
    if (of >= known.length) {
      const more = new Uint8Array(Math.max(2 * known.length, texts.length, of + 1));
      more.set(known);
      known = more;
    }
    if (known[of] === 0) {
      const judgement = judge(texts[of] ?? '');
      known[of] = judgement === undefined ? DEPENDS : judgement ? YES : NO;
    }
    return known[of] === DEPENDS ? undefined : known[of] === YES;
  };
}
