/**
 * The alarm hook, as whoever is on call has it: a receiver that fails, hangs and comes back; a server that is started again in between; the database
 * edited by hand. https://www.standardwebhooks.com
 */
import { createHmac, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../server/config.ts';
import { enrolKey, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const READER = 'Organization/reader';
const SOON_MS = 120_000;

type Delivered = { readonly headers: IncomingHttpHeaders; readonly body: string };
/** What the receiver does with a delivery: a status, or nothing at all. */
type Mood = number | 'hangs';

let receiver: Server;
let mood: Mood = 204;
let tried: Delivered[] = [];
let moods: Mood[] = [];
const taken = () => tried.filter((_, i) => moods[i] === 204);
/** Puts back what was edited: what stays edited is found again and again. */
let putBack: () => Promise<unknown> = async () => undefined;

const secret = randomBytes(32);
let folder: string;
let server: RealServer;
let reader: Session;
let custodian: Key;

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      tried.push({ headers: request.headers, body });
      moods.push(mood);
      if (mood !== 'hangs') response.writeHead(mood).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  folder = mkdtempSync(join(tmpdir(), 'assent-hook-'));
  writeFileSync(join(folder, 'secret'), `whsec_${secret.toString('base64')}\n`);
  chmodSync(join(folder, 'secret'), 0o600);
  server = await startRealServer({
    ASSENT_ALARM_WEBHOOK: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook?token=of-the-operator`,
    ASSENT_ALARM_SECRET_PATH: join(folder, 'secret'),
  });
  for (const reference of [HOSPITAL, READER]) await put(server, organization(reference));
  reader = (await register(server, { actor: READER })).session;
  custodian = await enrolKey(server.admin, HOSPITAL);
});
afterAll(async () => {
  await server.stop();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

let counter = 0;
let id: string;
let key: Key;
let inForce: InForce;

const reads = async () => (await reader.call('GET', `Observation/o-${id}`)).status;
const logged = () => server.hand.newestRow(`"${inForce.consent}"`);
async function editConsent(): Promise<number> {
  const name = inForce.consent.slice('Consent/'.length);
  const body = await server.hand.body('Consent', name);
  await server.hand.setBody('Consent', name, `${body} `);
  putBack = () => server.hand.setBody('Consent', name, body);
  return (await logged()).index;
}
const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(new URL('/metrics', server.bootstrap.fhirBaseUrl))).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
};
const undelivered = () => metric('assent_alarms_undelivered\\{kind="consent"\\}');

function signatureOf({ headers, body }: Delivered): string {
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  return `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`;
}

describe('the hook', () => {
  beforeEach(async () => {
    mood = 204;
    [tried, moods] = [[], []];
    id = `hidden-person-${++counter}`;
    await put(server, patient(id));
    await put(server, observation(`o-${id}`, `Patient/${id}`));
    key = await enrolKey(server.admin, `Patient/${id}`);
    inForce = await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: READER }), [key, custodian]);
    expect(await reads()).toBe(200);
  });
  afterEach(async () => {
    await putBack();
    receiver.closeAllConnections();
  });

  describe('an edited Consent', () => {
    it('is told with its log entry, signed, and nothing about anybody', async () => {
      const logIndex = await editConsent();
      expect(await reads()).toBe(404);
      await expect.poll(() => taken().length).toBe(1);
      const [delivered = expect.fail()] = taken();
      const { type, timestamp, data } = JSON.parse(delivered.body) as { type: string; timestamp: string; data: object };
      const key = await (await fetch(new URL('/ledger/key', server.bootstrap.fhirBaseUrl))).text();
      expect([type, data]).toEqual(['assent.integrity.consent', { log: key.split('+')[0], logIndex }]);
      expect(Math.abs(Date.parse(timestamp) - server.now())).toBeLessThan(SOON_MS);
      expect(Math.abs(Number(delivered.headers['webhook-timestamp']) * 1000 - server.now())).toBeLessThan(SOON_MS);
      expect(delivered.headers['webhook-signature']).toBe(signatureOf(delivered));
      expect(delivered.headers['content-type']).toBe('application/json');
      for (const word of [id, inForce.consent, READER, key.slice(-20)]) expect(JSON.stringify(delivered)).not.toContain(word);
      await expect.poll(undelivered).toBe(0);
    });

    it('is told by a receiver that fails, over a restart, under one id, once it is back', async () => {
      mood = 503;
      const logIndex = await editConsent();
      expect(await reads()).toBe(404);
      await expect.poll(() => tried.length).toBeGreaterThan(1);
      expect(await undelivered()).toBe(1);
      server.logs.length = 0;
      await server.restart(async () => expect(readdirSync(join(server.dataDir, 'alarms'))).toHaveLength(1));
      expect(await undelivered()).toBe(1);
      mood = 204;
      await expect.poll(() => taken().length).toBe(1);
      expect(JSON.parse(taken()[0]?.body ?? '{}')).toMatchObject({ data: { logIndex } });
      expect(new Set(tried.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
      expect(new Set(tried.map(({ body }) => body)).size).toBe(1);
      for (const each of tried) expect(each.headers['webhook-signature']).toBe(signatureOf(each));
      await expect.poll(undelivered).toBe(0);
      expect(readdirSync(join(server.dataDir, 'alarms'))).toEqual([]);
      // Whoever reads the server's own log learns neither the hook's address nor what it is about.
      expect(server.logs.join('')).not.toMatch(/of-the-operator|hidden-person/);
    });

    it('closes at once, whatever the receiver does', async () => {
      mood = 'hangs';
      await editConsent();
      expect(await reads()).toBe(404);
      await expect.poll(() => tried.length).toBe(1);
      // It is asked, and has not answered: reads go on.
      expect([await reads(), (await reader.call('GET', `Observation/o-${id}/_history`)).status]).toEqual([404, 404]);
      expect([taken().length, await undelivered()]).toEqual([0, 1]);
      // Nor does the end of the server wait for it: the start that follows tries again, and is ended as well. A busy machine is not slow each time.
      let quickest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5 && quickest >= 4_000; i++) {
        await expect.poll(() => tried.length).toBeGreaterThan(i);
        const before = performance.now();
        await server.restart();
        quickest = Math.min(quickest, performance.now() - before);
      }
      expect(quickest).toBeLessThan(4_000);
      mood = 204;
      receiver.closeAllConnections();
      await expect.poll(undelivered).toBe(0);
    });

    it('is one alarm, however often it is read', async () => {
      await editConsent();
      for (let i = 0; i < 5; i++) expect(await reads()).toBe(404);
      await expect.poll(() => taken().length).toBe(1);
      for (let i = 0; i < 5; i++) expect(await reads()).toBe(404);
      await expect.poll(undelivered).toBe(0);
      expect(tried).toHaveLength(1);
    });
  });

  it('a key that is not the one in the log is told, once', async () => {
    const stranger = await enrolKey(server.admin, `Patient/of-${id}`);
    await server.hand.editRecords('key-event', stranger.kid, (event) => event.replaceAll(`Patient/of-${id}`, `Patient/${id}`));
    putBack = () => server.hand.editRecords('key-event', stranger.kid, (event) => event.replaceAll(`Patient/${id}`, `Patient/of-${id}`));
    const { index } = await server.hand.newestRow(`"Key/${stranger.kid}"`);
    const terms = termsOf(server, { patient: `Patient/${id}`, grantee: READER });
    for (let i = 0; i < 3; i++) {
      const statement = partOf(await prepare(server.admin, terms), 'statement');
      expect((await submit(server.admin, statement, [{ ...stranger, owner: `Patient/${id}` }, custodian])).status).toBe(422);
    }
    await expect.poll(() => taken().length).toBe(1);
    expect(JSON.parse(taken()[0]?.body ?? '{}')).toMatchObject({ type: 'assent.integrity.key', data: { logIndex: index } });
    expect(taken()[0]?.body).not.toContain(stranger.kid);
  });

  it('a log whose rows were changed while the server was down is told before it answers anybody', async () => {
    await server.restart(async () => {
      const { index } = await logged();
      await server.hand.editRow(index, (entry) => entry.replace('"occurredAt":"2', '"occurredAt":"1'));
    });
    await expect.poll(() => taken().length).toBe(1);
    expect(JSON.parse(taken()[0]?.body ?? '{}')).toMatchObject({ type: 'assent.integrity.log', data: { log: expect.any(String) as string } });
    expect((await fetch(new URL('/readyz', server.bootstrap.fhirBaseUrl))).status).toBe(503);
  });
});

describe('settings', () => {
  it('an address without a secret stops the start', () => {
    expect(() => readConfig({ ASSENT_ALARM_WEBHOOK: 'https://pager.example/hook' })).toThrow('ASSENT_ALARM_SECRET_PATH');
  });

  it.each(['', 'whsec_c2hvcnQ=', 'not base64 at all, but rather long enough'])('so does a secret of %o', async (text) => {
    const file = join(folder, 'bad');
    writeFileSync(file, text);
    const settings = { ASSENT_ALARM_WEBHOOK: 'http://127.0.0.1:9/hook', ASSENT_ALARM_SECRET_PATH: file };
    await expect(startRealServer(settings)).rejects.toThrow('The secret of the alarm hook cannot be used');
  });
});
