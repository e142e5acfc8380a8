/**
 * The custodian's countersigning: requests that wait, one to read, and its approval or refusal.
 * Invariants: what is read comes from the Gate made for whoever signs for the custodian, and the reading is recorded; a session signs nothing: a key of the
 * custodian does, and the Gate judges that.
 */
import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { webauthnSignature } from '../../consent/workflow.ts';
import { html } from '../html.ts';
import type { Form } from '../forms.ts';
import { createGuessLimit } from '../guess-limit.ts';
import { answerIn, told } from '../passkey-door.ts';
import { namesOf } from '../patient/names.ts';
import { type ListedKey, SCRIPT_PATH } from '../patient/passkeys.ts';
import type { WebDependencies } from '../plugin.ts';
import { type ConsolePage, logged, type Opened, sendFile, showTo } from './frame.ts';
import { KEY_SCRIPT_PATH, passkeyPage, namedIn, queuePage, reviewPage, type Waiting, waitingIn } from './queue.ts';
import { AssentError } from '../../errors.ts';

export type Custodians = {
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
  /** For whoever has a one-time code. `answer`: JSON of a PublicKeyCredential. */
  readonly passkeys: { creation(code: string): Promise<object>; enrol(code: string, answer: unknown): Promise<unknown> };
};

const TITLE = 'Waiting for the custodian';
const MOST = 50;

export function queuePages(page: ConsolePage, dependencies: WebDependencies): void {
  const { gateFor, origin } = dependencies;
  const script = `${origin}${SCRIPT_PATH} ${origin}${KEY_SCRIPT_PATH}`;
  page('GET /console/queue', async ({ session, reply }) => {
    const { waiting, more } = await waitingFor(dependencies, session);
    const names = await namesOf(gateFor(session.caller), dependencies, [session.caller.actor, ...waiting.map(({ requester }) => requester)]);
    return showTo(session, reply, { title: TITLE, content: queuePage(session, { waiting, more, names }) });
  });
  page('POST /console/queue/review', async ({ session, form, reply }) => {
    const found = await gateFor(session.caller).read('Task', form.get('task') ?? '');
    if (found.kind !== 'found') throw new AssentError('not-found');
    const waiting = waitingIn(found.row.body);
    const keys = await dependencies.custodians.keysOf(session.caller.actor);
    const names = await namesOf(gateFor(session.caller), dependencies, [waiting.requester, ...namedIn(waiting)]);
    const content = reviewPage(session, { waiting, keys, names, now: dependencies.clock() });
    return showTo(session, reply, { title: 'What is asked', content, script });
  });
  page('POST /console/queue/statement', async ({ form, reply }) => sendFile(reply, 'statement.txt', form.get('statement') ?? ''));
  page('POST /console/queue/approve', async (opened) => {
    const { session, form } = opened;
    const signed = await gateFor(session.caller).approveConsent(form.get('consent') ?? '', [{ who: session.caller.actor, jws: signatureIn(form) }]);
    return done(opened, signed.kind === 'proposed' ? 'Signed. It comes into force when the patient signs as well.' : 'Signed. It is in force.');
  });
  page('POST /console/queue/refuse', async (opened) => {
    const { session, form } = opened;
    const statement = form.has('webauthn') ? { statement: form.get('statement') ?? '' } : {};
    await gateFor(session.caller).refuseConsent(form.get('consent') ?? '', { signature: signatureIn(form), ...statement });
    return done(opened, 'Refused. Whoever asked is not told by whom.');
  });
  page('GET /console/passkey', async ({ session, reply }) =>
    showTo(session, reply, { title: 'Register a passkey', content: passkeyPage(session), script: origin + SCRIPT_PATH }),
  );
}

const keyScript = readFileSync(new URL('../assets/key-file.js', import.meta.url), 'utf8');

/** What the pages' scripts ask for: JSON, errors as OperationOutcome. */
export function queueScripts(app: FastifyInstance, page: ConsolePage, { custodians: { passkeys }, clock }: WebDependencies): void {
  const guarded = createGuessLimit(clock).around;
  app.get(KEY_SCRIPT_PATH, logged, (_request, reply) =>
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' }).type('text/javascript; charset=utf-8').send(keyScript),
  );
  page('POST /console/passkey/options', async ({ form, reply }) => told(reply, await guarded(() => passkeys.creation(form.get('code') ?? ''))));
  page('POST /console/passkey', async ({ form, reply }) => {
    await guarded(() => passkeys.enrol(form.get('code') ?? '', answerIn(form)));
    return told(reply, { location: '/console/queue' });
  });
}

/** A passkey's assertion, or a compact JWS. */
function signatureIn(form: Form): string {
  const assertion = form.get('webauthn');
  return assertion === null ? (form.get('jws') ?? '').trim() : webauthnSignature(assertion);
}

function done({ session, reply }: Opened, sentence: string): Opened['reply'] {
  const content = html`<p class="good" role="status">${sentence}</p><p class="way"><a href="/console/queue">All that waits</a></p>`;
  return showTo(session, reply, { title: TITLE, content });
}

async function waitingFor(
  { gateFor, search, clock }: WebDependencies,
  { caller }: Opened['session'],
): Promise<{ readonly waiting: readonly Waiting[]; readonly more: boolean }> {
  const query = `owner=${caller.actor}&code=urn:assent:request|approval&status=requested&_sort=deadline&_count=${MOST}&_total=none`;
  const { where, order, count, total } = search.plan('Task', new URLSearchParams(query), 'strict');
  const { rows, next } = await gateFor(caller).search({ type: 'Task', where, order, count, total, query: `Task?${query}` });
  return { waiting: rows.map(({ body }) => waitingIn(body)).filter(({ until }) => until > clock()), more: next !== undefined };
}
