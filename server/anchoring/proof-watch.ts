/**
 * Since when the log has grown without what proofs of it rest on: a signed checkpoint, and a root of the map of Consents. ledger.md §2, §3
 * Invariant: nothing is late that nothing was logged for; lateness is told, and stops nothing.
 */
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { LogRows } from './log-port.ts';
import type { LogRecords } from './log-records.ts';
import { hasNews } from './map-roots.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';
import type { Tail } from './tail.ts';

/** `ageMs`: since when entries have been waiting for the next one, as far as this process has looked; 0: none wait. */
export type ProofAge = { readonly of: 'checkpoint' | 'map-root'; readonly ageMs: number };

export type ProofWatch = Repeated & {
  /** As last looked at. */
  ages(): readonly ProofAge[];
  /** Throws AssentError('unavailable') with what is late. */
  check(): Promise<void>;
};

export type ProofWatchDependencies = RepeatedDependencies & {
  readonly log: LogRows;
  readonly stored: Pick<LogRecords, 'checkpoint'>;
  readonly tail: Tail;
  readonly clock: Clock;
};

/** What operators’ gauges show. */
export const proofSeries: readonly (readonly [name: string, help: string, of: (age: ProofAge) => readonly [string, number]])[] = [
  [
    'assent_proof_age_seconds',
    'Since when the log has grown without a new signed checkpoint, or a new root of the map of Consents; 0: it has not.',
    ({ of, ageMs }) => [of, ageMs / 1000],
  ],
];

const LOOK_MS = 15_000;
/** A checkpoint is due in a second, a root a minute after it: beyond that somebody should look. */
const MOST_MS = { checkpoint: 60_000, 'map-root': 90_000 } as const;
const sentences = {
  checkpoint: 'What the log has grown by is under no signed checkpoint, and receipts of it wait',
  'map-root': 'No root of the map of Consents is about what the log has grown by, and proofs that a Consent stands are older than promised',
} as const;

export function createProofWatch({ log, stored, tail, clock, ...deps }: ProofWatchDependencies): ProofWatch {
  const [checkpoints, roots] = [createWaiting('checkpoint', clock), createWaiting('map-root', clock)];
  const look = async (): Promise<void> => {
    const { size = 0 } = (await stored.checkpoint()) ?? {};
    if (!(await caughtUp(tail))) return;
    checkpoints.seen(size, size < tail.position());
    const newest = tail.mapRoots().at(-1);
    roots.seen(newest?.index ?? -1, tail.knowsConsents() && (await hasNews(newest, { log, tail })));
  };
  const ages = (): ProofAge[] => [checkpoints.age(), roots.age()];
  const check = async (): Promise<void> => {
    const late = [checkpoints, roots].filter(({ isLate }) => isLate()).map(({ age }) => age());
    if (late.length > 0)
      throw new AssentError('unavailable', late.map(({ of, ageMs }) => `${sentences[of]}, for ${Math.floor(ageMs / 1000)} seconds.`).join(' '));
  };
  const once = () =>
    look()
      .then(check)
      .then(() => LOOK_MS);
  // Without the seconds: it is said once, not at every look.
  const sentenceOf = (fault: unknown) => (fault instanceof AssentError ? fault.message.replaceAll(/, for \d+ seconds/g, '') : UNSEEN);
  return { ages, check, ...createRepeated({ once, retryMs: LOOK_MS, sentenceOf }, deps) };
}

const UNSEEN = 'How old the newest proofs are cannot be looked at.';

/** False where the log is not the one it was, which whoever found it has said. */
async function caughtUp(tail: Tail): Promise<boolean> {
  try {
    await tail.catchUp();
    return true;
  } catch (fault) {
    if (fault instanceof AssentError) return false;
    throw fault;
  }
}

type Waiting = { seen(mark: number, waits: boolean): void; age(): ProofAge; isLate(): boolean };

/** `mark`: which one is the newest; as long as it is and something waits, the time runs. */
function createWaiting(of: ProofAge['of'], clock: Clock): Waiting {
  let known: number | undefined;
  let since: number | undefined;
  let looks = 0;
  const ageMs = (): number => (since === undefined ? 0 : Math.max(0, clock() - since));
  return {
    seen(mark, waits) {
      if (!waits) since = undefined;
      else if (mark !== known || since === undefined) [since, looks] = [clock(), 0];
      looks++;
      known = mark;
    },
    age: () => ({ of, ageMs: ageMs() }),
    // A clock that was set, or a machine that slept, makes nothing late.
    isLate: () => ageMs() > MOST_MS[of] && looks > MOST_MS[of] / LOOK_MS,
  };
}
