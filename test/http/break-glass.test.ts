/** Breaking the glass over HTTP: who may, what it takes, what it leaves behind, what it opens; and what else can be tried. consent.md §7 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Answer, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  type Registered,
  settled,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const DOCTOR = 'Practitioner/er';
const MINUTE = 60_000;
const REASON = 'unconscious after an accident';
const confidential = (code: string) => ({ meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code }] } });
const sensitive = (code: string) => ({ meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code }] } });

let server: RealServer;
let doctor: Registered;
let nurse: Session;
let custodian: Key;
let counter = 0;

beforeAll(async () => {
  const named = `${DOCTOR}, Practitioner/other`;
  server = await startRealServer({ ASSENT_BREAK_GLASS_ACTORS: named, ASSENT_BREAK_GLASS_MINUTES: '5', ASSENT_BREAK_GLASS_EXCEPT: 'V' });
  for (const reference of [HOSPITAL, 'Organization/insurer']) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  doctor = await register(server, { actor: DOCTOR, purposes: ['ETREAT', 'BTG'] });
  nurse = (await register(server, { actor: 'Practitioner/nurse', purposes: ['ETREAT', 'BTG'] })).session;
});
afterAll(() => server.stop());

/** A patient with a record, and with the ids of what is in it. */
async function person(): Promise<string> {
  const id = `p${++counter}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  return id;
}

const parameters = (reason?: unknown) => ({
  resourceType: 'Parameters',
  parameter: reason === undefined ? [] : [{ name: 'reason', valueString: reason }],
});
const breakFor = (id: string, session: Session, reason: unknown = REASON) => session.call('POST', `Patient/${id}/$break-glass`, parameters(reason));
const valueIn = ({ json }: Answer, name: string) =>
  (json['parameter'] as Json[]).flatMap((each) => (each['name'] === name ? [String(each['valueString'] ?? each['valueInstant'])] : []))[0] ?? '';

/** Calls with a token that was answered. */
const reader = (answer: Answer) => {
  const authorization = `Bearer ${valueIn(answer, 'token')}`;
  return async (path: string, method = 'GET', body?: unknown) => {
    const headers = { authorization, 'content-type': 'application/fhir+json' };
    const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text.startsWith('{') ? (JSON.parse(text) as Json) : {} };
  };
};
const resources = ({ json }: Pick<Answer, 'json'>) => ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => resource);
const tasks = async (id: string, session = server.admin) => resources(await session.call('GET', `Task?patient=Patient/${id}&_count=50`));

describe('whoever is named, with a reason', () => {
  it('reads this patient for some minutes; the patient is told who, why and until when', async () => {
    const [id, other] = [await person(), await person()];
    expect((await doctor.session.call('GET', `Observation/o-${id}`)).status).toBe(404);
    const answer = await breakFor(id, doctor.session);
    expect([answer.status, Date.parse(valueIn(answer, 'expires')) - server.now()]).toEqual([200, expect.closeTo(5 * MINUTE, -4)]);
    const read = reader(answer);
    expect([(await read(`Observation/o-${id}`)).status, (await read(`Patient/${id}/$everything`)).status]).toEqual([200, 200]);
    // Of the other patient there is nothing, by whatever way.
    for (const path of [`Observation/o-${other}`, `Patient/${other}`, `Patient/${other}/$everything`]) expect((await read(path)).status).toBe(404);
    expect((await read('Observation?_total=accurate')).json['total']).toBe(1);
    expect((await read(`Observation?subject=Patient/${other}`)).json['total']).toBe(0);
    // The doctor's own token sees no more than before.
    expect((await doctor.session.call('GET', `Observation/o-${id}`)).status).toBe(404);
    const { session: owner } = await register(server, { actor: `Patient/${id}` });
    const [notice] = await tasks(id, owner);
    expect(String(notice?.['description'])).toContain(DOCTOR);
    expect(String(notice?.['description'])).toContain(REASON);
    const events = resources(await owner.call('GET', `AuditEvent?patient=Patient/${id}&_count=50`));
    expect(events.filter((event) => JSON.stringify(event['purposeOfEvent']).includes('BTG')).length).toBeGreaterThan(2);
    expect(events.some((event) => JSON.stringify(event['purposeOfEvent']).includes(REASON))).toBe(true);
  });

  it('leaves an entry in the log that a receipt proves', async () => {
    const id = await person();
    await breakFor(id, doctor.session);
    const row = JSON.parse((await server.hand.newestRow('"break-glass"')).entry) as { subject: string; reference: string };
    expect(row.subject).toBe(`Patient/${id}`);
    const receipt = await settled(server.admin, `${row.reference}/$receipt`);
    const verdict = verifyReceipt(receipt.text);
    expect([receipt.status, verdict.kind, JSON.stringify(verdict).includes('broke the glass')]).toEqual([200, 'proven', true]);
  });

  it('stands in the patient’s statement of what was recorded, which is proven offline', async () => {
    const id = await person();
    await breakFor(id, doctor.session);
    const { reference } = JSON.parse((await server.hand.newestRow('"break-glass"')).entry) as { reference: string };
    await settled(server.admin, `${reference}/$receipt`);
    const answer = await server.admin.call('GET', `Patient/${id}/$disclosures`);
    const verdict = verifyReceipt(answer.text);
    expect(verdict).toMatchObject({ kind: 'proven' });
    expect(JSON.stringify(verdict)).toContain('1 broken glass');
  });

  it('for nobody who exists is answered as for anybody, and so is a hidden record', async () => {
    const answers = [await breakFor(await person(), doctor.session), await breakFor('nobody-there', doctor.session)];
    const [known, unknown] = answers
      .map((answer) => ({ ...answer, text: answer.text.replaceAll(/"value\w+":"[^"]+"/g, '') }))
      .map((answer) => normalised(answer));
    expect(known).toEqual(unknown);
    expect((await reader(answers[1] as Answer)('Patient/nobody-there')).status).toBe(404);
  });

  it('does not see what a Consent denies them for this purpose, nor what law excludes', async () => {
    const id = await person();
    await put(server, observation(`hiv-${id}`, `Patient/${id}`, sensitive('HIV')));
    await put(server, observation(`v-${id}`, `Patient/${id}`, confidential('V')));
    const key = await enrolKey(server.admin, `Patient/${id}`);
    const HIV = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }];
    const terms = termsOf(server, { patient: `Patient/${id}`, grantee: DOCTOR, purposes: ['BTG'], provision: { type: 'deny', securityLabel: HIV } });
    const read = reader(await breakFor(id, doctor.session));
    const seen = async () => [
      (await read(`Observation/o-${id}`)).status,
      (await read(`Observation/hiv-${id}`)).status,
      (await read(`Observation/v-${id}`)).status,
      (await read('Observation?_summary=count')).json['total'],
    ];
    expect(await seen()).toEqual([200, 200, 404, 2]);
    // Signed while the glass is broken: from the very next read on.
    await agree(server, terms, [key, custodian]);
    expect(await seen()).toEqual([200, 404, 404, 1]);
    await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: DOCTOR, purposes: ['TREAT'], provision: { type: 'deny' } }), [
      key,
      custodian,
    ]);
    expect(await seen()).toEqual([404, 404, 404, 0]);
  });
});

describe('$explain-access', () => {
  type Part = { readonly name: string; readonly part?: readonly Part[]; readonly valueString?: string; readonly valueCode?: string };
  const told = async (session: Session, resource: string, more = '') => {
    const { status, json } = await session.call('GET', `${resource}/$explain-access?actor=${DOCTOR}&purpose=BTG${more}`);
    expect(status).toBe(200);
    const rows = (json['parameter'] as readonly Part[]).filter(({ name }) => name === 'access').map(({ part = [] }) => part);
    // The purpose alone opens nothing; having broken the glass is the other one.
    return rows.map((part) => {
      const ground = part.find(({ name }) => name === 'ground')?.part ?? [];
      const of = (parts: readonly Part[], name: string) =>
        parts.flatMap((each) => (each.name === name ? [each.valueCode ?? each.valueString] : []))[0];
      return [of(part, 'decision'), of(ground, 'because'), of(ground, 'policy'), of(ground, 'text')];
    });
  };

  it('tells the patient who may break the glass, and what stays closed even then, as it is when it is broken', async () => {
    const id = await person();
    await put(server, observation(`v-${id}`, `Patient/${id}`, confidential('V')));
    await put(server, observation(`hiv-${id}`, `Patient/${id}`, sensitive('HIV')));
    const key = await enrolKey(server.admin, `Patient/${id}`);
    const { session: owner } = await register(server, { actor: `Patient/${id}`, purposes: ['PATRQT'] });
    const HIV = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }];
    const terms = termsOf(server, { patient: `Patient/${id}`, grantee: DOCTOR, purposes: ['BTG'], provision: { type: 'deny', securityLabel: HIV } });
    await agree(server, terms, [key, custodian]);
    const [, opened] = await told(owner, `Observation/o-${id}`);
    expect(opened).toEqual(['permit', 'built-in', 'break-glass', expect.stringContaining('In an emergency')]);
    expect((await told(owner, `Observation/hiv-${id}`))[1]?.slice(0, 2)).toEqual(['deny', 'consent-denies']);
    expect((await told(owner, `Observation/v-${id}`))[1]).toEqual(['deny', 'beyond-glass', undefined, expect.stringContaining('Not even')]);
    expect((await told(owner, `Observation/o-${id}`, '&language=zh'))[1]?.[3]).toContain('紧急情况');
    const read = reader(await breakFor(id, doctor.session));
    const seen = await Promise.all(['o', 'hiv', 'v'].map(async (name) => (await read(`Observation/${name}-${id}`)).status));
    expect(seen).toEqual([200, 404, 404]);
    const { text } = await owner.call('GET', `Observation/o-${id}/$explain-access`);
    expect([DOCTOR, 'Practitioner/other', 'Practitioner/nurse'].map((each) => text.includes(each))).toEqual([true, true, false]);
  });
});

describe('nobody else, and nothing more', () => {
  it('off the list: 403, the same for every patient, and nothing is left behind', async () => {
    const id = await person();
    for (const session of [nurse, server.admin, (await register(server, { actor: HOSPITAL, purposes: ['BTG'] })).session])
      for (const of of [id, 'nobody-there']) {
        const answer = await breakFor(of, session);
        expect([answer.status, answer.text.includes('token"')]).toEqual([403, false]);
      }
    expect(await tasks(id)).toEqual([]);
    // Asking for the purpose is not breaking the glass.
    expect((await nurse.call('GET', `Observation/o-${id}`)).status).toBe(404);
  });

  it.each<[string, unknown]>([
    ['no reason', undefined],
    ['an empty one', ''],
    ['blanks', '              '],
    ['a word', 'because'],
    ['no text', 7],
    ['a book', 'x'.repeat(501)],
  ])('%s: 400, and nothing is left behind', async (_name, reason) => {
    const id = await person();
    const sent =
      reason === undefined
        ? await doctor.session.call('POST', `Patient/${id}/$break-glass`, parameters())
        : await breakFor(id, doctor.session, reason);
    expect([sent.status, await tasks(id)]).toEqual([400, []]);
  });

  it('a token writes nothing, breaks no other glass, and ends with its time', async () => {
    const [id, other] = [await person(), await person()];
    const read = reader(await breakFor(id, doctor.session));
    expect((await read(`Observation/o-${id}`, 'PUT', observation(`o-${id}`, `Patient/${id}`))).status).toBe(403);
    expect((await read('Observation', 'POST', observation('x', `Patient/${id}`))).status).toBe(403);
    expect((await read(`Patient/${other}/$break-glass`, 'POST', parameters(REASON))).status).toBe(403);
    expect((await read(`Patient/${id}/$break-glass`, 'POST', parameters(REASON))).status).toBe(403);
    server.advance(5 * MINUTE);
    expect((await read(`Observation/o-${id}`)).status).toBe(401);
    server.advance(-5 * MINUTE);
  });

  it('a token edited to another patient, or used after its client is gone, is none', async () => {
    const [id, other] = [await person(), await person()];
    const gone = await register(server, { actor: 'Practitioner/other', purposes: ['ETREAT'] });
    const answer = await breakFor(id, gone.session);
    const [head, body = '', signature] = valueIn(answer, 'token').split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Json;
    expect(claims['break_glass']).toBe(id);
    const forged = Buffer.from(JSON.stringify({ ...claims, break_glass: other })).toString('base64url');
    const forgery = { ...answer, json: { parameter: [{ name: 'token', valueString: [head, forged, signature].join('.') }] } };
    expect((await reader(forgery)(`Observation/o-${other}`)).status).toBe(401);
    expect((await reader(answer)(`Observation/o-${id}`)).status).toBe(200);
    expect((await server.admin.call('DELETE', `/admin/clients/${gone.client.client_id}`)).status).toBe(204);
    expect((await reader(answer)(`Observation/o-${id}`)).status).toBe(401);
  });

  it.each(['log', 'resources'] as const)('where the %s cannot be written, there is no token', async (of) => {
    const id = await person();
    const mend = await server.breakWrites(of);
    const answer = await breakFor(id, doctor.session);
    await mend();
    expect([answer.status >= 500, answer.text.includes('token"'), await tasks(id)]).toEqual([true, false, []]);
  });
});
