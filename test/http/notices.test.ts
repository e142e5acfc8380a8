/**
 * Notices of a real server: whom they reach when a request arrives, is granted, refused, overdue or withdrawn; that they say nothing but that there is
 * something to look at; and that none is lost, whatever is killed. consent.md §5, docs/operations/notices.md
 */
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApp } from '../../server/app.ts';
import { systemClock } from '../../server/clock.ts';
import { type Client, createSession, enrolKey, type Json, type Key, type Session, withdraw } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { readConfig } from '../../server/config.ts';
import { approve, askFor, type Asked, refuse, type Task, toldOf } from '../support/consent-requests.ts';
import { freshKey, rotate } from '../support/key-ceremony.ts';
import { startReplicaSet } from '../support/mongod.ts';
import { ADMIN_SCOPE, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';
import { launchServer } from '../support/server-process.ts';
import { startWebhookSink, type WebhookSink } from '../support/sinks.ts';

const INSURER = 'Organization/insurer';
const MINUTE = 60_000;
const SECRET = Buffer.alloc(32, 7);

let folder: string;
let hook: WebhookSink;
let settings: Readonly<Record<string, string>>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-notices-'));
  writeFileSync(join(folder, 'secret'), `whsec_${SECRET.toString('base64')}\n`);
  hook = await startWebhookSink();
  settings = { ASSENT_NOTICE_WEBHOOK: hook.url, ASSENT_NOTICE_SECRET_PATH: join(folder, 'secret') };
});
afterAll(async () => {
  await hook.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  hook.received.length = 0;
  hook.answer = 204;
});

const kinds = () => hook.received.map(({ body }) => (JSON.parse(body) as { type: string }).type.replace('assent.notice.', '')).sort();
/** Exactly these parties are told. */
async function told(...parties: readonly string[]): Promise<void> {
  await expect.poll(kinds).toEqual(parties);
  hook.received.length = 0;
}

describe('of a request', () => {
  let server: RealServer;
  let client: Client;
  let custodian: Key;
  let admin: Session;
  let counter = 0;
  beforeAll(async () => {
    server = await startRealServer({ ...settings, ASSENT_BREAK_GLASS_ACTORS: 'Practitioner/er' });
    for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
    client = (await register(server, { actor: INSURER })).client;
    custodian = await enrolKey(server.admin, HOSPITAL);
    admin = server.admin;
  });
  afterAll(() => server?.stop());

  async function ask(id: string, minutes: number): Promise<Task> {
    const insurer = await createSession(server.bootstrap, client, 'system/*.cruds');
    const { status, json } = await askFor(
      insurer,
      termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }),
      new Date(server.now() + minutes * MINUTE).toISOString(),
    );
    expect(status).toBe(202);
    return json as Task;
  }
  type Made = Asked & { readonly key: Key };
  async function asked(minutes = 60): Promise<Made> {
    const id = `p${++counter}`;
    await put({ admin }, { ...patient(id), name: [{ family: 'Zhang', given: ['Wei'] }] });
    const key = await enrolKey(admin, `Patient/${id}`);
    return { ...(await toldOf(await ask(id, minutes), admin)), key };
  }

  it('tells patient and custodian that it came, and all three that it is granted, and that it has ended', async () => {
    const made = await asked();
    await told('custodian', 'patient');
    expect((await approve(admin, made, [made.key])).status).toBe(202);
    expect((await approve(admin, made, [custodian])).status).toBe(201);
    await told('custodian', 'patient', 'requester');
    expect((await withdraw(admin, { ...made, key: made.key, now: server.now() })).status).toBe(200);
    await told('custodian', 'patient', 'requester');
  });

  it('tells a refusal to patient and custodian at once, and at the deadline whoever asked; and all of them that nobody answered', async () => {
    const refused = await asked(2);
    await asked(2);
    await told('custodian', 'custodian', 'patient', 'patient');
    expect((await refuse(admin, refused, { key: refused.key, now: server.now() })).status).toBe(200);
    await told('custodian', 'patient');
    server.advance(3 * MINUTE);
    await server.restart();
    admin = await createSession(server.bootstrap, server.bootstrap.admin, ADMIN_SCOPE);
    await told('custodian', 'patient', 'requester', 'requester');
  });

  it('and of a glass that was broken, and of a key that was replaced, tells the patient', async () => {
    const made = await asked();
    await told('custodian', 'patient');
    const reference = made.key.owner;
    const er = (await register({ admin, bootstrap: server.bootstrap }, { actor: 'Practitioner/er' })).session;
    const reason = { resourceType: 'Parameters', parameter: [{ name: 'reason', valueString: 'brought in unconscious' }] };
    expect((await er.call('POST', `${reference}/$break-glass`, reason)).status).toBe(200);
    await told('patient');
    expect((await rotate(server, { present: made.key, next: freshKey(reference) }, admin)).status).toBe(201);
    await told('patient');
  });

  it('says nothing but where to look: not who, not of whom, not what', async () => {
    const made = await asked();
    await expect.poll(() => hook.received.length).toBe(2);
    const { origin } = new URL(server.bootstrap.fhirBaseUrl);
    for (const { body, headers } of hook.received) {
      const { type, data, timestamp, ...more } = JSON.parse(body) as Json;
      expect([Object.keys(more), data]).toEqual([[], { url: type === 'assent.notice.patient' ? `${origin}/patient` : `${origin}/` }]);
      expect(Date.parse(String(timestamp))).toBeLessThanOrEqual(server.now());
      const signed = createHmac('sha256', SECRET).update(`${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`);
      expect(headers['webhook-signature']).toBe(`v1,${signed.digest('base64')}`);
    }
    // But for the signature, which is of the body and nothing else: three letters in a row are in one of thousands by chance.
    const sent = hook.received.map(({ body, headers: { 'webhook-signature': _, ...headers } }) => JSON.stringify({ body, headers }));
    const all = [...sent, ...server.logs];
    for (const secret of ['Zhang', 'Wei', made.consent, 'Organization/', 'Patient/', 'insurer', 'TREAT', made.digest])
      expect(all.filter((text) => text.includes(secret))).toEqual([]);
  });

  it('goes on where the receiver fails, also after a new start, with the same notice', async () => {
    hook.answer = 503;
    await asked();
    await expect.poll(() => hook.received.length).toBe(1);
    const waiting = async () => /^assent_notices_undelivered\{channel="webhook"\} (\d+)$/m.exec((await admin.call('GET', '/metrics')).text)?.[1];
    await expect.poll(waiting).toBe('2');
    const [first] = hook.received.splice(0);
    hook.answer = 204;
    server.advance(MINUTE);
    await server.restart();
    await expect.poll(kinds).toEqual(['custodian', 'patient']);
    expect(hook.received.map(({ headers }) => headers['webhook-id'])).toContain(first?.headers['webhook-id']);
    await expect.poll(waiting).toBe('0');
    expect(server.logs.join('')).toContain('The hook for notices answered 503; it is tried again');
  });
});

describe('kill -9', () => {
  let stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.toReversed()) await stop();
    stops = [];
  });

  it('while one is being sent: it is sent again under the same id, and so is what waited', async () => {
    const dataDir = mkdtempSync(join(folder, 'killed-'));
    const port = await freePort();
    const set = process.env['ASSENT_TEST_ENGINE'] === 'mongodb' ? await startReplicaSet(1) : undefined;
    if (set) stops.push(() => set.stop());
    const environment = {
      ...settings,
      ASSENT_PORT: String(port),
      ...(set ? { ASSENT_MONGODB_URI: set.uri('killed') } : {}),
    };
    hook.answer = 'nothing';
    const killed = await launchServer(dataDir, environment);
    const session = await createSession(killed.bootstrap, killed.bootstrap.admin, ADMIN_SCOPE);
    const server = { admin: session, bootstrap: killed.bootstrap };
    for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
    await enrolKey(session, HOSPITAL);
    const insurer = (await register(server, { actor: INSURER })).session;
    const terms = termsOf({ now: systemClock }, { patient: 'Patient/1', grantee: INSURER });
    expect((await askFor(insurer, terms, new Date(systemClock() + 60 * MINUTE).toISOString())).status).toBe(202);
    await expect.poll(() => hook.received.length).toBe(1);
    expect(await killed.end('SIGKILL')).toBe(1);
    const [interrupted] = hook.received;
    hook.answer = 204;
    hook.received.length = 0;
    // Half a minute later.
    const config = readConfig({ ...environment, ASSENT_DATA_DIR: dataDir, ASSENT_LOG_LEVEL: 'silent' });
    const app = await createApp(config, { clock: () => systemClock() + 31_000 });
    stops.push(() => app.close());
    await app.listen();
    await expect.poll(kinds).toEqual(['custodian', 'patient']);
    expect(hook.received.map(({ headers }) => headers['webhook-id'])).toContain(interrupted?.headers['webhook-id']);
  });
});
