/**
 * The pages by which a patient gets a passkey and signs in with it: /patient/enrol, /patient/sign-in, /patient/passkeys, and the one script they run.
 *
 * Invariants: what has an effect is a form from our own page; a code travels in a form body, never in a URL; what is refused says nothing about whose
 * it would have been.
 */
import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { GateFor } from '../../consent/gate.ts';
import { keyStatement, webauthnSignature } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import { acceptForms, type Form, requireFormOf } from '../forms.ts';
import { html } from '../html.ts';
import { createGuessLimit } from '../guess-limit.ts';
import { languageCookie } from '../language.ts';
import { MOST_GUESSES, openDoor, ownPath, told } from '../passkey-door.ts';
import { showErrorsTo, tellErrorsTo } from './errors.ts';
import { HOME, readerOf, showTo, visitorOf } from './frame.ts';
import { addingRoutes, askedOf, ownKeyRoutes } from './own-keys.ts';
import { enrolPage, type ListedKey, passkeysPage, proposedPage, SCRIPT_PATH, signInPage } from './passkeys.ts';
import { type ListedRecovery, openRecovery, stopForm } from './recovery.ts';
import type { PatientCookies } from './sessions.ts';

type MadePasskey = { readonly jwk: object; readonly passkey: { readonly credentialId: string; readonly rpId: string } };

export type PasskeyPages = {
  /** What the authorization room offers; `answer`: JSON of a PublicKeyCredential. */
  readonly passkeys: {
    creation(code: string): Promise<object>;
    enrol(code: string, answer: unknown): Promise<unknown>;
    register(
      code: string,
      answer: unknown,
    ): Promise<{ readonly kind: 'registered' } | ({ readonly kind: 'recovers'; readonly owner: string; readonly reason: string } & MadePasskey)>;
    propose(code: string, signed: { readonly statement: string; readonly signature: string }): Promise<void>;
    anotherFor(owner: string, known: readonly string[]): object;
    made(owner: string, answer: unknown): Promise<MadePasskey>;
    request(): object;
    signIn(answer: unknown): Promise<{ readonly kid: string; readonly owner: string }>;
  };
  readonly sessions: PatientCookies;
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
  readonly recoveriesOf: (owner: string) => Promise<readonly ListedRecovery[]>;
  readonly recoveryHours: number;
  readonly gateFor: GateFor;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
  /** Our FHIR base URL. */
  readonly base: string;
  readonly clock: Clock;
};

const logged = { config: { interaction: 'patient' } };
/** An attestation that some authenticators send although none was asked for is some kilobytes. */
const FORM_BYTES = 32_768;
const script = readFileSync(new URL('../assets/passkey.js', import.meta.url), 'utf8');

export function passkeyPages(pages: PasskeyPages): FastifyPluginAsync {
  return async (app) => {
    acceptForms(app, pages.origin, FORM_BYTES);
    app.get(SCRIPT_PATH, logged, (_request, reply) =>
      reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' }).type('text/javascript; charset=utf-8').send(script),
    );
    await app.register(async (scope) => {
      showErrorsTo(scope, { href: '/patient/sign-in', text: ({ signIn }) => signIn.title });
      doorRoutes(scope, pages);
      ownKeyRoutes(scope, pages);
    });
    tellErrorsTo(app);
    scriptRoutes(app, pages);
    addingRoutes(app, pages);
  };
}

function doorRoutes(app: FastifyInstance, { sessions, keysOf, recoveriesOf, recoveryHours, origin, base, clock }: PasskeyPages): void {
  const scripted = { script: origin + SCRIPT_PATH };
  app.get('/patient/enrol', logged, async (request, reply) => {
    const visitor = visitorOf(request);
    if ((request.query as { proposed?: unknown }).proposed === undefined)
      return showTo(visitor, reply, { title: visitor.words.enrol.title, content: enrolPage(visitor), ...scripted });
    return showTo(visitor, reply, { title: visitor.words.recovery.title, content: proposedPage(visitor, recoveryHours) });
  });
  app.get<{ Querystring: { next?: unknown; enrolled?: unknown } }>('/patient/sign-in', logged, async (request, reply) => {
    const [visitor, { next, enrolled }] = [visitorOf(request), request.query];
    const content = signInPage(visitor, { next: ownPath(next, origin), enrolled: enrolled !== undefined });
    return showTo(visitor, reply, { title: visitor.words.signIn.title, content, ...scripted });
  });
  app.get('/patient/passkeys', logged, async (request, reply) => {
    const session = await sessions.find(request.headers.cookie);
    if (!session) return reply.redirect('/patient/sign-in?next=/patient/passkeys', 303);
    const reader = readerOf(session, request);
    const [keys, open] = [await keysOf(session.patient), openRecovery(await recoveriesOf(session.patient))];
    const content = html`${open && stopForm(reader, { open, keys, base, now: clock() })}${passkeysPage(reader, keys)}`;
    return showTo(reader, reply, { title: reader.words.pages['/patient/passkeys'].title, content, ...scripted });
  });
  app.post<{ Body: Form }>('/patient/sign-out', logged, async (request, reply) => {
    requireFormOf(await sessions.find(request.headers.cookie), request.body);
    return reply.header('set-cookie', await sessions.end(request.headers.cookie)).redirect('/patient/sign-in', 303);
  });
  // Whoever is not signed in chooses one as well; it says nothing about who they are.
  app.post<{ Body: Form }>('/patient/language', logged, async ({ body }, reply) => {
    const cookie = languageCookie(body.get('language') ?? '', origin.startsWith('https:'));
    if (cookie === undefined) throw new AssentError('invalid-request');
    return reply.header('set-cookie', cookie).redirect(ownPath(body.get('here'), origin) ?? HOME, 303);
  });
}

/** What the script asks for: JSON, errors as OperationOutcome. */
function scriptRoutes(app: FastifyInstance, { passkeys, sessions, origin, base, clock }: PasskeyPages): void {
  const guarded = createGuessLimit(clock, MOST_GUESSES).around;
  openDoor(app, {
    path: '/patient',
    passkeys,
    guarded,
    logged,
    origin,
    home: HOME,
    async enrol(code, answer) {
      const made = await passkeys.register(code, answer);
      if (made.kind === 'registered') return { location: '/patient/sign-in?enrolled' };
      const { owner, reason, jwk, passkey } = made;
      const statement = keyStatement('key-recovery', { owner, jwk, passkey, reason }, { audience: base, now: clock() });
      return { statement, made: askedOf(statement, passkey.rpId, [passkey.credentialId]) };
    },
    signIn: async (answer) => sessions.start(await passkeys.signIn(answer)),
  });
  app.post<{ Body: Form }>('/patient/enrol/recovery', logged, async ({ body }, reply) => {
    const signed = { statement: body.get('statement') ?? '', signature: webauthnSignature(body.get('made') ?? '') };
    await guarded(() => passkeys.propose(body.get('code') ?? '', signed));
    return told(reply, { location: '/patient/enrol?proposed' });
  });
}
