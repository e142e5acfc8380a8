/**
 * Reindexing: the index keys of stored resources, made again by the rules of today. A job, because it reads everything. fhir.md §3
 *
 * Invariants: what consents are decided by stays as it was written: who wrote a version and which labels it may not lose is not in its text,
 * so no rule of today could find it out; nothing of a resource is told but how many there are; and before anything is changed the trail says who
 * asked for it, and how.
 */
import type { Recorder } from '../../audit/record.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { JobHandler } from '../../jobs/job.ts';
import type { ResourceStore, StoredResource } from '../../store/port.ts';
import { isFacet } from '../facets.ts';
import type { Caller } from '../model.ts';
import { actBase, type Disclosure } from './disclose.ts';

type Dependencies = {
  readonly resources: Pick<ResourceStore, 'reindex' | 'commit'>;
  readonly recorder: Recorder;
  readonly logRow: Disclosure['logRow'];
  readonly indexKeys: (resource: ResourceValue) => { readonly keys: readonly string[]; readonly instant: number | undefined };
};

/** `request`: as it was sent, for the trail. */
export type ReindexInput = { readonly types: readonly string[]; readonly caller: Caller; readonly request: string };
export type ReindexCounts = { readonly read: number; readonly written: number };

/** `at`: the type under work, by its place in the input. */
type Checkpoint = ReindexCounts & { readonly at: number; readonly after?: string };

export function reindexJob(deps: Dependencies): JobHandler {
  const { resources, indexKeys } = deps;
  const keysOf = (stored: StoredResource) => {
    const { keys, instant = stored.lastUpdated } = indexKeys(JSON.parse(stored.body) as ResourceValue);
    const fresh = new Set([...keys, ...stored.keys.filter(isFacet)]);
    // In another order they are the same keys.
    const isSame = fresh.size === new Set(stored.keys).size && stored.keys.every((key) => fresh.has(key));
    return { keys: isSame ? stored.keys : [...fresh], instant };
  };
  return {
    async run(input, { checkpoint, save, cancelled }) {
      const { types } = input as unknown as ReindexInput;
      // A run that ended before its first checkpoint is told of once more: rather twice than never.
      if (checkpoint === undefined) await record(deps, input as unknown as ReindexInput);
      let { at, after, read, written } = (checkpoint as Checkpoint | undefined) ?? { at: 0, after: undefined, read: 0, written: 0 };
      for (let type = types[at]; type !== undefined; type = types[at]) {
        cancelled.throwIfAborted();
        const slice = await resources.reindex({ type, ...(after === undefined ? {} : { after }) }, keysOf);
        read += slice.read;
        written += slice.written;
        after = slice.next;
        if (after === undefined) at++;
        // Types without resources are passed in one go.
        if (slice.read > 0)
          await save({ at, read, written, ...(after === undefined ? {} : { after }) }, `${read} resources read, ${written} changed`);
      }
      return { read, written } satisfies ReindexCounts;
    },
  };
}

async function record({ resources, recorder, logRow }: Dependencies, { caller, request }: ReindexInput): Promise<void> {
  const { resource, entry } = recorder({ ...actBase(caller, 'operation'), patient: undefined, what: [], basis: [], query: request }, { own: true });
  await resources.commit({ guards: [], resources: [resource], records: [], log: [logRow(entry)], bumpEpoch: false });
}
