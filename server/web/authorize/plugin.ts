/**
 * Where a person decides about an app: /authorize/{uid}, after signing in with a passkey or at the hospital's identity provider.
 *
 * Invariants: an answer is a form from our own page, in the browser the request of the app came from; no patient's id is part of a URL; a
 * clinician names only a patient they may see, and a hidden one is absent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { GateFor } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { acceptForms, type Form, showErrors } from '../forms.ts';
import type { Html } from '../html.ts';
import { page, pageHeaders } from '../layout.ts';
import type { PatientCookies } from '../patient/sessions.ts';
import { createSessionCookie } from '../session-cookie.ts';
import { type AppRequest, authorizePage, signInChoice } from './page.ts';

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

export type AuthorizePages = {
  /** What the authorization room offers. */
  readonly interactions: {
    find(exchange: Exchange): Promise<AppRequest | undefined>;
    approve(exchange: Exchange, answer: { user: string; patient: string | undefined; scopes: readonly string[] }): Promise<string>;
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
  readonly gateFor: GateFor;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
};

const logged = { config: { interaction: 'authorize' } };
const SIGN_IN_MS = 15 * 60_000;
const PATIENT = /^(?:Patient\/)?([A-Za-z0-9.-]{1,64})$/;
const GONE = 'This request of the app has run out, or it began in another browser: open the app again.';

type Exchanged = { readonly request: FastifyRequest; readonly reply: FastifyReply };

export function authorizePages(pages: AuthorizePages): FastifyPluginAsync {
  const { interactions, upstream, origin } = pages;
  const cookie = createSessionCookie('assent-sign-in', { sameSite: 'Lax', secure: origin.startsWith('https:') });

  async function asked({ request, reply }: Exchanged): Promise<AppRequest> {
    const found = await interactions.find({ request: request.raw, response: reply.raw });
    if (!found || found.uid !== (request.params as { readonly uid?: string }).uid) throw new AssentError('gone', GONE);
    return found;
  }
  /** Who signed in at the identity provider for this app; else the patient with a passkey. */
  const userOf = async ({ headers }: FastifyRequest, uid: string) =>
    (await upstream?.userOf(uid)) ?? (await pages.sessions.find(headers.cookie))?.patient;

  return async (app) => {
    acceptForms(app, origin);
    showErrors(app, { href: '/', text: 'To the first page' });

    app.get('/authorize/return', logged, async (request, reply) => {
      if (!upstream) throw new AssentError('not-supported');
      const uid = await upstream.finish(request.url.split('?')[1] ?? '', cookie.read(request.headers.cookie));
      return reply.header('set-cookie', cookie.cleared).redirect(`/authorize/${uid}`, 303);
    });

    app.get('/authorize/:uid', logged, async (request, reply) => {
      const found = await asked({ request, reply });
      const user = await userOf(request, found.uid);
      if (user === undefined) return showTo(reply, 'Sign in', { content: signInChoice(found, { upstream: upstream !== undefined }), to: undefined });
      return showTo(reply, 'An app asks for access', { content: authorizePage({ asked: found, user }), to: found.redirectUri });
    });

    app.post<{ Body: Form }>('/authorize/:uid', logged, async (request, reply) => {
      const found = await asked({ request, reply });
      const exchange = { request: request.raw, response: reply.raw };
      const answer = request.body.get('answer');
      if (answer === 'deny') return reply.redirect(await interactions.deny(exchange), 303);
      if (answer === 'sign-in' && upstream) {
        const { address, binding } = await upstream.begin(found.uid);
        return reply.header('set-cookie', cookie.holding(binding, SIGN_IN_MS)).redirect(address, 303);
      }
      const user = await userOf(request, found.uid);
      if (answer !== 'allow' || user === undefined) throw new AssentError('invalid-request', 'Nobody is signed in.');
      const patient = await patientChosen(pages, found, { user, entered: (request.body.get('patient') ?? '').trim() });
      if (patient === NONE) {
        const again = authorizePage({
          asked: found,
          user,
          problem: 'You see no such patient.',
          entered: (request.body.get('patient') ?? '').slice(0, 80),
        });
        return showTo(reply.code(422), 'An app asks for access', { content: again, to: found.redirectUri });
      }
      return reply.redirect(await interactions.approve(exchange, { user, patient, scopes: request.body.getAll('scope') }), 303);
    });
  };
}

/** `to`: where the answer goes on to, which a policy for forms has to name. The identity provider's address is met in the same way. */
function showTo(reply: FastifyReply, title: string, { content, to }: { readonly content: Html; readonly to: string | undefined }): FastifyReply {
  const policy = pageHeaders['content-security-policy'] ?? '';
  const forms = to === undefined ? "'self' https: http://localhost:* http://127.0.0.1:*" : `'self' ${new URL(to).origin}`;
  const headers = { ...pageHeaders, 'content-security-policy': policy.replace("form-action 'self'", `form-action ${forms}`) };
  return reply.headers(headers).send(page(title, content));
}

const NONE = Symbol('no such patient');

async function patientChosen(
  { gateFor }: AuthorizePages,
  { client, purpose, needsPatient, opened }: AppRequest,
  { user, entered }: { readonly user: string; readonly entered: string },
): Promise<string | undefined | typeof NONE> {
  if (user.startsWith('Patient/') || opened?.context.patient !== undefined || !needsPatient) return undefined;
  const id = PATIENT.exec(entered)?.[1];
  if (id === undefined) return NONE;
  const caller = { client: client.id, actor: user, purpose, scopes: [], admin: false, choosesIds: false, tokenId: '' };
  return (await gateFor(caller).read('Patient', id)).kind === 'found' ? id : NONE;
}
