/**
 * The database edited by hand beside the running server: whatever is changed about Consents and keys, nothing more is disclosed than the log
 * and the signatures say, from the very next read, and the operator is told which log entry it was. ledger.md §3
 */
import type { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
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
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';

let server: RealServer;
let insurer: Session;
let custodian: Key;
let key: Key;
let id: string;
let inForce: InForce;
let counter = 0;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  insurer = (await register(server, { actor: INSURER })).session;
  custodian = await enrolKey(server.admin, HOSPITAL);
});
afterAll(() => server.stop());

beforeEach(async () => {
  id = `p${++counter}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  key = await enrolKey(server.admin, `Patient/${id}`);
  inForce = await agree(server, terms(), [key, custodian]);
  expect(await reads()).toBe(200);
  server.logs.length = 0;
});

const terms = (provision: Json = {}) => termsOf(server, { patient: `Patient/${id}`, grantee: INSURER, provision });
const reads = async () => (await insurer.call('GET', `Observation/o-${id}`)).status;
const total = async () => (await insurer.call('GET', `Observation?subject=Patient/${id}`)).json['total'];
const alarms = () => server.logs.map((line) => JSON.parse(line) as { level: number; logIndex?: number }).filter(({ level }) => level === 60);
const consentId = () => inForce.consent.slice('Consent/'.length);
const bodyOf = (database: DatabaseSync, consent = consentId()) =>
  String(database.prepare("SELECT body FROM resources WHERE type = 'Consent' AND id = ?").get(consent)?.['body']);
const setBody = (database: DatabaseSync, body: string) =>
  database.prepare("UPDATE resources SET body = ? WHERE type = 'Consent' AND id = ?").run(body, consentId());

/** Index of the newest log row about the Consent. */
function logIndex(): number {
  return server.sql((database) =>
    Number(database.prepare('SELECT max(idx) AS idx FROM log WHERE entry LIKE ?').get(`%"${inForce.consent}"%`)?.['idx']),
  );
}

async function expectClosedWithAlarm(): Promise<void> {
  const index = logIndex();
  expect([await reads(), await total(), (await insurer.call('GET', `Observation/o-${id}/_history`)).status]).toEqual([404, 0, 404]);
  expect(alarms().map((line) => line.logIndex)).toEqual([index]);
}

describe('a signed Consent', () => {
  it.each<[string, (body: string) => string]>([
    ['wider terms', (body) => body.replace('"TREAT"', '"HPAYMT"')],
    ['one blank more', (body) => `${body} `],
    ['another patient', (body) => body.replaceAll(/Patient\/p\d+/g, 'Patient/p1')],
    ['no text at all', () => ''],
    ['no JSON', () => '{'],
  ])('edited to %s', async (_what, edit) => {
    server.sql((database) => setBody(database, edit(bodyOf(database))));
    await expectClosedWithAlarm();
  });

  it('edited, and the edit taken back: closed in between', async () => {
    const body = server.sql((database) => bodyOf(database));
    server.sql((database) => setBody(database, body.replace('"permit"', '"permit" ')));
    await expectClosedWithAlarm();
    server.sql((database) => setBody(database, body));
    // It acts again at the latest when anything about Consents changes, and never as anything but what was signed.
    await enrolKey(server.admin, `Patient/${id}`);
    expect(await reads()).toBe(200);
  });

  it('a conditional create or an update does not see through an edited Consent either', async () => {
    server.sql((database) => setBody(database, `${bodyOf(database)} `));
    const { id: _id, ...resource } = observation(`o-${id}`, 'Patient/carol');
    const create = await insurer.call('POST', 'Observation', resource, { 'if-none-exist': `identifier=urn:test|o-${id}` });
    expect(create.status).toBe(201);
    expect((await insurer.call('PUT', `Observation/o-${id}`, observation(`o-${id}`, `Patient/${id}`))).status).toBe(404);
    expect((await insurer.call('DELETE', `Observation/o-${id}`)).status).toBe(404);
  });

  it('deleted', async () => {
    server.sql((database) => database.prepare("DELETE FROM resources WHERE type = 'Consent' AND id = ?").run(consentId()));
    await expectClosedWithAlarm();
  });

  it('marked as deleted', async () => {
    server.sql((database) => database.prepare("UPDATE resources SET deleted = 1 WHERE type = 'Consent' AND id = ?").run(consentId()));
    await expectClosedWithAlarm();
  });

  it('rolled back to what it was before it was superseded', async () => {
    const before = server.sql((database) => bodyOf(database));
    expect((await withdrawNow(server, inForce, key)).status).toBe(200);
    server.sql((database) => {
      setBody(database, before);
      const record = database.prepare("SELECT value FROM records WHERE kind = 'signed-consent' AND id = ?").get(consentId());
      const active = JSON.stringify({ ...(JSON.parse(String(record?.['value'])) as Json), state: 'active' });
      database.prepare("UPDATE records SET value = ? WHERE kind = 'signed-consent' AND id = ?").run(active, consentId());
    });
    expect([await reads(), await total()]).toEqual([404, 0]);
    await enrolKey(server.admin, `Patient/${id}`);
    expect(await reads()).toBe(404);
    expect((await submit(server.admin, inForce.statement, [key, custodian])).status).not.toBe(201);
    expect(await reads()).toBe(404);
  });

  it('freed of its seal in the keys column, and then replaced through the API', async () => {
    server.sql((database) =>
      database.prepare("UPDATE resources SET keys = replace(keys, '~sealed' || char(10), '') WHERE type = 'Consent' AND id = ?").run(consentId()),
    );
    const wider = JSON.parse(server.sql((database) => bodyOf(database))) as Json;
    const provision = wider['provision'] as Json;
    await server.admin.call('PUT', inForce.consent, { ...wider, provision: { type: 'permit', actor: provision['actor'] } });
    const { session: payer } = await register(server, { actor: INSURER, purposes: ['HPAYMT'] });
    expect((await payer.call('GET', `Observation/o-${id}`)).status).toBe(404);
  });
});

describe('what was never signed', () => {
  const forge = (database: DatabaseSync, forged: string, body: string) => {
    database
      .prepare(
        `INSERT INTO resources (type, id, version, updated, sort, deleted, keys, body)
         SELECT type, ?, 'forged', updated, sort, 0, keys, ? FROM resources WHERE type = 'Consent' AND id = ?`,
      )
      .run(forged, body, consentId());
    database
      .prepare(
        "INSERT INTO records (kind, id, revision, lookup, value) SELECT kind, ?, 1, lookup, value FROM records WHERE kind = 'signed-consent' AND id = ?",
      )
      .run(forged, consentId());
  };

  it('an active Consent for another reader, with the signatures of a true one', async () => {
    await put(server, organization('Organization/thief'));
    const { session: thief } = await register(server, { actor: 'Organization/thief' });
    server.sql((database) =>
      forge(database, `forged-${id}`, bodyOf(database).replaceAll(consentId(), `forged-${id}`).replaceAll(INSURER, 'Organization/thief')),
    );
    await enrolKey(server.admin, `Patient/${id}`);
    expect((await thief.call('GET', `Observation/o-${id}`)).status).toBe(404);
    expect(await reads()).toBe(200);
  });

  it('the same with a log row of its own: no signature, no Consent, and nothing about this patient until it is looked into', async () => {
    await put(server, organization('Organization/thief'));
    const { session: thief } = await register(server, { actor: 'Organization/thief' });
    server.sql((database) => {
      const body = bodyOf(database).replaceAll(consentId(), `logged-${id}`).replaceAll(INSURER, 'Organization/thief');
      forge(database, `logged-${id}`, body);
      const row = database.prepare('SELECT idx, entry FROM log WHERE idx = ?').get(logIndex());
      const { createHash } = process.getBuiltinModule('node:crypto');
      const digest = createHash('sha256').update(body).digest('base64url');
      const entry = JSON.stringify({ ...(JSON.parse(String(row?.['entry'])) as Json), reference: `Consent/logged-${id}`, digest });
      database.prepare('INSERT INTO log (idx, key, entry) SELECT max(idx) + 1, ?, ? FROM log').run(`forged-${id}`, entry);
    });
    await enrolKey(server.admin, `Patient/${id}`);
    expect((await thief.call('GET', `Observation/o-${id}`)).status).toBe(404);
    expect(await reads()).toBe(404);
    expect(alarms().length).toBeGreaterThan(0);
  });

  it('a key of the database’s making signs nothing', async () => {
    const stranger = await enrolKey(server.admin, 'Patient/nobody');
    server.sql((database) =>
      database
        .prepare("UPDATE records SET value = replace(value, 'Patient/nobody', ?) WHERE kind = 'key-event' AND id LIKE ?")
        .run(`Patient/${id}`, `${stranger.kid}%`),
    );
    const statement = partOf(await prepare(server.admin, terms()), 'statement');
    const signed = await submit(server.admin, statement, [{ ...stranger, owner: `Patient/${id}` }, custodian]);
    expect(signed.status).toBe(422);
    expect(alarms().length).toBeGreaterThan(0);
  });

  it('a revocation taken out of the database stays a revocation', async () => {
    await server.admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    const removed = server.sql((database) => database.prepare("DELETE FROM records WHERE kind = 'key-event' AND id = ?").run(`${key.kid}.000001`));
    expect(removed.changes).toBe(1);
    const statement = partOf(await prepare(server.admin, terms()), 'statement');
    expect((await submit(server.admin, statement, [key, custodian])).status).toBe(422);
  });
});

describe('the record of the signatures', () => {
  const edit = (from: string, to: string) => (database: DatabaseSync) =>
    void database.prepare("UPDATE records SET value = replace(value, ?, ?) WHERE kind = 'signed-consent' AND id = ?").run(from, to, consentId());

  it('edited beside the running server widens nothing', async () => {
    server.sql(edit('TREAT', 'HPAYMT'));
    await enrolKey(server.admin, `Patient/${id}`);
    const { session: payer } = await register(server, { actor: INSURER, purposes: ['HPAYMT'] });
    expect((await payer.call('GET', `Observation/o-${id}`)).status).toBe(404);
  });

  it('edited while the server is down closes the Consent, with an alarm', async () => {
    const index = logIndex();
    await server.restart(edit('TREAT', 'HPAYMT'));
    expect(await reads()).toBe(404);
    expect(alarms().map((line) => line.logIndex)).toContain(index);
  });
});
