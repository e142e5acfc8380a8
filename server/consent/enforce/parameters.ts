/**
 * The stored search parameters of every process on one database: one record, changed in the commit of the SearchParameter itself and relied on
 * by every commit whose keys were made by it. fhir.md §2
 *
 * Invariant: a parameter is ready for a type only when every live resource of the type has its keys. Those written since it is known have them,
 * as a commit whose keys were made without it is refused; those written before have them from a $reindex that began since.
 */
import { AssentError } from '../../errors.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { Registry } from '../../search/registry.ts';
import { type Known, storedAfter, type StoredParameter, storedReady, withStored } from '../../search/stored-parameters.ts';
import type { Engine, Guard, RecordWrite, StoredResource } from '../../store/port.ts';

const KIND = 'search-parameters';
const ID = 'stored';

type RecordGuard = Guard & { readonly kind: 'record' };

export type StoredParameters = {
  known(): Known;
  /** That these are still the parameters: for commits of resources whose keys are made from now on. */
  guard(): RecordGuard;
  /** As they are in the database now. */
  refresh(): Promise<void>;
  /** What these versions change of them; undefined: nothing. `by`: who writes. Throws AssentError: invalid-resource, forbidden. */
  changedBy(version: StoredResource, pending: Change | undefined, by: { readonly admin: boolean }): Change | undefined;
  /** Names of the versions a run of $reindex can make ready. */
  seen(): readonly string[];
  /** These types have the keys of all that was seen. */
  ready(types: readonly string[], seen: readonly string[]): Promise<void>;
  /** The engine, by which changes of other processes are noticed as soon as the epoch is read. */
  noticing(engine: Engine): Engine;
};

export type Change = { readonly stored: readonly StoredParameter[]; readonly record: RecordWrite };

type State = { readonly revision: number | null; readonly stored: readonly StoredParameter[]; readonly known: Known };

export function createStoredParameters({ resources, records }: Pick<Engine, 'resources' | 'records'>, registry: Registry): StoredParameters {
  let state: State = { revision: null, stored: [], known: withStored(registry, []) };
  let epoch: number | undefined;

  async function refresh(): Promise<void> {
    const found = await records.get(KIND, ID);
    // The record is never deleted, so its revision only grows: what was read before is never taken for news.
    if (!found || (state.revision !== null && found.revision <= state.revision)) return;
    const stored = found.value as readonly StoredParameter[];
    state = { revision: found.revision, stored, known: withStored(registry, stored) };
  }

  const guard = (): RecordGuard => ({ kind: 'record', recordKind: KIND, id: ID, revision: state.revision, shared: true });
  const recordOf = (stored: readonly StoredParameter[]): RecordWrite => ({ kind: 'put', recordKind: KIND, id: ID, value: stored, shared: true });

  return {
    known: () => state.known,
    guard,
    refresh,
    changedBy({ type, id, version, deleted, body }, pending, { admin }) {
      if (type !== 'SearchParameter') return pending;
      const before = pending?.stored ?? state.stored;
      const after = storedAfter(registry, before, { id, version, resource: deleted ? undefined : (JSON.parse(body) as ResourceValue) });
      if (JSON.stringify(after) === JSON.stringify(before)) return pending;
      if (!admin) throw new AssentError('forbidden', 'Only an administrator changes what is searched by: store the SearchParameter as a draft.');
      return { stored: after, record: recordOf(after) };
    },
    seen: () => state.stored.flatMap(({ since, pending }) => (pending.length > 0 ? [since] : [])),
    async ready(types, seen) {
      for (;;) {
        await refresh();
        const after = storedReady(state.stored, types, seen);
        if (after.every((one, i) => one.pending.length === state.stored[i]?.pending.length)) return;
        const writes = { guards: [guard()], resources: [], records: [recordOf(after)], log: [], bumpEpoch: true };
        if ((await resources.commit(writes)).kind === 'committed') return refresh();
      }
    },
    noticing: (engine) => ({
      ...engine,
      resources: {
        ...engine.resources,
        async epoch() {
          const now = await engine.resources.epoch();
          if (now !== epoch) await refresh();
          epoch = now;
          return now;
        },
        async commit(writes) {
          const result = await engine.resources.commit(writes);
          if (result.kind === 'conflict' && result.guard.kind === 'record' && result.guard.recordKind === KIND) await refresh();
          return result;
        },
      },
    }),
  };
}
