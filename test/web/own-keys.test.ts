/** A patient with several passkeys: one more, one less, by the word of one they have; and what an open session alone cannot do. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../server/commands/demo/session.ts';
import { createPasskey, type Forged, type SoftPasskey } from '../support/authenticator.ts';
import { enrolPasskey, getPage, type Page, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, organization, patient, put } from '../support/real-server.ts';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  await put(server, organization(HOSPITAL));
});
afterAll(() => server.stop());

type Person = { readonly owner: string; readonly passkey: SoftPasskey; readonly cookie: string; readonly token: string };

async function person(): Promise<Person> {
  const id = `p${++counter}`;
  await put(server, patient(id));
  const passkey = await enrolPasskey(server, `Patient/${id}`);
  return { owner: `Patient/${id}`, passkey, ...(await signIn(passkey)) };
}

async function signIn(passkey: SoftPasskey): Promise<{ readonly cookie: string; readonly token: string }> {
  const { cookie } = await signInWith(origin, passkey.assertion(await signInOptions(origin)));
  const { text } = await getPage(origin, '/patient/passkeys', cookie);
  return { cookie, token: /name="token" value="([^"]*)"/.exec(text)?.[1] ?? '' };
}

const send = ({ cookie, token }: Pick<Person, 'cookie' | 'token'>, act: string, form: Readonly<Record<string, string>> = {}) =>
  postForm(origin, `/patient/passkeys/${act}`, { token, ...form }, { cookie });
const keysOf = async (owner: string) => (await server.admin.call('GET', `/admin/keys?owner=${owner}`)).json['keys'] as Json[];
const liveOf = async (owner: string) => (await keysOf(owner)).filter(({ revoked }) => revoked === undefined).length;

type Adding = { readonly next: SoftPasskey; readonly statement: string; readonly challenge: string };

async function adding(who: Person): Promise<Adding> {
  const next = createPasskey({ origin });
  const options = (await send(who, 'add/options')).json as unknown as {
    challenge: string;
    user: { id: string };
    excludeCredentials: { id: string }[];
  };
  expect(options.excludeCredentials.map(({ id }) => id)).toEqual([who.passkey.id]);
  const asked = await send(who, 'add/statement', { answer: JSON.stringify(next.registration(options)) });
  const { statement, made, present } = asked.json as { statement: string; made: Json; present: Json };
  expect([made['challenge'], (present['allowCredentials'] as { id: string }[]).map(({ id }) => id)]).toEqual([
    challengeOf(statement),
    [who.passkey.id],
  ]);
  return { next, statement, challenge: challengeOf(statement) };
}

const challengeOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const sign = (passkey: SoftPasskey, challenge: string, forged: Forged = {}) => JSON.stringify(passkey.assertion({ challenge }, forged));

function add(who: Person, { next, statement, challenge }: Adding, present = who.passkey, forged: Forged = {}): Promise<Page> {
  return send(who, 'add', { statement, made: sign(next, challenge, forged), present: sign(present, challenge) });
}

describe('another passkey', () => {
  it('is added by one that there is, both signing for it; the patient is told, and either signs in', async () => {
    const who = await person();
    const made = await adding(who);
    expect((await add(who, made)).json).toEqual({ location: '/patient/passkeys' });
    expect(await liveOf(who.owner)).toBe(2);
    const tasks = (await server.admin.call('GET', `Task?patient=${who.owner}`)).text;
    expect(tasks).toContain('key-registered');
    const { cookie } = await signIn(made.next);
    expect((await getPage(origin, '/patient/passkeys', cookie)).text.match(/in use/g)).toHaveLength(2);
    expect((await add(who, made)).status).toBe(409);
  });

  it('is not added by a session alone, by another patient, unsigned by itself, or in another’s session', async () => {
    const [who, other] = [await person(), await person()];
    const made = await adding(who);
    const itself = sign(made.next, made.challenge);
    expect((await send(who, 'add', { statement: made.statement, made: itself, present: itself })).status).toBe(422);
    expect((await add(who, made, other.passkey)).status).toBe(422);
    expect((await add(who, made, who.passkey, { flags: 1 })).status).toBe(422);
    expect((await add(who, { ...made, next: createPasskey({ origin }) })).status).toBe(422);
    expect((await send({ ...who, token: other.token }, 'add/options')).status).toBe(403);
    const foreign = await adding(other);
    const { challenge } = (await send(who, 'add/options')).json as { challenge: string };
    const answer = JSON.stringify(foreign.next.registration({ challenge, user: { id: 'AAAA' } }));
    expect((await send(other, 'add/statement', { answer })).status).toBe(403);
    expect([await liveOf(who.owner), await liveOf(other.owner)]).toEqual([1, 1]);
  });
});

describe('a lost passkey', () => {
  const review = async (who: Person, kid: unknown) => (await send(who, 'review', { kid: String(kid) })).text;
  const statementIn = (page: string) => (/name="statement" value="([^"]*)"/.exec(page)?.[1] ?? '').replaceAll('&quot;', '"');

  it('is ended by another one: it signs nobody in, and its sessions end', async () => {
    const who = await person();
    const made = await adding(who);
    await add(who, made);
    const [lost] = (await keysOf(who.owner)).filter(({ passkey }) => (passkey as Json)['credentialId'] === who.passkey.id);
    const session = await signIn(made.next);
    const page = await review({ ...who, ...session }, lost?.['kid']);
    expect(page).toContain(`data-credentials="${made.next.id}"`);
    const statement = statementIn(page);
    const by = (passkey: SoftPasskey) => ({ statement, webauthn: sign(passkey, challengeOf(statement)) });
    expect((await send(session, 'revoke', by(who.passkey))).status).toBe(422);
    expect((await send(session, 'revoke', by((await person()).passkey))).status).toBe(422);
    expect(await liveOf(who.owner)).toBe(2);
    expect((await send(session, 'revoke', by(made.next))).status).toBe(303);
    expect(await liveOf(who.owner)).toBe(1);
    expect((await getPage(origin, '/patient/passkeys', who.cookie)).status).toBe(303);
    expect((await signInWith(origin, who.passkey.assertion(await signInOptions(origin)))).status).toBe(403);
    expect((await server.admin.call('GET', `Task?patient=${who.owner}`)).text).toContain('key-revoked');
    expect((await send(session, 'revoke', by(made.next))).status).toBe(303);
  });

  it('is not ended where it is the last, nor by whoever it is not of', async () => {
    const [who, other] = [await person(), await person()];
    const [key] = await keysOf(who.owner);
    expect(await review(who, key?.['kid'])).toContain('No passkey of yours is in use.');
    expect((await send(other, 'review', { kid: String(key?.['kid']) })).status).toBe(404);
    const own = (await getPage(origin, '/patient/passkeys', who.cookie)).text;
    expect(own).not.toContain('I have lost it');
  });
});
