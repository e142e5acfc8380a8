/**
 * Whether every stored resource has the keys of what it refers to. They are made only while referential integrity is on, so a record says
 * since when nothing was written without them; a whole $reindex makes those that are missing.
 */
import { resourceTypes } from '../../fhir/resource-types.ts';
import type { JobHandler } from '../../jobs/job.ts';
import type { Engine } from '../../store/port.ts';
import type { ReindexInput } from './reindex.ts';

const KIND = 'reference-index';
const ID = 'complete';

/** Before the server writes anything. False: resources were written while it was off. */
export async function openReferenceIndex({ resources, records }: Engine, integrity: boolean): Promise<boolean> {
  if (!integrity) {
    // What is written from now on has none.
    await records.delete(KIND, ID);
    return true;
  }
  if (await records.get(KIND, ID)) return true;
  // Whatever is written has a row in the log.
  const isNew = (await resources.readLog(0, 1)).length === 0;
  if (isNew) await records.put(KIND, ID, true);
  return isNew;
}

/** A $reindex of everything completes it. */
export function completing(job: JobHandler, { records }: Pick<Engine, 'records'>): JobHandler {
  return {
    ...job,
    async run(input, context) {
      const result = await job.run(input, context);
      const types = new Set((input as ReindexInput).types);
      if (resourceTypes.every((type) => types.has(type))) await records.put(KIND, ID, true);
      return result;
    },
  };
}
