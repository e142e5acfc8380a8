/**
 * The database edited by hand beside the running server: whatever is changed about Consents and keys, nothing more is disclosed than the log
 * and the signatures say, from the very next read, and the operator is told which log entry it was. ledger.md §3
 */
import { createHash } from 'node:crypto';
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
const bodyNow = () => server.hand.body('Consent', consentId());
const setBody = (body: string) => server.hand.setBody('Consent', consentId(), body);
/** The newest log row about the Consent. */
const logged = () => server.hand.newestRow(`"${inForce.consent}"`);

async function expectClosedWithAlarm(): Promise<void> {
  const { index } = await logged();
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
    await setBody(edit(await bodyNow()));
    await expectClosedWithAlarm();
  });

  it.each(['&_total=accurate', '&_total=estimate', '', '&_summary=count'])(
    'edited, and nothing of its patient on the page: the total does not count what it permitted%s',
    async (how) => {
      const code = { coding: [{ system: 'urn:test', code: `counted-${id}` }] };
      await put(server, patient(`${id}-shown`));
      await put(server, observation(`shown-${id}`, `Patient/${id}-shown`, { code, effectiveDateTime: '2024-06-01T08:00:00Z' }));
      await put(server, observation(`off-${id}`, `Patient/${id}`, { code }));
      const shown = await enrolKey(server.admin, `Patient/${id}-shown`);
      await agree(server, termsOf(server, { patient: `Patient/${id}-shown`, grantee: INSURER }), [shown, custodian]);
      const page = async () => {
        const { json } = await insurer.call('GET', `Observation?code=urn:test|counted-${id}&_count=1${how}`);
        return [json['total'], ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => resource['id'])];
      };
      const ids = how === '&_summary=count' ? [] : [`shown-${id}`];
      expect(await page()).toEqual([2, ids]);
      await setBody(`${await bodyNow()} `);
      expect(await page()).toEqual([1, ids]);
      const { index } = await logged();
      expect(alarms().map((line) => line.logIndex)).toEqual([index]);
    },
  );

  it('edited, and the edit taken back: closed in between', async () => {
    const body = await bodyNow();
    await setBody(body.replace('"permit"', '"permit" '));
    await expectClosedWithAlarm();
    await setBody(body);
    // It acts again at the latest when anything about Consents changes, and never as anything but what was signed.
    await enrolKey(server.admin, HOSPITAL);
    expect(await reads()).toBe(200);
  });

  it('a conditional create or an update does not see through an edited Consent either', async () => {
    await setBody(`${await bodyNow()} `);
    const { id: _id, ...resource } = observation(`o-${id}`, 'Patient/carol');
    const create = await insurer.call('POST', 'Observation', resource, { 'if-none-exist': `identifier=urn:test|o-${id}` });
    expect(create.status).toBe(201);
    expect((await insurer.call('PUT', `Observation/o-${id}`, observation(`o-${id}`, `Patient/${id}`))).status).toBe(404);
    expect((await insurer.call('DELETE', `Observation/o-${id}`)).status).toBe(404);
  });

  it('deleted', async () => {
    await server.hand.remove('Consent', consentId());
    await expectClosedWithAlarm();
  });

  it('marked as deleted', async () => {
    await server.hand.markDeleted('Consent', consentId());
    await expectClosedWithAlarm();
  });

  it('rolled back to what it was before it was superseded', async () => {
    const before = await bodyNow();
    expect((await withdrawNow(server, inForce, key)).status).toBe(200);
    await setBody(before);
    const activated = (record: string) => JSON.stringify({ ...(JSON.parse(record) as Json), state: 'active' });
    expect(await server.hand.editRecords('signed-consent', consentId(), activated)).toBe(1);
    expect([await reads(), await total()]).toEqual([404, 0]);
    await enrolKey(server.admin, HOSPITAL);
    expect(await reads()).toBe(404);
    expect((await submit(server.admin, inForce.statement, [key, custodian])).status).not.toBe(201);
    expect(await reads()).toBe(404);
  });

  it('freed of its seal in the keys column, and then replaced through the API', async () => {
    await server.hand.dropKey('Consent', consentId(), '~sealed');
    const wider = JSON.parse(await bodyNow()) as Json;
    const provision = wider['provision'] as Json;
    await server.admin.call('PUT', inForce.consent, { ...wider, provision: { type: 'permit', actor: provision['actor'] } });
    const { session: payer } = await register(server, { actor: INSURER, purposes: ['HPAYMT'] });
    expect((await payer.call('GET', `Observation/o-${id}`)).status).toBe(404);
  });
});

describe('what was never signed', () => {
  const forge = async (forged: string, body: string) => {
    await server.hand.copyResource('Consent', consentId(), { id: forged, body });
    await server.hand.copyRecord('signed-consent', consentId(), forged);
  };

  it('an active Consent for another reader, with the signatures of a true one', async () => {
    await put(server, organization('Organization/thief'));
    const { session: thief } = await register(server, { actor: 'Organization/thief' });
    await forge(`forged-${id}`, (await bodyNow()).replaceAll(consentId(), `forged-${id}`).replaceAll(INSURER, 'Organization/thief'));
    await enrolKey(server.admin, HOSPITAL);
    expect((await thief.call('GET', `Observation/o-${id}`)).status).toBe(404);
    expect(await reads()).toBe(200);
  });

  it('the same with a log row of its own: no signature, no Consent, and nothing about this patient until it is looked into', async () => {
    await put(server, organization('Organization/thief'));
    const { session: thief } = await register(server, { actor: 'Organization/thief' });
    const body = (await bodyNow()).replaceAll(consentId(), `logged-${id}`).replaceAll(INSURER, 'Organization/thief');
    await forge(`logged-${id}`, body);
    const digest = createHash('sha256').update(body).digest('base64url');
    const row = JSON.parse((await logged()).entry) as Json;
    await server.hand.appendRow(`forged-${id}`, JSON.stringify({ ...row, reference: `Consent/logged-${id}`, digest }));
    await enrolKey(server.admin, HOSPITAL);
    expect((await thief.call('GET', `Observation/o-${id}`)).status).toBe(404);
    expect(await reads()).toBe(404);
    expect(alarms().length).toBeGreaterThan(0);
  });

  it('a key of the database’s making signs nothing', async () => {
    const stranger = await enrolKey(server.admin, 'Patient/nobody');
    await server.hand.editRecords('key-event', stranger.kid, (event) => event.replaceAll('Patient/nobody', `Patient/${id}`));
    const statement = partOf(await prepare(server.admin, terms()), 'statement');
    const signed = await submit(server.admin, statement, [{ ...stranger, owner: `Patient/${id}` }, custodian]);
    expect(signed.status).toBe(422);
    expect(alarms().length).toBeGreaterThan(0);
  });

  it('a revocation taken out of the database stays a revocation', async () => {
    await server.admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    expect(await server.hand.removeRecord('key-event', `${key.kid}.000001`)).toBe(1);
    const statement = partOf(await prepare(server.admin, terms()), 'statement');
    expect((await submit(server.admin, statement, [key, custodian])).status).toBe(422);
  });
});

describe('the record of the signatures', () => {
  const edit = () => server.hand.editRecords('signed-consent', consentId(), (record) => record.replaceAll('TREAT', 'HPAYMT'));

  it('edited beside the running server widens nothing', async () => {
    expect(await edit()).toBe(1);
    await enrolKey(server.admin, HOSPITAL);
    const { session: payer } = await register(server, { actor: INSURER, purposes: ['HPAYMT'] });
    expect((await payer.call('GET', `Observation/o-${id}`)).status).toBe(404);
  });

  it('edited while the server is down closes the Consent, with an alarm', async () => {
    const { index } = await logged();
    await server.restart(edit);
    expect(await reads()).toBe(404);
    expect(alarms().map((line) => line.logIndex)).toContain(index);
  });
});
