/**
 * Tells somebody outside that what is stored is not what was logged: a signed webhook for each finding, sent until it is taken. ledger.md §3,
 * https://www.standardwebhooks.com
 *
 * Invariants: raising an alarm never waits and never fails; what was raised is kept outside the database until a receiver took it, also over a
 * restart, so it may arrive twice, under one id; it names the entry of the log, and nothing about anybody.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Schedule } from '../../ledger/batch.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { postWebhook, readWebhookSecret, type Receiver } from '../webhook.ts';
import { createFile } from './create-file.ts';
import { alarmFolder } from './folders.ts';
import type { Repeated } from './repeated.ts';
import type { Fetch } from './witnesses.ts';

/**
 * What is not as it was logged; `log`: the signer refuses, or what is read against it was changed before the start; `aggregate`: what an aggregate
 * signed of this log is not what this log signed, or not what it said before.
 */
export const alarmKinds = ['consent', 'key', 'authority', 'log', 'aggregate'] as const;
export type AlarmKind = (typeof alarmKinds)[number];

export type AlarmCount = { readonly kind: AlarmKind; readonly raised: number; readonly undelivered: number };

export type Alarms = Repeated & {
  /** `logIndex`: of the entry; undefined where it is about no single one. The same finding within ten minutes, or while it waits for the hook, is one alarm. */
  raise(kind: AlarmKind, logIndex?: number): void;
  /** Since the start, and what waits for a receiver. */
  counts(): readonly AlarmCount[];
};

/** What operators' gauges show, by kind. */
export const alarmSeries: readonly (readonly [name: string, help: string, of: (count: AlarmCount) => readonly [string, number]])[] = [
  ['assent_alarms_raised', 'Findings since the start: what is stored is not what was logged.', ({ kind, raised }) => [kind, raised]],
  ['assent_alarms_undelivered', 'Alarms that the hook has not taken yet.', ({ kind, undelivered }) => [kind, undelivered]],
];

export type AlarmConfig = Pick<Config, 'DATA_DIR' | 'ALARM_WEBHOOK' | 'ALARM_SECRET_PATH'>;

type AlarmsDependencies = {
  /** Of the log. */
  readonly origin: string;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly fetch: Fetch;
  readonly report: (fault: unknown) => void;
};

const QUIET_MS = 600_000;
const MOST_WAITING = 10_000;

/** Throws AssentError('unavailable') when the secret cannot be used. */
export async function openAlarms(config: AlarmConfig, deps: AlarmsDependencies): Promise<Alarms> {
  const to =
    config.ALARM_WEBHOOK === '' ? undefined : { url: config.ALARM_WEBHOOK, secret: await readWebhookSecret(config.ALARM_SECRET_PATH, 'alarm hook') };
  const { origin, clock, report } = deps;
  const outbox = createOutbox(alarmFolder(config.DATA_DIR), report);
  if (to) await outbox.load();
  const delivery = to && createDelivery(to, outbox, deps);
  const [raised, quietUntil] = [new Map<AlarmKind, number>(), new Map<string, number>()];
  return {
    raise(kind, logIndex) {
      const [now, finding] = [clock(), `${kind} ${logIndex}`];
      if (now < (quietUntil.get(finding) ?? 0)) return;
      if (quietUntil.size >= MOST_WAITING) quietUntil.clear();
      quietUntil.set(finding, now + QUIET_MS);
      raised.set(kind, (raised.get(kind) ?? 0) + 1);
      if (!delivery || outbox.has(finding)) return;
      const data = { log: origin, ...(logIndex === undefined ? {} : { logIndex }) };
      const body = JSON.stringify({ type: `assent.integrity.${kind}`, timestamp: new Date(now).toISOString(), data });
      outbox.add({ id: `msg_${randomBytes(16).toString('base64url')}`, kind, finding, body });
      delivery.poke();
    },
    counts: () => alarmKinds.map((kind) => ({ kind, raised: raised.get(kind) ?? 0, undelivered: outbox.waiting(kind) })),
    start: () => delivery?.start(),
    stop: async () => delivery?.stop(),
  };
}

/** `body`: as it is sent, each time; `finding`: kind and index. */
type Alarm = { readonly id: string; readonly kind: AlarmKind; readonly finding: string; readonly body: string };

type Outbox = {
  add(alarm: Alarm): void;
  has(finding: string): boolean;
  oldest(): Alarm | undefined;
  /** Resolves once it is forgotten for good. */
  taken(alarm: Alarm): Promise<void>;
  waiting(kind: AlarmKind): number;
  /** Takes up what was left by the process before. */
  load(): Promise<void>;
  /** Resolves once everything added is on the disk, if the disk takes it. */
  settled(): Promise<void>;
};

const FILE = /^\d{4}[\w-]+\.json$/;

function createOutbox(folder: string, report: (fault: unknown) => void): Outbox {
  const kept = new Map<string, { readonly alarm: Alarm; readonly file: string; readonly written: Promise<unknown> }>();
  const fileOf = ({ id, body }: Alarm): string => {
    const { timestamp } = JSON.parse(body) as { timestamp: string };
    // In the order of time, by name.
    return join(folder, `${timestamp.replaceAll(/\W/g, '')}-${id}.json`);
  };
  const write = async (alarm: Alarm, file: string): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await createFile(file, JSON.stringify(alarm));
  };
  return {
    add(alarm) {
      if (kept.size >= MOST_WAITING)
        return report(new AssentError('unavailable', 'More alarms wait for the hook than are kept: it stands in the log only.'));
      const file = fileOf(alarm);
      kept.set(alarm.id, { alarm, file, written: write(alarm, file).catch(report) });
    },
    has: (finding) => [...kept.values()].some(({ alarm }) => alarm.finding === finding),
    oldest: () => kept.values().next().value?.alarm,
    async taken({ id }) {
      const { file, written } = kept.get(id) ?? {};
      await written;
      if (file !== undefined) await rm(file, { force: true });
      kept.delete(id);
    },
    waiting: (kind) => [...kept.values()].filter(({ alarm }) => alarm.kind === kind).length,
    async load() {
      const names = await readdir(folder).catch(() => []);
      for (const name of names.filter((each) => FILE.test(each)).sort()) {
        const file = join(folder, name);
        const alarm = parseAlarm(await readFile(file, 'utf8').catch(() => ''));
        if (!alarm) report(new AssentError('unavailable', 'An alarm that waited for the hook cannot be read.'));
        else if (!kept.has(alarm.id)) kept.set(alarm.id, { alarm, file, written: Promise.resolve() });
      }
    },
    settled: async () => void (await Promise.all([...kept.values()].map(({ written }) => written))),
  };
}

function parseAlarm(text: string): Alarm | undefined {
  try {
    const { id, kind, finding, body } = JSON.parse(text) as Partial<Alarm>;
    const known = alarmKinds.find((each) => each === kind);
    const whole = typeof id === 'string' && typeof finding === 'string' && typeof body === 'string';
    return known && whole ? { id, kind: known, finding, body } : undefined;
  } catch {
    return undefined;
  }
}

type Delivery = Repeated & { poke(): void };

const ANSWER_MS = 5_000;
const FIRST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 300_000;

/** One at a time, the oldest first; after a failure it waits twice as long as before. */
function createDelivery(to: Receiver, outbox: Outbox, { clock, schedule, fetch, report }: AlarmsDependencies): Delivery {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let retryMs = FIRST_RETRY_MS;

  const fail = (fault: unknown): void => {
    if (retryMs === FIRST_RETRY_MS) report(fault);
    cancel = schedule(retryMs, () => {
      cancel = undefined;
      poke();
    });
    retryMs = Math.min(retryMs * 2, MOST_RETRY_MS);
  };
  const run = async (): Promise<void> => {
    for (let next = outbox.oldest(); next; next = outbox.oldest()) {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(ANSWER_MS)]);
      const answered = await postWebhook(to, next, { now: clock(), fetch, signal });
      if (stopping.signal.aborted) return;
      if (answered !== undefined) return fail(new AssentError('unavailable', `The alarm hook ${answered}; it is tried again.`));
      retryMs = FIRST_RETRY_MS;
      await outbox.taken(next);
    }
  };
  const poke = (): void => {
    if (running || cancel || stopping.signal.aborted) return;
    running = run()
      .catch(fail)
      .finally(() => {
        running = undefined;
        // Raised between the last look and now.
        if (outbox.oldest()) poke();
      });
  };
  return {
    poke,
    start: poke,
    async stop() {
      stopping.abort();
      cancel?.();
      await running;
      await outbox.settled();
    },
  };
}
