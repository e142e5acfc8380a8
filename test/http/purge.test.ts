/** Erasure through the whole server: nothing is left to be read, by HTTP or in the files, and what was proven stays proven. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logRow } from '../../ledger/entry.ts';
import { digestOf } from '../../ledger/hash.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import { fsck } from '../../server/commands/fsck.ts';
import { readConfig } from '../../server/config.ts';
import { compressBody } from '../../server/store/embedded/history-body.ts';
import {
  agree,
  HOSPITAL,
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
} from '../support/real-server.ts';
import { trusting } from '../support/trusting.ts';

const INSURER = 'Organization/insurer';
const onFiles = process.env['ASSENT_TEST_ENGINE'] !== 'mongodb';

let server: RealServer;
let insurer: Registered;
let receiptBefore = '';
let eventUrl = '';
let consent = '';
/** What would confirm a guess of the Consent, or of its entry in the log. */
let confirming: string[] = [];
const remembered: Buffer[] = [];
/** As `_content` looks for them. */
const WORDS = ['marker first lost', 'marker second lost', 'marker gone lost'];

const pathOf = (url: string) => url.slice(server.bootstrap.fhirBaseUrl.length + 1);

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['lost', 'other']) {
    await put(server, { ...patient(id), name: [{ family: `MARKER-${id}` }] });
    await put(server, observation(`${id}-1`, `Patient/${id}`, { note: [{ text: `MARKER-first-${id} ${'long '.repeat(2_000)}` }] }));
    remember(await server.hand.body('Observation', `${id}-1`));
    await put(server, observation(`${id}-1`, `Patient/${id}`, { note: [{ text: `MARKER-second-${id}` }] }));
    await put(server, observation(`${id}-gone`, `Patient/${id}`, { note: [{ text: `MARKER-gone-${id}` }] }));
    await server.admin.call('DELETE', `Observation/${id}-gone`);
  }
  await put(server, {
    resourceType: 'Appointment',
    id: 'both',
    status: 'proposed',
    participant: ['lost', 'other'].map((id) => ({ actor: { reference: `Patient/${id}` }, status: 'accepted' })),
  });
  insurer = await register(server, { actor: INSURER });
  const custodian = await enrolKey(server.admin, HOSPITAL);
  for (const id of ['lost', 'other']) {
    const key = await enrolKey(server.admin, `Patient/${id}`);
    const made = await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), [key, custodian]);
    if (id === 'lost') ({ consent } = made);
  }
  const read = await insurer.session.call('GET', 'Observation/lost-1');
  eventUrl = pathOf(read.headers.get('assent-receipt') ?? '');
  receiptBefore = (await settled(insurer.session, eventUrl)).text;
  const { consents } = JSON.parse(receiptBefore) as { consents: { consent: string; entry: { salt: string; statement: string } }[] };
  const [{ consent: text, entry }] = consents as [(typeof consents)[number]];
  confirming = [digestOf(text), entry.statement, ...spellings(Buffer.from(entry.salt, 'base64url'))];
});
afterAll(() => server.stop());

/** The bytes its compressed text will have once it is superseded, without the ends that all have in common. */
function remember(body: string): void {
  const bytes = Buffer.from(compressBody(body));
  remembered.push(bytes.subarray(bytes.length >> 1, (bytes.length >> 1) + 24));
}

/** The inner part of these bytes as base64 has them, wherever they begin: one of three. */
function spellings(bytes: Buffer): string[] {
  return [0, 1, 2].map((skipped) => bytes.subarray(skipped, skipped + 30).toString('base64url'));
}

/** All that the database has of the log. */
async function logRecords(): Promise<string> {
  let all = '';
  const read = (text: string) => {
    all += text;
    return text;
  };
  await server.hand.editRecords('log-batch', '', read);
  return all;
}

function inFiles(marker: string | Buffer): boolean {
  return readdirSync(server.dataDir).some((name) => name.startsWith('assent.sqlite') && readFileSync(join(server.dataDir, name)).includes(marker));
}

async function purge(session: Session, reference: string) {
  const started = await session.call('POST', `${reference}/$purge`);
  expect(started.status).toBe(202);
  return settled(session, pathOf(started.headers.get('content-location') ?? ''));
}

describe('$purge', () => {
  it('is for administrators, and not for the trail or a Consent alone', async () => {
    expect((await insurer.session.call('POST', 'Patient/lost/$purge')).status).toBe(403);
    expect((await server.admin.call('POST', `${consent}/$purge`)).status).toBe(422);
    expect((await server.admin.call('POST', `${eventUrl.replace('/$receipt', '')}/$purge`)).status).toBe(422);
    expect((await insurer.session.call('GET', 'Patient/lost')).status).toBe(200);
  });

  it('answers for a resource that never was as for any other, with nothing erased', async () => {
    const done = await purge(server.admin, 'Patient/never');
    expect(done.json['entry']).toMatchObject([{ resource: { parameter: [{ valueInteger: 0 }, { valueInteger: 0 }] } }]);
  });

  it('takes a patient away: every version, what was deleted, the Consent; not what names another as well', async () => {
    const [digest = '', statement = '', ...salts] = confirming;
    for (const each of [digest, statement]) expect((await server.hand.newestRow(each)).entry).toContain(each);
    const batches = await logRecords();
    expect(salts.filter((salt) => batches.includes(salt))).toHaveLength(1);
    if (onFiles) expect(confirming.filter(inFiles)).toHaveLength(3);
    if (onFiles) for (const marker of ['MARKER-lost', 'MARKER-second-lost', ...WORDS, ...remembered]) expect(inFiles(marker)).toBe(true);
    const waiting = await insurer.session.call('GET', 'Patient/lost', undefined, { prefer: 'respond-async' });
    const waits = pathOf(waiting.headers.get('content-location') ?? '');
    expect((await settled(insurer.session, waits)).status).toBe(200);
    const done = await purge(server.admin, 'Patient/lost');
    expect(done.status).toBe(200);
    const parameter = (done.json['entry'] as { resource: { parameter: { name: string; valueInteger?: number; valueString?: string }[] } }[])[0];
    // Two Observations, the Consent and its Provenance, the Patient.
    expect(parameter?.resource.parameter).toEqual([
      { name: 'erased', valueInteger: 5 },
      { name: 'kept', valueInteger: 1 },
      { name: 'namesOthers', valueString: 'Appointment/both' },
    ]);
    for (const url of ['Patient/lost', 'Observation/lost-1', 'Observation/lost-gone', 'Observation/lost-1/_history', 'Patient/lost/$everything']) {
      const [hidden, absent] = [await insurer.session.call('GET', url), await insurer.session.call('GET', url.replace('lost', 'never'))];
      expect([url, hidden.status, hidden.text]).toEqual([url, 404, absent.text]);
    }
    expect((await server.admin.call('GET', consent)).status).toBe(404);
    const search = await insurer.session.call('GET', 'Observation');
    expect([search.json['total'], search.text.includes('lost')]).toEqual([1, false]);
    expect([404, 410]).toContain((await insurer.session.call('GET', waits)).status);
    const after = await insurer.session.call('GET', 'Observation/other-1');
    expect([after.status, after.text.includes('MARKER-second-other')]).toEqual([200, true]);
    expect((await insurer.session.call('GET', 'Observation/other-1/_history')).json['total']).toBe(2);
  });

  it('leaves neither salt nor digest of the Consent in the log, and its entry is not signed anew', async () => {
    const [digest = '', statement = '', ...salts] = confirming;
    for (const each of [digest, statement]) expect((await server.hand.newestRow(each)).entry).not.toContain(each);
    const batches = await logRecords();
    expect(salts.filter((salt) => batches.includes(salt))).toEqual([]);
    if (onFiles) expect(confirming.filter(inFiles)).toEqual([]);
  });

  if (onFiles)
    it('leaves no byte of it in the files of the database', () => {
      for (const marker of ['MARKER-lost', 'MARKER-first-lost', 'MARKER-second-lost', 'MARKER-gone-lost', ...WORDS])
        expect([marker, inFiles(marker)]).toEqual([marker, false]);
      expect(inFiles(remembered[0] as Buffer)).toBe(false);
      expect(inFiles('MARKER-other')).toBe(true);
      expect(inFiles(remembered[1] as Buffer)).toBe(true);
    });

  it('keeps the trail, which is shown as before, and says who erased what', async () => {
    const trail = await server.admin.call('GET', 'AuditEvent?patient=Patient/lost&_count=100');
    const events = (trail.json['entry'] as { resource: { entity: { what?: { reference: string } }[] } }[]).map(({ resource }) =>
      resource.entity.map(({ what }) => what?.reference ?? ''),
    );
    expect(events.some((named) => named.includes('Observation/lost-1') && named.includes('Observation/lost-gone'))).toBe(false);
    expect(events.some((named) => named.some((reference) => reference.startsWith('Observation/lost-1/_history/')))).toBe(true);
    expect(events.some((named) => named.includes('Patient/lost') && named.some((reference) => reference === 'Patient/lost'))).toBe(true);
  });

  it('leaves receipts of before as good as they were, and says of new ones that their ground is gone', async () => {
    expect(verifyReceipt(receiptBefore).kind).toBe('proven');
    const gone = await settled(insurer.session, eventUrl);
    expect(gone.status).toBe(410);
    expect(gone.text).toContain('erased');
    const [, proof] = gone.json['issue'] as { diagnostics: string }[];
    const verdict = verifyReceipt(proof?.diagnostics ?? '', {
      policy: trusting((await (await fetch(server.bootstrap.fhirBaseUrl.replace('/fhir', '/ledger/key'))).text()).trim()),
    });
    expect(verdict).toMatchObject({ kind: 'erased', proven: [expect.stringContaining(`about ${consent} was erased for ever`), expect.anything()] });
  });

  it('erases one resource, and its id may be used again', async () => {
    const done = await purge(server.admin, 'Observation/other-1');
    expect(done.json['entry']).toMatchObject([{ resource: { parameter: [{ valueInteger: 1 }, { valueInteger: 0 }] } }]);
    expect((await insurer.session.call('GET', 'Observation/other-1')).status).toBe(404);
    await put(server, observation('other-1', 'Patient/other'));
    expect((await insurer.session.call('GET', 'Observation/other-1/_history')).json['total']).toBe(1);
  });

  it('finishes what a server that erased texts alone has left in the log', async () => {
    const { hand } = server;
    await put(server, patient('early'));
    const keys = [await enrolKey(server.admin, 'Patient/early'), await enrolKey(server.admin, HOSPITAL)];
    const early = await agree(server, termsOf(server, { patient: 'Patient/early', grantee: INSURER }), keys);
    const id = early.consent.slice('Consent/'.length);
    const digest = digestOf(await hand.body('Consent', id));
    await server.offline(({ resources }) => {
      const occurredAt = new Date(server.now()).toISOString();
      const entry = { kind: 'erasure' as const, occurredAt, subject: 'Patient/early', reference: early.consent, digest };
      return resources.commit({ guards: [], resources: [], records: [], log: [logRow(entry)], erase: [{ type: 'Consent', id }], bumpEpoch: true });
    });
    expect((await hand.newestRow(digest)).entry).toContain('erasure');
    expect((await purge(server.admin, 'Patient/early')).status).toBe(200);
    expect((await hand.newestRow(digest)).entry).not.toContain(digest);
    if (onFiles) expect(inFiles(digest)).toBe(false);
    expect((await hand.newestRow(early.consent)).entry).toMatch(/"kind":"erasure".*"erases":\[\d+,\d+\]/);
  });

  it('raises no alarm, before and after a restart, and the whole log is proven again', async () => {
    await server.restart();
    expect((await insurer.session.call('GET', 'Observation/other-1')).status).toBe(200);
    expect(server.logs.filter((line) => line.includes('Consent'))).toEqual([]);
    if (onFiles) {
      const config = readConfig({ ASSENT_DATA_DIR: server.dataDir });
      await server.restart(async () => expect(await fsck(config)).toBe(0));
    }
  });
});
