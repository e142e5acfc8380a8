/**
 * Reindexing: the index keys of stored resources, made again by the rules of today. A job, because it reads everything. fhir.md §3
 *
 * Invariants: what consents are decided by stays as it was written, or closes: who wrote a version and which labels it may not lose is not in its text,
 * so no rule of today could find it out; nothing of a resource is told but how many there are; and before anything is changed the trail says who
 * asked for it, and how.
 */
import type { Recorder } from '../../audit/record.ts';
import { AssentError } from '../../errors.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { JobHandler } from '../../jobs/job.ts';
import type { Reindexed, ResourceStore, StoredResource } from '../../store/port.ts';
import { type NamedPatients, namedPatients } from '../../fhir/named-patients.ts';
import { isFacet, NOBODY, SEALED, UNKNOWN_PATIENT } from '../facets.ts';
import { hasSubjects } from '../naming.ts';
import type { Caller } from '../model.ts';
import { actBase, type Disclosure } from './disclose.ts';
import type { StoredParameters } from './parameters.ts';

type Dependencies = {
  readonly resources: Pick<ResourceStore, 'reindex' | 'commit'>;
  readonly recorder: Recorder;
  readonly logRow: Disclosure['logRow'];
  readonly parameters: Pick<StoredParameters, 'guard' | 'refresh' | 'seen' | 'ready'>;
  /** Our own FHIR base URL. */
  readonly base: string;
  readonly indexKeys: (resource: ResourceValue) => { readonly keys: readonly string[]; readonly instant: number | undefined };
};

/** `request`: as it was sent, for the trail. */
export type ReindexInput = { readonly types: readonly string[]; readonly caller: Caller; readonly request: string };
export type ReindexCounts = { readonly read: number; readonly written: number };

/** `at`: the type under work, by its place in the input. `seen`: what search parameters were waiting for it when it began. */
type Checkpoint = ReindexCounts & { readonly at: number; readonly after?: string; readonly seen?: readonly string[] };

const unknown = [UNKNOWN_PATIENT, NOBODY];

/** What was stored before it was told of it: by whom it was written, and so whether it may be looked for, is not known any more. */
function isToldOfUnknown({ keys }: StoredResource, named: NamedPatients): boolean {
  return !keys.includes(SEALED) && (named.unknown || (named.identified.length > 0 && !hasSubjects(keys)));
}

export function reindexJob(deps: Dependencies): JobHandler {
  const { indexKeys, parameters, base } = deps;
  const keysOf = (stored: StoredResource) => {
    const resource = JSON.parse(stored.body) as ResourceValue;
    const { keys, instant = stored.lastUpdated } = indexKeys(resource);
    const fresh = new Set([...keys, ...stored.keys.filter(isFacet), ...(isToldOfUnknown(stored, namedPatients(resource, base)) ? unknown : [])]);
    // In another order they are the same keys.
    const isSame = fresh.size === new Set(stored.keys).size && stored.keys.every((key) => fresh.has(key));
    return { keys: isSame ? stored.keys : [...fresh], instant };
  };
  return {
    async run(input, { checkpoint, save, cancelled }) {
      const { types } = input as unknown as ReindexInput;
      // A run that ended before its first checkpoint is told of once more: rather twice than never.
      if (checkpoint === undefined) await record(deps, input as unknown as ReindexInput);
      await parameters.refresh();
      let { at, after, read, written } = (checkpoint as Checkpoint | undefined) ?? { at: 0, after: undefined, read: 0, written: 0 };
      // Of an earlier version of the server a checkpoint has none.
      const seen = checkpoint === undefined ? parameters.seen() : ((checkpoint as Checkpoint).seen ?? []);
      for (let type = types[at]; type !== undefined; type = types[at]) {
        cancelled.throwIfAborted();
        const slice = await reindexSlice(deps, { type, ...(after === undefined ? {} : { after }) }, keysOf);
        read += slice.read;
        written += slice.written;
        after = slice.next;
        if (after === undefined) at++;
        // Types without resources are passed in one go.
        if (slice.read > 0)
          await save({ at, read, written, seen, ...(after === undefined ? {} : { after }) }, `${read} resources read, ${written} changed`);
      }
      await parameters.ready(types, seen);
      return { read, written } satisfies ReindexCounts;
    },
  };
}

/** By the search parameters of the moment of its commit. */
async function reindexSlice({ resources, parameters }: Dependencies, ...[slice, keysOf]: Parameters<ResourceStore['reindex']>): Promise<Reindexed> {
  for (;;) {
    try {
      return await resources.reindex({ ...slice, guard: parameters.guard() }, keysOf);
    } catch (error) {
      if (!(error instanceof AssentError) || error.code !== 'conflict') throw error;
      await parameters.refresh();
    }
  }
}

async function record({ resources, recorder, logRow }: Dependencies, { caller, request }: ReindexInput): Promise<void> {
  const { resource, entry } = recorder({ ...actBase(caller, 'operation'), patient: undefined, what: [], basis: [], query: request }, { own: true });
  await resources.commit({ guards: [], resources: [resource], records: [], log: [logRow(entry)], bumpEpoch: false });
}
