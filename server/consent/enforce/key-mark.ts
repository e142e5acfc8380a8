/** Remembers the rules by which everything stored was indexed (KEY_RULES and the search parameters on board). */
import { resourceTypes } from '../../fhir/resource-types.ts';
import type { JobHandler } from '../../jobs/job.ts';
import type { RecordStore } from '../../store/port.ts';
import type { ReindexInput } from './reindex.ts';

const KIND = 'key-rules';
const ID = 'stored';

export type KeyMark = {
  /** Whether everything stored has the keys of today's rules, as far as this process knows. */
  isCurrent(): boolean;
  /** A reindexing of everything makes it so. */
  after(job: JobHandler): JobHandler;
};

/** `isNew`: nothing is stored. `stale`: called where it was indexed by other rules. */
type Marking = { readonly keyRules: string; readonly isNew: boolean; readonly stale: () => void };

export async function readKeyMark(records: RecordStore, { keyRules, isNew, stale }: Marking): Promise<KeyMark> {
  const mark = () => records.put(KIND, ID, keyRules);
  const known = (await records.get(KIND, ID))?.value;
  const fresh = known === undefined && isNew;
  if (fresh) await mark();
  let current = fresh || known === keyRules;
  if (!current) stale();
  return {
    isCurrent: () => current,
    after: (job) => ({
      ...job,
      async run(input, context) {
        const counts = await job.run(input, context);
        if (resourceTypes.every((type) => (input as ReindexInput).types.includes(type))) {
          await mark();
          current = true;
        }
        return counts;
      },
    }),
  };
}
