/**
 * Remembers by which rules everything stored was labelled, and sees to it that what was labelled by others is labelled anew, by a job that any
 * process with today's rules goes on with.
 */
import type { Jobs } from '../../jobs/jobs.ts';
import type { Engine } from '../../store/port.ts';
import type { Labelling } from '../labelling.ts';
import { relabelJob } from './labels.ts';

const KIND = 'label-rules';
const STORED = 'stored';
const JOB = 'job';
const OWNER = 'server';

type Deps = Engine & { readonly jobs: Pick<Jobs, 'handle' | 'submit' | 'find'>; readonly labelling: Labelling };
type Submitted = { readonly rules: string; readonly id: string };

/** `isNew`: nothing is stored yet. Resolves with whether a job has to label what is stored. */
export async function keepLabelled({ resources, records, jobs, labelling }: Deps, isNew: boolean): Promise<boolean> {
  const { rules } = labelling;
  const job = relabelJob({ resources, labelling });
  const mark = () => records.put(KIND, STORED, rules);
  // Taken only by processes that label by these rules.
  const kind = `relabel ${rules}`;
  jobs.handle(kind, {
    async run(input, context) {
      const counts = await job.run(input, context);
      await mark();
      return counts;
    },
  });
  if (isNew) await mark();
  if ((await records.get(KIND, STORED))?.value === rules) return false;
  const known = (await records.get(KIND, JOB))?.value as Submitted | undefined;
  const state = known?.rules === rules ? (await jobs.find(known.id, OWNER))?.state : undefined;
  if (state !== 'queued' && state !== 'running') await records.put(KIND, JOB, { rules, id: await jobs.submit({ kind, owner: OWNER, input: null }) });
  return true;
}
