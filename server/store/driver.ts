/**
 * Picks what a query walks: the criterion with the fewest index entries drives, or the first of only a few, and the rest is checked row by row. A
 * fixed rule shared by the engines instead of a database's planner, whose choice varied by 1,000× on the same data (storage.md §1).
 *
 * Invariant: the rows a driver names, filtered by `rest`, are exactly the rows the expression holds for.
 */
import { isCommon, mayHoldCommon } from '../search/common-keys.ts';
import { all, and, compareKeys, type Expression, successor } from '../search/expression.ts';
import { codeOfKey } from '../search/param-codes.ts';

/** Rows by id, by exact keys, or by a span of keys (from ≤ key < to). */
export type Driver =
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'keys'; readonly keys: readonly string[] }
  | { readonly kind: 'range'; readonly from: string; readonly to: string };

/** The union of `drivers` holds every match; `rest` is what remains to be checked; `size` is the capped number of entries to walk. */
export type Choice = { readonly drivers: readonly Driver[]; readonly size: number; readonly rest: Expression };

/** `cap`: where counting stops. */
type Sizing = { readonly cap: number; readonly measure: Measure };
type Measure = (driver: Driver, cap: number) => number;

/** Up to this many ids are looked up at once, whatever else was asked. */
const HANDFUL = 50;
/** More keys or branches than this cost more to seek one by one than a walk that tests membership. */
const MOST_KEYS = 2_000;
const MOST_BRANCHES = 200;
/** Above this many entries, walking the type in order beats collecting a driver that is not in order. */
export const MOST_COLLECTED = 5_000;
/** Counting stops at these sizes in turn, so that a small driver is found without counting the large ones. */
const CAPS = [200, 1_000, MOST_COLLECTED + 1, 40_000] as const;
/** A driver with no more entries is taken at once: to measure the others would cost more than it saves. */
export const ENOUGH = 16;
/** Ranges merged in result order; above, the rows are collected and sorted, or another driver is walked. */
const MOST_MERGED = 50;

/**
 * Undefined: nothing in the expression can drive; walk the type. `measure` counts a driver's entries up to a cap. `most`: of a choice with more entries it
 * does not matter how many more.
 */
export function pickDriver(expression: Expression, measure: Measure, most = Number.POSITIVE_INFINITY): Choice | undefined {
  let choice: Choice | undefined;
  for (const cap of CAPS) {
    choice = choose(expression, { cap, measure });
    if (!choice || choice.size < cap || cap > most) break;
    // All are large: only walks in result order are of use, and how large the others are does not matter.
    if (cap > MOST_COLLECTED && !mergeableKeys(choice)) break;
  }
  return choice;
}

/** The keys of a choice that can be walked in result order by merging, or undefined. */
export function mergeableKeys({ drivers }: Choice): readonly string[] | undefined {
  const keys = new Set<string>();
  for (const driver of drivers) {
    if (driver.kind !== 'keys') return undefined;
    for (const key of driver.keys) keys.add(key);
  }
  return keys.size <= MOST_MERGED ? [...keys] : undefined;
}

/** What a refusal may say of the walk: which parameters' keys it went along, and never a value. */
export function headsOf(choice: Choice | undefined): string[] {
  const keys = choice?.drivers.flatMap((driver) => (driver.kind === 'keys' ? driver.keys : driver.kind === 'range' ? [driver.from] : [])) ?? [];
  return [...new Set(keys.map((key) => codeOfKey(key)))];
}

function choose(expression: Expression, sizing: Sizing): Choice | undefined {
  if (expression.kind === 'and') return smallest(expression.of, sizing);
  if (expression.kind === 'or') return union(expression, sizing);
  const driver = driverOf(expression);
  return driver && { drivers: [driver], size: sizing.measure(driver, sizing.cap), rest: expression.kind === 'interval' ? expression : all };
}

function smallest(parts: readonly Expression[], { cap, measure }: Sizing): Choice | undefined {
  const few = parts.find((part) => part.kind === 'id' && part.ids.size <= HANDFUL);
  let best: Choice | undefined;
  let driving: Expression | undefined;
  for (const part of few ? [few] : parts) {
    // Of none nothing is known where nothing is measured: whoever asks so wants to be told of every driver.
    if (best && best.size > 0 && best.size <= ENOUGH) break;
    // Of one that is larger than the best it does not matter how much larger.
    const choice = choose(part, { cap: best ? Math.min(cap, best.size + 1) : cap, measure });
    if (!choice || (best && !isBetter(choice, best))) continue;
    best = choice;
    driving = part;
  }
  return best && { ...best, rest: and([...parts.filter((part) => part !== driving), best.rest]) };
}

/** Of drivers that are equally large, as far as was counted, one that is in result order is better. */
function isBetter(choice: Choice, best: Choice): boolean {
  return choice.size < best.size || (choice.size === best.size && !mergeableKeys(best) && mergeableKeys(choice) !== undefined);
}

/** Once the sum is at the cap, how large the other branches are says nothing more: 200 of them are not counted to the cap each. */
function union(expression: Expression & { kind: 'or' }, { cap, measure }: Sizing): Choice | undefined {
  if (expression.of.length > MOST_BRANCHES) return undefined;
  let size = 0;
  const rest: Sizing = { cap, measure: (driver, most) => (size >= cap ? 0 : measure(driver, most)) };
  const choices: Choice[] = [];
  for (const part of expression.of) {
    const choice = choose(part, rest);
    if (!choice) return undefined;
    size += choice.size;
    choices.push(choice);
  }
  const exact = choices.every((choice) => choice.rest.kind === 'all');
  return { drivers: choices.flatMap(({ drivers }) => drivers), size, rest: exact ? all : expression };
}

export function driverOf(expression: Expression): Driver | undefined {
  switch (expression.kind) {
    case 'none':
      return { kind: 'keys', keys: [] };
    case 'id':
      return { kind: 'ids', ids: [...expression.ids] };
    case 'any':
      return expression.keys.size <= MOST_KEYS ? indexedKeys([...expression.keys]) : undefined;
    case 'range':
      return indexedRange(expression.from, expression.to);
    case 'interval':
      return lowBounds(expression);
    default:
      return undefined;
  }
}

function indexedKeys(keys: readonly string[]): Driver | undefined {
  return keys.some((key) => !isIndexed(key)) ? undefined : { kind: 'keys', keys };
}

/** A span that may hold keys outside the index cannot drive: it would miss rows. */
function indexedRange(from: string, to: string): Driver | undefined {
  const indexed = (compareKeys(to, '~') <= 0 || compareKeys(from, '\x7f') >= 0) && !mayHoldCommon(from, to);
  return indexed ? { kind: 'range', from, to } : undefined;
}

/** The span of the low bound: `prefix + low` comes first in the key. The high bound is left to be checked. */
function lowBounds({ prefix, low }: Expression & { kind: 'interval' }): Driver | undefined {
  if (prefix === '' || !isIndexed(prefix)) return undefined;
  return { kind: 'range', from: prefix + (low?.from ?? ''), to: successor(prefix + (low?.to ?? '')) };
}

/** Keys that start with `~`, and those that tell nothing apart, are kept with the resource only. */
export function isIndexed(key: string): boolean {
  return !key.startsWith('~') && !isCommon(key);
}
