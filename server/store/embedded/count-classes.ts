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
import { type Classes, classesIn } from './row-classes.ts';

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

/** Of so many rows in all: what one costs, as far as can be told before. */
export function effortOf({ classes }: ClassCount, rows: number): number {
  return classes.known() >= rows ? EFFORT_OF_KNOWN : EFFORT_OF_FEW;
}

/** `most`: no more are counted. */
type Counting = { readonly meter: Meter; readonly most: number; readonly naming: string | undefined };

/** `over`: the budget is used up, and there may be more. */
export type ClassesCounted = { readonly total: number; readonly named?: readonly string[]; readonly over: boolean };

export function countClasses(database: Database, asked: ClassCount, { meter, most, naming }: Counting): ClassesCounted {
  const { remaining, classes } = asked;
  const judge = classes.judgeBy(remaining.kind === 'and' ? remaining.of : remaining.kind === 'all' ? [] : [remaining]);
  const counted = new Set<number>();
  let total = 0;
  const told = (over: boolean): ClassesCounted => ({ total, over, ...(naming !== undefined && { named: namesOf(classes, counted, naming) }) });
  for (const rids of rowsOf(database, asked)) {
    for (const rid of rids) {
      if (!meter.charge(1, classes.isKnown(rid) ? EFFORT_OF_KNOWN : EFFORT_OF_FEW)) return told(true);
      const of = classes.classOf(rid);
      const held = judge(of) ?? holdsRow(database, rid, { remaining, meter });
      database.trace?.checked(held);
      if (!held) continue;
      total++;
      counted.add(of);
      if (total >= most) return told(false);
    }
  }
  return told(false);
}

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
function* rowsOf(database: Database, { type, keys }: ClassCount): Generator<Iterable<number>> {
  if (!keys) return yield* slices(database, type, undefined);
  const entry = database.statement('SELECT 1 FROM keys WHERE type = ? AND key = ? LIMIT 1');
  const used = keys.length > 1 ? keys.filter((key) => one(entry, type, key)) : keys;
  const seen = used.length > 1 ? new Set<number>() : undefined;
  for (const key of used) {
    for (const rids of slices(database, type, key)) {
      const fresh = seen ? rids.filter((rid) => !seen.has(rid)) : rids;
      for (const rid of seen ? fresh : []) seen?.add(rid);
      yield fresh;
    }
  }
}

const FIRST = 256;
const LARGEST = 8_192;

/** The numbers of the rows, newest first; each slice is one text, which is read faster than its rows are one by one. */
function* slices({ statement }: Database, type: string, key: string | undefined): Generator<readonly number[]> {
  const from = key === undefined ? 'resources k WHERE k.type = ? AND k.deleted = 0' : 'keys k WHERE k.type = ? AND k.key = ?';
  const rows = `SELECT k.rid FROM ${from} AND (k.sort, k.id) > (?, ?) ORDER BY k.sort, k.id LIMIT ?`;
  const slice = statement(`SELECT json_group_array(rid) FROM (${rows})`);
  const placeOf = statement('SELECT sort, id FROM resources WHERE rid = ?');
  let [sort, id] = [-Number.MAX_SAFE_INTEGER, ''];
  for (let size = FIRST; ; size = Math.min(size * 4, LARGEST)) {
    const rids = JSON.parse(one<[string]>(slice, ...(key === undefined ? [type] : [type, key]), sort, id, size)?.[0] ?? '[]') as number[];
    yield rids;
    const last = rids.at(-1);
    if (last === undefined || rids.length < size) return;
    [sort, id] = one<[number, string]>(placeOf, last) ?? [Number.MAX_SAFE_INTEGER, ''];
  }
}
