/**
 * Labels of what is written, and of what refers to it: sensitivities follow references to Conditions, results and the like, in both orders of writing,
 * and codes the reference to a Medication.
 * server/consent/labelling.ts, consent.md §3 (propagated on write and on relabel)
 *
 * Invariants: what refers to something is labelled before that becomes sensitive, never after; a write that looked at labels which have changed since is
 * planned again; who is no custodian closes what refers to what they write and never opens it (rule 21); nothing here tells anybody what is stored: what
 * somebody else writes takes no label of what they do not see, now or later, so that hidden and absent leave it as it is.
 */
import { AssentError } from '../../errors.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import type { JobHandler } from '../../jobs/job.ts';
import { and, any } from '../../search/expression.ts';
import type { Guard, Rekeyed, ResourceStore, StoredResource } from '../../store/port.ts';
import { facet, PATIENT } from '../facets.ts';
import { followsReferences, isTelling, keepingLabels, type Labelling, labelsByCode, type Referred, restsOn, withLabels } from '../labelling.ts';
import { storedAt, typeAndId } from './concepts.ts';
import { targetsInView } from './integrity.ts';
import { recoded, recodes } from './recoding.ts';
import { newestFirst, type Views } from './view.ts';

type Deps = { readonly resources: Pick<ResourceStore, 'find' | 'carriers' | 'reindex' | 'epoch'>; readonly labelling: Labelling };
/** A version, and the one it replaces. */
type Written = { readonly row: StoredResource; readonly replaced?: StoredResource | undefined };
type Labelled = { readonly rows: readonly StoredResource[]; readonly guards: readonly Guard[] };

type LabellingDeps = Deps & { readonly views: Views; readonly isCustodian: () => Promise<boolean> };

/** With labels by their own codes and those of what they refer to: beside them in the same write, or stored. */
export async function labelledRows(deps: LabellingDeps, written: readonly Written[]): Promise<Labelled> {
  const { resources, labelling } = deps;
  const beside = new Map(written.map(({ row }) => [nameOf(row), row.keys]));
  const { rows, guards } = await lentRows(deps, written, beside);
  const stored = await storedAt(resources, elsewhereIn(rows, beside), { bodies: false });
  const referred: Referred = (reference) => beside.get(reference) ?? stored.get(reference)?.keys;
  const labelled = rows.map((row) => (row.deleted ? row : { ...row, keys: withLabels(row.type, row.keys, { labelling, referred }) }));
  return { rows: labelled, guards };
}

type Beside = ReadonlyMap<string, unknown>;

function elsewhereIn(rows: readonly StoredResource[], beside: Beside): ReadonlySet<string> {
  return new Set(rows.flatMap((row) => (row.deleted ? [] : restsOn(row.type, row.keys))).filter((reference) => !beside.has(reference)));
}

/** Less what lends them nothing: what a custodian refers to does, of what anybody else does what they see, and what lent to the version before. */
async function lentRows(deps: LabellingDeps, written: readonly Written[], beside: Beside): Promise<Labelled> {
  const rows = written.map(({ row }) => row);
  if (elsewhereIn(rows, beside).size === 0) return { rows, guards: [] };
  // The epoch moves with every label that others may have looked at.
  if (await deps.isCustodian()) return { rows, guards: [{ kind: 'epoch', epoch: await deps.resources.epoch() }] };
  const before = written.map(({ row, replaced }) => new Set(replaced ? restsOn(row.type, replaced.keys) : []));
  const asked = rows.map((row, i) => [...elsewhereIn([row], beside)].filter((reference) => before[i]?.has(reference) !== true));
  const named = new Set(asked.flat());
  const { found, epoch } = await targetsInView(deps, [...named].map(typeAndId));
  const unlent = asked.map((references) => references.filter((reference) => !found.has(reference)).map(facet.unlent));
  return { rows: rows.map((row, i) => ({ ...row, keys: [...row.keys, ...(unlent[i] ?? [])] })), guards: [{ kind: 'epoch', epoch }] };
}

export type Spreading = {
  /** Whether what others looked at has become more sensitive. */
  readonly raises: boolean;
  /** Labels what refers to it, as far as that closes. Before the commit. */
  readonly before: () => Promise<void>;
  /** Labels it as it then is. After the commit. */
  readonly after: () => Promise<void>;
};

type SpreadingDeps = Deps & { readonly base: string; readonly isCustodian: () => Promise<boolean> };
type How = 'closing' | 'as-stored';

export function spreadingOf(deps: SpreadingDeps, changes: readonly Written[]): Spreading {
  const changed = changes.flatMap(({ row, replaced }) => {
    // What was deleted leaves what named it as it was.
    if (row.deleted || !isTelling(row.type)) return [];
    // What was deleted lent nothing to what was written meanwhile.
    const before = replaced && !replaced.deleted ? replaced.keys : [];
    const [old, now] = [labelsByCode(before, deps.labelling), labelsByCode(row.keys, deps.labelling)];
    const raises = [...now].some((label) => !old.has(label));
    const codes = recodes(row, replaced);
    return raises || codes || now.size < old.size ? [{ row, replaced, codes, raises: raises || codes }] : [];
  });
  const spread = async (only: typeof changed, how: How): Promise<void> => {
    for (const change of only) await relabelReferrers(deps, change, how);
  };
  const raising = changed.filter(({ raises }) => raises);
  return {
    raises: raising.length > 0,
    before: () => spread(raising, 'closing'),
    after: async () => ((await deps.isCustodian()) ? spread(changed, 'as-stored') : spread(raising, 'closing')),
  };
}

/** `closing`: it counts with its keys of before and after, and what refers to it loses nothing; otherwise as it is stored. */
async function relabelReferrers(deps: SpreadingDeps, { row, replaced, codes }: Written & { readonly codes: boolean }, how: How): Promise<void> {
  const name = nameOf(row);
  const shown = how === 'closing' ? [...row.keys, ...(replaced?.keys ?? [])] : undefined;
  const relabel = rekeyer(deps, (reference) => (reference === name ? shown : undefined));
  const rekey = async (stored: StoredResource): Promise<Rekeyed> => {
    const keys = codes ? await recoded(deps, stored, how === 'closing' ? row : undefined) : stored.keys;
    const fresh = await relabel({ ...stored, keys });
    return how === 'closing' ? { ...fresh, keys: keepingLabels(stored.keys, fresh.keys) } : fresh;
  };
  const patients = [...new Set([...row.keys, ...(replaced?.keys ?? [])].filter((key) => key.startsWith(PATIENT)))];
  const ways = [
    ...patients.map((key) => ({ key, where: and([any([key]), any([facet.refersTo(name)])]) })),
    { key: facet.restsOn(name), where: any([facet.restsOn(name)]) },
  ];
  for (const { key, where } of ways) {
    for (const type of await deps.resources.carriers(key, REFERRING)) {
      for (let after: Parameters<ResourceStore['find']>[0]['after'], more = true; more; ) {
        const query = { type, where, scope: 'internal' as const, order: newestFirst, limit: AT_ONCE, bodies: false };
        const found = await deps.resources.find({ ...query, ...(after ? { after } : {}) });
        if (found.kind !== 'rows') throw new AssentError('unavailable');
        const ids = found.rows.map(({ id }) => id);
        if (ids.length > 0) await deps.resources.reindex({ type, ids }, rekey);
        after = found.next;
        more = after !== undefined;
      }
    }
  }
}

const AT_ONCE = 100;
const REFERRING = resourceTypes.filter(followsReferences);

/** Labels made again from the keys. `shown`: keys that count for a reference instead of the stored ones. */
function rekeyer({ resources, labelling }: Deps, shown: Referred = () => undefined): (stored: StoredResource) => Promise<Rekeyed> {
  return async ({ type, keys, instant }) => {
    const wanted = restsOn(type, keys).filter((reference) => shown(reference) === undefined);
    const stored = wanted.length === 0 ? undefined : await storedAt(resources, wanted, { bodies: false });
    const fresh = withLabels(type, keys, { labelling, referred: (reference) => shown(reference) ?? stored?.get(reference)?.keys });
    const known = new Set(keys);
    // In another order they are the same keys.
    return { keys: fresh.length === known.size && fresh.every((key) => known.has(key)) ? keys : fresh, instant };
  };
}

type Checkpoint = { readonly at: number; readonly read: number; readonly written: number; readonly after?: string };

/** Every stored resource labelled by the rules of today. Until it is done the others count as labelled with everything. */
export function relabelJob(deps: Deps): JobHandler {
  const keysOf = rekeyer(deps);
  return {
    async run(_input, { checkpoint, save, cancelled }) {
      let { at, after, read, written } = (checkpoint as Checkpoint | undefined) ?? { at: 0, after: undefined, read: 0, written: 0 };
      for (let type = resourceTypes[at]; type !== undefined; type = resourceTypes[at]) {
        cancelled.throwIfAborted();
        const slice = await deps.resources.reindex({ type, ...(after === undefined ? {} : { after }) }, keysOf);
        read += slice.read;
        written += slice.written;
        after = slice.next;
        if (after === undefined) at++;
        if (slice.read > 0)
          await save({ at, read, written, ...(after === undefined ? {} : { after }) }, `${read} resources read, ${written} labelled anew`);
      }
      return { read, written };
    },
  };
}

function nameOf({ type, id }: Pick<StoredResource, 'type' | 'id'>): string {
  return `${type}/${id}`;
}
