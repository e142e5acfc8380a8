/**
 * Counts what a few keys find, or all of a type, by the classes of rows: their numbers come out of the index many at once, and of most of them nothing
 * more is looked at. docs/adr/0057-classes-of-rows.md
 *
 * Invariant: counts exactly the rows for which the expression holds, each charged as it is looked at.
 */
import type { Expression } from '../../search/expression.ts';
import { type Choice, mergeableKeys } from '../driver.ts';
import type { Meter } from '../meter.ts';
import { holdsPacked } from '../packed-check.ts';
import { type Check, EFFORT_OF_FEW } from './candidates.ts';
import { type Database, one } from './database.ts';
import { type Classes, classesIn, NO, YES } from './row-classes.ts';

/** What a row costs whose class is known: one of which all keys are read is 1. */
const EFFORT_OF_KNOWN = 1 / 32;

/** `keys` undefined: all of the type. */
export type ClassCount = {
  readonly type: string;
  readonly keys: readonly string[] | undefined;
  readonly remaining: Expression;
  readonly classes: Classes;
};

type Along = { readonly choice: Choice | undefined; readonly check: Check };

/** Undefined: it has to be counted row by row. */
export function classCountOf(database: Database, type: string, along: Along): ClassCount | undefined {
  const keys = classedKeysOf(database, along);
  return keys && { type, keys: keys === 'all' ? undefined : keys, remaining: along.check.remaining, classes: classesIn(database, type) };
}

/** The keys, or all of the type, that can be counted by class; undefined: they cannot. */
export function classedKeysOf({ mode }: Database, { choice, check }: Along): readonly string[] | 'all' | undefined {
  if (mode !== 'read-only' || check.keys !== 'deciding' || check.having.length > 0) return undefined;
  return choice ? mergeableKeys(choice) : 'all';
}

/** What so many of them will cost, where all have been looked at before. */
export function effortExpected({ keys, classes: { sizes } }: ClassCount, most: number): number | undefined {
  let rows = 0;
  for (const key of keys ?? [ALL]) rows += sizes.get(key) ?? Number.NaN;
  return Number.isNaN(rows) ? undefined : Math.min(rows, most) * EFFORT_OF_KNOWN;
}

/** `most`: no more are counted. */
type Counting = { readonly meter: Meter; readonly most: number; readonly naming: string | undefined };

/** `over`: the budget is used up, and there may be more. */
export type ClassesCounted = { readonly total: number; readonly named?: readonly string[]; readonly over: boolean };

export function countClasses(database: Database, asked: ClassCount, { meter, most, naming }: Counting): ClassesCounted {
  const { remaining, classes } = asked;
  const judge = classes.judgeBy(remaining.kind === 'and' ? remaining.of : remaining.kind === 'all' ? [] : [remaining]);
  const counted = naming === undefined ? undefined : new Set<number>();
  let total = 0;
  const told = (over: boolean): ClassesCounted => ({ total, over, ...(counted && { named: namesOf(classes, counted, naming ?? '') }) });
  const settle = (rid: number): boolean => {
    if (!classes.isKnown(rid)) meter.allow(EFFORT_OF_FEW - EFFORT_OF_KNOWN);
    return judge.of(classes.classOf(rid)) ?? holdsRow(database, rid, { remaining, meter });
  };
  const { trace } = database;
  for (const rids of rowsOf(database, asked, most)) {
    for (let at = 0, end = 0; at < rids.length; at = end) {
      end = at + Math.min(CHARGED_TOGETHER, rids.length - at, meter.left());
      if (end === at) return told(!meter.charge(1));
      meter.charge(end - at, (end - at) * EFFORT_OF_KNOWN);
      for (let i = at; i < end; i++) {
        const rid = rids[i] as number;
        const verdict = judge.remembered(rid);
        const held = verdict === YES || (verdict !== NO && settle(rid));
        trace?.checked(held);
        if (!held) continue;
        total++;
        counted?.add(classes.classOf(rid));
        if (total >= most) return told(false);
      }
    }
  }
  return told(false);
}

/** Charged at once, before they are looked at: whoever may look at no more leaves off. */
const CHARGED_TOGETHER = 256;

function namesOf(classes: Classes, counted: ReadonlySet<number>, naming: string): readonly string[] {
  const names = new Set<string>();
  for (const of of counted) for (const name of classes.named(of, naming)) names.add(name);
  return [...names];
}

/** It is a row of which all keys are read after all. */
function holdsRow({ statement }: Database, rid: number, { remaining, meter }: { readonly remaining: Expression; readonly meter: Meter }): boolean {
  meter.allow(1);
  const [id, keys] = one<[string, string]>(statement('SELECT id, keys FROM resources WHERE rid = ?'), rid) ?? ['', ''];
  return holdsPacked(remaining, id, keys);
}

/** Each row once. */
function* rowsOf(database: Database, { type, keys, classes: { sizes } }: ClassCount, most: number): Generator<readonly number[]> {
  const along = (key: string) =>
    ((sizes.get(key) ?? Number.POSITIVE_INFINITY) <= Math.min(WHOLE, most) ? whole : slices)(database, type, { key, sizes });
  if (!keys) return yield* along(ALL);
  const entry = database.statement('SELECT 1 FROM keys WHERE type = ? AND key = ? LIMIT 1');
  const used = keys.length > 1 ? keys.filter((key) => one(entry, type, key)) : keys;
  const seen = used.length > 1 ? new Set<number>() : undefined;
  for (const key of used) {
    for (const rids of along(key)) {
      const fresh = seen ? rids.filter((rid) => !seen.has(rid)) : rids;
      for (const rid of seen ? fresh : []) seen?.add(rid);
      yield fresh;
    }
  }
}

/** In the place of a key: all of the type. */
const ALL = '';
const rowsAlong = (key: string): string => (key === ALL ? 'resources k WHERE k.type = ? AND k.deleted = 0' : 'keys k WHERE k.type = ? AND k.key = ?');

type Slicing = { readonly key: string; readonly sizes: Map<string, number> };

/** What had no more rows is read as one text. */
const WHOLE = 65_536;

/** As slices are, at half the cost: SQLite need not stop on the way. */
function* whole({ statement }: Database, type: string, { key, sizes }: Slicing): Generator<readonly number[]> {
  const rids = JSON.parse(
    one<[string]>(statement(`SELECT json_group_array(k.rid) FROM ${rowsAlong(key)}`), ...along(type, key))?.[0] ?? '[]',
  ) as number[];
  sizes.set(key, rids.length);
  yield rids;
}

function along(type: string, key: string): readonly string[] {
  return key === ALL ? [type] : [type, key];
}

const FIRST = 256;
const LARGEST = 8_192;

/** The numbers of the rows, newest first; each slice is one text, which is read faster than its rows are one by one. */
function* slices({ statement }: Database, type: string, { key, sizes }: Slicing): Generator<readonly number[]> {
  const from = rowsAlong(key);
  const rows = `SELECT k.rid FROM ${from} AND (k.sort, k.id) > (?, ?) ORDER BY k.sort, k.id LIMIT ?`;
  const slice = statement(`SELECT json_group_array(rid) FROM (${rows})`);
  const placeOf = statement('SELECT sort, id FROM resources WHERE rid = ?');
  let [sort, id, read] = [-Number.MAX_SAFE_INTEGER, '', 0];
  for (let size = FIRST; ; size = Math.min(size * 4, LARGEST)) {
    const rids = JSON.parse(one<[string]>(slice, ...along(type, key), sort, id, size)?.[0] ?? '[]') as number[];
    yield rids;
    read += rids.length;
    const last = rids.at(-1);
    if (last === undefined || rids.length < size) return void sizes.set(key, read);
    [sort, id] = one<[number, string]>(placeOf, last) ?? [Number.MAX_SAFE_INTEGER, ''];
  }
}
