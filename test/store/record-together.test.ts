/**
 * A record that was written under ids of the server lies together: what the whole server writes in a patient's life, audits and consents
 * included, is in the patient's bucket, so that behind a router a search of it is one shard's work.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { bucketOf } from '../../server/fhir/ids.ts';
import { patientOfKey } from '../../server/search/keys.ts';
import { marksOf } from '../../server/store/mongo/astray.ts';
import { unpackKeys } from '../../server/store/packed-keys.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  register,
  type RealServer,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const CLINIC = 'Organization/clinic';

describe.skipIf(process.env['ASSENT_TEST_ENGINE'] === 'mongodb')('what a server writes about one patient', () => {
  let server: RealServer;
  beforeAll(async () => {
    server = await startRealServer();
    for (const reference of [HOSPITAL, CLINIC]) await put(server, organization(reference));
  });
  afterAll(() => server.stop());

  type Stored = { readonly type: string; readonly id: string; readonly keys: readonly string[] };
  function everything(): readonly Stored[] {
    const database = new DatabaseSync(join(server.dataDir, 'assent.sqlite'), { readOnly: true });
    const rows = database.prepare('SELECT type, id, keys FROM resources').all();
    database.close();
    return rows.map(({ type, id, keys }) => ({ type: String(type), id: String(id), keys: unpackKeys(String(keys)) }));
  }
  const astray = () => everything().flatMap((one) => marksOf(one).map(({ _id }) => _id));
  const about = (id: string) => everything().filter(({ keys }) => keys.some((key) => patientOfKey(key) === id));

  test('is in the bucket of the patient', async () => {
    const { admin } = server;
    const loaded = await admin.call('POST', '', patientBundle(seededRandom(7), 0, HOSPITAL));
    const [first] = loaded.json['entry'] as { response: { location: string } }[];
    const subject = /Patient\/[^/]+/.exec(first?.response.location ?? '')?.[0] ?? '';
    const id = subject.slice('Patient/'.length);
    const { id: _id, ...own } = observation('x', subject);
    const made = await admin.call('POST', 'Observation', own);
    expect(made.status).toBe(201);
    await admin.call('PUT', `Observation/${String(made.json['id'])}`, { ...made.json, status: 'amended' });
    const told = { resourceType: 'Provenance', target: [{ reference: `Observation/${String(made.json['id'])}` }], recorded: '2026-01-01T00:00:00Z' };
    expect((await admin.call('POST', 'Provenance', { ...told, agent: [{ who: { reference: HOSPITAL } }] })).status).toBe(201);
    const { session } = await register(server, { actor: CLINIC, scope: 'system/*.rs' });
    const keys = [await enrolKey(admin, subject), await enrolKey(admin, HOSPITAL)];
    const inForce = await agree(server, termsOf(server, { patient: subject, grantee: CLINIC }), keys);
    for (const url of [subject, `Observation?patient=${id}`, `Observation/${String(made.json['id'])}/_history`])
      expect((await session.call('GET', url)).status, url).toBe(200);
    await withdrawNow(server, inForce, keys[0] as (typeof keys)[0]);
    expect((await session.call('GET', subject)).status).toBe(404);

    const record = about(id);
    const types = new Set(record.map(({ type }) => type));
    expect([...types]).toEqual(expect.arrayContaining(['Patient', 'Observation', 'Encounter', 'Consent', 'Provenance', 'AuditEvent']));
    expect(record.filter(({ type, id: own }) => bucketOf(type, own) !== bucketOf('Patient', id))).toEqual([]);
    expect(astray()).toEqual([]);
  });

  test('except the audit of a search that showed several patients at once', async () => {
    const { admin } = server;
    const { session } = await register(server, { actor: CLINIC, scope: 'system/*.rs' });
    const custodian = await enrolKey(admin, HOSPITAL);
    for (let i = 0; i < 2; i++) {
      const made = await admin.call('POST', 'Patient', { resourceType: 'Patient', managingOrganization: { reference: HOSPITAL } });
      const subject = `Patient/${String(made.json['id'])}`;
      await agree(server, termsOf(server, { patient: subject, grantee: CLINIC }), [await enrolKey(admin, subject), custodian]);
    }
    expect((await session.call('GET', 'Patient')).json['entry']).toHaveLength(2);
    expect(astray().filter((mark) => !mark.startsWith('AuditEvent/'))).toEqual([]);
    expect(astray().length).toBeGreaterThan(0);
  });

  test('except where a client chose ids', async () => {
    await put(server, patient('chosen'));
    await put(server, observation('chosen-too', 'Patient/chosen'));
    expect(astray()).toEqual(expect.arrayContaining(['Observation/chosen']));
  });
});
