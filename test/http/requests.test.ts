/**
 * Asking for a Consent, approving and refusing it over HTTP with real keys: what the requester is told, what each party sees, and every way in which
 * a request does not come into force. consent.md §5, interface.md §3
 */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, type Session, submit, withdraw } from '../../server/commands/demo/session.ts';
import { afterwards, type RequestState } from '../../server/consent/requests.ts';
import { approve as sendApproval, type Asked, askFor, refuse as sendRefusal, requestTasks, type Task, toldOf } from '../support/consent-requests.ts';
import { HOSPITAL, observation, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const HOUR = 3_600_000;
const MINUTE = 60_000;

let server: RealServer;
let insurer: Session;
let hospital: Session;
let custodian: Key;
let counter = 0;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, 'Organization/other']) await put(server, organization(reference));
  insurer = (await register(server, { actor: INSURER })).session;
  hospital = (await register(server, { actor: HOSPITAL })).session;
  custodian = await enrolKey(server.admin, HOSPITAL);
});
afterAll(() => server?.stop());

type Person = { readonly id: string; readonly reference: string; readonly key: Key; readonly session: Session };

async function person(): Promise<Person> {
  const id = `p${++counter}`;
  const reference = `Patient/${id}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, reference));
  const { session } = await register(server, { actor: reference, purposes: ['PATRQT'] });
  return { id, reference, key: await enrolKey(server.admin, reference), session };
}

const deadline = (ms = HOUR): string => new Date(server.now() + ms).toISOString();

function request(reference: string, { by = insurer, terms = {}, until = deadline() }: { by?: Session; terms?: Json; until?: string } = {}) {
  return askFor(by, { ...termsOf(server, { patient: reference, grantee: INSURER }), ...terms }, until);
}

const tasksOf = requestTasks;

/** A request, and the part of it that the custodian sees. */
async function asked(of: Person, until?: string): Promise<Asked> {
  const answer = await request(of.reference, until === undefined ? {} : { until });
  expect(answer.status).toBe(202);
  return toldOf(answer.json as Task, hospital);
}

function approve({ consent }: Pick<Asked, 'consent'>, statement: string, keys: readonly Key[]): Promise<Answer> {
  return sendApproval(server.admin, { consent, statement }, keys);
}

function refuse(made: Pick<Asked, 'consent' | 'digest'>, key: Key, more: Json = {}): Promise<Answer> {
  return sendRefusal(server.admin, made, { key, now: server.now(), more });
}

const reads = async ({ id }: Person): Promise<number> => (await insurer.call('GET', `Observation/o-${id}`)).status;
const partiesOf = async ({ consent }: Asked, { session }: Person): Promise<string[]> =>
  (await tasksOf(session)).flatMap(({ focus, status }) => (focus.reference === consent ? [status] : [])).sort();
const statusOf = async ({ own }: Asked): Promise<Task> => (await insurer.call('GET', `Task/${own.id}`)).json as Task;

describe('a request', () => {
  it.each([
    ['the patient first', (of: Person) => [of.key, custodian]],
    ['the custodian first', (of: Person) => [custodian, of.key]],
  ])('comes into force once both have signed the same, %s', async (_, order) => {
    const of = await person();
    const made = await asked(of);
    const [first, second] = order(of) as [Key, Key];
    expect((await approve(made, made.statement, [first])).status).toBe(202);
    expect([await reads(of), (await statusOf(made)).status]).toEqual([404, 'requested']);
    expect((await approve(made, made.statement, [first])).status).toBe(202);
    expect((await approve(made, made.statement, [second])).status).toBe(201);
    expect(await reads(of)).toBe(200);
    const task = await statusOf(made);
    expect(task).toMatchObject({ status: 'completed', output: [{ valueReference: { reference: made.consent } }] });
    for (const session of [of.session, hospital])
      expect((await tasksOf(session)).filter(({ focus }) => focus.reference === made.consent).map(({ status }) => status)).toContain('completed');
    expect((await approve(made, made.statement, [second])).status).toBe(200);
    // A withdrawal ends it as any other; the request stays what it was, and says so.
    expect((await withdraw(server.admin, { ...made, key: of.key, now: server.now() })).status).toBe(200);
    const ended = await statusOf(made);
    expect([await reads(of), ended.status, ended['businessStatus']]).toEqual([404, 'completed', { text: 'The Consent is not in force any more.' }]);
    expect((await approve(made, made.statement, [of.key, custodian])).status).toBe(422);
  });

  it('is answered by $sign as well', async () => {
    const of = await person();
    const made = await asked(of);
    expect((await submit(server.admin, made.statement, [of.key, custodian])).status).toBe(201);
    expect([await reads(of), (await statusOf(made)).status]).toEqual([200, 'completed']);
  });

  it('is granted also where an earlier server took it, without a place of its own', async () => {
    const of = await person();
    const made = await asked(of);
    const record = made.consent.slice('Consent/'.length);
    expect(
      await server.hand.editRecords('consent-request', record, (text) => JSON.stringify({ ...(JSON.parse(text) as Json), places: undefined })),
    ).toBe(1);
    expect((await approve(made, made.statement, [of.key, custodian])).status).toBe(201);
    expect([await reads(of), (await statusOf(made)).status]).toEqual([200, 'completed']);
  });

  it('is answered and kept the same whether or not there is such a patient', async () => {
    const of = await person();
    const [there, not] = [await request(of.reference), await request('Patient/nobody-at-all')];
    const shape = ({ status, text }: Answer, id: string) => [
      status,
      text
        .replaceAll(id, 'WHO')
        .replace(/"(?:id|versionId|lastUpdated|authoredOn|end)":"[^"]*"/g, '')
        .replace(/Consent\/[\w-]+/g, ''),
    ];
    expect(shape(not, 'nobody-at-all')).toEqual(shape(there, of.id));
    expect((await tasksOf(insurer, 'consent')).map(({ status }) => status)).toContain('requested');
  });

  it('shows each party its own part, and nobody else any', async () => {
    const of = await person();
    const stranger = await person();
    const made = await asked(of);
    const about = (tasks: readonly Task[]) => tasks.filter(({ focus }) => focus.reference === made.consent).length;
    const other = (await register(server, { actor: 'Organization/other' })).session;
    const another = (await register(server, { actor: INSURER })).session;
    expect(about(await tasksOf(hospital))).toBe(1);
    expect(about(await tasksOf(of.session))).toBe(2);
    for (const session of [insurer, other, another, stranger.session]) expect(about(await tasksOf(session))).toBe(0);
    expect([await statusOf(made), (await another.call('GET', `Task/${made.own.id}`)).status]).toMatchObject([{ id: made.own.id }, 404]);
    expect((await insurer.call('GET', made.consent)).status).toBe(404);
    for (const session of [insurer, hospital, of.session, server.admin])
      expect((await session.call('PUT', `Task/${made.own.id}`, { ...made.own, status: 'completed' })).status).toBeGreaterThanOrEqual(400);
    expect((await statusOf(made)).status).toBe('requested');
  });
});

describe('a request that is not granted', () => {
  it.each([
    ['the patient', (of: Person) => of.key],
    ['the custodian', () => custodian],
  ])('is over by the refusal of %s, and tells nothing more', async (_, who) => {
    const of = await person();
    const made = await asked(of);
    expect((await approve(made, made.statement, [who(of) === custodian ? of.key : custodian])).status).toBe(202);
    const refused = await refuse(made, who(of));
    expect([refused.status, refused.json['status']]).toEqual([200, 'rejected']);
    expect((await refuse(made, who(of))).status).toBe(200);
    expect(await statusOf(made)).toEqual(made.own);
    expect(await partiesOf(made, of)).toEqual(['cancelled', 'rejected']);
    expect((await approve(made, made.statement, [of.key, custodian])).status).toBe(422);
    expect((await submit(server.admin, made.statement, [of.key, custodian])).status).toBe(422);
    expect(await reads(of)).toBe(404);
  });

  it('is over at its deadline, in the same words as a refusal', async () => {
    const of = await person();
    const [late, refusedOne] = [await asked(of, deadline(2 * MINUTE)), await asked(of, deadline(3 * MINUTE))];
    expect((await approve(late, late.statement, [of.key])).status).toBe(202);
    await refuse(refusedOne, of.key);
    server.advance(2 * MINUTE + 1_000);
    expect((await approve(late, late.statement, [custodian])).status).toBe(422);
    expect((await refuse(late, custodian)).status).toBe(422);
    await server.restart();
    await expect.poll(async () => (await server.admin.call('GET', `Task/${late.own.id}`)).json['status']).toBe('rejected');
    // Whoever was refused waits as long as whoever was not answered.
    expect(await statusOf(refusedOne)).toEqual(refusedOne.own);
    server.advance(MINUTE);
    await server.restart();
    await expect.poll(async () => (await server.admin.call('GET', `Task/${refusedOne.own.id}`)).json['status']).toBe('rejected');
    const words = async ({ own }: Asked) => {
      const { status, statusReason, output } = (await server.admin.call('GET', `Task/${own.id}`)).json as Json;
      return { status, statusReason, output };
    };
    expect(await words(late)).toEqual(await words(refusedOne));
    expect((await server.admin.call('GET', late.consent)).json['status']).toBe('rejected');
  });

  it('does not come into force by a foreign key, another statement, a revoked key, or one party alone', async () => {
    const of = await person();
    const [stranger, other] = [await person(), await person()];
    const [made, another] = [await asked(of), await asked(other)];
    const foreign = { ...stranger.key, owner: of.reference };
    for (const keys of [[stranger.key], [foreign], [of.key, stranger.key], [of.key, of.key], []])
      expect((await approve(made, made.statement, keys)).status).toBe(422);
    expect((await approve(made, another.statement, [of.key, custodian])).status).toBe(422);
    expect((await approve(made, `${made.statement} `, [of.key, custodian])).status).toBe(422);
    for (const bad of [
      refuse(made, stranger.key),
      refuse(another, of.key),
      refuse(made, of.key, { digest: another.digest }),
      refuse(made, of.key, { created: new Date(server.now() - HOUR).toISOString() }),
      refuse(made, of.key, { type: 'urn:assent:withdrawal:1' }),
      refuse({ ...made, consent: 'Consent/absent' }, of.key),
    ])
      expect((await bad).status).toBe(422);
    expect((await approve({ consent: 'Consent/absent' }, made.statement, [of.key])).status).toBe(422);
    expect((await server.admin.call('POST', `/admin/keys/${of.key.kid}/revoke`, { reason: 'lost' })).status).toBe(200);
    expect((await approve(made, made.statement, [of.key, custodian])).status).toBe(422);
    expect([await reads(of), (await statusOf(made)).status]).toEqual([404, 'requested']);
  });

  it('is decided once when both answers come at the same time', async () => {
    const of = await person();
    const made = await asked(of);
    expect((await approve(made, made.statement, [custodian])).status).toBe(202);
    const [approved, refused] = await Promise.all([approve(made, made.statement, [of.key]), refuse(made, of.key)]);
    expect([approved.status, refused.status].filter((status) => status < 300)).toHaveLength(1);
    const won = approved.status < 300;
    expect([await reads(of), (await statusOf(made)).status]).toEqual(won ? [200, 'completed'] : [404, 'requested']);
    expect((await server.admin.call('GET', made.consent)).json['status']).toBe(won ? 'active' : 'rejected');
  });
});

describe('what cannot be asked for', () => {
  it('is for somebody else, for another purpose, without a custodian, or without a term', async () => {
    const of = await person();
    const prepared = await server.hand.editRecords('prepared-consent', '', (text) => text);
    const terms = termsOf(server, { patient: of.reference, grantee: 'Organization/other' });
    expect((await request(of.reference, { terms })).status).toBe(422);
    const { provision } = termsOf(server, { patient: of.reference, grantee: INSURER }) as { provision: Json };
    const research = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HRESCH' }];
    for (const wrong of [
      { provision: { ...provision, purpose: research } },
      { provision: { ...provision, purpose: undefined } },
      { organization: undefined },
      // Nobody could ever sign for it.
      { organization: [{ reference: HOSPITAL }, { reference: 'Organization/other' }] },
      { organization: [{ reference: 'Organization/absent' }] },
    ])
      expect((await request(of.reference, { terms: wrong })).status).toBe(422);
    for (const until of [deadline(-HOUR), deadline(MINUTE / 2), deadline(31 * 24 * HOUR)])
      expect((await request(of.reference, { until })).status).toBe(422);
    expect((await request(of.reference, { until: 'tomorrow' })).status).toBe(400);
    expect(await server.hand.editRecords('prepared-consent', '', (text) => text)).toBe(prepared);
  });

  it('is more than a few things of one patient at a time, however many ask at once', async () => {
    const of = await person();
    const statuses = (await Promise.all(Array.from({ length: 12 }, () => request(of.reference)))).map(({ status }) => status);
    expect(Object.groupBy(statuses, String)).toEqual({ 202: Array.from({ length: 5 }, () => 202), 429: Array.from({ length: 7 }, () => 429) });
    const told = (await tasksOf(hospital)).filter(({ for: whose }) => (whose as Json)['reference'] === of.reference);
    const [granted, refused] = await Promise.all(told.map((task) => toldOf(task, hospital)));
    // Told at once, and so is that there may be another.
    expect((await approve(granted as Asked, (granted as Asked).statement, [of.key, custodian])).status).toBe(201);
    expect([(await request(of.reference)).status, (await request(of.reference)).status]).toEqual([202, 429]);
    // Not told before the deadline, nor in this way.
    expect((await refuse(refused as Asked, of.key)).status).toBe(200);
    expect((await request(of.reference)).status).toBe(429);
  });
});

test('what is over stays so: only who asked is told at the deadline, and that what was granted has ended', () => {
  const happenings = ['signed', 'complete', 'refused', 'deadline', 'ended'] as const;
  const after = (state: RequestState) => happenings.map((happening) => afterwards(state, happening));
  expect(after('requested')).toEqual(['requested', 'approved', 'refused', 'expired', 'refused']);
  expect(after('refused')).toEqual([undefined, undefined, undefined, 'closed', undefined]);
  expect(after('approved')).toEqual([undefined, undefined, undefined, undefined, 'ended']);
  for (const state of ['expired', 'closed', 'ended'] as const) expect(after(state)).toEqual(happenings.map(() => undefined));
});
