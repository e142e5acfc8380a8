/** What is sent to those who have something to look at: the ways the operator has set, and the outbox that is emptied through them. */
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { logRow } from '../../ledger/entry.ts';
import { createRepeated, type Repeated } from '../anchoring/repeated.ts';
import { systemSchedule } from '../anchoring/schedule.ts';
import type { Recorder } from '../audit/record.ts';
import type { Endpoints } from '../authz/endpoints.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { mailAddressOf } from '../consent/enforce/addresses.ts';
import { AssentError } from '../errors.ts';
import { createMail, isMailAddress } from '../notices/mail.ts';
import { type Channel, createOutbox, type Notice, noticesOf, type Send, type Told } from '../notices/outbox.ts';
import type { Engine, RecordWrite } from '../store/port.ts';
import { postWebhook, readWebhookSecret } from '../webhook.ts';
import { described, SERVER } from './background.ts';

type Parts = {
  readonly config: Config;
  readonly engine: Pick<Engine, 'resources' | 'records'>;
  readonly endpoints: Endpoints;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Pick<FastifyInstance['log'], 'error'>;
};

export type Notices = {
  /** What is committed with a change for those it concerns. */
  readonly tell: (told: readonly Told[]) => readonly RecordWrite[];
  /** Empties the outbox. */
  readonly sending: Repeated;
  /** By way, as of the last look; empty where none is set. */
  readonly undelivered: () => readonly (readonly [Channel, number])[];
};

const LOOK_MS = 2_000;
const RETRY_MS = 30_000;
const ANSWER_MS = 10_000;

/** Throws AssentError('unavailable') when a secret cannot be used. */
export async function createNotices(parts: Parts): Promise<Notices> {
  const { engine, clock, log } = parts;
  const channels = await channelsOf(parts);
  const names = Object.keys(channels) as Channel[];
  const outbox = createOutbox({ records: engine.records, clock, channels });
  const once = async (): Promise<number> => {
    await outbox.send();
    return LOOK_MS;
  };
  const sentenceOf = (fault: unknown) => `${fault instanceof AssentError ? fault.message : 'Notices cannot be sent'}; it is tried again`;
  const report = (fault: unknown) => log.error(described(fault), 'notices are not sent');
  const repeated = createRepeated({ once, retryMs: RETRY_MS, sentenceOf }, { schedule: systemSchedule, report });
  const nothing: Repeated = { start: () => undefined, stop: async () => undefined };
  const sending = names.length === 0 ? nothing : repeated;
  return { tell: (told) => noticesOf(told, { channels: names, now: clock() }), sending, undelivered: outbox.undelivered };
}

async function channelsOf(parts: Parts): Promise<Partial<Record<Channel, Send>>> {
  const { NOTICE_WEBHOOK: webhook, SMTP_URL: relay } = parts.config;
  return { ...(webhook === '' ? {} : { webhook: await byWebhook(parts) }), ...(relay === '' ? {} : { mail: await byMail(parts) }) };
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

async function byMail({ config, engine, endpoints, recorder, clock }: Parts): Promise<Send> {
  const mail = createMail({ url: config.SMTP_URL, from: config.SMTP_FROM, password: await passwordIn(config.SMTP_PASSWORD_PATH) });
  const addressing = { caller: SERVER, resources: engine.resources, record: recorder, logRow, now: clock, isAddress: isMailAddress };
  return async (notice) => {
    const to = await mailAddressOf(addressing, notice.who);
    if (to === undefined) return 'done';
    const text = letter(pageFor(notice, endpoints));
    return (await mail({ id: notice.id, to, subject: SUBJECT, text })) === 'later' ? 'later' : 'done';
  };
}

async function passwordIn(file: string): Promise<string | undefined> {
  if (file === '') return undefined;
  const password = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (password === '') throw new AssentError('unavailable', 'The password for the mail relay cannot be read.');
  return password;
}

const SUBJECT = '有一项内容待您查看 / There is something to look at';

function letter(url: string): string {
  return `有一项内容待您查看。请像平常一样登录，或打开：\n${url}\n\nThere is something for you to look at. Sign in as usual, or open:\n${url}\n`;
}

/** Where each looks; the same for everybody of a kind. */
function pageFor({ party }: Pick<Notice, 'party'>, { issuer, console, fhir }: Endpoints): string {
  return { patient: `${issuer}/patient`, custodian: console, requester: `${fhir}/Task` }[party];
}
