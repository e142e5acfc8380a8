/**
 * The custodian's countersigning, over HTTP against the whole server: what waits, what it says, approval and refusal by a key file's signature and by a
 * passkey; and that nobody else can, nor for another custodian.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, jws, type Key, type Session } from '../../server/commands/demo/session.ts';
import { createPasskey } from '../support/authenticator.ts';
import { askFor, approve, type Asked, requestTasks, toldOf, type Task } from '../support/consent-requests.ts';
import { type ConsoleReader, consoleAs, fieldOf } from '../support/console.ts';
import { startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const CLINIC = 'Organization/clinic';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let insurer: Session;
let signer: ConsoleReader;
let clinic: ConsoleReader;
let alice: Key;
let hospital: Key;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  for (const resource of [
    organization(HOSPITAL),
    { ...organization(INSURER), name: 'Fair & Square Insurance' },
    organization(CLINIC),
    patient('alice'),
  ])
    await put(server, resource);
  await put(server, observation('pulse', 'Patient/alice'));
  [alice, hospital] = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await enrolKey(server.admin, CLINIC);
  insurer = (await register(server, { actor: INSURER })).session;
  [signer, clinic] = [await signerOf(HOSPITAL), await signerOf(CLINIC)];
});
afterAll(() => server.stop());

async function signerOf(actor: string): Promise<ConsoleReader> {
  return consoleAs(origin, (await register(server, { actor, purposes: ['HOPERAT'], scope: 'admin/signer' })).client);
}

type Review = { readonly asked: Asked; readonly task: string; readonly text: string };

/** A new request, as the custodian reads it on the page. */
async function requested(subject = 'Patient/alice', ms = 3_600_000): Promise<Review> {
  const terms = termsOf(server, { patient: subject, grantee: INSURER });
  // One client may have a few open at once; a refused one stays open for it.
  const { session } = await register(server, { actor: INSURER });
  const made = await askFor(session, terms, new Date(server.now() + ms).toISOString());
  expect(made.status, made.text).toBe(202);
  const asked = await toldOf(made.json as Task, server.admin);
  const owner = (task: Task) => (task['owner'] as { reference?: string } | undefined)?.reference;
  const tasks = (await requestTasks(server.admin)).filter((task) => task.focus.reference === asked.consent && owner(task) === HOSPITAL);
  const task = tasks[0]?.id ?? '';
  return { asked, task, text: (await signer.send('/console/queue/review', { task })).text };
}

/** The hidden field of the form that goes there. */
const unescaped = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const fieldFor = (page: string, action: string, name: string) =>
  unescaped(fieldOf(page.slice(page.indexOf(`action="/console/queue/${action}"`)), name));
const idOf = ({ asked }: Review) => asked.consent.slice('Consent/'.length);
const pulse = async () => (await insurer.call('GET', 'Observation/pulse')).status;

describe('the queue', () => {
  it('tells the custodian who asks, about whom and until when, and in words what for', async () => {
    const review = await requested();
    const { text } = await signer.get('/console/queue');
    expect(text).toContain('<h3>Fair &amp; Square Insurance</h3>');
    expect(review.text).toContain(`<dt>${INSURER}</dt><dd>Fair &amp; Square Insurance</dd>`);
    expect(text).toContain('Patient/alice');
    expect(text).toContain(`value="${review.task}"`);
    expect(review.text).toContain('<div class="card" lang="en">');
    expect(fieldFor(review.text, 'approve', 'statement')).toBe(review.asked.statement);
  });

  it('is empty for another custodian, who cannot read the request either', async () => {
    const { task } = await requested();
    expect((await clinic.get('/console/queue')).text).toContain('Nothing waits.');
    const [foreign, absent] = [await clinic.send('/console/queue/review', { task }), await clinic.send('/console/queue/review', { task: 'absent' })];
    expect([foreign.status, foreign.text]).toEqual([404, absent.text]);
  });

  it('has its reading recorded where the patient sees it', async () => {
    const events = await eventsOf(server.admin, requested);
    const read = events.map((event) => JSON.stringify(event)).filter((event) => event.includes(HOSPITAL) && event.includes('Patient/alice'));
    expect(read.join()).toContain('Task/');
  });
});

describe('signing', () => {
  it('with the custodian’s key waits for the patient, and with theirs it is in force', async () => {
    const review = await requested();
    const statement = fieldFor(review.text, 'approve', 'statement');
    const done = await signer.send('/console/queue/approve', { consent: idOf(review), jws: jws(hospital, statement, true) });
    expect([done.status, done.text.includes('when the patient signs as well')]).toEqual([200, true]);
    expect((await signer.get('/console/queue')).text).not.toContain(review.task);
    expect(await pulse()).toBe(404);
    expect((await approve(server.admin, review.asked, [alice])).status).toBe(201);
    expect(await pulse()).toBe(200);
  });

  it('with a passkey of the custodian, registered by a code that only an administrator issues', async () => {
    const registrar = (await register(server, { actor: 'Practitioner/registrar', purposes: ['HOPERAT'], scope: 'admin/registrar' })).session;
    const wanted: Json = { owner: HOSPITAL, proofing: 'in person' };
    expect((await registrar.call('POST', '/admin/enrolments', wanted)).status).toBe(403);
    const issued = await server.admin.call('POST', '/admin/enrolments', wanted);
    const code = String(issued.json['code']);
    const passkey = createPasskey({ origin });
    const options = (await signer.send('/console/passkey/options', { code })).json as unknown as Parameters<typeof passkey.registration>[0];
    const enrolled = await signer.send('/console/passkey', { code, answer: JSON.stringify(passkey.registration(options)) });
    expect([enrolled.status, enrolled.json]).toEqual([200, { location: '/console/queue' }]);
    const review = await requested();
    const statement = fieldFor(review.text, 'approve', 'statement');
    const challenge = /data-challenge="([^"]+)"/.exec(review.text)?.[1] ?? '';
    expect(challenge).toBe(createHash('sha256').update(statement).digest('base64url'));
    const signed = { consent: idOf(review), statement, webauthn: JSON.stringify(passkey.assertion({ challenge })) };
    expect((await signer.send('/console/queue/approve', signed)).text).toContain('when the patient signs as well');
    const other = await requested();
    const refusal = fieldFor(other.text, 'refuse', 'statement');
    const said = createHash('sha256').update(refusal).digest('base64url');
    const refused = { consent: idOf(other), statement: refusal, webauthn: JSON.stringify(passkey.assertion({ challenge: said })) };
    expect((await signer.send('/console/queue/refuse', refused)).text).toContain('Refused.');
    expect((await signer.get('/console/queue')).text).not.toContain(other.task);
  });

  it('a refusal by the key ends the request; the patient’s signature comes too late', async () => {
    const review = await requested();
    const refusal = fieldFor(review.text, 'refuse', 'statement');
    const done = await signer.send('/console/queue/refuse', { consent: idOf(review), jws: jws(hospital, refusal, false) });
    expect([done.status, done.text.includes('Refused.')]).toEqual([200, true]);
    expect((await approve(server.admin, review.asked, [alice, hospital])).status).toBe(422);
  });

  it('by a session alone, by another’s key or by an operator is nothing', async () => {
    const review = await requested();
    const consent = idOf(review);
    const statement = fieldFor(review.text, 'approve', 'statement');
    expect((await signer.send('/console/queue/approve', { consent, jws: '' })).status).toBe(422);
    expect((await signer.send('/console/queue/approve', { consent, jws: jws(alice, statement, true) })).status).toBe(422);
    expect((await signer.send('/console/queue/approve', { consent, jws: jws(hospital, `${statement} `, true) })).status).toBe(422);
    const good = { consent, jws: jws(hospital, statement, true) };
    expect((await clinic.send('/console/queue/approve', good)).status).toBe(422);
    for (const scope of ['admin/operator', 'admin/auditor', 'admin/registrar']) {
      const other = await consoleAs(origin, (await register(server, { actor: HOSPITAL, purposes: ['HOPERAT'], scope })).client);
      expect((await other.send('/console/queue/approve', good)).status, scope).toBe(403);
      expect((await other.get('/console/queue')).status, scope).toBe(403);
    }
    const administrator = await consoleAs(origin, server.bootstrap.admin);
    expect((await administrator.send('/console/queue/approve', good)).status).toBe(403);
  });
});

it('what is over is not offered any more', async () => {
  const { task } = await requested('Patient/bob', 65_000);
  expect((await signer.get('/console/queue')).text).toContain(task);
  server.advance(66_000);
  expect((await signer.get('/console/queue')).text).not.toContain(task);
});
