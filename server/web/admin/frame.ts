/**
 * What surrounds the pages of the console: the way to those pages that the reader's duties open, who is signed in, and the way out.
 * Invariant: a page is registered under a name of the table of duties, and shown to nobody whom it does not name.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type Endpoint, mayDo, requireDuty } from '../../http/duties.ts';
import { type Form, requireFormOf } from '../forms.ts';
import { type Html, html } from '../html.ts';
import { type Frame, page, pageHeaders, scriptedHeaders } from '../layout.ts';
import { patientWords } from '../patient/words.ts';
import type { Session, Sessions } from './sessions.ts';

/** All that the request log says of a page. */
export const logged = { config: { interaction: 'console' } };

export type Opened = { readonly session: Session; readonly form: Form; readonly reply: FastifyReply };
export type ConsolePage = (endpoint: Endpoint, run: (opened: Opened) => Promise<FastifyReply>) => void;

/** Registers pages and forms for whoever is signed in; everybody else is asked to sign in. */
export function consolePages(app: FastifyInstance, sessions: Pick<Sessions, 'find'>): ConsolePage {
  return (endpoint, run) => {
    const [method = '', url = ''] = endpoint.split(' ');
    app.route({
      method,
      url,
      ...logged,
      async handler(request, reply) {
        const session = await sessions.find(request.headers.cookie);
        // A session that ran out is no fault.
        if (!session) return reply.redirect('/', 303);
        const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
        if (method === 'POST') requireFormOf(session, form);
        requireDuty(endpoint, session.caller);
        return run({ session, form, reply });
      },
    });
  };
}

/** In the order of the menu. */
const pages: readonly (readonly [endpoint: Endpoint & `GET ${string}`, title: string])[] = [
  ['GET /', 'Overview'],
  ['GET /console/trail', 'Audit trail'],
  ['GET /console/queue', 'Waiting for the custodian'],
  ['GET /console/log', 'Log and anchors'],
  ['GET /console/jobs', 'Jobs'],
  ['GET /console/explain', 'How a search runs'],
  ['GET /console/clients', 'Clients'],
  ['GET /console/organizations', 'Organizations'],
  ['GET /console/keys', 'Keys'],
  ['GET /console/access', 'Who may see a record'],
  ['GET /console/policies', 'Policies'],
];

type Shown = { readonly title: string; readonly content: Html /** The absolute URLs of the scripts it runs. */; readonly script?: string };

export function showTo(session: Session, reply: FastifyReply, { title, content, script }: Shown): FastifyReply {
  const headers = script === undefined ? pageHeaders : scriptedHeaders(script);
  return reply.headers(headers).send(page(title, content, frameOf(session, reply.request.routeOptions.url)));
}

/** `at`: the path of the page. */
function frameOf({ caller, formToken }: Session, at: string | undefined): Frame {
  const items = pages.filter(([endpoint]) => mayDo(endpoint, caller)).map(([endpoint, title]) => [endpoint.slice('GET '.length), title] as const);
  return {
    language: 'en',
    words: patientWords.en,
    before: html`<nav aria-label="Console"><ul class="menu">${items.map(([path, title]) => html`<li><a href="${path}" ${path === at ? html`aria-current="page"` : undefined}>${title}</a></li>`)}</ul></nav>`,
    after: html`<form method="post" action="/console/sign-out">
<p class="soft">Signed in as ${caller.client}: ${dutiesOf(caller).join(', ')}.</p>
<input type="hidden" name="token" value="${formToken}">
<button class="plain">Sign out</button>
</form>`,
  };
}

function dutiesOf({ admin, roles = [] }: Session['caller']): readonly string[] {
  return admin ? ['administrator', ...roles] : roles;
}

/** A file under a name that says nothing about anybody: it stays on a disk that others may see. */
export function sendFile(reply: FastifyReply, name: string, text: string): FastifyReply {
  const headers = {
    'content-disposition': `attachment; filename="${name}"`,
    'cache-control': 'private, no-store',
    'x-content-type-options': 'nosniff',
  };
  return reply.headers({ ...headers, 'content-type': 'application/json' }).send(text);
}
