/** A patient gets a passkey by a one-time code and signs in with it, over HTTP against the whole server; and what a thief or forger tries. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/ports.ts';
import type { Json } from '../../server/commands/demo/session.ts';
import { createPatientCookies } from '../../server/web/patient/sessions.ts';
import { createPasskey, type Forged, type SoftPasskey } from '../support/authenticator.ts';
import { enrolPasskey, getPage, issueCode, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, organization, patient, put, type RealServer, startRealServer } from '../support/real-server.ts';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  await put(server, organization(HOSPITAL));
});
afterAll(() => server.stop());

async function person(): Promise<string> {
  const id = `person-${++counter}`;
  await put(server, patient(id));
  return `Patient/${id}`;
}

async function withPasskey(): Promise<{ readonly owner: string; readonly passkey: SoftPasskey }> {
  const owner = await person();
  return { owner, passkey: await enrolPasskey(server, owner) };
}

async function signedIn(passkey: SoftPasskey): Promise<string> {
  const { cookie, status, text } = await signInWith(origin, passkey.assertion(await signInOptions(origin)));
  expect([status, text]).toEqual([200, JSON.stringify({ location: '/patient' })]);
  return cookie;
}

const keysOf = async (owner: string): Promise<Json[]> => (await server.admin.call('GET', `/admin/keys?owner=${owner}`)).json['keys'] as Json[];
const eventsOf = async (owner: string): Promise<string> => (await server.admin.call('GET', `AuditEvent?patient=${owner}&_count=50`)).text;
const options = async (code: string) =>
  (await postForm(origin, '/patient/enrol/options', { code })).json as { challenge: string; user: { id: string } };
const enrol = (code: string, answer: object) => postForm(origin, '/patient/enrol', { code, answer: JSON.stringify(answer) });

describe('a passkey by a one-time code', () => {
  it.each(['P-256', 'Ed25519'] as const)('%s: becomes a key of the patient, in the key log and in the trail, and signs in', async (curve) => {
    const owner = await person();
    const passkey = await enrolPasskey(server, owner, curve);
    const { y: _y, ...jwk } = passkey.jwk;
    const [key, ...more] = await keysOf(owner);
    expect(more).toEqual([]);
    expect(key).toMatchObject({ owner, role: 'patient', proofing: 'in-person', jwk, passkey: { credentialId: passkey.id, rpId: 'localhost' } });
    const trail = await eventsOf(owner);
    for (const act of ['enrolment code issued', `key registered: ${String(key?.['kid'])}`])
      expect(trail).toContain(Buffer.from(act).toString('base64'));
    const page = await getPage(origin, '/patient/passkeys', await signedIn(passkey));
    expect(page.text).toContain(`<code>${owner.slice('Patient/'.length)}</code>`);
  });

  it('is asked for as a discoverable credential with the person verified, and the patient is not named to the device', async () => {
    const owner = await person();
    const code = await issueCode(server.admin, owner);
    const asked = await postForm(origin, '/patient/enrol/options', { code: code.toLowerCase().replaceAll('-', ' ') });
    expect(asked.json).toMatchObject({
      rp: { id: 'localhost' },
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      pubKeyCredParams: [{ alg: -7 }, { alg: -8 }],
    });
    expect(asked.text).not.toContain(owner);
    expect(code).not.toContain(owner);
  });

  it('works once', async () => {
    const owner = await person();
    const code = await issueCode(server.admin, owner);
    const asked = await options(code);
    const [one, other] = [createPasskey({ origin }), createPasskey({ origin })];
    const statuses = await Promise.all([enrol(code, one.registration(asked)), enrol(code, other.registration(asked))]);
    expect(statuses.map(({ status }) => status).filter((status) => status === 200)).toHaveLength(1);
    expect(await keysOf(owner)).toHaveLength(1);
    expect((await postForm(origin, '/patient/enrol/options', { code })).status).toBe(403);
  });

  it('runs out, and is not given to a patient who has a key, nor without scope admin', async () => {
    const owner = await person();
    const code = await issueCode(server.admin, owner);
    server.advance(61 * 60_000);
    const late = await postForm(origin, '/patient/enrol/options', { code });
    const wrong = await postForm(origin, '/patient/enrol/options', { code: 'AAAA-BBBB-CCCC' });
    expect([late.status, late.text]).toEqual([403, wrong.text]);
    server.advance(-61 * 60_000);
    const { owner: holder } = await withPasskey();
    expect((await server.admin.call('POST', '/admin/enrolments', { owner: holder, proofing: 'in-person' })).status).toBe(409);
    const stranger = await fetch(`${origin}/admin/enrolments`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    expect(stranger.status).toBe(401);
  });

  it.each<[string, Forged]>([
    ['of another page', { origin: 'https://evil.example' }],
    ['for another host', { rpId: 'evil.example' }],
    ['without the person verified', { flags: 0x01 }],
    ['to another challenge', { challenge: Buffer.alloc(54, 1).toString('base64url') }],
    ['that is an assertion', { type: 'webauthn.get' }],
    ['without the person there', { flags: 0x04 }],
    ['in a frame of another page', { clientData: { crossOrigin: true, topOrigin: 'https://evil.example' } }],
    ['in a frame that says no more', { clientData: { crossOrigin: true } }],
  ])('refuses a registration %s, and the code stays good', async (_name, forged) => {
    const owner = await person();
    const code = await issueCode(server.admin, owner);
    const asked = await options(code);
    const passkey = createPasskey({ origin });
    expect((await enrol(code, passkey.registration(asked, forged))).status).toBe(403);
    expect(await keysOf(owner)).toEqual([]);
    expect((await enrol(code, passkey.registration(asked))).status).toBe(200);
  });

  it('refuses another algorithm, another patient’s challenge, and a credential that is registered already', async () => {
    const [owner, other] = [await person(), await withPasskey()];
    const code = await issueCode(server.admin, owner);
    const asked = await options(code);
    expect((await enrol(code, createPasskey({ origin, curve: 'P-384' }).registration(asked))).status).toBe(403);
    const foreign = await options(await issueCode(server.admin, await person()));
    expect((await enrol(code, createPasskey({ origin }).registration(foreign))).status).toBe(403);
    expect((await enrol(code, other.passkey.registration(asked))).status).toBe(409);
    expect((await enrol(code, { id: 7 })).status).toBe(403);
    expect(await keysOf(owner)).toEqual([]);
  });

  it('guessing is stopped', async () => {
    for (let guess = 0; guess < 60; guess++) await postForm(origin, '/patient/enrol/options', { code: `guess ${guess}` });
    const stopped = await postForm(origin, '/patient/enrol/options', { code: 'guess' });
    expect([stopped.status, stopped.headers.get('retry-after')]).toEqual([429, '60']);
    server.advance(61_000);
    expect((await postForm(origin, '/patient/enrol/options', { code: 'guess' })).status).toBe(403);
  });
});

describe('signing in', () => {
  it.each<[string, Forged]>([
    ['on another page', { origin: 'https://evil.example' }],
    ['on another port of this host', { origin: 'http://localhost:1' }],
    ['for another host', { rpId: 'evil.example' }],
    ['without the person verified', { flags: 0x01 }],
    ['without the person there', { flags: 0x04 }],
    ['to a challenge of nobody', { challenge: Buffer.alloc(54, 1).toString('base64url') }],
    ['with what was made to register', { type: 'webauthn.create' }],
    ['in a frame of another page', { clientData: { crossOrigin: true, topOrigin: 'https://evil.example' } }],
    ['with another patient’s handle', { userHandle: 'AAAA' }],
    ['with a credential nobody registered', { id: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ])('is refused %s', async (_name, forged) => {
    const { passkey } = await withPasskey();
    const refused = await signInWith(origin, passkey.assertion(await signInOptions(origin), forged));
    expect([refused.status, refused.cookie]).toEqual([403, '']);
    expect(refused.text).toContain('This passkey does not sign in here.');
    await signedIn(passkey);
  });

  it('is refused with another patient’s credential id, a challenge used before, too late, or meant for enrolment', async () => {
    const [one, other] = [await withPasskey(), await withPasskey()];
    const foreign = one.passkey.assertion(await signInOptions(origin), { id: other.passkey.id });
    const answer = one.passkey.assertion(await signInOptions(origin));
    const late = one.passkey.assertion(await signInOptions(origin));
    const enrolling = one.passkey.assertion(await options(await issueCode(server.admin, await person())));
    const statuses = [];
    for (const each of [foreign, answer, answer, enrolling]) statuses.push((await signInWith(origin, each)).status);
    server.advance(6 * 60_000);
    statuses.push((await signInWith(origin, late)).status);
    server.advance(-6 * 60_000);
    expect(statuses).toEqual([403, 200, 403, 403, 403]);
  });

  it('is refused where the count does not grow: the authenticator was copied', async () => {
    const { passkey } = await withPasskey();
    const at = async (count: number) => (await signInWith(origin, passkey.assertion(await signInOptions(origin), { counter: count }))).status;
    expect([await at(7), await at(7), await at(3), await at(0), await at(8)]).toEqual([200, 403, 403, 403, 200]);
  });

  it('goes on with authenticators that do not count', async () => {
    const { passkey } = await withPasskey();
    const uncounted = async () => (await signInWith(origin, passkey.assertion(await signInOptions(origin), { counter: 0 }))).status;
    expect([await uncounted(), await uncounted()]).toEqual([200, 200]);
  });

  it('leads back to a page of this server, and to no other', async () => {
    const { passkey } = await withPasskey();
    const led = async (next: string) => (await signInWith(origin, passkey.assertion(await signInOptions(origin)), { next })).json['location'];
    expect(await led('/auth/authorize?client_id=a&state=b')).toBe('/auth/authorize?client_id=a&state=b');
    for (const away of ['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)'])
      expect(await led(away)).toBe('/patient');
  });

  it('ends: by the patient, when the key is revoked, when the record is deleted or says that they died, and in time', async () => {
    const people = await Promise.all([1, 2, 3, 4, 5].map(() => withPasskey()));
    const cookies = await Promise.all(people.map(({ passkey }) => signedIn(passkey)));
    const open = async (i: number) => (await getPage(origin, '/patient/passkeys', cookies[i])).status === 200;
    const all = () => Promise.all([0, 1, 2, 3, 4].map(open));
    expect(await all()).toEqual([true, true, true, true, true]);
    const token = /name="token" value="([^"]+)"/.exec((await getPage(origin, '/patient/passkeys', cookies[0])).text)?.[1] ?? '';
    expect((await postForm(origin, '/patient/sign-out', { token: 'x' }, { cookie: cookies[0] ?? '' })).status).toBe(403);
    expect((await postForm(origin, '/patient/sign-out', { token }, { cookie: cookies[0] ?? '' })).status).toBe(303);
    const [key] = await keysOf(people[1]?.owner ?? '');
    await server.admin.call('POST', `/admin/keys/${String(key?.['kid'])}/revoke`, { reason: 'lost' });
    await server.admin.call('DELETE', people[2]?.owner ?? '');
    const dead = { ...patient((people[3]?.owner ?? '').slice('Patient/'.length)), deceasedBoolean: true };
    await put(server, dead);
    expect(await all()).toEqual([false, false, false, false, true]);
    for (const i of [1, 2, 3]) {
      const again = await signInWith(origin, people[i]?.passkey.assertion(await signInOptions(origin)) ?? {});
      expect([again.status, again.cookie]).toEqual([403, '']);
    }
    server.advance(31 * 60_000);
    expect(await open(4)).toBe(false);
    server.advance(-31 * 60_000);
  });

  it('takes no form from elsewhere, and shows pages that run one script of this server', async () => {
    const { passkey } = await withPasskey();
    const answer = JSON.stringify(passkey.assertion(await signInOptions(origin)));
    for (const from of ['https://evil.example', undefined])
      expect((await postForm(origin, '/patient/sign-in', { answer }, { from })).status).toBe(403);
    const page = await getPage(origin, '/patient/sign-in?next=/auth/authorize');
    expect(page.headers.get('content-security-policy')).toContain(`default-src 'none'`);
    expect(page.headers.get('content-security-policy')).toContain(`script-src ${origin}/assets/passkey.js;`);
    const script = await getPage(origin, '/assets/passkey.js');
    expect([script.status, script.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8']);
  });

  it('sets a cookie no script reads, and over https for this host alone', async () => {
    const sessions = { start: async () => 'secret', find: async () => undefined, end: async () => undefined };
    const key = { kid: 'k', owner: 'Patient/1' };
    expect(await createPatientCookies({ sessions, secure: true }).start(key)).toBe(
      '__Host-assent-patient=secret; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax; Secure',
    );
    expect(await createPatientCookies({ sessions, secure: false }).start(key)).not.toContain('Secure');
  });
});

describe('two processes, and none with a name', () => {
  it('what one process issued and began, another on the same database takes', async () => {
    const { passkey } = await withPasskey();
    const [challenge, cookie] = [await signInOptions(origin), await signedIn(passkey)];
    await server.restart();
    expect((await getPage(origin, '/patient/passkeys', cookie)).status).toBe(200);
    expect((await signInWith(origin, passkey.assertion(challenge))).status).toBe(200);
  });

  it('a server whose public URL is a bare address says that passkeys need a name', async () => {
    const port = String(await freePort());
    const bare: RealServer = await startRealServer({ ASSENT_PORT: port });
    const asked = await postForm(`http://127.0.0.1:${port}`, '/patient/sign-in/options', {});
    expect([asked.status, asked.text.includes('ASSENT_PUBLIC_URL')]).toEqual([404, true]);
    await bare.stop();
  });
});
