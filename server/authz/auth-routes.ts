/**
 * oidc-provider behind Fastify: what reaches it, and as what. authorization.md §1, §2
 *
 * Invariants: it is reached only at the paths that are advertised, after every hook; host and scheme are those of the public URL, whatever a
 * request says; an authorization brings no session of an earlier one.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Provider } from 'oidc-provider';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { ClientKeys } from './client-keys.ts';
import type { Clients } from './clients.ts';
import { authPaths, type Endpoints } from './endpoints.ts';
import type { Authenticator } from './token.ts';
import { introspect } from './token-answers.ts';

export type AuthRoutes = {
  readonly provider: Provider;
  readonly records: RecordStore;
  readonly clients: Pick<Clients, 'find'>;
  readonly clientKeys: ClientKeys;
  readonly endpoints: Endpoints;
  readonly authenticate: Authenticator['authenticate'];
};

const MOST_BODY_BYTES = 56 * 1024;
const BEARER = /^bearer /i;

export function mountProvider(scope: FastifyInstance, routes: AuthRoutes): void {
  const handle = routes.provider.callback();
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MOST_BODY_BYTES }, (_request, body, done) => done(null, body));
  scope.setErrorHandler((error: Error & { readonly statusCode?: number }, _request, reply) => {
    if (error.statusCode !== 413) throw error;
    return reply.code(400).type('application/json').send({ error: 'invalid_request', error_description: 'the body is too large' });
  });
  scope.route({
    method: ['GET', 'POST', 'OPTIONS'],
    url: `${authPaths.prefix}/*`,
    config: { interaction: 'token' },
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      const path = request.url.split('?', 1)[0] ?? '';
      if (!isOpen(path)) throw new AssentError('not-supported');
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const introspected = path === authPaths.introspect && request.method === 'POST' ? await introspectByBearer(routes, request, body) : undefined;
      if (introspected) return reply.header('cache-control', 'no-store').header('access-control-allow-origin', '*').send(introspected);
      await routes.clientKeys.renew(routes.provider, new URLSearchParams(body.toString()));
      const passed = await passedOn(routes, { request, path, body });
      reply.hijack();
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value);
      // RFC 6749 §5.1: tokens are for no cache, of HTTP/1.0 either.
      if (request.method === 'POST') reply.raw.setHeader('pragma', 'no-cache');
      await handle(passed, reply.raw);
      return reply;
    },
  });
}

const closed = new Set<string>([authPaths.token, authPaths.jwks, authPaths.authorize, authPaths.introspect, authPaths.revoke]);

function isOpen(path: string): boolean {
  // Where a person who has answered goes on.
  return closed.has(path) || new RegExp(`^${authPaths.authorize}/[\\w-]{1,64}$`).test(path);
}

type Passing = { readonly request: FastifyRequest; readonly path: string; readonly body: Buffer };

async function passedOn(routes: AuthRoutes, { request, path, body }: Passing): Promise<IncomingMessage> {
  const { raw } = request;
  const { host, protocol } = new URL(routes.endpoints.issuer);
  const headers = { ...raw.headers, host, 'x-forwarded-host': host, 'x-forwarded-proto': protocol.slice(0, -1) };
  if (path === authPaths.authorize) return asAuthorization(request, { headers, body });
  const sent = path === authPaths.token ? await withClient(routes, request, body) : body;
  const length = request.method === 'POST' && body.length > 0 ? { 'content-length': String(sent.length) } : {};
  return replayed(raw, { method: raw.method, url: raw.url, headers: { ...headers, ...length } }, sent);
}

type Replaced = { readonly method: string | undefined; readonly url: string | undefined; readonly headers: Readonly<Record<string, unknown>> };

/** A request like the one that came, as the library reads it. */
function replayed({ socket, httpVersion, httpVersionMajor, httpVersionMinor }: IncomingMessage, replaced: Replaced, body: Buffer): IncomingMessage {
  const stream = Readable.from(body.length > 0 ? [body] : [], { objectMode: false });
  return Object.assign(stream, { socket, httpVersion, httpVersionMajor, httpVersionMinor, ...replaced }) as unknown as IncomingMessage;
}

/** A form is taken like a link, without cookies for other sites; and the person is asked each time, by a session of its own. */
function asAuthorization(
  { raw }: FastifyRequest,
  { headers, body }: { readonly headers: Readonly<Record<string, unknown>>; readonly body: Buffer },
): IncomingMessage {
  const isForm = raw.method === 'POST' && String(headers['content-type']).startsWith('application/x-www-form-urlencoded');
  const parameters = new URLSearchParams(isForm ? body.toString() : (raw.url ?? '').split('?')[1]);
  // There is one resource; and refresh tokens are given only to who was asked for consent.
  parameters.delete('resource');
  if (parameters.get('prompt') !== 'none') parameters.set('prompt', 'consent');
  const { 'content-type': _type, 'content-length': _length, cookie, ...kept } = headers;
  const cookies = (typeof cookie === 'string' ? cookie : '').split('; ').filter((each) => !/^_session(?:\.sig)?=/.test(each));
  const url = `${authPaths.authorize}?${parameters.toString()}`;
  return replayed(
    raw,
    { method: raw.method === 'POST' ? 'GET' : raw.method, url, headers: { ...kept, cookie: cookies.join('; ') } },
    Buffer.alloc(0),
  );
}

/** A public app that refreshes its token and leaves out who it is: its token says so. */
async function withClient({ records, clients }: AuthRoutes, { headers }: FastifyRequest, body: Buffer): Promise<Buffer> {
  const form = new URLSearchParams(body.toString());
  const token = form.get('refresh_token');
  if (token === null || form.has('client_id') || form.has('client_assertion') || headers.authorization !== undefined) return body;
  const kept = (await records.get('oidc-RefreshToken', token))?.value as { readonly clientId?: string } | undefined;
  const client = kept?.clientId === undefined ? undefined : await clients.find(kept.clientId);
  if (client?.credential.kind !== 'none') return body;
  form.set('client_id', client.client_id);
  return Buffer.from(form.toString());
}

/** By who holds a token of its own instead of a credential. */
async function introspectByBearer(routes: AuthRoutes, request: FastifyRequest, body: Buffer): Promise<object | undefined> {
  const { authorization } = request.headers;
  if (authorization === undefined || !BEARER.test(authorization)) return undefined;
  const caller = await routes.authenticate({ headers: { authorization } });
  const token = new URLSearchParams(body.toString()).get('token') ?? '';
  return introspect({ ...routes }, token, caller.admin ? undefined : caller.client);
}
