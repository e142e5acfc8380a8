/**
 * A passkey for those who work here, where no identity provider signs them in: /staff/enrol by a one-time code, /staff/sign-in.
 * Invariant: as for patients: forms of our own pages only, a code never in a URL, and one refusal for everything.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import { acceptForms } from '../forms.ts';
import { createGuessLimit } from '../guess-limit.ts';
import { type Html, html } from '../html.ts';
import { languageOf } from '../language.ts';
import { page, scriptedHeaders } from '../layout.ts';
import { tellErrorsTo } from '../patient/errors.ts';
import { MOST_GUESSES, openDoor, ownPath } from '../passkey-door.ts';
import { passkeyProblem, passkeyScript, SCRIPT_PATH } from '../patient/passkeys.ts';
import { type PatientWords, patientWords } from '../patient/words.ts';
import { createSessionCookie } from '../session-cookie.ts';
import { authorizeWords } from './words.ts';

export type StaffCookies = {
  /** Resolves with the Set-Cookie header. */
  start(key: { readonly kid: string }): Promise<string>;
  /** Who is signed in, as a reference. */
  find(cookieHeader: string | undefined): Promise<string | undefined>;
};

type SessionStore = { start(key: { readonly kid: string }): Promise<string>; find(secret: string): Promise<string | undefined> };
type Cookies = { readonly sessions: SessionStore; readonly lifetimeMs: number; readonly origin: string };

/** Lax, as for patients: an app that sends its user here comes from elsewhere. */
export function createStaffCookies({ sessions, lifetimeMs, origin }: Cookies): StaffCookies {
  const cookie = createSessionCookie('assent-staff', { sameSite: 'Lax', secure: origin.startsWith('https:') });
  return {
    start: async (key) => cookie.holding(await sessions.start(key), lifetimeMs),
    async find(header) {
      const secret = cookie.read(header);
      return secret === undefined ? undefined : sessions.find(secret);
    },
  };
}

export type StaffPages = {
  /** What the authorization room offers; `answer`: JSON of a PublicKeyCredential. */
  readonly passkeys: {
    creation(code: string): Promise<object>;
    enrol(code: string, answer: unknown): Promise<unknown>;
    request(): object;
    signIn(answer: unknown, as: 'practitioner'): Promise<{ readonly kid: string }>;
  };
  readonly staff: Pick<StaffCookies, 'start'>;
  readonly origin: string;
  readonly clock: Clock;
};

const logged = { config: { interaction: 'authorize' } };
const FORM_BYTES = 32_768;

export function staffPages(pages: StaffPages): FastifyPluginAsync {
  return async (app) => {
    acceptForms(app, pages.origin, FORM_BYTES);
    tellErrorsTo(app);
    app.get('/staff/enrol', logged, async (request, reply) => show(pages, request, reply, enrolPage));
    app.get<{ Querystring: { next?: unknown; enrolled?: unknown } }>('/staff/sign-in', logged, async (request, reply) => {
      const { next, enrolled } = request.query;
      const given = { next: ownPath(next, pages.origin), enrolled: enrolled !== undefined };
      return show(pages, request, reply, (words, shared) => signInPage(words, shared, given));
    });
    scriptRoutes(app, pages);
  };
}

type Words = (typeof authorizeWords)['en'];
type Page = { readonly title: string; readonly content: Html };

function show(
  { origin }: StaffPages,
  { headers }: FastifyRequest,
  reply: FastifyReply,
  make: (words: Words, shared: PatientWords) => Page,
): FastifyReply {
  const language = languageOf(headers);
  const { title, content } = make(authorizeWords[language], patientWords[language]);
  return reply
    .headers({ ...scriptedHeaders(origin + SCRIPT_PATH), vary: 'Accept-Language, Cookie' })
    .send(page(title, content, { language, words: patientWords[language] }));
}

function enrolPage({ staff }: Words, shared: PatientWords): Page {
  const content = html`<p>${staff.intro}</p>
<form method="post" action="/staff/enrol" data-passkey="enrol">
<label for="code">${staff.code}</label>
<input id="code" name="code" required maxlength="40" placeholder="XXXX-XXXX-XXXX" autocomplete="off" autocapitalize="characters" spellcheck="false">
${passkeyProblem(shared)}
<button>${staff.enrol}</button>
</form>
<p class="soft">${staff.once}</p>
${passkeyScript(shared)}`;
  return { title: staff.enrolTitle, content };
}

function signInPage(
  { staff, passkey }: Words,
  shared: PatientWords,
  { next, enrolled }: { readonly next: string | undefined; readonly enrolled: boolean },
): Page {
  const content = html`${enrolled ? html`<p class="good" role="status">${staff.enrolled}</p>` : undefined}
<form method="post" action="/staff/sign-in" data-passkey="sign-in">
${next === undefined ? undefined : html`<input type="hidden" name="next" value="${next}">`}
${passkeyProblem(shared)}
<button>${passkey}</button>
</form>
<p>${staff.none} <a href="/staff/enrol">${staff.register}</a>.</p>
${passkeyScript(shared)}`;
  return { title: staff.title, content };
}

/** What the script asks for: JSON, errors as OperationOutcome. */
function scriptRoutes(app: FastifyInstance, { passkeys, staff, origin, clock }: StaffPages): void {
  openDoor(app, {
    path: '/staff',
    passkeys,
    guarded: createGuessLimit(clock, MOST_GUESSES).around,
    logged,
    origin,
    home: '/',
    async enrol(code, answer) {
      await passkeys.enrol(code, answer);
      return { location: '/staff/sign-in?enrolled' };
    },
    signIn: async (answer) => staff.start(await passkeys.signIn(answer, 'practitioner')),
  });
}
