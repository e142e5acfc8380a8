/**
 * The authorization server as one Fastify plugin and one authenticator: what the composition root needs of this room.
 * authorization.md §1
 *
 * Invariant: oidc-provider is reached only at the paths that are advertised, through a route that parses no body, after every hook.
 */
import fastifyJwt from '@fastify/jwt';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Provider } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { Clients } from './clients.ts';
import { authPaths, type Endpoints, serverMetadata, smartConfiguration } from './endpoints.ts';
import { createJwksFetch } from './fetch-jwks.ts';
import { createProvider } from './provider.ts';
import { loadSigningKey } from './signing-keys.ts';
import { type Authenticator, createAuthenticator, createBreakGlassToken, createTokenVerifier } from './token.ts';

export type AuthorizationDeps = {
  readonly records: RecordStore;
  readonly clients: Clients;
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly privateHosts: readonly string[];
  readonly epoch: () => Promise<number>;
};

/** Registers the token endpoint, JWKS and the discovery documents on the app; gives the authenticator for all its other routes. */
export async function installAuthorization(
  app: FastifyInstance,
  deps: AuthorizationDeps,
): Promise<Authenticator & { readonly breakGlassToken: ReturnType<typeof createBreakGlassToken> }> {
  const { clients, clock, endpoints, privateHosts } = deps;
  const signingKey = await loadSigningKey(deps.records);
  const provider = createProvider({
    ...deps,
    signingKey,
    fetch: createJwksFetch({ privateHosts, fetch }),
    onFault: (error) => app.log.error({ fault: error.name }, 'token request failed'),
  });
  await app.register(fastifyJwt, { secret: { public: signingKey.publicPem } });
  await app.register(async (scope) => mountProvider(scope, provider));
  publishDocuments(app, endpoints);
  const ours = { signingKey, issuer: endpoints.issuer, audience: endpoints.fhir };
  const generationOf = async (client: string) => (await clients.find(client))?.generation;
  return {
    ...createAuthenticator({ verify: createTokenVerifier({ jwt: app.jwt, ...ours, clock }), epoch: deps.epoch, generationOf, clock }),
    breakGlassToken: createBreakGlassToken({ ...ours, generationOf, clock }),
  };
}

function mountProvider(scope: FastifyInstance, provider: Provider): void {
  const handle = provider.callback();
  const open = new Set<string>([authPaths.token, authPaths.jwks]);
  // The library reads the body itself, at most 56 kB of it.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
  scope.route({
    method: ['GET', 'POST', 'OPTIONS'],
    url: `${authPaths.prefix}/*`,
    config: { interaction: 'token' },
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      if (!open.has(request.url.split('?', 1)[0] ?? '')) throw new AssentError('not-supported');
      reply.hijack();
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value);
      // RFC 6749 §5.1: tokens are for no cache, of HTTP/1.0 either.
      if (request.method === 'POST') reply.raw.setHeader('pragma', 'no-cache');
      await handle(request.raw, reply.raw);
    },
  });
}

function publishDocuments(app: FastifyInstance, endpoints: Endpoints): void {
  const smart = JSON.stringify(smartConfiguration(endpoints));
  const metadata = JSON.stringify(serverMetadata(endpoints));
  const documents: Readonly<Record<string, string>> = {
    '/.well-known/smart-configuration': smart,
    '/fhir/.well-known/smart-configuration': smart,
    '/.well-known/openid-configuration': metadata,
    '/.well-known/oauth-authorization-server': metadata,
  };
  for (const [url, body] of Object.entries(documents)) {
    // Always JSON, whatever is asked for, and for any origin: the documents are public.
    app.get(url, { config: { interaction: 'discovery' } }, (_request, reply) =>
      reply.header('access-control-allow-origin', '*').type('application/json').send(body),
    );
  }
}
