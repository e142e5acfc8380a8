/**
 * The outbox: that somebody has something to look at is written in the commit that makes it so, and sent afterwards, until it has arrived. consent.md §5
 *
 * Invariants: nothing that is sent tells what happened, to whom, or who is told; a notice is sent at least once, whatever is killed, under one id, unless
 * nobody takes it for days; of several processes one sends it, until its turn has run out.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { RecordStore, RecordWrite, StoredRecord } from '../store/port.ts';

export type Channel = 'webhook' | 'mail';

/** `who`: a FHIR reference. */
export type Told = { readonly party: 'patient' | 'custodian' | 'requester'; readonly who: string };

export type Notice = Told & {
  /** The same every time it is sent. */
  readonly id: string;
  /** ms since 1970. */
  readonly at: number;
};

/** Resolves once there is nothing more to do for it, or it should be sent again `later`. Rejects where nothing can be sent this way now. */
export type Send = (notice: Notice) => Promise<'done' | 'later'>;

type Kept = Told & { readonly channel: Channel; readonly at: number; readonly attempts: number; readonly due: number };

const NOTICE = 'notice';
const KEPT_MS = 3 * 86_400_000;
/** Longer than any sending takes: until then it is in the hands of whoever took it. */
const FIRST_AGAIN_MS = 30_000;
const LONGEST_AGAIN_MS = 3 * 3_600_000;

/** What is written with a change for those it concerns. */
export function noticesOf(told: readonly Told[], { channels, now }: { readonly channels: readonly Channel[]; readonly now: number }): RecordWrite[] {
  return told.flatMap(({ party, who }) =>
    channels.map((channel): RecordWrite => {
      const value: Kept = { party, who, channel, at: now, attempts: 0, due: now };
      return { kind: 'put', recordKind: NOTICE, id: randomBytes(16).toString('hex'), value, expires: now + KEPT_MS };
    }),
  );
}

export type Outbox = {
  /** Sends what is due. Resolves with how many were; throws the first fault after everything was tried. */
  send(): Promise<number>;
  /** How many had not arrived when they were last looked through; those of a way that is not set any more are not among them. */
  undelivered(): readonly (readonly [Channel, number])[];
};

type OutboxDependencies = {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly channels: Readonly<Partial<Record<Channel, Send>>>;
};

const PAGE = 200;

export function createOutbox({ records, clock, channels }: OutboxDependencies): Outbox {
  /** Taken by putting off its next turn: if this process is killed, that is when it is sent again. */
  async function take({ id, value, revision, expires }: StoredRecord): Promise<Kept | undefined> {
    const kept = value as unknown as Kept;
    if (kept.due > clock()) return undefined;
    const taken: Kept = { ...kept, attempts: kept.attempts + 1, due: clock() + againMs(kept.attempts) };
    const put = await records.put(NOTICE, id, taken, { revision, ...(expires === undefined ? {} : { expires }) });
    return put.kind === 'written' ? taken : undefined;
  }

  async function sendOne(record: StoredRecord, send: Send): Promise<boolean> {
    const taken = await take(record);
    if (!taken) return false;
    const { party, who, at } = taken;
    const done = (await send({ id: record.id, party, who, at })) === 'done';
    if (done) await records.delete(NOTICE, record.id);
    return done;
  }

  let left = new Map<Channel, number>();
  return {
    undelivered: () => [...left],
    async send() {
      const faults = new Map<Channel, unknown>();
      const waiting = new Map((Object.keys(channels) as Channel[]).map((channel) => [channel, 0]));
      let sent = 0;
      for (let after: string | undefined; ; ) {
        const page = await records.list(NOTICE, { limit: PAGE, ...(after === undefined ? {} : { after }) });
        for (const record of page) {
          const { channel } = record.value as unknown as Kept;
          const send = channels[channel];
          if (!send) continue;
          waiting.set(channel, (waiting.get(channel) ?? 0) + 1);
          if (faults.has(channel)) continue;
          try {
            if (!(await sendOne(record, send))) continue;
            sent++;
            waiting.set(channel, (waiting.get(channel) ?? 0) - 1);
          } catch (fault) {
            faults.set(channel, fault);
          }
        }
        after = page.at(-1)?.id;
        if (page.length < PAGE) break;
      }
      left = waiting;
      for (const fault of faults.values()) throw fault;
      return sent;
    },
  };
}

/** 30 s, 1 min, 2 min … 3 h. */
function againMs(attempts: number): number {
  return Math.min(FIRST_AGAIN_MS * 2 ** attempts, LONGEST_AGAIN_MS);
}
