/**
 * Forms, pages and errors, for every plugin that shows pages.
 * Invariant: a form is taken only from our own page: by its Origin, and within a session by its token.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AssentError, outcomeOf } from '../errors.ts';
import { faultOf, knownError } from '../http/error-handler.ts';
import { type Html, html } from './html.ts';
import { page, pageHeaders, scriptedHeaders } from './layout.ts';
import { formTokenMatches } from './session-cookie.ts';

export type Form = URLSearchParams;

const FORM_BYTES = 8192;

/** Bodies of this plugin's routes are forms (`Form`). `origin`: of our pages, as browsers see it. */
export function acceptForms(app: FastifyInstance, origin: string, formBytes = FORM_BYTES): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string', bodyLimit: formBytes }, (_request, body, done) => {
    done(null, new URLSearchParams(String(body)));
  });
  app.addHook('onRequest', async (request) => {
    if (request.method === 'POST' && !ownOrigin(request, origin)) throw new AssentError('forbidden', 'This form is not from a page of this server.');
  });
  app.addHook('preHandler', async (request) => {
    if (request.method === 'POST' && !(request.body instanceof URLSearchParams)) throw new AssentError('unsupported-media-type');
  });
}

/** Browsers send Origin with every POST and no page can forge it; its host is ours as the browser sees it, or the configured one. */
function ownOrigin({ headers }: FastifyRequest, origin: string): boolean {
  const sent = headers.origin;
  return sent !== undefined && (sent === origin || sent === `http://${headers.host}` || sent === `https://${headers.host}`);
}

/** Throws AssentError('forbidden') unless the form is one of this session's pages. */
export function requireFormOf<S extends { readonly formToken: string }>(session: S | undefined, form: Form): asserts session is S {
  if (!session || !formTokenMatches(session, form.get('token') ?? ''))
    throw new AssentError('forbidden', 'This form is not from a page of this session.');
}

/** `script`: the absolute URL of the one script that the page runs. */
export function show(reply: FastifyReply, title: string, content: Html, { script }: { readonly script?: string } = {}): FastifyReply {
  return reply.headers(script === undefined ? pageHeaders : scriptedHeaders(script)).send(page(title, content));
}

/** Errors as pages, with a way back. */
export function showErrors(app: FastifyInstance, { href, text }: { readonly href: string; readonly text: string }): void {
  app.setErrorHandler((error, request, reply) => {
    const known = knownError(error);
    if (known.status >= 500) request.log.error({ fault: faultOf(known.cause ?? error) }, 'page failed');
    const { status, outcome } = outcomeOf(known);
    if (known.retryAfter !== undefined) void reply.header('retry-after', String(known.retryAfter));
    const sentences = outcome.issue.map(({ diagnostics }) => html`<p class="bad" role="alert">${diagnostics}</p>`);
    return show(reply.code(status), 'That did not work', html`${sentences}<p class="way"><a href="${href}">${text}</a></p>`);
  });
}
