/**
 * Puts the table of routes.ts on Fastify under the FHIR base path: token, scope and media type are checked before a byte of the body is
 * read, then the row's handler runs with a Gate made for the caller.
 *
 * Invariant: the only thing put on a request is `request.caller`, and only the token decides it.
 */
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GateFor } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { checkAccess } from './access.ts';
import { binaryOf, givesBytes, takesBytes } from './binary.ts';
import { discard, readBody } from './body.ts';
import { givesSmallFile, smallFileWanted } from './compressed.ts';
import { checkMediaType, mediaTypes, parseBody } from './content.ts';
import { dispatch } from './dispatch.ts';
import { faultOf, sendError } from './error-handler.ts';
import type { Held } from './held.ts';
import { createInFlight, type InFlight } from './in-flight.ts';
import type { Answer, Body, Caller, FhirRequest, Route } from './interaction.ts';
import { parametersOf, queryOf } from './parameters.ts';
import { type Form, formOf, render } from './render.ts';
import { INTERACTION, interactionJob, putOff } from './respond-async.ts';
import { createRouter, typeOfRow } from './router.ts';
import { routes } from './routes.ts';
import type { Services } from './services.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls, from the token alone; undefined on public routes. */
    caller: Caller | undefined;
  }
  interface FastifyContextConfig {
    /** The row of the REST table behind this route. */
    readonly fhir?: Route;
  }
}

export type FhirOptions = Omit<Services, 'routes' | 'router' | 'dispatch' | 'report'> & {
  readonly gateFor: GateFor;
  readonly held: Pick<Held, 'during'>;
  /** Who calls. Throws AssentError('unauthenticated') without a valid token. */
  readonly authenticate: (request: FastifyRequest) => Promise<Caller>;
};

const commonHeaders = { 'cache-control': 'private, no-store', vary: 'Accept, Authorization, Prefer', 'x-content-type-options': 'nosniff' };

/** No cookies and no credentials: a browser page can do no more than the token it holds. */
const corsOptions = {
  origin: '*',
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  exposedHeaders:
    'ETag, Location, Content-Location, Last-Modified, Content-Disposition, Allow, Assent-Receipt, Retry-After, Preference-Applied, Warning, X-Progress',
  strictPreflight: false,
  maxAge: 600,
};

/** Register with `app.register(createFhirPlugin(options), { prefix: '/fhir' })`. */
export function createFhirPlugin(options: FhirOptions): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    const report = (fault: unknown): void => app.log.error({ fault: faultOf(fault) }, 'entry failed');
    const services: Services = { ...options, routes, router: createRouter(routes), dispatch: (call) => dispatch(call, services), report };
    options.jobs.handle(INTERACTION, interactionJob(services, { gateFor: options.gateFor, during: options.held.during }));
    if (!app.hasRequestDecorator('caller')) app.decorateRequest('caller', undefined);
    app.addHook('onRequest', async (request, reply) => nameMethods(request, reply, services));
    await app.register(cors, corsOptions);
    app.removeAllContentTypeParsers();
    const inFlight = createInFlight(options.limits.bytesInFlight);
    app.addContentTypeParser('*', (request: FastifyRequest, payload: FastifyRequest['raw']) => takeBody({ request, payload }, services, inFlight));
    app.addHook('onRequest', async (request, reply) => admit(request, reply, options));
    app.setNotFoundHandler((request, reply) => refuseUnrouted(request, reply, services));
    for (const route of routes) {
      app.route({
        method: route.method,
        url: route.path,
        prefixTrailingSlash: 'both',
        config: { fhir: route, interaction: route.interaction },
        handler: (request, reply) =>
          serve({ request, reply, route }, { services, gateFor: options.gateFor }).finally(() => inFlight.release(request)),
      });
    }
  };
}

/** OPTIONS is answered by CORS, which knows the methods of the whole server, not those of this path. */
async function nameMethods(request: FastifyRequest, reply: FastifyReply, { router }: Services): Promise<void> {
  if (request.method !== 'OPTIONS') return;
  const [path = ''] = (request.raw.url ?? '').slice(request.server.prefix.length).split('?');
  const found = router('OPTIONS', path);
  if (found.kind === 'other-method') reply.header('allow', found.allow.join(', '));
}

async function admit(request: FastifyRequest, reply: FastifyReply, { authenticate, allows }: FhirOptions): Promise<void> {
  reply.headers(commonHeaders);
  const route = request.routeOptions.config.fhir;
  if (!route) return;
  if (route.scope !== 'public') {
    request.caller = await authenticate(request);
    checkAccess(route, typeOfRow(route, request.params as { type?: string }), request.caller, allows);
  }
  // The form of a _search may hold _format too: serve looks when it is there.
  if (route.takes !== 'form') formWanted(request, route, queryOf(request.raw.url ?? ''));
}

/** Throws not-acceptable, except where bytes can be the answer: those are of a type the caller may not know before, or that was named. */
function formWanted(request: FastifyRequest, route: Route, parameters: URLSearchParams): Form {
  if (givesSmallFile(route) && smallFileWanted(request.headers.accept, parameters.get('_format') ?? undefined))
    return { format: 'json', pretty: false };
  try {
    return formOf(request.headers.accept, parameters);
  } catch (error) {
    if (!parameters.has('_format') && givesBytes(route, typeOfRow(route, request.params as { type?: string }))) return formOf(undefined, parameters);
    throw error;
  }
}

type Sent = { readonly request: FastifyRequest; readonly payload: FastifyRequest['raw'] };

/** What is held for a body is given back where it fails here; else when it was served. */
async function takeBody(sent: Sent, services: Services, inFlight: InFlight): Promise<Body> {
  try {
    return await bodyOf(sent, services, inFlight);
  } catch (error) {
    inFlight.release(sent.request);
    return discard(sent.payload, error, services.limits.bodyBytes);
  }
}

async function bodyOf({ request, payload }: Sent, { limits }: Services, inFlight: InFlight): Promise<Body> {
  const route = request.routeOptions.config.fhir;
  if (!route || route.takes === 'nothing') {
    payload.resume();
    return { kind: 'none' };
  }
  const { takes } = route;
  const { 'content-type': contentType = '', 'content-encoding': encoding, 'content-length': length } = request.headers;
  const target = request.params as { readonly type?: string; readonly id?: string };
  const isBytes = takesBytes(route, typeOfRow(route, target), contentType);
  const format = isBytes ? undefined : checkMediaType(contentType, takes);
  inFlight.hold(request, Math.min(Number(length ?? 0), limits.bodyBytes));
  const bytes = await readBody(payload, { encoding, length }, limits.bodyBytes);
  inFlight.hold(request, bytes.length);
  if (format !== undefined) return parseBody(bytes, { takes, format }, limits);
  const securityContext = request.headers['x-security-context'];
  return { kind: 'resource', document: binaryOf(bytes, { contentType, id: target.id, securityContext: securityContext?.toString() }) };
}

type Exchange = { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly route: Route };

async function serve(
  { request, reply, route }: Exchange,
  { services, gateFor }: { readonly services: Services; readonly gateFor: GateFor },
): Promise<FastifyReply> {
  const body = (request.body as Body | undefined) ?? { kind: 'none' };
  const form = formWanted(request, route, parametersOf({ query: queryOf(request.raw.url ?? ''), body }));
  if (route.scope === 'public') return send(reply, await route.handler(services), form);
  if (!request.caller) throw new AssentError('unauthenticated');
  const asked = fhirRequest({ request, route }, { gate: gateFor(request.caller, () => whileConnected(reply)), body });
  return send(reply, (await putOff(asked, route, services)) ?? (await route.handler(asked, services)), form);
}

function fhirRequest({ request, route }: Omit<Exchange, 'reply'>, { gate, body }: Pick<FhirRequest, 'gate' | 'body'>): FhirRequest {
  const parameters = request.params as Partial<FhirRequest>;
  return {
    type: typeOfRow(route, parameters),
    id: parameters.id ?? '',
    version: parameters.version ?? '',
    member: parameters.member ?? '',
    gate,
    query: queryOf(request.raw.url ?? ''),
    url: (request.raw.url ?? '').slice(request.server.prefix.length + 1),
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body,
  };
}

/** Made for those who ask: most answers are quicker than anyone could leave. */
function whileConnected({ raw }: FastifyReply): AbortSignal {
  const leaving = new AbortController();
  if (raw.destroyed) leaving.abort();
  // Also told once all is sent: nobody waits for anything by then.
  else raw.once('close', () => raw.writableFinished || leaving.abort());
  return leaving.signal;
}

async function send(reply: FastifyReply, answer: Answer, form: Form): Promise<FastifyReply> {
  const rendered = await render(answer, form).catch((error: unknown) => {
    // What is written is written: its answer comes as JSON rather than as a failure.
    if (reads(reply.request.method) || !(error instanceof AssentError) || error.code !== 'not-acceptable') throw error;
    return render(answer, { ...form, format: 'json' });
  });
  reply.code(answer.status).headers(answer.headers);
  // A browser shows XML as a page, narratives and all.
  if (rendered?.type === mediaTypes.xml) reply.header('content-security-policy', "default-src 'none'; sandbox");
  return rendered === undefined ? reply.send() : reply.type(rendered.type).send(rendered.content);
}

function reads(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** A path that other methods know is 405 with what they are; any other is not offered. */
function refuseUnrouted(request: FastifyRequest, reply: FastifyReply, { router }: Services): void {
  const [path = ''] = (request.raw.url ?? '').slice(request.server.prefix.length).split('?');
  const found = router(request.method, path);
  if (found.kind !== 'other-method') return sendError(new AssentError('not-supported'), request, reply);
  reply.header('allow', found.allow.join(', '));
  sendError(new AssentError('method-not-allowed'), request, reply);
}
