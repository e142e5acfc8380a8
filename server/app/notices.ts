/** What is sent to those who have something to look at: the ways the operator has set, and the outbox that is emptied through them. */
import type { FastifyInstance } from 'fastify';
import { createRepeated, type Repeated } from '../anchoring/repeated.ts';
import { systemSchedule } from '../anchoring/schedule.ts';
import type { Endpoints } from '../authz/endpoints.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { type Channel, createOutbox, type Notice, noticesOf, type Send, type Told } from '../notices/outbox.ts';
import type { RecordStore, RecordWrite } from '../store/port.ts';
import { postWebhook, readWebhookSecret } from '../webhook.ts';
import { described } from './background.ts';

type Parts = {
  readonly config: Config;
  readonly records: RecordStore;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly log: Pick<FastifyInstance['log'], 'error'>;
};

export type Notices = {
  /** What is committed with a change for those it concerns. */
  readonly tell: (told: readonly Told[]) => readonly RecordWrite[];
  /** Empties the outbox. */
  readonly sending: Repeated;
};

const LOOK_MS = 2_000;
const RETRY_MS = 30_000;
const ANSWER_MS = 10_000;

/** Throws AssentError('unavailable') when a secret cannot be used. */
export async function createNotices(parts: Parts): Promise<Notices> {
  const { records, clock, log } = parts;
  const channels = await channelsOf(parts);
  const names = Object.keys(channels) as Channel[];
  const outbox = createOutbox({ records, clock, channels });
  const once = async (): Promise<number> => {
    await outbox.send();
    return LOOK_MS;
  };
  const sentenceOf = (fault: unknown) => `${fault instanceof AssentError ? fault.message : 'Notices cannot be sent'}; it is tried again`;
  const report = (fault: unknown) => log.error(described(fault), 'notices are not sent');
  const repeated = createRepeated({ once, retryMs: RETRY_MS, sentenceOf }, { schedule: systemSchedule, report });
  const nothing: Repeated = { start: () => undefined, stop: async () => undefined };
  return { tell: (told) => noticesOf(told, { channels: names, now: clock() }), sending: names.length === 0 ? nothing : repeated };
}

async function channelsOf(parts: Parts): Promise<Partial<Record<Channel, Send>>> {
  return parts.config.NOTICE_WEBHOOK === '' ? {} : { webhook: await byWebhook(parts) };
}

async function byWebhook({ config, endpoints, clock }: Parts): Promise<Send> {
  const to = { url: config.NOTICE_WEBHOOK, secret: await readWebhookSecret(config.NOTICE_SECRET_PATH, 'hook for notices') };
  return async (notice) => {
    const { id, party, at } = notice;
    const body = JSON.stringify({
      type: `assent.notice.${party}`,
      timestamp: new Date(at).toISOString(),
      data: { url: pageFor(notice, endpoints) },
    });
    const answered = await postWebhook(to, { id, body }, { now: clock(), fetch, signal: AbortSignal.timeout(ANSWER_MS) });
    if (answered !== undefined) throw new AssentError('unavailable', `The hook for notices ${answered}`);
    return 'done';
  };
}

/** Where each looks; the same for everybody of a kind. */
function pageFor({ party }: Pick<Notice, 'party'>, { issuer, console, fhir }: Endpoints): string {
  return { patient: `${issuer}/patient`, custodian: console, requester: `${fhir}/Task` }[party];
}
