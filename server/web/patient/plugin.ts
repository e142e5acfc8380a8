/**
 * The pages by which a patient gets a passkey and signs in with it: /patient/enrol, /patient/sign-in, /patient/passkeys, and the one script they run.
 *
 * Invariants: what has an effect is a form from our own page; a code travels in a form body, never in a URL; what is refused says nothing about whose
 * it would have been.
 */
import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { GateFor } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { acceptForms, type Form, requireFormOf, show, showErrors } from '../forms.ts';
import { createGuessLimit } from '../guess-limit.ts';
import type { Html } from '../html.ts';
import { addingRoutes, answerIn, ownKeyRoutes, told } from './own-keys.ts';
import { enrolPage, type ListedKey, passkeysPage, SCRIPT_PATH, signInPage } from './passkeys.ts';
import type { PatientCookies } from './sessions.ts';

export type PasskeyPages = {
  /** What the authorization room offers; `answer`: JSON of a PublicKeyCredential. */
  readonly passkeys: {
    creation(code: string): Promise<object>;
    enrol(code: string, answer: unknown): Promise<unknown>;
    anotherFor(owner: string, known: readonly string[]): object;
    made(
      owner: string,
      answer: unknown,
    ): Promise<{ readonly jwk: object; readonly passkey: { readonly credentialId: string; readonly rpId: string } }>;
    request(): object;
    signIn(answer: unknown): Promise<{ readonly kid: string; readonly owner: string }>;
  };
  readonly sessions: PatientCookies;
  readonly keysOf: (owner: string) => Promise<readonly ListedKey[]>;
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
/** A code has 60 bits: this many guesses a minute find none, and lock nobody out for long. */
const MOST_GUESSES = 60;
/** Where somebody who signed in goes, if no page sent them. */
const HOME = '/patient/consents';

const script = readFileSync(new URL('../assets/passkey.js', import.meta.url), 'utf8');

export function passkeyPages(pages: PasskeyPages): FastifyPluginAsync {
  const { sessions, keysOf, origin } = pages;
  const shown = (reply: FastifyReply, title: string, content: Html) => show(reply, title, content, { script: origin + SCRIPT_PATH });
  return async (app) => {
    acceptForms(app, origin, FORM_BYTES);
    app.get(SCRIPT_PATH, logged, (_request, reply) =>
      reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' }).type('text/javascript; charset=utf-8').send(script),
    );
    await app.register(async (scope) => {
      showErrors(scope, { href: '/patient/sign-in', text: 'Sign in' });
      scope.get('/patient/enrol', logged, async (_request, reply) => shown(reply, 'Register a passkey', enrolPage()));
      scope.get<{ Querystring: { next?: unknown; enrolled?: unknown } }>('/patient/sign-in', logged, async ({ query }, reply) =>
        shown(reply, 'Sign in', signInPage({ next: ownPath(query.next, origin), enrolled: query.enrolled !== undefined })),
      );
      scope.get('/patient/passkeys', logged, async (request, reply) => {
        const session = await sessions.find(request.headers.cookie);
        if (!session) return reply.redirect('/patient/sign-in', 303);
        return shown(reply, 'Your passkeys', passkeysPage(session, await keysOf(session.patient)));
      });
      ownKeyRoutes(scope, pages);
      scope.post<{ Body: Form }>('/patient/sign-out', logged, async (request, reply) => {
        requireFormOf(await sessions.find(request.headers.cookie), request.body);
        return reply.header('set-cookie', await sessions.end(request.headers.cookie)).redirect('/patient/sign-in', 303);
      });
    });
    scriptRoutes(app, pages);
    addingRoutes(app, pages);
  };
}

/** What the script asks for: JSON, errors as OperationOutcome. */
function scriptRoutes(app: FastifyInstance, { passkeys, sessions, origin, clock }: PasskeyPages): void {
  const guesses = createGuessLimit(clock, MOST_GUESSES);
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    guesses.check();
    try {
      return await work();
    } catch (error) {
      if (error instanceof AssentError && error.code === 'forbidden') guesses.failed();
      throw error;
    }
  };
  app.post<{ Body: Form }>('/patient/enrol/options', logged, async ({ body }, reply) =>
    told(reply, await guarded(() => passkeys.creation(body.get('code') ?? ''))),
  );
  app.post<{ Body: Form }>('/patient/enrol', logged, async ({ body }, reply) => {
    await guarded(() => passkeys.enrol(body.get('code') ?? '', answerIn(body)));
    return told(reply, { location: '/patient/sign-in?enrolled' });
  });
  app.post('/patient/sign-in/options', logged, async (_request, reply) => told(reply, passkeys.request()));
  app.post<{ Body: Form }>('/patient/sign-in', logged, async ({ body }, reply) => {
    const cookie = await guarded(async () => sessions.start(await passkeys.signIn(answerIn(body))));
    return told(reply.header('set-cookie', cookie), { location: ownPath(body.get('next'), origin) ?? HOME });
  });
}

/** A path on this server; anything else leads nowhere, so that nobody is sent away from here by a link they trust. */
function ownPath(path: unknown, origin: string): string | undefined {
  if (typeof path !== 'string' || !/^\/[A-Za-z0-9]/.test(path)) return undefined;
  return URL.parse(path, origin)?.origin === origin ? path : undefined;
}
