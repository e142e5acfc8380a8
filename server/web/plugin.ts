/**
 * The console: a page in the same process, through the same Gate as everything else.
 *
 * Invariants: no script but where a signature is made, nothing third-party; a form is accepted only from our own page (Origin, and a token bound to the session); no
 * patient's id is ever part of a URL.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify';
import type { Clock } from '../clock.ts';
import type { GateFor } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { knownError } from '../http/error-handler.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import type { Explain } from '../http/explain.ts';
import { accessForm, accessPage } from './admin/access.ts';
import { explainForm, explainPage } from './admin/explain.ts';
import { homePage, type Status } from './admin/home.ts';
import { consolePages, logged, type Opened, showTo } from './admin/frame.ts';
import { type Operations, operationsPages } from './admin/operations-pages.ts';
import { type Registry, registryPages } from './admin/registry-pages.ts';
import { type Custodians, queuePages, queueScripts } from './admin/queue-pages.ts';
import { createSessions, type SessionDependencies, type Sessions } from './admin/sessions.ts';
import { type TrailFile, trailPages } from './admin/trail-pages.ts';
import { acceptForms, type Form, show, showErrors } from './forms.ts';
import { SIGNED_FORM_BYTES } from './patient/sign.ts';

export type WebDependencies = {
  readonly gateFor: GateFor;
  readonly signIn: SessionDependencies['signIn'];
  readonly callerOf: SessionDependencies['callerOf'];
  readonly status: () => Promise<Status>;
  /** Whether the log says that this version of a Consent was erased. */
  readonly isErased: (version: string) => boolean;
  /** The same search and the same sealed page links as over FHIR. */
  readonly search: Pick<Search, 'plan'>;
  readonly cursors: Cursors;
  readonly explain: Explain;
  readonly trailFile: TrailFile;
  readonly custodians: Custodians;
  /** What a client was registered as. */
  readonly clientName: (id: string) => Promise<string | undefined>;
  readonly operations: Operations;
  readonly registry: Registry;
  /** Origin that browsers see, e.g. https://fhir.example.org: decides whether the cookie is Secure. */
  readonly origin: string;
  readonly clock: Clock;
};

/** For `app.register`: encapsulated, so its form parser and its HTML errors touch no other route. */
export function webPlugin(dependencies: WebDependencies): FastifyPluginAsync {
  const { origin } = dependencies;
  const sessions = createSessions({ ...dependencies, secure: origin.startsWith('https:') });

  return async (app) => {
    await app.register(async (scope) => pagesIn(scope, dependencies, sessions));
    await app.register(async (scope) => {
      // A statement to be signed goes there and back.
      acceptForms(scope, origin, SIGNED_FORM_BYTES);
      queueScripts(scope, consolePages(scope, sessions), dependencies);
      await scope.register(async (pages) => {
        showErrors(pages, back);
        queuePages(consolePages(pages, sessions), dependencies);
      });
    });
  };
}

const back = { href: '/', text: 'Back to the console' };

function pagesIn(app: FastifyInstance, dependencies: WebDependencies, sessions: Sessions): void {
  acceptForms(app, dependencies.origin);
  showErrors(app, back);
  homeRoutes(app, { sessions, status: dependencies.status });
  const page = consolePages(app, sessions);
  trailPages(page, dependencies);
  operationsPages(page, dependencies);
  registryPages(page, dependencies);
  page('GET /console/access', async ({ session, reply }) => showTo(session, reply, { title: ACCESS, content: accessForm(session) }));
  page('POST /console/access', (opened) => showAccess(dependencies.gateFor, opened));
  page('GET /console/explain', async ({ session, reply }) => showTo(session, reply, { title: EXPLAIN, content: explainForm(session) }));
  page('POST /console/explain', (opened) => showExplanation(dependencies.explain, opened));
}

function homeRoutes(app: FastifyInstance, { sessions, status }: Pick<WebDependencies, 'status'> & { readonly sessions: Sessions }): void {
  app.get('/', logged, async (request, reply) => {
    const session = await sessions.find(request.headers.cookie);
    const content = homePage(await status(), { signedIn: session !== undefined });
    return session ? showTo(session, reply, { title: 'Console', content }) : show(reply, 'Console', content);
  });
  app.get('/admin', logged, async (_request, reply) => reply.redirect('/', 303));
  app.post<{ Body: Form }>('/console/sign-in', logged, async ({ body }, reply) => {
    const cookie = await sessions.start(body.get('client') ?? '', body.get('secret') ?? '');
    if (cookie !== undefined) return reply.header('set-cookie', cookie).redirect('/', 303);
    const notice = 'This is not an administrator’s client id and secret.';
    return show(reply.code(403), 'Console', homePage(await status(), { signedIn: false, notice }));
  });
  consolePages(app, sessions)('POST /console/sign-out', async ({ reply }) =>
    reply.header('set-cookie', sessions.end(reply.request.headers.cookie)).redirect('/', 303),
  );
}

const [ACCESS, EXPLAIN] = ['Who may see a record', 'How a search runs'];

async function showExplanation(explain: Explain, { session, form, reply }: Opened): Promise<FastifyReply> {
  const entered = { search: (form.get('search') ?? '').trim(), as: (form.get('as') ?? '').trim() };
  try {
    const explanation = await explain(session.caller, { search: entered.search, as: entered.as || undefined });
    return await showTo(session, reply, { title: EXPLAIN, content: explainPage(session, entered, explanation) });
  } catch (error) {
    const { status, problems } = callersMistake(error);
    return showTo(session, reply.code(status), { title: EXPLAIN, content: explainForm(session, entered, problems) });
  }
}

const RECORD = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})$/;

async function showAccess(gateFor: GateFor, { session, form, reply }: Opened): Promise<FastifyReply> {
  const text = (name: string) => (form.get(name) ?? '').trim();
  const entered = { resource: text('resource'), actor: text('actor'), purpose: text('purpose') };
  const [, type, id] = RECORD.exec(entered.resource) ?? [];
  try {
    if (type === undefined || id === undefined || !isResourceType(type))
      throw new AssentError('invalid-request', 'Write a record as its type and id, as in Observation/123.');
    const asked = { actor: entered.actor || undefined, purpose: entered.purpose || undefined };
    const query = `${type}/${id}/$explain-access`;
    const found = await gateFor(session.caller).explainAccess({ type, id, ...asked, language: 'en', query });
    return await showTo(session, reply, { title: ACCESS, content: accessPage(session, entered, found) });
  } catch (error) {
    const { status, problems } = callersMistake(error);
    return showTo(session, reply.code(status), { title: ACCESS, content: accessForm(session, entered, problems) });
  }
}

/** Whatever is none is thrown on. */
function callersMistake(error: unknown): { readonly status: number; readonly problems: readonly string[] } {
  const known = knownError(error);
  if (known.status >= 500) throw error;
  return { status: known.status, problems: known.issues.length === 0 ? [known.message] : known.issues.map(({ diagnostics }) => diagnostics) };
}
