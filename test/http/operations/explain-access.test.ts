/**
 * Who may see a record and why, told to its patient and to administrators over the real server: the decision told is the one a read gets, the reason
 * names the provision, and nobody learns what is not theirs to know.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enrolKey, type Json, type Key, type Session } from '../../../server/commands/demo/session.ts';
import { by, except, labelled, ofClass, purpose } from '../../support/consents.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../../support/real-server.ts';

const [CLINIC, BRANCH, INSURER, LAB] = ['Organization/clinic', 'Organization/branch', 'Organization/insurer', 'Organization/lab'];
const [ANN, BEA] = ['Patient/ann', 'Patient/bea'];
const hiv = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] } };

let server: RealServer;
const sessions = new Map<string, Session>();
const keys = new Map<string, Key>();
let anns: InForce;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, CLINIC, INSURER, LAB]) await put(server, organization(reference));
  await put(server, { ...organization(BRANCH), partOf: { reference: CLINIC } });
  for (const reference of [ANN, BEA]) await put(server, patient(reference.slice('Patient/'.length)));
  await put(server, observation('plain', ANN));
  await put(server, observation('hiv', ANN, hiv));
  await put(server, observation('bea', BEA));
  await put(server, {
    resourceType: 'Appointment',
    id: 'both',
    status: 'proposed',
    participant: [ANN, BEA].map((reference) => ({ actor: { reference }, status: 'accepted' })),
  });
  await put(server, { resourceType: 'Composition', id: 'note', ...note('Observation/plain') });
  await put(server, { resourceType: 'Composition', id: 'secret', ...note('Observation/hiv') });
  for (const owner of [ANN, BEA, HOSPITAL]) keys.set(owner, await enrolKey(server.admin, owner));
  // Anyone may read for treatment but the insurer, and nobody what is labelled HIV but the clinic.
  const hidden = { ...labelled('HIV'), ...except(by(CLINIC)) };
  anns = await agreed(ANN, { actor: undefined, ...except(hidden, by(INSURER)) }, ['TREAT']);
  await agreed(BEA, { actor: undefined, ...ofClass('Observation') }, ['TREAT']);
  await agreed(BEA, { ...by(ANN), ...ofClass('Appointment') }, ['TREAT']);
  for (const actor of [CLINIC, BRANCH, INSURER, LAB, ANN, BEA]) await session(actor, 'TREAT');
  await session(CLINIC, 'HPAYMT');
});
afterAll(() => server?.stop());

function note(section: string): Json {
  const stated = { status: 'final', type: { text: 'Note' }, date: '2024-05-01', author: [{ display: 'a doctor' }], title: 'Note' };
  const label = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'N' }] } };
  return { ...stated, ...label, subject: { reference: ANN }, section: [{ title: 'Results', entry: [{ reference: section }] }] };
}

async function agreed(of: string, provision: Json, purposes: readonly string[]): Promise<InForce> {
  const terms = termsOf(server, { patient: of, grantee: LAB, purposes, provision });
  return agree(server, terms, [keys.get(of) as Key, keys.get(HOSPITAL) as Key]);
}

async function session(actor: string, code: string): Promise<Session> {
  const name = `${actor} ${code}`;
  const known = sessions.get(name) ?? (await register(server, { actor, purposes: [code], scope: 'system/*.rs' })).session;
  sessions.set(name, known);
  return known;
}

type Told = { decision: string; because: string; text: string; clauses: Json[]; silent: Json[]; policy: string; patient: Json; groundText: string };

const valueOf = (part: Json): unknown => Object.entries(part).find(([name]) => name.startsWith('value'))?.[1];
// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked at, not trusted
const flat = (parts: readonly any[]): any => Object.fromEntries(parts.map((part) => [part.name, part.part ? flat(part.part) : valueOf(part)]));

async function ask(asker: Session, resource: string, about: Readonly<Record<string, string>>): Promise<Told> {
  const { status, json, text } = await asker.call('GET', `${resource}/$explain-access?${new URLSearchParams(about).toString()}`);
  expect(`${status} ${text}`).toMatch(/^200 /);
  const [access, more] = (json['parameter'] as Json[]).filter(({ name }) => name === 'access');
  expect(more).toBeUndefined();
  const parts = access?.['part'] as Json[];
  const ground = parts.find(({ name }) => name === 'ground')?.['part'] as Json[];
  const all = (name: string) => ground.filter((part) => part['name'] === name).map((part) => flat(part['part'] as Json[]) as Json);
  const { decision, text: sentence } = flat(parts) as Json;
  const { because, text: groundText, policy, patient: of } = flat(ground) as Json;
  return { decision, text: sentence, because, groundText, policy, patient: of, clauses: all('clause'), silent: all('silent') } as Told;
}

const annsOwn = (resource: string, actor: string, code = 'TREAT') =>
  session(ANN, 'TREAT').then((ann) => ask(ann, resource, { actor, purpose: code }));

describe('the patient', () => {
  test('is told which provision of which Consent permits', async () => {
    const told = await annsOwn('Observation/plain', LAB);
    expect(told).toMatchObject({ decision: 'permit', because: 'consent-permits', silent: [], policy: undefined });
    expect(told.clauses).toEqual([
      expect.objectContaining({ provision: 'Consent.provision', type: 'permit', text: expect.stringContaining('I allow the reading of my record') }),
    ]);
    expect(JSON.stringify(told.clauses)).toContain(`${anns.consent}/_history/`);
    expect(told.text).toBe(`${LAB} may see this record for treatment.`);
  });

  test('and which denies: the deepest that matches', async () => {
    const told = await annsOwn('Observation/hiv', LAB);
    expect(told).toMatchObject({ decision: 'deny', because: 'consent-denies' });
    expect(told.clauses).toEqual([
      expect.objectContaining({ provision: 'Consent.provision.provision[0]', type: 'deny', text: expect.stringMatching(/^1\. But: I forbid .*HIV/) }),
    ]);
    const exception = await annsOwn('Observation/hiv', CLINIC);
    expect(exception).toMatchObject({ decision: 'permit', because: 'consent-permits' });
    expect(exception.clauses).toEqual([expect.objectContaining({ provision: 'Consent.provision.provision[0].provision[0]', type: 'permit' })]);
  });

  test('what a part of an organization may see follows from the whole', async () =>
    expect(await annsOwn('Observation/hiv', BRANCH)).toMatchObject({ decision: 'permit', because: 'consent-permits' }));

  test('a Consent that says nothing is named with what does not match', async () => {
    const told = await annsOwn('Observation/plain', CLINIC, 'HPAYMT');
    expect(told).toMatchObject({ decision: 'deny', because: 'implicit', policy: 'deny', clauses: [] });
    expect(told.silent).toEqual([expect.objectContaining({ because: 'purpose', text: 'It is about other purposes.' })]);
  });

  test('a document is decided with what its sections speak of', async () => {
    expect(await annsOwn('Composition/note', LAB)).toMatchObject({ decision: 'permit', because: 'consent-permits' });
    const told = await annsOwn('Composition/secret', LAB);
    expect(told).toMatchObject({ decision: 'deny', because: 'consent-denies' });
    expect(told.clauses).toEqual([expect.objectContaining({ provision: 'Consent.provision.provision[0]' })]);
  });

  test('of themselves: always', async () =>
    expect(await annsOwn('Observation/hiv', ANN)).toMatchObject({ decision: 'permit', because: 'built-in', policy: 'own-record' }));

  test('in Chinese where that is asked for', async () => {
    const ann = await session(ANN, 'TREAT');
    const told = await ask(ann, 'Observation/hiv', { actor: LAB, purpose: 'TREAT', language: 'zh-CN' });
    expect([told.text, told.groundText]).toEqual([`${LAB}不可以为治疗查阅这条记录。`, '一份知情同意禁止查阅；禁止优先于一切允许。']);
  });

  test('without an actor: everyone the Consents name, and anyone else', async () => {
    const ann = await session(ANN, 'TREAT');
    const { json } = await ann.call('GET', 'Observation/plain/$explain-access');
    const rows = (json['parameter'] as Json[]).filter(({ name }) => name === 'access').map(({ part }) => flat(part as Json[]));
    const byActor = Object.fromEntries(rows.map(({ actor, decision }) => [actor?.reference ?? 'anyone', decision]));
    expect(byActor).toEqual({ [HOSPITAL]: 'permit', [CLINIC]: 'permit', [INSURER]: 'deny', anyone: 'permit' });
  });

  test('a record that names another as well: their own refusal only, never the other’s', async () => {
    expect(await annsOwn('Appointment/both', INSURER)).toMatchObject({ decision: 'deny', because: 'consent-denies', patient: { reference: ANN } });
    const told = await annsOwn('Appointment/both', LAB);
    expect(told).toMatchObject({ decision: 'depends', because: 'consent-permits', patient: { reference: ANN } });
    expect(told.text).toContain('names other patients');
    const bea = await ask(await session(BEA, 'TREAT'), 'Appointment/both', { actor: LAB, purpose: 'TREAT' });
    expect(bea).toMatchObject({ decision: 'deny', because: 'not-reached', patient: { reference: BEA } });
    expect(bea.clauses).toEqual([expect.objectContaining({ provision: 'Consent.provision', text: expect.stringContaining('Observation') })]);
  });

  test('the asking is in the trail, and its receipt with it', async () => {
    const ann = await session(ANN, 'TREAT');
    const { headers } = await ann.call('GET', `Observation/plain/$explain-access?actor=${LAB}`);
    const event = /AuditEvent\/[^/]+/.exec(headers.get('assent-receipt') ?? '')?.[0] ?? '';
    const { json } = await ann.call('GET', event);
    expect(JSON.stringify(json)).toMatch(/Observation\/plain\/_history/);
  });
});

describe('what is told is what a read gets', () => {
  const actors = [CLINIC, BRANCH, INSURER, LAB];
  const records = ['Observation/plain', 'Observation/hiv', 'Composition/note', 'Composition/secret', ANN];
  test.each(actors.flatMap((actor) => records.map((record) => [actor, record] as const)))('%s of %s', async (actor, record) => {
    const { status } = await (await session(actor, 'TREAT')).call('GET', record);
    expect((await annsOwn(record, actor)).decision).toBe(status === 200 ? 'permit' : 'deny');
  });
});

describe('an administrator', () => {
  const about = { actor: LAB, purpose: 'TREAT' };
  test('is told what would be so whatever the record holds', async () => {
    expect(await ask(server.admin, 'Observation/plain', { ...about, actor: INSURER })).toMatchObject({ decision: 'deny', because: 'consent-denies' });
    expect(await ask(server.admin, 'Observation/plain', { ...about, purpose: 'HMARKT' })).toMatchObject({ decision: 'deny', because: 'implicit' });
    expect(await ask(server.admin, 'Observation/plain', { ...about, actor: CLINIC })).toMatchObject({ patient: { reference: ANN } });
  });

  test('and where it depends on that, the same of every record', async () => {
    const [plain, secret] = [await ask(server.admin, 'Observation/plain', about), await ask(server.admin, 'Observation/hiv', about)];
    expect(plain).toMatchObject({ decision: 'depends', because: 'content' });
    expect(secret).toEqual(plain);
    expect(plain.clauses.map(({ provision }) => provision)).toEqual(['Consent.provision', 'Consent.provision.provision[0]']);
  });
});

describe('whoever is not told', () => {
  const query = `$explain-access?actor=${LAB}&purpose=TREAT`;
  test.each([CLINIC, INSURER])('%s is refused, whether the record is there or not', async (actor) => {
    const asker = await session(actor, 'TREAT');
    const [there, absent] = [await asker.call('GET', `Observation/plain/${query}`), await asker.call('GET', `Observation/absent/${query}`)];
    expect(normalised(there, 'plain')).toEqual(normalised(absent, 'absent'));
    expect(there.status).toBe(403);
  });

  test('a patient of another’s record: as of one that is not there', async () => {
    const ann = await session(ANN, 'TREAT');
    const answers = await Promise.all(['bea', 'absent'].map(async (id) => normalised(await ann.call('GET', `Observation/${id}/${query}`), id)));
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.status).toBe(404);
    // She may see the directory, which is nobody's record.
    expect((await ann.call('GET', `Organization/lab/${query}`)).status).toBe(404);
  });

  test('nobody is told of another person, nor of what is no actor or no purpose', async () => {
    for (const asker of [await session(ANN, 'TREAT'), server.admin])
      for (const wrong of ['actor=Patient/bea', 'actor=RelatedPerson/r', 'actor=Observation/plain', 'actor=lab', 'purpose=NONE', 'who=me'])
        expect((await asker.call('GET', `Observation/plain/$explain-access?${wrong}`)).status).toBe(400);
  });
});

test('purposes of a Consent are asked about as well', async () => {
  const ann = await session(ANN, 'TREAT');
  const terms = { type: 'deny', actor: undefined, ...purpose('HRESCH') };
  const later = await agreed(ANN, terms, ['HRESCH']);
  expect(await annsOwn('Observation/plain', LAB, 'HRESCH')).toMatchObject({ decision: 'deny', because: 'consent-denies' });
  const { json } = await ann.call('GET', `Observation/plain/$explain-access?actor=${LAB}`);
  const rows = (json['parameter'] as Json[]).filter(({ name }) => name === 'access').map(({ part }) => flat(part as Json[]));
  expect(rows.map((row) => [row.purpose.code, row.decision])).toEqual([
    ['TREAT', 'permit'],
    ['HRESCH', 'deny'],
  ]);
  expect(later.consent).not.toBe(anns.consent);
});
