/**
 * One passkey more, and one less, by the word of one the patient has: /patient/passkeys. consent.md §6
 * Invariant: an open session changes no key: a passkey signs for it, and the Gate judges that like any statement about keys.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { keyStatement, webauthnSignature } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import { type Form, requireFormOf } from '../forms.ts';
import { html } from '../html.ts';
import { answerIn, told } from '../passkey-door.ts';
import { readerOf, showTo } from './frame.ts';
import { type ListedKey, SCRIPT_PATH } from './passkeys.ts';
import type { PasskeyPages } from './plugin.ts';
import { signedIn, signForm } from './sign.ts';

const logged = { config: { interaction: 'patient' } };
const PAGE = '/patient/passkeys';

/** PublicKeyCredentialRequestOptionsJSON to sign a statement with one of these credentials. */
export function askedOf(statement: string, rpId: string, ids: readonly string[]): object {
  const challenge = createHash('sha256').update(statement).digest('base64url');
  return { challenge, rpId, userVerification: 'required', allowCredentials: ids.map((id) => ({ type: 'public-key', id })) };
}

const inUse = (keys: readonly ListedKey[]) => keys.flatMap(({ passkey, revoked }) => (passkey && !revoked ? [passkey] : []));

function opener({ sessions }: Pick<PasskeyPages, 'sessions'>) {
  return async ({ headers, body }: FastifyRequest) => {
    const session = await sessions.find(headers.cookie);
    requireFormOf(session, body as Form);
    return { session, form: body as Form };
  };
}

/** What the script asks for to add one. */
export function addingRoutes(app: FastifyInstance, { passkeys, sessions, keysOf, gateFor, base, clock }: PasskeyPages): void {
  const opened = opener({ sessions });
  const known = async (owner: string) => inUse(await keysOf(owner)).map(({ credentialId }) => credentialId);
  app.post('/patient/passkeys/add/options', logged, async (request, reply) => {
    const { patient } = (await opened(request)).session;
    return told(reply, passkeys.anotherFor(patient, await known(patient)));
  });
  app.post('/patient/passkeys/add/statement', logged, async (request, reply) => {
    const { session, form } = await opened(request);
    const owner = session.patient;
    const { jwk, passkey } = await passkeys.made(owner, answerIn(form));
    const statement = keyStatement('key-rotation', { owner, jwk, passkey, retires: false }, { audience: base, now: clock() });
    const by = (ids: readonly string[]) => askedOf(statement, passkey.rpId, ids);
    return told(reply, { statement, made: by([passkey.credentialId]), present: by(await known(owner)) });
  });
  app.post('/patient/passkeys/add', logged, async (request, reply) => {
    const { session, form } = await opened(request);
    const signatures = [form.get('present'), form.get('made')].map((answer) => webauthnSignature(answer ?? ''));
    await gateFor(session.caller).rotateKey({ statement: form.get('statement') ?? '', signatures });
    return told(reply, { location: PAGE });
  });
}

/** Pages to end one. */
export function ownKeyRoutes(app: FastifyInstance, { sessions, keysOf, gateFor, origin, base, clock }: PasskeyPages): void {
  const opened = opener({ sessions });
  app.post('/patient/passkeys/review', logged, async (request, reply) => {
    const { session, form } = await opened(request);
    const [owner, kid] = [session.patient, form.get('kid') ?? ''];
    const keys = await keysOf(owner);
    if (!keys.some((key) => key.kid === kid && !key.revoked)) throw new AssentError('not-found');
    const statement = keyStatement('key-revocation', { owner, kid, reason: 'lost' }, { audience: base, now: clock() });
    const reader = readerOf(session, request);
    const { words } = reader;
    const others = keys.filter((key) => key.kid !== kid);
    const asking = { statement, action: '/patient/passkeys/revoke', button: words.keys.end };
    const content = html`<p><code>${kid}</code></p>
<p>${words.keys.lostSays}</p>
${signForm(session, others, asking, words)}
<p class="way"><a href="${PAGE}">${words.pages[PAGE].title}</a></p>`;
    return showTo(reader, reply, { title: words.keys.lostTitle, content, script: origin + SCRIPT_PATH, here: PAGE });
  });
  app.post('/patient/passkeys/stop', logged, async (request, reply) => {
    const { session, form } = await opened(request);
    const { statement, signature } = signedIn(form);
    await gateFor(session.caller).stopRecovery({ statement, signatures: [signature] });
    return reply.redirect(PAGE, 303);
  });
  app.post('/patient/passkeys/revoke', logged, async (request, reply) => {
    const { session, form } = await opened(request);
    const { statement, signature } = signedIn(form);
    await gateFor(session.caller).revokeKey({ statement, signatures: [signature] });
    return reply.redirect(PAGE, 303);
  });
}
