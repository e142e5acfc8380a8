/**
 * Logs what the map of replaced Consents comes to, so that proofs from it have something to rest on: within a minute of whatever is logged, or when
 * somebody asks for a proof and the newest root is older. ledger.md §3
 *
 * Invariants: of a root, everything that was committed before its time is among the entries it is about; each is about more entries than the one
 * before, whichever process makes it: the record it is committed with is the fence; where the newest root is not what the entries give, none is added.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Schedule } from '../../ledger/batch.ts';
import { digestOf } from '../../ledger/hash.ts';
import { mapRootOf, mapRootText } from '../../ledger/map-root.ts';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { ConsentMap } from './consent-map.ts';
import { type LogRows, type LogStore, rowsBetween, writeMapRoot } from './log-port.ts';
import { kinds, type LogRecords, mapRowOf } from './log-records.ts';
import type { Sealer } from './sealer.ts';
import type { Tail, TailedRoot } from './tail.ts';

export type MapRootsDependencies = {
  readonly log: LogStore;
  readonly stored: LogRecords;
  /** Where the log is not the one it was it cannot be caught up with, and nothing is said of it. */
  readonly tail: Tail;
  readonly map: ConsentMap;
  readonly sealer: Pick<Sealer, 'flush' | 'nudge'>;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly report: (fault: unknown) => void;
  /** Told of an entry that holds a wrong root. */
  readonly alarm: (logIndex: number) => void;
};

export type MapRoots = {
  /** To be told of every checkpoint this process signs: a root follows within a minute, if there is anything new to hold. */
  grown(): void;
  stop(): Promise<void>;
  /**
   * Resolves with the newest root, once it is about the entry at `index` too and not older than a minute: it is logged if need be, and perhaps not sealed
   * yet. Undefined: that takes another process a moment. Throws AssentError('unavailable'): the newest root is not what the entries give.
   */
  ensure(index: number): Promise<TailedRoot | undefined>;
};

export const ROOT_AGE_MS = 60_000;

export function createMapRoots(deps: MapRootsDependencies): MapRoots {
  const { tail, clock, schedule, report } = deps;
  let making: Promise<void> | undefined;
  let timer: (() => void) | undefined;
  let working: Promise<void> | undefined;
  let stopped = false;

  const makeOnce = (): Promise<void> => {
    making ??= make(deps).finally(() => {
      making = undefined;
    });
    return making;
  };
  const freshAbout = (index: number): TailedRoot | undefined => {
    const newest = tail.mapRoots().at(-1);
    return newest && newest.upTo > index && clock() - newest.at < ROOT_AGE_MS ? newest : undefined;
  };
  const later = (ms: number): void => {
    if (!stopped) timer ??= schedule(ms, ring);
  };
  const ring = (): void => {
    timer = undefined;
    working = work().catch(report);
  };
  const work = async (): Promise<void> => {
    await tail.catchUp();
    const newest = tail.mapRoots().at(-1);
    if (!tail.knowsConsents() || !(await hasNews(newest, deps))) return;
    const age = newest === undefined ? ROOT_AGE_MS : clock() - newest.at;
    if (age < ROOT_AGE_MS) later(ROOT_AGE_MS - age);
    else await makeOnce();
  };
  return {
    grown: () => later(ROOT_AGE_MS),
    async stop() {
      stopped = true;
      timer?.();
      await working;
    },
    async ensure(index) {
      await tail.catchUp();
      if (!freshAbout(index)) {
        await makeOnce();
        await deps.sealer.flush();
        await tail.catchUp();
      }
      const newest = freshAbout(index);
      await requireRight(newest, deps);
      return newest;
    },
  };
}

/** Whether anything was logged that the newest root is not about, but for itself. */
export async function hasNews(
  newest: TailedRoot | undefined,
  { log, tail }: { readonly log: LogRows; readonly tail: Pick<Tail, 'position'> },
): Promise<boolean> {
  for await (const row of rowsBetween(log, newest?.upTo ?? 0, tail.position())) if (!mapRowOf(row)) return true;
  return false;
}

async function make(deps: MapRootsDependencies): Promise<void> {
  const { log, stored, tail, map, sealer, clock } = deps;
  const now = clock();
  const kept = await stored.keptMap();
  await tail.catchUp();
  const upTo = tail.position();
  if (!(await untilSealed(upTo, deps))) return;
  await requireRight(tail.mapRoots().at(-1), deps);
  const root = await map.at(upTo, ({ root: rootNow }) => rootNow());
  if (root === undefined || upTo <= (kept?.value.upTo ?? -1)) return;
  const name = { recordKind: kinds.map, id: kinds.map };
  const made = { root: mapRootOf(upTo, root), at: new Date(now).toISOString(), record: { kind: 'put' as const, ...name, value: { upTo } } };
  // Otherwise another process has logged one just now.
  if (await writeMapRoot(log, { ...name, revision: kept?.revision ?? null }, made)) sealer.nudge();
}

const PATIENCE_MS = 2_000;
const POLL_MS = 50;

/** False: another process seals, and has not yet. */
async function untilSealed(size: number, { stored, sealer }: MapRootsDependencies): Promise<boolean> {
  for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
    if ((await stored.head()) >= size) return true;
    if (waited === 0) await sealer.flush();
    else await sleep(POLL_MS);
  }
  return false;
}

/** Whoever can write to the database can add a row: a root that leaves something out is found by whoever next looks. */
async function requireRight(newest: TailedRoot | undefined, { map, alarm }: MapRootsDependencies): Promise<void> {
  if (!newest) return;
  const { upTo, index, digest } = newest;
  const given = upTo <= index && (await map.at(upTo, ({ root }) => digestOf(mapRootText(mapRootOf(upTo, root())))));
  if (given === digest || given === undefined) return;
  alarm(index);
  throw wrongRoot(newest);
}

export function wrongRoot({ index, upTo }: TailedRoot): AssentError {
  return new AssentError('unavailable', `Entry ${index} of the log is not the root that the map of Consents had after ${upTo} entries.`);
}
