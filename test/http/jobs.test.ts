/** Jobs through the whole server: respond-async with the Gate of its caller, and $reindex. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { systemClock } from '../../server/clock.ts';
import { freePort } from '../support/ports.ts';
import { createSession, enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { startReplicaSet } from '../support/mongod.ts';
import {
  ADMIN_SCOPE,
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  type Registered,
  register,
  settled,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';
import { launchServer } from '../support/server-process.ts';

const INSURER = 'Organization/insurer';
const LATER = { prefer: 'respond-async' };

let server: RealServer;
let insurer: Registered;
let stranger: Registered;
let key: Key;
let custodian: Key;
let inForce: InForce;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['a', 'b']) {
    await put(server, patient(id));
    await put(server, observation(`${id}-1`, `Patient/${id}`));
    await put(server, observation(`${id}-2`, `Patient/${id}`));
  }
  insurer = await register(server, { actor: INSURER });
  stranger = await register(server, { actor: INSURER });
  key = await enrolKey(server.admin, 'Patient/a');
  custodian = await enrolKey(server.admin, HOSPITAL);
  inForce = await agree(server, termsOf(server, { patient: 'Patient/a', grantee: INSURER }), [key, custodian]);
});
afterAll(() => server.stop());

const pathOf = (url: string) => url.slice(server.bootstrap.fhirBaseUrl.length + 1);

/** Accepted, and where its status is. */
async function later(session: Session, method: 'GET' | 'POST', url: string, body?: unknown): Promise<string> {
  const { status, headers, text } = await session.call(method, url, body, LATER);
  expect([status, text]).toEqual([202, '']);
  expect(headers.get('preference-applied')).toBe('respond-async');
  return pathOf(headers.get('content-location') ?? '');
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked at, not trusted
const entryOf = (answer: { readonly json: any }) => answer.json.entry[0];

describe('respond-async', () => {
  it('gives the answer that the same request gets at once, and its AuditEvents', async () => {
    const before = await server.admin.call('GET', 'AuditEvent?_summary=count');
    const job = await later(insurer.session, 'GET', 'Observation?code=8867-4');
    const answer = await settled(insurer.session, job);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ resourceType: 'Bundle', type: 'batch-response', entry: [{ response: { status: '200 OK' } }] });
    const now = await insurer.session.call('GET', 'Observation?code=8867-4');
    const ids = (bundle: { entry: { resource: { id: string } }[] }) => bundle.entry.map(({ resource }) => resource.id);
    expect(ids(entryOf(answer).resource)).toEqual(['a-1', 'a-2']);
    expect(ids(now.json as never)).toEqual(['a-1', 'a-2']);
    const after = await server.admin.call('GET', 'AuditEvent?_summary=count');
    expect(Number(after.json['total']) - Number(before.json['total'])).toBeGreaterThanOrEqual(2);
    expect((await insurer.session.call('GET', job)).status).toBe(200);
  });

  it.each([
    ['GET', 'Patient/a/$everything', undefined, '200 OK'],
    ['GET', 'Observation/a-1/_history', undefined, '200 OK'],
    ['GET', 'Patient/b', undefined, '404 Not Found'],
    ['GET', 'Patient/absent', undefined, '404 Not Found'],
    ['GET', 'Observation/_history?_sort=code', undefined, '400 Bad Request'],
    ['POST', 'Observation/$lastn', { resourceType: 'Parameters', parameter: [{ name: 'patient', valueString: 'Patient/a' }] }, '200 OK'],
  ] as const)('%s %s', async (method, url, body, status) => {
    const answer = await settled(insurer.session, await later(insurer.session, method, url, body));
    expect(entryOf(answer).response.status).toBe(status);
  });

  it('answers a batch of reads with its own batch-response, and a batch that writes at once', async () => {
    const read = { request: { method: 'GET', url: 'Observation/a-1' } };
    const batch = { resourceType: 'Bundle', type: 'batch', entry: [read, { request: { method: 'GET', url: 'Observation/b-1' } }] };
    const answer = await settled(insurer.session, await later(insurer.session, 'POST', '', batch));
    expect((answer.json['entry'] as { response: { status: string } }[]).map(({ response }) => response.status)).toEqual(['200 OK', '404 Not Found']);
    const write = { request: { method: 'POST', url: 'Patient' }, resource: { resourceType: 'Patient' } };
    const atOnce = await server.admin.call('POST', '', { ...batch, entry: [read, write] }, LATER);
    expect([atOnce.status, atOnce.headers.get('preference-applied')]).toEqual([200, null]);
    const created = await server.admin.call('POST', 'Patient', { resourceType: 'Patient' }, LATER);
    expect(created.status).toBe(201);
  });

  it('is for its own client, purpose and scopes; for others it never was', async () => {
    const job = await later(insurer.session, 'GET', 'Observation/a-1');
    await settled(insurer.session, job);
    for (const other of [stranger.session, server.admin]) {
      const [theirs, none] = [await other.call('GET', job), await other.call('GET', `$job/${'0'.repeat(32)}`)];
      expect([theirs.status, theirs.text]).toEqual([404, none.text]);
      expect((await other.call('DELETE', job)).status).toBe(404);
    }
    expect((await insurer.session.call('DELETE', job)).status).toBe(202);
    expect((await insurer.session.call('GET', job)).status).toBe(404);
    expect((await fetch(`${server.bootstrap.fhirBaseUrl}/${job}`)).status).toBe(401);
  });

  it('does not hand out what was released under a Consent that has ended, though the job is long done', async () => {
    const job = await later(insurer.session, 'GET', 'Observation?code=8867-4');
    expect((await settled(insurer.session, job)).status).toBe(200);
    // A Consent that does not speak to this caller changes nothing.
    await agree(server, termsOf(server, { patient: 'Patient/b', grantee: HOSPITAL }), [await enrolKey(server.admin, 'Patient/b'), custodian]);
    expect((await insurer.session.call('GET', job)).status).toBe(200);
    await withdrawNow(server, inForce, key);
    const gone = await insurer.session.call('GET', job);
    expect(gone.status).toBe(410);
    expect(gone.text).not.toContain('a-1');
    expect((await insurer.session.call('GET', job)).status).toBe(404);
    const again = await settled(insurer.session, await later(insurer.session, 'GET', 'Observation?code=8867-4'));
    expect(entryOf(again).resource.total).toBe(0);
    inForce = await agree(server, termsOf(server, { patient: 'Patient/a', grantee: INSURER }), [key, custodian]);
  });

  it('nor when a period of a Consent is over', async () => {
    const end = new Date(server.now() + 60_000).toISOString();
    const short = { period: { start: '2024-01-01', end } };
    const { session } = await register(server, { actor: INSURER, purposes: ['HRESCH'] });
    await agree(server, termsOf(server, { patient: 'Patient/a', grantee: INSURER, purposes: ['HRESCH'], provision: short }), [key, custodian]);
    const job = await later(session, 'GET', 'Observation/a-1');
    const answer = await settled(session, job);
    expect(entryOf(answer).response.status).toBe('200 OK');
    expect((await session.call('GET', job)).status).toBe(200);
    server.advance(61_000);
    expect((await session.call('GET', job)).status).toBe(410);
  });

  it('nor when something in it was labelled, moved or hidden in another way since', async () => {
    const { session } = await register(server, { actor: INSURER, purposes: ['HOPERAT'] });
    const hiv = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' };
    const exception = { provision: [{ type: 'deny', securityLabel: [hiv] }] };
    await agree(server, termsOf(server, { patient: 'Patient/a', grantee: INSURER, purposes: ['HOPERAT'], provision: exception }), [key, custodian]);
    await put(server, observation('a-3', 'Patient/a', { note: [{ text: 'as it was' }] }));
    await put(server, observation('a-4', 'Patient/a'));
    const batch = { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: 'Observation/a-3' } }] };
    const graphql = { query: '{Observation(id:"a-3"){note{text}}}' };
    const jobs = [
      await later(session, 'GET', 'Observation/a-3'),
      await later(session, 'GET', 'Observation?_id=a-3,a-4'),
      await later(session, 'GET', 'Observation/a-3/_history'),
      await later(session, 'GET', 'Patient/a/$everything'),
      await later(session, 'GET', `$graphql?${String(new URLSearchParams(graphql))}`),
      await later(session, 'POST', '', batch),
    ];
    const other = await later(session, 'GET', 'Observation/a-4');
    // What is no resource stands in a Binary.
    const decoded = (text: string) => text.replaceAll(/"data":"([^"]+)"/g, (_all, data: string) => Buffer.from(data, 'base64').toString());
    for (const job of jobs) expect(decoded((await settled(session, job)).text)).toContain('as it was');
    await settled(session, other);
    await put(server, observation('a-3', 'Patient/a', { meta: { security: [hiv] } }));
    for (const job of jobs) {
      const gone = await session.call('GET', job);
      expect([gone.status, decoded(gone.text).includes('as it was')]).toEqual([410, false]);
    }
    // What is changed or deleted in view is no secret, and what a job does not speak of changes nothing.
    await put(server, observation('a-4', 'Patient/a', { note: [{ text: 'changed' }] }));
    expect((await session.call('GET', other)).status).toBe(200);
    await server.admin.call('DELETE', 'Observation/a-4');
    expect((await session.call('GET', other)).status).toBe(200);
    const versions = await settled(session, await later(session, 'GET', 'Observation/a-4/_history'));
    expect(entryOf(versions).response.status).toBe('200 OK');
    await server.admin.call('DELETE', 'Observation/a-3');
  });
});

type AuditEvent = {
  readonly id: string;
  readonly recorded: string;
  readonly outcome: string;
  readonly agent: readonly { readonly altId: string }[];
  readonly entity?: readonly { readonly query?: string }[];
};

describe('$reindex', () => {
  const decoded = (query = '') => Buffer.from(query, 'base64').toString('utf8');
  const ask = (session: Session, url: string) => session.call('POST', url);

  it('makes the keys of search parameters again, not those that Consents are decided by', async () => {
    const sees = async () => {
      const [mine, all] = [await insurer.session.call('GET', 'Observation?code=8867-4'), await insurer.session.call('GET', 'Observation')];
      return [mine.json['total'], all.json['total']];
    };
    const before = await sees();
    const started = await ask(server.admin, 'Observation/$reindex');
    expect(started.status).toBe(202);
    const done = await settled(server.admin, pathOf(started.headers.get('content-location') ?? ''));
    expect(entryOf(done).resource).toEqual({
      resourceType: 'Parameters',
      parameter: [
        { name: 'read', valueInteger: 4 },
        { name: 'written', valueInteger: 0 },
      ],
    });
    expect(await sees()).toEqual(before);
    const everything = await ask(server.admin, '$reindex');
    const whole = await settled(server.admin, pathOf(everything.headers.get('content-location') ?? ''));
    const [read, written] = entryOf(whole).resource.parameter as { valueInteger: number }[];
    expect(read?.valueInteger).toBeGreaterThan(20);
    expect(written?.valueInteger).toBe(0);
  });

  it('is for administrators', async () => {
    expect((await ask(insurer.session, '$reindex')).status).toBe(403);
    expect((await ask(insurer.session, 'Observation/$reindex')).status).toBe(403);
    expect((await ask(server.admin, 'Nothing/$reindex')).status).toBe(404);
  });

  it('leaves an AuditEvent that says who asked for it, when and how', async () => {
    const trail = async () => {
      const found = await server.admin.call('GET', 'AuditEvent?subtype=operation&_count=200');
      const events = (found.json['entry'] ?? []) as { resource: AuditEvent }[];
      return events.map(({ resource }) => resource).filter(({ entity }) => entity?.some(({ query }) => /Consent\/\$reindex/.test(decoded(query))));
    };
    expect(await trail()).toEqual([]);
    const started = await ask(server.admin, 'Consent/$reindex');
    await settled(server.admin, pathOf(started.headers.get('content-location') ?? ''));
    const [event, ...more] = await trail();
    expect(more).toEqual([]);
    expect(event).toMatchObject({ outcome: '0', agent: [{ altId: server.bootstrap.admin.client_id, requestor: true }] });
    expect(Math.abs(Date.parse(event?.recorded ?? '') - server.now())).toBeLessThan(60_000);
    const receipt = await settled(server.admin, `AuditEvent/${event?.id}/$receipt`);
    expect(verifyReceipt(receipt.text).kind).toBe('proven');
  });

  it('survives kill -9 in the middle', async () => {
    const set = process.env['ASSENT_TEST_ENGINE'] === 'mongodb' ? await startReplicaSet(1) : undefined;
    const dataDir = await mkdtemp(join(tmpdir(), 'assent-jobs-'));
    const uri = set?.uri('jobs');
    const launch = () => launchServer(dataDir, { ASSENT_PORT: port, ...(uri === undefined ? {} : { ASSENT_MONGODB_URI: uri }) });
    const port = String(await freePort());
    const first = await launch();
    const admin = await createSession(first.bootstrap, first.bootstrap.admin, ADMIN_SCOPE);
    const entry = Array.from({ length: 1_500 }, (_, i) => ({
      request: { method: 'PUT', url: `Organization/o${i}` },
      resource: { ...organization(`Organization/o${i}`), identifier: [{ system: 'urn:test', value: String(i % 3) }] },
    }));
    expect((await admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(200);
    const started = await admin.call('POST', 'Organization/$reindex');
    const job = started.headers.get('content-location') ?? '';
    // Some of it is done, not all.
    for (let progress = ''; !/[1-9]/.test(progress); ) {
      const status = await admin.call('GET', job);
      if (status.status !== 202) break;
      progress = status.headers.get('x-progress') ?? '';
    }
    await first.end('SIGKILL');
    const second = await launch();
    try {
      const again = await createSession(second.bootstrap, second.bootstrap.admin, ADMIN_SCOPE);
      const done = await patiently(() => again.call('GET', job));
      expect(entryOf(done).resource.parameter).toEqual([
        { name: 'read', valueInteger: 1_500 },
        { name: 'written', valueInteger: 0 },
      ]);
      const found = await again.call('GET', 'Organization?identifier=urn:test|1&_summary=count');
      expect(found.json['total']).toBe(500);
    } finally {
      await second.end('SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
      await set?.stop();
    }
  });
});

/** A process that was killed holds its job for some seconds more. */
async function patiently(ask: () => ReturnType<Session['call']>): ReturnType<Session['call']> {
  for (const until = systemClock() + 120_000; ; ) {
    const answer = await ask();
    if (answer.status !== 202 || systemClock() > until) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
