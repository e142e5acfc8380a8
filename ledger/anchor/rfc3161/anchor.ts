/**
 * Anchors checkpoints with a time-stamp authority over HTTP. RFC 3161 §3.4, ledger.md §5
 * Invariants: only a stamp that was verified here is kept; of a backlog only the newest checkpoint is stamped, as the log’s consistency
 * proofs cover the others.
 */
import { randomBytes } from 'node:crypto';
import type { Certificate } from 'pkijs';
import { boundedBytes } from '../../answer.ts';
import { parseCheckpoint } from '../../checkpoint-text.ts';
import { digestOf } from '../../hash.ts';
import { parseNote } from '../../note.ts';
import type { StampPlace } from '../place.ts';
import type { Anchor, Anchored } from '../port.ts';
import { NONCE_BYTES, timeStampRequest, verifyTimeStamp } from './time-stamp.ts';

/** `text`: the checkpoint without its signatures, which is what was stamped; `reply`: DER, as the authority sent it. */
export type Stamp = Anchored & { readonly text: string; readonly reply: Uint8Array };

/** Where stamps are kept. A stamp that is kept is whole, and on the disk. */
export type StampStore = {
  newest(): Promise<Anchored | undefined>;
  /** The authority’s reply that is kept for this size. */
  reply(size: number): Promise<Uint8Array>;
  keep(stamp: Stamp): Promise<void>;
};

export type TimeStampOptions = {
  readonly url: string;
  /** The authority’s certificates lead to one of these. */
  readonly trusted: readonly Certificate[];
  /** Between two stamps. */
  readonly intervalMs: number;
  readonly store: StampStore;
  readonly clock: () => number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
};

export type TimeStampAnchor = Anchor & {
  /** Has the newest checkpoint stamped, if it is time to. Throws TimeStampFault. */
  work(): Promise<void>;
  /** The stamp of the largest tree, and how it is named. */
  place(): Promise<{ readonly size: number; readonly place: StampPlace; readonly stamp: Uint8Array } | undefined>;
};

/** A sentence of ours for the operator. */
export class TimeStampFault extends Error {}

const ANSWER_MS = 10_000;
const MOST_ANSWER_BYTES = 65_536;
/** A stamp that says another time than ours by more is of no use to either. */
const MOST_SKEW_MS = 10 * 60_000;

export function createTimeStampAnchor(options: TimeStampOptions): TimeStampAnchor {
  const { store, clock, intervalMs } = options;
  let wanted: { readonly size: number; readonly text: string } | undefined;
  return {
    name: 'rfc3161',
    async anchor({ note }) {
      const text = parseNote(note)?.text ?? '';
      const size = parseCheckpoint(text)?.size ?? 0;
      if (size > (wanted?.size ?? 0)) wanted = { size, text };
    },
    latest: () => store.newest(),
    async place() {
      const newest = await store.newest();
      if (!newest) return undefined;
      const stamp = await store.reply(newest.size);
      return { size: newest.size, place: { kind: 'rfc3161', digest: digestOf(stamp) }, stamp };
    },
    async work() {
      const last = await store.newest();
      if (!wanted || wanted.size <= (last?.size ?? 0) || clock() - (last?.at ?? 0) < intervalMs) return;
      await store.keep({ ...wanted, ...(await stamp(wanted.text, options)) });
    },
  };
}

async function stamp(text: string, { url, trusted, clock, fetch }: TimeStampOptions): Promise<Pick<Stamp, 'at' | 'reply'>> {
  const nonce = randomBytes(NONCE_BYTES);
  const reply = await ask(fetch, url, timeStampRequest(text, nonce));
  const verdict = await verifyTimeStamp(reply, { text, trusted, nonce });
  if (verdict.kind === 'refused') throw new TimeStampFault(verdict.reason);
  if (Math.abs(verdict.at - clock()) > MOST_SKEW_MS) throw new TimeStampFault('The time-stamp’s time is not ours: one of the two clocks is wrong.');
  return { at: verdict.at, reply };
}

async function ask(fetch: TimeStampOptions['fetch'], url: string, request: Uint8Array): Promise<Uint8Array> {
  const headers = { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' };
  const body = Uint8Array.from(request);
  const response = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal: AbortSignal.timeout(ANSWER_MS) }).catch(
    () => undefined,
  );
  if (!response) throw new TimeStampFault('The time-stamp authority cannot be reached.');
  if (response.status !== 200) throw new TimeStampFault(`The time-stamp authority answered ${response.status}.`);
  const reply = await boundedBytes(response, MOST_ANSWER_BYTES).catch(() => undefined);
  return reply ?? fail('The time-stamp authority’s answer is not one.');
}

function fail(sentence: string): never {
  throw new TimeStampFault(sentence);
}
