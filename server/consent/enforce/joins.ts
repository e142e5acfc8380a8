/**
 * Makes an expression of a condition with joins, in one view: a chain becomes the references that lead to what matches, a _has the ids that
 * what matches refers to. https://hl7.org/fhir/R4/search.html#chaining, consent.md §3 (chain, _has)
 *
 * Invariants: every row looked at was found under the caller's scope of its own type, so what is hidden never makes anything match; a join is
 * never cut short: more than it may go through is `many`, not a smaller answer. Together with what stands beside it, the expression holds
 * for exactly the rows the join holds for.
 */
import { setImmediate } from 'node:timers/promises';
import { AssentError } from '../../errors.ts';
import { all, and, any, type Expression, not, or } from '../../search/expression.ts';
import { type Condition, isPlain, type Join, type Link } from '../../search/join.ts';
import { type Linked, referredBy, referrersOf } from '../../search/links.ts';
import type { FindResult, Position, ResourceStore } from '../../store/port.ts';
import { seesNothing } from './sourced.ts';
import { newestFirst, patientsOf, type View } from './view.ts';

type Stale = { readonly kind: 'stale' };
type Many = { readonly kind: 'many' };
type Where = { readonly kind: 'where'; readonly where: Expression };
/** `through`: patients of the rows it went through: they are in no answer and still decide it. */
export type Joined = Where & { readonly through: ReadonlySet<string> };

/** Few enough that the other side need not be looked at. */
const FEW = { rows: 50, walked: 2_000 } as const;
/** Candidates on the one side from which the other is looked up. */
const CANDIDATES = { rows: 200, walked: 5_000 } as const;
const MOST = { rows: 50_000, walked: 50_000 } as const;
/** Candidates from which the other side is looked up a slice at a time, where it has more than can be gone through whole. */
const SLICED = { rows: 10_000, walked: 50_000 } as const;
/** So few keys are walked in order whatever they lead to. */
const SLICE = 50;
/** Rows that all slices together may look at. */
const WORK = 250_000;
const PAGE = 1_000;

type Deps = { readonly resources: ResourceStore; readonly base: string };

/** Throws too-costly. */
export async function resolveJoins(
  { resources, base }: Deps,
  view: View,
  asked: { readonly type: string; readonly where: Condition },
): Promise<Joined | Stale> {
  const through = new Set<string>();
  if (isPlain(asked.where)) return { kind: 'where', where: asked.where, through };
  const found = await resolve(asked.where, { type: asked.type, beside: undefined }, { collect: collector(resources, view, through), base });
  if (found.kind === 'many') throw tooMany();
  return found.kind === 'where' ? { ...found, through } : found;
}

function tooMany(): AssentError {
  const words = `A chain or _has leads through more than ${MOST.rows} resources: narrow it, or add a criterion that fewer than ${SLICED.rows} of the type searched meet.`;
  return new AssentError('too-costly', words);
}

/** `beside`: what must hold as well and may leave few rows; undefined: nothing. */
type Place = { readonly type: string; readonly beside: Expression | undefined };
type Context = { readonly collect: Collect; readonly base: string };

async function resolve(condition: Condition, place: Place, context: Context): Promise<Where | Many | Stale> {
  if (isPlain(condition)) return { kind: 'where', where: condition };
  switch (condition.kind) {
    case 'chain':
    case 'has':
      return viaSides(sidesOf(condition, place.type, context.base), place, context);
    case 'and':
      return conjunction(condition.of, place, context);
    case 'or':
      return disjunction(condition.of.map((part) => () => resolve(part, place, context)));
    default: {
      const inner = await resolve(condition.of as Condition, place, context);
      return inner.kind === 'where' ? { kind: 'where', where: not(inner.where) } : inner;
    }
  }
}

/** Each part narrows what the next has to look at; what needs no join comes first. */
async function conjunction(parts: readonly Condition[], { type, beside }: Place, context: Context): Promise<Where | Many | Stale> {
  const known: Expression[] = parts.filter(isPlain);
  for (const part of parts) {
    if (isPlain(part)) continue;
    const all = and([...(beside ? [beside] : []), ...known]);
    const found = await resolve(part, { type, beside: all.kind === 'all' ? undefined : all }, context);
    if (found.kind !== 'where') return found;
    known.push(found.where);
  }
  return { kind: 'where', where: and(known) };
}

async function disjunction(parts: readonly (() => Promise<Where | Many | Stale>)[]): Promise<Where | Many | Stale> {
  const found: Expression[] = [];
  for (const part of parts) {
    const one = await part();
    if (one.kind !== 'where') return one;
    found.push(one.where);
  }
  return { kind: 'where', where: or(found) };
}

/** The other type of a join: what must hold there, and the way over, from there and back. Undefined: more than can be asked for. */
type Side = {
  readonly type: string;
  readonly where: Condition;
  readonly link: Link;
  readonly fromThere: (rows: readonly Linked[]) => Expression | undefined;
  readonly toThere: (rows: readonly Linked[]) => Expression | undefined;
};

function sidesOf(join: Join, type: string, base: string): Side[] {
  const { link } = join;
  const referrers = (rows: readonly Linked[]) => referrersOf(link, rows, base);
  const referred = (of: string) => (rows: readonly Linked[]) => referredBy(rows, base, link)(link, of);
  if (join.kind === 'has') return [{ type: join.from, where: join.where, link, fromThere: referred(type), toThere: referrers }];
  return join.to.map((to) => ({ ...to, link, fromThere: referrers, toThere: referred(to.type) }));
}

function viaSides(sides: readonly Side[], place: Place, context: Context): Promise<Where | Many | Stale> {
  return disjunction(sides.map((side) => () => viaSide(side, place, context)));
}

/** From whichever side has few rows; where neither has, through all that match there; where these are too many, candidate by candidate. */
async function viaSide(side: Side, { type, beside }: Place, context: Context): Promise<Where | Many | Stale> {
  const { collect } = context;
  const over = (found: Found) => (found.kind === 'found' ? acrossFrom(side, found.rows) : found);
  const there = await resolve(side.where, { type: side.type, beside: undefined }, context);
  if (there.kind === 'stale') return there;
  if (there.kind === 'where') {
    const few = await collect({ type: side.type, where: there.where, link: side.link }, FEW);
    if (few.kind !== 'many') return over(few);
  }
  const candidates = beside ? await collect({ type, where: beside, link: side.link }, CANDIDATES) : ({ kind: 'many' } as const);
  if (candidates.kind === 'stale') return candidates;
  const lookedUp = candidates.kind === 'found' ? side.toThere(candidates.rows) : undefined;
  if (lookedUp) {
    const narrowed = await resolve(side.where, { type: side.type, beside: lookedUp }, context);
    if (narrowed.kind === 'stale') return narrowed;
    if (narrowed.kind === 'where') return over(await collect({ type: side.type, where: and([lookedUp, narrowed.where]), link: side.link }, MOST));
  }
  const whole = there.kind === 'where' ? await over(await collect({ type: side.type, where: there.where, link: side.link }, MOST)) : there;
  return whole.kind === 'many' ? bySlices(side, { type, beside }, context) : whole;
}

/** What the rows lead to. Others have their turns meanwhile, except of canonicals, which are few or too many. */
async function acrossFrom({ link, fromThere }: Side, rows: readonly Linked[]): Promise<Where | Many> {
  const found: Expression[] = [];
  const size = link.canonical ? Math.max(1, rows.length) : PAGE;
  for (let from = 0; from < rows.length; from += size) {
    const where = fromThere(rows.slice(from, from + size));
    if (!where) return { kind: 'many' };
    found.push(where);
    if (from > 0) await setImmediate();
  }
  return { kind: 'where', where: together(found) };
}

/** As `or`: sets of the same kind become one. */
function together(found: readonly Expression[]): Expression {
  const ids = new Set<string>();
  const keys = new Set<string>();
  const others: Expression[] = [];
  for (const one of found) {
    if (one.kind === 'id') for (const id of one.ids) ids.add(id);
    else if (one.kind === 'any') for (const key of one.keys) keys.add(key);
    else others.push(one);
  }
  return or([...(ids.size > 0 ? [{ kind: 'id' as const, ids }] : []), any(keys), ...others]);
}

/** The other way around: of each candidate it is looked up whether the join holds. */
async function bySlices(side: Side, { type, beside }: Place, context: Context): Promise<Where | Many | Stale> {
  const candidates = await context.collect({ type, where: beside ?? all, link: side.link }, SLICED);
  if (candidates.kind !== 'found') return candidates;
  const found: Expression[] = [];
  for (let from = 0, left = WORK; from < candidates.rows.length; from += SLICE) {
    const lookedUp = side.toThere(candidates.rows.slice(from, from + SLICE));
    if (!lookedUp || left <= 0) return { kind: 'many' };
    const narrowed = await resolve(side.where, { type: side.type, beside: lookedUp }, context);
    if (narrowed.kind !== 'where') return narrowed;
    const rows = await context.collect({ type: side.type, where: and([lookedUp, narrowed.where]), link: side.link }, MOST);
    const reached = rows.kind === 'found' ? await acrossFrom(side, rows.rows) : rows;
    if (reached.kind !== 'where') return reached;
    found.push(reached.where);
    left -= rows.kind === 'found' ? rows.walked : 0;
  }
  return { kind: 'where', where: together(found) };
}

type Found = { readonly kind: 'found'; readonly rows: readonly Linked[]; readonly walked: number } | Many | Stale;
type Wanted = { readonly type: string; readonly where: Expression; readonly link: Link };
type Collect = (wanted: Wanted, most: { readonly rows: number; readonly walked: number }) => Promise<Found>;

/** All visible rows or none: a part of them would be another answer. Never a body. */
function collector(resources: ResourceStore, view: View, through: Set<string>): Collect {
  return async ({ type, where, link }, most) => {
    const scope = view.scope(type);
    if (where.kind === 'none' || seesNothing(scope)) return { kind: 'found', rows: [], walked: 0 };
    const rows: Linked[] = [];
    const patients = new Set<string>();
    let walked = 0;
    for (let after: Position | undefined; ; await setImmediate()) {
      const limit = Math.min(PAGE, most.rows - rows.length);
      const found: FindResult = await resources.find({
        type,
        where,
        scope,
        order: newestFirst,
        limit,
        budget: most.walked,
        bodies: false,
        ...(after ? { after } : {}),
      });
      if (found.kind === 'stale') return found;
      if (found.kind === 'budget') return { kind: 'many' };
      walked += found.walked;
      for (const patient of patientsOf(found.rows)) patients.add(patient);
      for (const { id, keys } of found.rows) rows.push({ type, id, keys: keys.filter((key) => link.canonical || key.startsWith(link.code)) });
      after = found.next;
      if (!after) {
        // What was given up decides nothing.
        for (const patient of patients) through.add(patient);
        return { kind: 'found', rows, walked };
      }
      if (rows.length >= most.rows) return { kind: 'many' };
    }
  };
}
