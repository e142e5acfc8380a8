/**
 * The authorization server as one Fastify plugin and one authenticator: what the composition root needs of this room.
 * authorization.md §1
 *
 * Invariant: a token is good as long as its client's registration and what a person approved stand, in every process.
 */
import fastifyJwt from '@fastify/jwt';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import type { RecordStore } from '../store/port.ts';
import { type AppConsents, createAppConsents } from './app-consents.ts';
import { mountProvider } from './auth-routes.ts';
import { createClientKeys } from './client-keys.ts';
import type { Clients } from './clients.ts';
import type { RecordCommit } from './commit.ts';
import { type Endpoints, serverMetadata, smartConfiguration } from './endpoints.ts';
import { createJwksFetch } from './fetch-jwks.ts';
import { createInteractions, type Interactions } from './interactions.ts';
import { createLaunches, type Launches } from './launches.ts';
import { type ConsentStands, grantStands } from './permissions.ts';
import { createProvider, type ProblemPage } from './provider.ts';
import { loadSigningKey } from './signing-keys.ts';
import { completeTokenAnswers } from './token-answers.ts';
import { type Authenticator, createAuthenticator, createBreakGlassToken, createTokenVerifier } from './token.ts';

export type AuthorizationDeps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clients: Clients;
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly privateHosts: readonly string[];
  readonly epoch: () => Promise<number>;
  /** The same in every process on the database. */
  readonly cookieKey: string;
  readonly problemPage: ProblemPage;
  readonly consentStands: ConsentStands;
};

export type Authorization = Authenticator & {
  readonly breakGlassToken: ReturnType<typeof createBreakGlassToken>;
  /** What the pages for persons need. */
  readonly interactions: Interactions;
  readonly launches: Launches;
  readonly appConsents: AppConsents;
};

/** Registers the endpoints, JWKS and the discovery documents on the app; gives the authenticator for all its other routes. */
export async function installAuthorization(app: FastifyInstance, deps: AuthorizationDeps): Promise<Authorization> {
  const { records, clients, clock, endpoints, privateHosts } = deps;
  const signingKey = await loadSigningKey(records);
  await app.register(fastifyJwt, { secret: { public: signingKey.publicPem } });
  const ours = { signingKey, issuer: endpoints.issuer, audience: endpoints.fhir };
  const generationOf = async (client: string) => (await clients.find(client))?.generation;
  const verify = createTokenVerifier({ jwt: app.jwt, ...ours, clock });
  const { authenticate } = createAuthenticator({
    verify,
    epoch: deps.epoch,
    generationOf,
    grantStands: (grant) => grantStands(deps, grant),
    clock,
  });
  const appConsents = createAppConsents(deps);
  const launches = createLaunches({ records, clients, clock });
  const clientKeys = createClientKeys({ fetch: createJwksFetch({ privateHosts, fetch }), clock });
  const provider = createProvider({
    ...deps,
    launches,
    signingKey,
    fetch: clientKeys.fetch,
    onFault: (error) => app.log.error({ fault: error.name }, 'token request failed'),
  });
  completeTokenAnswers(provider, { ...deps, authenticate });
  await app.register(async (scope) => mountProvider(scope, { provider, records, clients, clientKeys, endpoints, authenticate }));
  publishDocuments(app, endpoints);
  return {
    authenticate,
    breakGlassToken: createBreakGlassToken({ ...ours, generationOf, clock }),
    interactions: createInteractions({ ...deps, provider, launches, appConsents }),
    launches,
    appConsents,
  };
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
