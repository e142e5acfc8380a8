/**
 * Where a person decides about an app: /authorize/{uid}, after signing in with a passkey or at the hospital's identity provider.
 *
 * Invariants: an answer is a form from our own page, in the browser the request of the app came from; no patient's id is part of a URL; a
 * clinician names only a patient they may see, and a hidden one is absent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { AssentError } from '../../errors.ts';
import { acceptForms, type Form } from '../forms.ts';
import type { Html } from '../html.ts';
import { languageOf } from '../language.ts';
import { page, pageHeaders, scriptedHeaders } from '../layout.ts';
import { showErrorsTo } from '../patient/errors.ts';
import { HOME } from '../patient/frame.ts';
import { SCRIPT_PATH } from '../patient/passkeys.ts';
import type { PatientCookies, PatientSession } from '../patient/sessions.ts';
import { SIGNED_FORM_BYTES } from '../patient/sign.ts';
import { patientWords } from '../patient/words.ts';
import { createSessionCookie } from '../session-cookie.ts';
import { answered, type Asked, countsOf, looked, type OwnRecord, runBy, signed } from './own-record.ts';
import { type AppRequest, authorizePage, passkeyNeeded, signInChoice } from './page.ts';
import type { StaffCookies } from './staff.ts';
import { authorizeWords } from './words.ts';

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

export type AuthorizePages = OwnRecord & {
  /** What the authorization room offers. */
  readonly interactions: {
    find(exchange: Exchange): Promise<AppRequest | undefined>;
    approve(exchange: Exchange, answer: Approval): Promise<string>;
    deny(exchange: Exchange): Promise<string>;
  };
  /** The hospital's identity provider; undefined: there is none. */
  readonly upstream:
    | {
        begin(uid: string): Promise<{ readonly address: string; readonly binding: string }>;
        finish(query: string, binding: string | undefined): Promise<string>;
        userOf(uid: string): Promise<string | undefined>;
      }
    | undefined;
  readonly sessions: Pick<PatientCookies, 'find'>;
  readonly staff: Pick<StaffCookies, 'find'>;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
};

type AppConsent = Awaited<ReturnType<OwnRecord['appConsents']['signedOn']>>[number];
type Approval = {
  readonly user: string;
  readonly patient?: string | undefined;
  readonly scopes: readonly string[];
  readonly consent?: AppConsent;
};

const logged = { config: { interaction: 'authorize' } };
const SIGN_IN_MS = 15 * 60_000;
const PATIENT = /^(?:Patient\/)?([A-Za-z0-9.-]{1,64})$/;
const GONE = 'This request of the app has run out, or it began in another browser: open the app again.';

type Exchanged = { readonly request: FastifyRequest; readonly reply: FastifyReply };
/** Who is signed in; `session`: of the patient who could sign here. */
type Person = { readonly user: string; readonly session: PatientSession | undefined };

export function authorizePages(pages: AuthorizePages): FastifyPluginAsync {
  const { interactions, upstream, origin } = pages;
  const cookie = createSessionCookie('assent-sign-in', { sameSite: 'Lax', secure: origin.startsWith('https:') });

  async function asked({ request, reply }: Exchanged): Promise<AppRequest> {
    const found = await interactions.find({ request: request.raw, response: reply.raw });
    if (!found || found.uid !== (request.params as { readonly uid?: string }).uid) throw new AssentError('gone', GONE);
    return found;
  }

  return async (app) => {
    acceptForms(app, origin, SIGNED_FORM_BYTES);
    showErrorsTo(app, { href: HOME, text: ({ home }) => home });

    app.get('/authorize/return', logged, async (request, reply) => {
      if (!upstream) throw new AssentError('not-supported');
      const uid = await upstream.finish(request.url.split('?')[1] ?? '', cookie.read(request.headers.cookie));
      return reply.header('set-cookie', cookie.cleared).redirect(`/authorize/${uid}`, 303);
    });

    app.get('/authorize/:uid', logged, async (request, reply) => {
      const found = await asked({ request, reply });
      return showFirst(pages, { request, reply }, { found, person: await personOf(pages, request, found.uid) });
    });

    app.post<{ Body: Form }>('/authorize/:uid', logged, async (request, reply) => {
      const found = await asked({ request, reply });
      const answer = request.body.get('answer');
      if (answer === 'deny') return reply.redirect(await interactions.deny({ request: request.raw, response: reply.raw }), 303);
      if (answer === 'sign-in' && upstream) {
        const { address, binding } = await upstream.begin(found.uid);
        return reply.header('set-cookie', cookie.holding(binding, SIGN_IN_MS)).redirect(address, 303);
      }
      const person = await personOf(pages, request, found.uid);
      if (!person) throw new AssentError('invalid-request', 'Nobody is signed in.');
      return person.user.startsWith('Patient/')
        ? takePatient(pages, { request, reply }, { found, person, answer, form: request.body })
        : takeClinician(pages, { request, reply }, { found, person, answer, form: request.body });
    });
  };
}

/** Who signed in at the identity provider for this app; else by a passkey, the patient's or one of somebody who works here. */
async function personOf({ upstream, sessions, staff }: AuthorizePages, { headers }: FastifyRequest, uid: string): Promise<Person | undefined> {
  const [session, elsewhere] = [await sessions.find(headers.cookie), await upstream?.userOf(uid)];
  const user = elsewhere ?? session?.patient ?? (await staff.find(headers.cookie));
  return user === undefined ? undefined : { user, session: session?.patient === user ? session : undefined };
}

type Met = { readonly found: AppRequest; readonly person: Person };
type Answered = Met & { readonly answer: string | null; readonly form: Form };

/** A patient who opens nothing of their record needs not sign. */
const mustSign = ({ found, person }: Met): boolean => person.user.startsWith('Patient/') && found.scopes.length > 0;

async function showFirst(
  pages: AuthorizePages,
  exchanged: Exchanged,
  { found, person }: { readonly found: AppRequest; readonly person: Person | undefined },
): Promise<FastifyReply> {
  const language = languageOf(exchanged.request.headers);
  const words = authorizeWords[language];
  if (!person) {
    const content = signInChoice(found, { upstream: pages.upstream !== undefined, language });
    return showTo(exchanged, words.signIn, { content, to: undefined });
  }
  const { user, session } = person;
  const signs = mustSign({ found, person });
  if (signs && !session) return showTo(exchanged, words.signIn, { content: passkeyNeeded(found, language), to: found.redirectUri });
  const patient = session && { asked: found, session, language };
  const known = patient ? { counts: signs ? await countsOf(pages, patient) : [], runBy: await runBy(pages, patient) } : {};
  return showTo(exchanged, words.title, { content: authorizePage({ asked: found, user, language, ...known }), to: found.redirectUri });
}

async function takePatient(pages: AuthorizePages, exchanged: Exchanged, { found, person, answer, form }: Answered): Promise<FastifyReply> {
  const { request, reply } = exchanged;
  const exchange = { request: request.raw, response: reply.raw };
  const { user, session } = person;
  // Nothing is left to be seen: it may only learn who this is.
  if (!mustSign({ found, person }) || (answer === 'allow' && form.getAll('scope').length === 0)) {
    if (answer !== 'allow') throw new AssentError('invalid-request');
    return reply.redirect(await pages.interactions.approve(exchange, { user, scopes: form.getAll('scope') }), 303);
  }
  const take = answer === null ? undefined : steps[answer];
  if (!take) throw new AssentError('invalid-request');
  if (!session) return showFirst(pages, exchanged, { found, person });
  const step = await take(pages, { asked: found, session, language: languageOf(request.headers) }, form);
  if (step.kind === 'shown')
    return showTo(exchanged, step.title, { content: step.content, to: found.redirectUri, script: pages.origin + SCRIPT_PATH });
  const { consent } = step;
  return reply.redirect(await pages.interactions.approve(exchange, { user, scopes: consent.scopes, consent }), 303);
}

/** By what the form's button says. */
const steps: Readonly<Record<string, (own: OwnRecord, patient: Asked, form: Form) => ReturnType<typeof answered>>> = {
  allow: answered,
  sign: signed,
  look: looked,
};

async function takeClinician(pages: AuthorizePages, exchanged: Exchanged, { found, person, answer, form }: Answered): Promise<FastifyReply> {
  const { request, reply } = exchanged;
  const { user } = person;
  if (answer !== 'allow') throw new AssentError('invalid-request');
  const entered = (form.get('patient') ?? '').trim();
  const patient = await patientChosen(pages, found, { user, entered });
  if (patient === NONE) {
    const language = languageOf(request.headers);
    const words = authorizeWords[language];
    const content = authorizePage({ asked: found, user, language, problem: words.noSuchPatient, entered: entered.slice(0, 80) });
    return showTo({ request, reply: reply.code(422) }, words.title, { content, to: found.redirectUri });
  }
  const approval = { user, patient, scopes: form.getAll('scope') };
  return reply.redirect(await pages.interactions.approve({ request: request.raw, response: reply.raw }, approval), 303);
}

type Content = { readonly content: Html; readonly to: string | undefined; readonly script?: string };

/**
 * `to`: where the answer goes on to, which a policy for forms has to name. The identity provider's address is met in the same way. `script`: the
 * absolute URL of the one script that the page runs.
 */
function showTo({ request, reply }: Exchanged, title: string, { content, to, script }: Content): FastifyReply {
  const headers = script === undefined ? pageHeaders : scriptedHeaders(script);
  const forms = to === undefined ? "'self' https: http://localhost:* http://127.0.0.1:*" : `'self' ${new URL(to).origin}`;
  const policy = (headers['content-security-policy'] ?? '').replace("form-action 'self'", `form-action ${forms}`);
  const language = languageOf(request.headers);
  return reply
    .headers({ ...headers, 'content-security-policy': policy, vary: 'Accept-Language, Cookie' })
    .send(page(title, content, { language, words: patientWords[language] }));
}

const NONE = Symbol('no such patient');

async function patientChosen(
  { gateFor }: AuthorizePages,
  { client, purpose, needsPatient, opened }: AppRequest,
  { user, entered }: { readonly user: string; readonly entered: string },
): Promise<string | undefined | typeof NONE> {
  if (opened?.context.patient !== undefined || !needsPatient) return undefined;
  const id = PATIENT.exec(entered)?.[1];
  if (id === undefined) return NONE;
  const caller = { client: client.id, actor: user, purpose, scopes: [], admin: false, choosesIds: false, tokenId: '' };
  return (await gateFor(caller).read('Patient', id)).kind === 'found' ? id : NONE;
}
