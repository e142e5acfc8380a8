/**
 * The console: a page in the same process, through the same Gate as everything else.
 *
 * Invariants: no script, nothing third-party; a form is accepted only from our own page (Origin, and a token bound to the session); no
 * patient's id is ever part of a URL.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import type { GateFor, SortPosition } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { knownError } from '../http/error-handler.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import type { Explain } from '../http/explain.ts';
import { accessForm, accessPage } from './admin/access.ts';
import { explainForm, explainPage } from './admin/explain.ts';
import { homePage, type Status } from './admin/home.ts';
import { createSessions, type Session, type SessionDependencies } from './admin/sessions.ts';
import { trailForm, trailPage } from './admin/trail.ts';
import { acceptForms, type Form, requireFormOf, show, showErrors } from './forms.ts';

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
  /** Origin that browsers see, e.g. https://fhir.example.org: decides whether the cookie is Secure. */
  readonly origin: string;
  readonly clock: Clock;
};

/** All that the request log says of a page. */
const logged = { config: { interaction: 'console' } };
const PAGE_SIZE = 50;
const PATIENT = /^(?:Patient\/)?([A-Za-z0-9.-]{1,64})$/;

/** For `app.register`: encapsulated, so its form parser and its HTML errors touch no other route. */
export function webPlugin(dependencies: WebDependencies): FastifyPluginAsync {
  const { origin, status } = dependencies;
  const sessions = createSessions({ ...dependencies, secure: origin.startsWith('https:') });
  const sessionOf = (request: FastifyRequest) => sessions.find(request.headers.cookie);

  return async (app) => {
    acceptForms(app, origin);
    showErrors(app, { href: '/', text: 'Back to the console' });

    app.get('/', logged, async (request, reply) => show(reply, 'Console', homePage(await status(), await sessionOf(request))));

    app.post<{ Body: Form }>('/console/sign-in', logged, async ({ body }, reply) => {
      const cookie = await sessions.start(body.get('client') ?? '', body.get('secret') ?? '');
      if (cookie !== undefined) return reply.header('set-cookie', cookie).redirect('/#trail', 303);
      return show(reply.code(403), 'Console', homePage(await status(), undefined, 'This is not an administrator’s client id and secret.'));
    });

    app.post<{ Body: Form }>('/console/sign-out', logged, async (request, reply) => {
      requireFormOf(await sessionOf(request), request.body);
      return reply.header('set-cookie', sessions.end(request.headers.cookie)).redirect('/', 303);
    });

    app.post<{ Body: Form }>('/console/trail', logged, async (request, reply) => {
      const session = await sessionOf(request);
      // A session that ran out is no fault: the console asks to sign in again.
      if (!session) return reply.redirect('/#trail', 303);
      requireFormOf(session, request.body);
      return showTrail(dependencies, { session, form: request.body, reply });
    });

    app.post<{ Body: Form }>('/console/access', logged, async (request, reply) => {
      const session = await sessionOf(request);
      if (!session) return reply.redirect('/#access', 303);
      requireFormOf(session, request.body);
      return showAccess(dependencies.gateFor, { session, form: request.body, reply });
    });

    app.post<{ Body: Form }>('/console/explain', logged, async (request, reply) => {
      const session = await sessionOf(request);
      if (!session) return reply.redirect('/#explain', 303);
      requireFormOf(session, request.body);
      return showExplanation(dependencies.explain, { session, form: request.body, reply });
    });
  };
}

async function showTrail(
  { gateFor, search, cursors, isErased }: WebDependencies,
  { session, form, reply }: { readonly session: Session; readonly form: Form; readonly reply: FastifyReply },
): Promise<FastifyReply> {
  const entered = (form.get('patient') ?? '').trim();
  const patient = PATIENT.exec(entered)?.[1];
  if (patient === undefined) {
    const problem = 'Write the id of a patient: letters, digits, dots and dashes, as in Patient/123.';
    return show(reply.code(422), 'Audit trail', trailForm(session, entered.slice(0, 80), problem));
  }
  const query = `patient=Patient/${patient}&_sort=-date&_count=${PAGE_SIZE}&_total=accurate`;
  const { where, order, count, total } = search.plan('AuditEvent', new URLSearchParams(query), 'strict');
  const { client, actor, purpose } = session.caller;
  const bound = JSON.stringify(['console', client, actor, purpose, patient]);
  const cursor = form.get('page');
  const after = cursor === null ? undefined : (cursors.open(cursor, bound) as SortPosition);
  const request = { type: 'AuditEvent', where, order, count, total, query: `AuditEvent?${query}`, ...(after ? { after } : {}) };
  const { rows, next, total: found } = await gateFor(session.caller).search(request);
  return show(reply, 'Audit trail', trailPage(session, { patient, rows, total: found, next: next && cursors.seal(next, bound), isErased }));
}

type Asked = { readonly session: Session; readonly form: Form; readonly reply: FastifyReply };

async function showExplanation(explain: Explain, { session, form, reply }: Asked): Promise<FastifyReply> {
  const entered = { search: (form.get('search') ?? '').trim(), as: (form.get('as') ?? '').trim() };
  const title = 'How a search runs';
  try {
    const explanation = await explain(session.caller, { search: entered.search, as: entered.as || undefined });
    return await show(reply, title, explainPage(session, entered, explanation));
  } catch (error) {
    const { status, problems } = callersMistake(error);
    return show(reply.code(status), title, explainForm(session, entered, problems));
  }
}

const RECORD = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})$/;

async function showAccess(gateFor: GateFor, { session, form, reply }: Asked): Promise<FastifyReply> {
  const text = (name: string) => (form.get(name) ?? '').trim();
  const [entered, title] = [{ resource: text('resource'), actor: text('actor'), purpose: text('purpose') }, 'Who may see a record'];
  const [, type, id] = RECORD.exec(entered.resource) ?? [];
  try {
    if (type === undefined || id === undefined || !isResourceType(type))
      throw new AssentError('invalid-request', 'Write a record as its type and id, as in Observation/123.');
    const asked = { actor: entered.actor || undefined, purpose: entered.purpose || undefined };
    const query = `${type}/${id}/$explain-access`;
    const found = await gateFor(session.caller).explainAccess({ type, id, ...asked, language: 'en', query });
    return await show(reply, title, accessPage(session, entered, found));
  } catch (error) {
    const { status, problems } = callersMistake(error);
    return show(reply.code(status), title, accessForm(session, entered, problems));
  }
}

/** Whatever is none is thrown on. */
function callersMistake(error: unknown): { readonly status: number; readonly problems: readonly string[] } {
  const known = knownError(error);
  if (known.status >= 500) throw error;
  return { status: known.status, problems: known.issues.length === 0 ? [known.message] : known.issues.map(({ diagnostics }) => diagnostics) };
}
