/**
 * Finds whom identifiers lead to: when a resource is written that names somebody so, and again when a Patient gains or loses an identifier.
 * docs/adr/0043-whom-an-identifier-leads-to.md
 *
 * Invariants: only who keeps the records says whose an identifier is; what anybody else writes is looked up once, among the Patients they see, so
 * that nobody learns from how their own is decided who is there. What a Patient may lose is taken away before they lose it, so at no moment, and not
 * after a crash, is anything easier to see than it is or will be. What was looked up is still so in the commit.
 */
import { AssentError } from '../../errors.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import { and, any, type Expression, not } from '../../search/expression.ts';
import type { Guard, Query, Rekeyed, ResourceStore, ScopeOrInternal, StoredResource } from '../../store/port.ts';
import { ANY_SUBJECT, facet } from '../facets.ts';
import { hasSubjects, type Holders, identitiesIn, settled, subjectsIn, withFound, withNobodyFound } from '../naming.ts';
import { inView, newestFirst, patientsOf, type Views } from './view.ts';

type Find = Pick<ResourceStore, 'find'>;
type Deps = { readonly resources: Find; readonly views: Views; readonly isCustodian: () => Promise<boolean> };
type Named = { readonly rows: readonly (StoredResource | undefined)[]; readonly guards: readonly Guard[] };

/** The rows with whoever their identifiers lead to, stored or beside them. Throws AssentError('unavailable'). */
export async function namedRows(deps: Deps, rows: readonly (StoredResource | undefined)[]): Promise<Named> {
  const naming = rows.filter((row) => row !== undefined && !row.deleted && hasSubjects(row.keys)) as readonly StoredResource[];
  if (naming.length === 0) return { rows, guards: [] };
  const whos = new Set(naming.flatMap(({ keys }) => subjectsIn(keys)));
  const beside = rows.filter((row) => row?.type === 'Patient') as readonly StoredResource[];
  const custodian = await deps.isCustodian();
  const { stored, guards } = custodian ? await stand(deps, whos, beside) : await seen(deps, whos);
  const replaced = new Set(beside.map(({ id }) => id));
  const holders = holdersAmong([...stored.filter(({ id }) => !replaced.has(id)), ...beside.filter(({ deleted }) => !deleted)]);
  const found = (row: StoredResource): StoredResource => {
    const keys = withFound(row.keys, holders);
    return { ...row, keys: custodian ? keys : settled(keys) };
  };
  return { rows: rows.map((row) => (row && naming.includes(row) ? found(row) : row)), guards };
}

type Looked = { readonly stored: readonly StoredResource[]; readonly guards: readonly Guard[] };

/** Whoever has these identifiers, and that nobody else has come to have one. */
async function stand({ resources }: Deps, whos: ReadonlySet<string>, beside: readonly StoredResource[]): Promise<Looked> {
  const where = haveOneOf(whos);
  const stored = await all(resources, { type: 'Patient', where, scope: 'internal' });
  const known = new Set([...stored, ...beside].map(({ id }) => id));
  const written = new Set(beside.map(({ id }) => id));
  const versions = stored.flatMap(({ id, version }): Guard[] => (written.has(id) ? [] : [{ kind: 'version', type: 'Patient', id, version }]));
  const others = known.size === 0 ? where : and([where, not({ kind: 'id', ids: known })]);
  return { stored, guards: [...versions, { kind: 'no-match', type: 'Patient', where: others, scope: 'internal' }] };
}

async function seen({ resources, views }: Deps, whos: ReadonlySet<string>): Promise<Looked> {
  return inView(views, {
    read: (view) =>
      resources.find({ type: 'Patient', where: haveOneOf(whos), scope: view.scope('Patient'), order: newestFirst, limit: MOST, bodies: false }),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: async ({ rows }, { epoch }) => ({
      stored: rows,
      guards: [{ kind: 'epoch', epoch }, ...rows.map(({ id, version }): Guard => ({ kind: 'version', type: 'Patient', id, version }))],
    }),
  });
}

/** That are looked at for what somebody else than a custodian writes. */
const MOST = 1_000;

function haveOneOf(whos: Iterable<string>): Expression {
  return any([...whos].map(facet.identity));
}

function holdersAmong(patients: readonly StoredResource[]): Holders {
  const holders = new Map<string, string[]>();
  for (const { id, keys } of patients) for (const who of identitiesIn(keys)) holders.set(who, [...(holders.get(who) ?? []), id]);
  return (who) => holders.get(who) ?? [];
}

/** A version, and the one it replaces. */
type Change = { readonly stored: StoredResource | undefined; readonly replaced?: StoredResource | undefined };
type Spreading = { readonly before: () => Promise<void>; readonly after: () => Promise<void> };

/** What names somebody by an identifier that a Patient gains or loses: before the commit nobody is found by it, after it whoever has it then. */
export async function namingOf({ resources }: { readonly resources: ResourceStore }, changes: readonly Change[]): Promise<Spreading> {
  const moved = new Set(changes.flatMap(movedIdentities));
  const isNamed = moved.size > 0 && (await resources.carriers(ANY_SUBJECT, resourceTypes)).length > 0;
  const spread = async (rekey: (row: StoredResource) => Promise<Rekeyed>): Promise<void> => {
    if (isNamed) for (const who of moved) await rekeyNaming(resources, who, rekey);
  };
  return {
    before: () => spread(async ({ keys, instant }) => ({ keys: withNobodyFound(keys), instant })),
    after: () =>
      spread(async ({ keys, instant }) => {
        const stored = await all(resources, { type: 'Patient', where: haveOneOf(subjectsIn(keys)), scope: 'internal' });
        return { keys: withFound(keys, holdersAmong(stored)), instant };
      }),
  };
}

function movedIdentities({ stored, replaced }: Change): readonly string[] {
  if (stored?.type !== 'Patient') return [];
  const of = (row: StoredResource | undefined) => (row && !row.deleted ? identitiesIn(row.keys) : []);
  const [now, before] = [of(stored), of(replaced)];
  return [...now.filter((who) => !before.includes(who)), ...before.filter((who) => !now.includes(who))];
}

async function rekeyNaming(resources: ResourceStore, who: string, rekey: (row: StoredResource) => Promise<Rekeyed>): Promise<void> {
  const key = facet.subject(who);
  for (const type of await resources.carriers(key, resourceTypes)) {
    for (let rows = await all(resources, { type, where: any([key]), scope: 'internal' }); rows.length > 0; rows = rows.slice(AT_ONCE))
      await resources.reindex({ type, ids: rows.slice(0, AT_ONCE).map(({ id }) => id) }, rekey);
  }
}

const AT_ONCE = 100;
const PAGE = 1_000;

async function all(resources: Find, query: Pick<Query, 'type' | 'where'> & { readonly scope: ScopeOrInternal }): Promise<StoredResource[]> {
  const rows: StoredResource[] = [];
  for (let after: Query['after'], more = true; more; more = after !== undefined) {
    const found = await resources.find({
      ...query,
      order: newestFirst,
      limit: PAGE,
      bodies: false,
      budget: Number.MAX_SAFE_INTEGER,
      ...(after ? { after } : {}),
    });
    if (found.kind !== 'rows') throw new AssentError('unavailable');
    rows.push(...found.rows);
    after = found.next;
  }
  return rows;
}
