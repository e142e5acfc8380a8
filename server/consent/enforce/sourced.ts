/**
 * The store as the Gate reads it: where others decide about a resource as well, they are looked up before the question goes to the engine, in the
 * same view. consent.md §2 rules 8, 17, 18; server/consent/sources.ts
 *
 * Invariant: an engine is never asked with more than the decided scope: those that a look at their sources admits stand in it by id and by the set of
 * sources that was looked at, so that a version with others is not among them, and each version by what it says of itself.
 */
import { AssentError } from '../../errors.ts';
import { all, and, any, type Expression, holds, none, or, startsWith } from '../../search/expression.ts';
import type { Guard, HistoryQuery, Query, ResourceStore, Scope, ScopeOrInternal, StoredResource } from '../../store/port.ts';
import { facet, SOURCE, UNKNOWN_PART } from '../facets.ts';
import { type Refinement, sourceReferences } from '../sources.ts';
import { storedAt } from './concepts.ts';
import { type GateRow, newestFirst } from './view.ts';

/** A scope as a view gives it. `where` is of a resource alone, whatever else decides about it. */
export type SourcedScope = Scope & { readonly refinement?: Refinement };
export type SourcedHistoryScope = Exclude<HistoryQuery['scope'], 'internal'> & { readonly refinementOf: (type: string) => Refinement | undefined };

/** Whether nothing of a type can be seen, whatever its sources are. */
export function seesNothing({ where, refinement }: SourcedScope): boolean {
  return where.kind === 'none' && refinement === undefined;
}

/** More candidates cannot be looked up for one question. */
const MOST = 10_000;
const AT_ONCE = 1_000;

/** Types about which others may decide. */
const TYPES = ['Composition', 'Bundle', 'Binary', 'Provenance'] as const;

export function readSources(resources: ResourceStore): ResourceStore {
  const decided = <Asked extends Narrowing & { readonly scope: ScopeOrInternal }>(query: Asked) => decide(resources, query);
  return {
    ...resources,
    async find(query) {
      const asked = await decided(query);
      return asked === 'stale' ? { kind: 'stale' } : withConcerns(await resources.find(asked.query), asked.concerns);
    },
    async findSeveral(query) {
      const parts = await Promise.all(query.parts.map(decided));
      const known = parts.filter((part) => part !== 'stale');
      if (known.length < parts.length) return { kind: 'stale' };
      const found = await resources.findSeveral({ ...query, parts: known.map((part) => part.query) });
      return withConcerns(found, new Map(known.flatMap(({ concerns }) => [...concerns])));
    },
    async count(query, cap) {
      const asked = await decided(query);
      return asked === 'stale' ? { kind: 'stale' } : resources.count(asked.query, cap);
    },
    async history(query) {
      const asked = await decideHistory(resources, query);
      return asked === 'stale' ? { kind: 'stale' } : withConcerns(await resources.history({ ...query, scope: asked.scope }), asked.concerns);
    },
    commit: (writes) => resources.commit({ ...writes, guards: writes.guards.map(plainGuard) }),
  };
}

/** By `Type/id`: patients that the disclosure of a row has to be recorded for, and whose Consents have to be those in the log. */
type Concerns = ReadonlyMap<string, readonly string[]>;

function withConcerns<Found extends { readonly kind: string }>(found: Found, concerns: Concerns): Found {
  if (concerns.size === 0 || !('rows' in found)) return found;
  const rows = (found.rows as readonly StoredResource[]).map((row): StoredResource & GateRow => {
    const patients = concerns.get(`${row.type}/${row.id}`);
    return patients ? { ...row, concerns: patients } : row;
  });
  return { ...found, rows };
}

type Narrowing = Pick<Query, 'type' | 'where' | 'deleted' | 'signal'>;

const nobody: Concerns = new Map();

async function decide<Asked extends Narrowing & { readonly scope: ScopeOrInternal }>(
  resources: ResourceStore,
  query: Asked,
): Promise<{ readonly query: Asked; readonly concerns: Concerns } | 'stale'> {
  const { scope } = query;
  if (scope === 'internal') return { query, concerns: nobody };
  const { epoch, where, refinement } = scope as SourcedScope;
  if (!refinement) return { query, concerns: nobody };
  const admitted = await admit(resources, query, { epoch, refinement });
  if (admitted === 'stale') return admitted;
  return { query: { ...query, scope: { epoch, where: or([and([where, refinement.alone]), admitted.where]) } }, concerns: admitted.concerns };
}

type Admitted = { readonly where: Expression; readonly concerns: Concerns };
type Admitting = { readonly epoch: number; readonly refinement: Refinement; readonly ofVersions?: true };

/** Those of the rows asked for that may be seen once their sources are looked at. */
async function admit(
  resources: ResourceStore,
  { type, where, deleted, signal }: Narrowing,
  { epoch, refinement, ofVersions }: Admitting,
): Promise<Admitted | 'stale'> {
  const bySources = new Map<string, Set<string>>();
  const once = new Map<string, Expression>();
  const concerns = new Map<string, readonly string[]>();
  const asked = {
    type,
    where: and([where, startsWith(SOURCE)]),
    scope: { epoch, where: refinement.loose },
    order: newestFirst,
    limit: AT_ONCE,
    bodies: false,
  };
  let after: Parameters<ResourceStore['find']>[0]['after'];
  for (let seen = 0; ; ) {
    const found = await resources.find({
      ...asked,
      ...(after ? { after } : {}),
      ...(deleted === undefined ? {} : { deleted }),
      ...(signal ? { signal } : {}),
    });
    if (found.kind === 'stale') return 'stale';
    seen += found.kind === 'rows' ? found.rows.length : MOST;
    if (found.kind === 'budget' || seen > MOST)
      throw new AssentError(
        'too-costly',
        `More resources of type ${type} would have to be looked at than one search may; narrow it, for instance to a patient.`,
      );
    const sources = await sourcesOf(resources, found.rows);
    for (const row of found.rows) {
      const references = sourceReferences(row.keys);
      const set = facet.sources(references);
      const visible = once.get(set) ?? refinement.once(references, sources);
      once.set(set, visible);
      if (!holds(visible, row.id, row.keys)) continue;
      bySources.set(set, (bySources.get(set) ?? new Set()).add(row.id));
      concerns.set(`${type}/${row.id}`, refinement.concerns(row, sources));
    }
    after = found.next;
    if (!after) break;
  }
  // Those of now were decided; an earlier version may say of itself what its newest does not.
  const eachOf = (set: string) => (ofVersions ? (once.get(set) ?? none) : all);
  const admitted = or([...bySources].map(([set, ids]) => and([any([set]), { kind: 'id', ids }, eachOf(set)])));
  return { where: and([refinement.loose, admitted]), concerns };
}

/** With those of a source that has parts of its own. */
async function sourcesOf(resources: ResourceStore, rows: readonly StoredResource[]): Promise<ReadonlyMap<string, StoredResource>> {
  const of = (some: Iterable<StoredResource>) => new Set([...some].flatMap(({ keys }) => sourceReferences(keys)));
  const sources = await storedAt(resources, of(rows), { deleted: true, bodies: false });
  const parts = of([...sources.values()].filter(({ keys }) => keys.includes(UNKNOWN_PART)));
  if (parts.size === 0) return sources;
  return new Map([...(await storedAt(resources, parts, { deleted: true, bodies: false })), ...sources]);
}

async function decideHistory(
  resources: ResourceStore,
  { scope, type, types, id }: HistoryQuery,
): Promise<{ readonly scope: HistoryQuery['scope']; readonly concerns: Concerns } | 'stale'> {
  if (scope === 'internal') return { scope, concerns: nobody };
  const { epoch, where: whereOf, refinementOf } = scope as SourcedHistoryScope;
  const asked = type !== undefined ? [type] : (types ?? TYPES);
  const admitted = new Map<string, Admitted>();
  for (const each of TYPES) {
    const refinement = asked.includes(each) ? refinementOf?.(each) : undefined;
    if (!refinement) continue;
    const where: Expression = id === undefined ? all : { kind: 'id', ids: new Set([id]) };
    const found = await admit(
      resources,
      { type: each, where, ...(id === undefined ? {} : { deleted: true }) },
      { epoch, refinement, ofVersions: true },
    );
    if (found === 'stale') return found;
    admitted.set(each, found);
  }
  const concerns = new Map([...admitted.values()].flatMap((found) => [...found.concerns]));
  const alone = (each: string) => refinementOf?.(each)?.alone ?? all;
  return { scope: { epoch, where: (each) => or([and([whereOf(each), alone(each)]), admitted.get(each)?.where ?? none]) }, concerns };
}

/** Nothing but what an engine knows of a scope; what is guarded is what holds without a look at sources. */
function plainGuard(guard: Guard): Guard {
  if (guard.kind === 'no-match') return { ...guard, scope: plain(guard.scope) };
  if (guard.kind === 'unused') return { ...guard, allowed: guard.allowed.map((each) => ({ ...each, scope: plain(each.scope) })) };
  return guard;
}

function plain(scope: ScopeOrInternal): ScopeOrInternal {
  if (scope === 'internal') return scope;
  const { epoch, where, refinement } = scope as SourcedScope;
  return { epoch, where: refinement ? and([where, refinement.alone]) : where };
}
