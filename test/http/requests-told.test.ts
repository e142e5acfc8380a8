/**
 * What a requester is told of its requests, and when: of a grant at once, of anything else at the deadline, whoever said no and whether or not anybody
 * is there. consent.md §3 ("access request"), §5
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  type Client,
  createSession,
  enrolKey,
  type Json,
  type Key,
  type Session,
  withdraw,
} from '../../server/commands/demo/session.ts';
import { approve, askFor, type Asked, refuse, requestTasks, type Task, toldOf } from '../support/consent-requests.ts';
import {
  ADMIN_SCOPE,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const MINUTE = 60_000;
const NOT_GRANTED = { text: 'The request was not granted.' };

let server: RealServer;
let client: Client;
let admin: Session;
let insurer: Session;
let custodian: Key;
let counter = 0;

async function signIn(): Promise<void> {
  admin = await createSession(server.bootstrap, server.bootstrap.admin, ADMIN_SCOPE);
  insurer = await createSession(server.bootstrap, client, 'system/*.cruds');
}

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  client = (await register(server, { actor: INSURER })).client;
  custodian = await enrolKey(server.admin, HOSPITAL);
  await signIn();
});
afterAll(() => server?.stop());

type Made = Asked & { readonly key: Key; readonly patient: string };

function ask(id: string, minutes: number): Promise<Answer> {
  const terms = termsOf(server, { patient: `Patient/${id}`, grantee: INSURER });
  return askFor(insurer, terms, new Date(server.now() + minutes * MINUTE).toISOString());
}

/** Of a patient of its own. */
async function asked(minutes: number): Promise<Made> {
  const id = `p${++counter}`;
  await put({ admin }, patient(id));
  await put({ admin }, observation(`o-${id}`, `Patient/${id}`));
  const key = await enrolKey(admin, `Patient/${id}`);
  const { status, json } = await ask(id, minutes);
  expect(status).toBe(202);
  return { ...(await toldOf(json as Task, admin)), key, patient: id };
}

/** The server looks at deadlines when it starts, and every minute. All in all less than tokens live: those are made by the clock of this machine. */
async function pass(ms: number): Promise<void> {
  server.advance(ms);
  await server.restart();
  await signIn();
}

const refuses = (made: Asked, key: Key) => refuse(admin, made, { key, now: server.now() });
const withdraws = (made: Asked, key: Key) => withdraw(admin, { ...made, key, now: server.now() });
/** The whole record of its patient. */
async function erase({ patient: id }: Made): Promise<void> {
  const started = await admin.call('POST', `Patient/${id}/$purge`);
  const at = started.headers.get('content-location') ?? '';
  expect((await settled(admin, at.slice(server.bootstrap.fhirBaseUrl.length + 1))).status).toBe(200);
}
const shown = async ({ own }: Pick<Asked, 'own'>) => (await insurer.call('GET', `Task/${own.id}`)).json as Task;
const parties = async ({ consent }: Asked) =>
  (await requestTasks(admin)).flatMap(({ focus, status }) => (focus.reference === consent ? [status] : [])).sort();
/** The Tasks of the requester that changed since, as it polls them. */
async function polled(since: number): Promise<readonly Task[]> {
  const query = `Task?code=urn:assent:request|consent&_count=200&_lastUpdated=gt${new Date(since).toISOString()}`;
  const { status, json } = await insurer.call('GET', query);
  expect(status).toBe(200);
  return ((json['entry'] ?? []) as { resource: Task }[]).map(({ resource }) => resource);
}

describe('whoever asks', () => {
  it('cannot tell a refusal, a withdrawal, an erased record, silence and nobody apart, by its Tasks, their versions, or a poll', async () => {
    const made = [await asked(2), await asked(2), await asked(2), await asked(2), await asked(2), await asked(2), await asked(2)] as const;
    const [byPatient, byCustodian, withdrawn, suspended, silent, erased, refusedAndErased] = made;
    const nobody = { own: (await ask('nobody-at-all', 2)).json as Task };
    const since = server.now();
    for (const answer of [
      refuses(byPatient, byPatient.key),
      refuses(byCustodian, custodian),
      withdraws(withdrawn, withdrawn.key),
      withdraws(suspended, custodian),
      refuses(refusedAndErased, refusedAndErased.key),
    ])
      expect((await answer).status).toBe(200);
    for (const each of [erased, refusedAndErased]) await erase(each);
    for (const each of [...made, nobody]) {
      expect(await shown(each)).toEqual(each.own);
      const history = await insurer.call('GET', `Task/${each.own.id}/_history`);
      expect((history.json['entry'] as unknown[]).length).toBe(1);
    }
    expect(await polled(since)).toEqual([]);
    await pass(2.5 * MINUTE);
    const ids = [...made, nobody].map(({ own }) => own.id);
    await expect.poll(async () => (await polled(since)).map(({ id }) => id).sort()).toEqual(ids.sort());
    for (const { status, statusReason, output } of await polled(since))
      expect({ status, statusReason, output }).toEqual({ status: 'rejected', statusReason: NOT_GRANTED });
    expect(await parties(silent)).toEqual(['cancelled', 'cancelled']);
  });

  it('finds a grant, and its end, by what changed since it last looked', async () => {
    const [made, other] = [await asked(2), await asked(2)];
    const since = server.now();
    expect((await approve(admin, made, [made.key])).status).toBe(202);
    expect(await polled(since)).toEqual([]);
    expect((await approve(admin, made, [custodian])).status).toBe(201);
    expect((await polled(since)).map(({ id, status }) => [id, status])).toEqual([[made.own.id, 'completed']]);
    const [granted = expect.fail()] = await polled(since);
    const seen = Date.parse((granted['meta'] as Json)['lastUpdated'] as string);
    expect(await polled(seen)).toEqual([]);
    expect((await withdraws(made, made.key)).status).toBe(200);
    expect((await polled(seen)).map(({ id, businessStatus }) => [id, businessStatus])).toEqual([
      [made.own.id, { text: 'The Consent is not in force any more.' }],
    ]);
    expect(await shown(other)).toEqual(other.own);
  });

  it('is told of a grant that was erased what it is told of one that was withdrawn', async () => {
    const [withdrawn, erased] = [await asked(2), await asked(2)];
    for (const made of [withdrawn, erased]) expect((await approve(admin, made, [made.key, custodian])).status).toBe(201);
    expect((await withdraws(withdrawn, withdrawn.key)).status).toBe(200);
    await erase(erased);
    const [one, other] = [await shown(withdrawn), await shown(erased)];
    const told = ({ status, statusReason, businessStatus }: Task) => ({ status, statusReason, businessStatus });
    expect(told(other)).toEqual(told(one));
    expect(told(other)).toMatchObject({ status: 'completed', businessStatus: { text: 'The Consent is not in force any more.' } });
    // Of what was asked of the parties nothing is left.
    expect(await parties(erased)).toEqual([]);
    expect((await admin.call('GET', erased.consent)).status).toBe(404);
  });

  it('waits for the place of what was refused as long as for one that nobody answered', async () => {
    const made = await asked(2);
    for (let i = 1; i < 5; i++) expect((await ask(made.patient, 20)).status).toBe(202);
    expect((await refuses(made, made.key)).status).toBe(200);
    expect((await ask(made.patient, 2)).status).toBe(429);
    await pass(2 * MINUTE);
    expect((await ask(made.patient, 2)).status).toBe(429);
    await pass(1.5 * MINUTE);
    expect([(await ask(made.patient, 2)).status, (await ask(made.patient, 2)).status]).toEqual([202, 429]);
  });
});

describe('the parties', () => {
  it.each([
    ['the patient', ({ key }: Made) => key],
    ['the custodian', () => custodian],
  ])('are done with a request that %s withdraws from, at once', async (_, whose) => {
    const made = await asked(2);
    expect((await approve(admin, made, [whose(made)])).status).toBe(202);
    expect((await withdraws(made, whose(made))).status).toBe(200);
    expect(await parties(made)).toEqual(['cancelled', 'rejected']);
    expect((await approve(admin, made, [made.key, custodian])).status).toBe(422);
    expect((await insurer.call('GET', `Observation/o-${made.patient}`)).status).toBe(404);
  });

  it('are told of deadlines also where one request cannot be ended', async () => {
    const made = [await asked(2), await asked(2), await asked(2)];
    // As they are taken: in the order of their ids.
    const [first = expect.fail(), ...others] = made.toSorted((a, b) => (a.consent < b.consent ? -1 : 1));
    const record = first.consent.slice('Consent/'.length);
    const broken = (text: string) => text.replace('"tasks":[', '"tasks":[null,');
    expect(await server.hand.editRecords('consent-request', record, broken)).toBe(1);
    await pass(2.5 * MINUTE);
    for (const other of others) await expect.poll(async () => (await shown(other)).status).toBe('rejected');
    expect((await shown(first)).status).toBe('requested');
    expect(server.logs.join('')).toContain('requests are not ended');
  });
});
