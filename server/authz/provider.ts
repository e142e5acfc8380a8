/**
 * The OAuth 2 authorization server: oidc-provider, configured for SMART backend services. authorization.md §1–3,
 * https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
 *
 * Invariants: actor and purpose of a token come from the client's registration; a token is RS256, `at+jwt`, lives at most ten minutes
 * and is for our FHIR base only; a client assertion lives at most five minutes and is used once, whichever process sees it.
 */
import { createHash } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { type Client, type Configuration, errors, type KoaContextWithOIDC, Provider, type ResourceServer } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import type { RecordStore } from '../store/port.ts';
import { createAdapter, REGISTRATION } from './adapter.ts';
import type { Clients, StoredClient } from './clients.ts';
import { assertionAlgorithms, authPaths, clientAuthMethods, type Endpoints } from './endpoints.ts';
import type { Fetch } from './fetch-jwks.ts';
import { grantToSystem, readScopes } from './scopes.ts';
import { secretMatches } from './secret.ts';
import type { SigningKey } from './signing-keys.ts';

const TOKEN_SECONDS = 600;
const ASSERTION_SECONDS = 300;
const CLOCK_TOLERANCE_SECONDS = 15;

export type ProviderDeps = {
  readonly records: RecordStore;
  readonly clients: Pick<Clients, 'find'>;
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly signingKey: SigningKey;
  readonly fetch: Fetch;
  /** Told of faults; never given request content. */
  readonly onFault: (error: Error) => void;
};

export function createProvider(deps: ProviderDeps): Provider {
  const provider = new Provider(deps.endpoints.issuer, configuration(deps));
  provider.on('server_error', (_ctx, error) => deps.onFault(error));
  // Koa prints what nobody listens to; the types of the package know only its own events.
  (provider as EventEmitter).on('error', (error: Error) => deps.onFault(error));
  keepSecretsHashed(provider);
  useAssertionsOnce(provider, deps.records);
  // The library would also accept audiences made from the Host header, which the sender of a stolen assertion chooses.
  provider.OIDCContext.prototype.clientJwtAuthExpectedAudience = () => new Set([deps.endpoints.token, deps.endpoints.issuer]);
  return provider;
}

function configuration(deps: ProviderDeps): Configuration {
  const off = { enabled: false };
  return {
    adapter: createAdapter(deps),
    jwks: { keys: [deps.signingKey.privateJwk] } as NonNullable<Configuration['jwks']>,
    routes: { token: authPaths.token, jwks: authPaths.jwks, authorization: `${authPaths.prefix}/authorize` },
    scopes: [],
    responseTypes: [],
    clientAuthMethods: [...clientAuthMethods],
    enabledJWA: { clientAuthSigningAlgValues: [...assertionAlgorithms], idTokenSigningAlgValues: ['RS256'] },
    extraClientMetadata: { properties: [REGISTRATION] },
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    ttl: { ClientCredentials: TOKEN_SECONDS },
    // Token requests carry no cookies, so any origin may send them; the answer still needs the client's credential.
    clientBasedCORS: () => true,
    fetch: deps.fetch,
    renderError: (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
    assertJwtClientAuthClaimsAndHeader: (_ctx, claims, header, client) => checkAssertion({ claims, header, client, now: deps.clock() / 1000 }),
    extraTokenClaims: (ctx) => claimsFor(ctx),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => deps.endpoints.fhir,
        getResourceServerInfo: (ctx, resource, client) => grantFor({ ctx, resource, client, fhir: deps.endpoints.fhir }),
      },
      devInteractions: off,
      dPoP: off,
      userinfo: off,
      pushedAuthorizationRequests: off,
      rpInitiatedLogout: off,
    },
  };
}

/** Decides what this token may do; called once per token request, before the token is made. */
function grantFor({
  ctx,
  resource,
  client,
  fhir,
}: {
  readonly ctx: KoaContextWithOIDC;
  readonly resource: string;
  readonly client: Client;
  readonly fhir: string;
}): ResourceServer {
  if (resource.replace(/\/$/, '') !== fhir) throw new errors.InvalidTarget('the only resource is the FHIR base URL');
  const asked = ctx.oidc.params?.['scope'];
  const { known, malformed } = readScopes(typeof asked === 'string' ? asked : '');
  if (malformed.length > 0) throw new errors.InvalidScope('a scope has letters that are undefined or out of order (cruds)', malformed.join(' '));
  const granted = grantToSystem(known, registrationOf(client).scope.split(' ')).join(' ');
  if (granted === '') throw new errors.InvalidScope('none of the scopes asked for is permitted', typeof asked === 'string' ? asked : '');
  purposeFor(ctx, client);
  // The library issues what is in both the request and the resource's scope, so a scope that was cut down is written back.
  if (ctx.oidc.params) ctx.oidc.params['scope'] = granted;
  return { scope: granted, audience: fhir, accessTokenFormat: 'jwt', accessTokenTTL: TOKEN_SECONDS, jwt: { sign: { alg: 'RS256' } } };
}

function purposeFor(ctx: KoaContextWithOIDC, client: Client): string {
  const { purposes } = registrationOf(client);
  const asked: unknown = ctx.oidc.body?.['purpose_of_use'];
  if (asked === undefined) return purposes[0] ?? '';
  if (typeof asked !== 'string' || !purposes.includes(asked))
    throw new errors.InvalidRequest('purpose_of_use is not one the client is registered for');
  return asked;
}

function claimsFor(ctx: KoaContextWithOIDC): { readonly [claim: string]: unknown } {
  const { client } = ctx.oidc;
  if (!client) throw new errors.InvalidClient('no client');
  const { actor, choosesIds, generation } = registrationOf(client);
  return { actor, purpose: purposeFor(ctx, client), chooses_ids: choosesIds, reg: generation };
}

/** The registration the client authenticated with. */
function registrationOf(client: Client): StoredClient {
  const registration = client[REGISTRATION] as StoredClient | undefined;
  if (!registration) throw new Error('A client without its registration.');
  return registration;
}

function checkAssertion({
  claims,
  header,
  client,
  now,
}: {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly header: Readonly<Record<string, unknown>>;
  readonly client: Client;
  readonly now: number;
}): void {
  if (Number(claims['exp']) > now + ASSERTION_SECONDS + CLOCK_TOLERANCE_SECONDS)
    throw new errors.InvalidClientAuth('the assertion lives for more than five minutes');
  if (claims['sub'] !== client.clientId) throw new errors.InvalidClientAuth('the subject of the assertion is not the client');
  if (header['jku'] !== undefined && header['jku'] !== client.jwksUri) throw new errors.InvalidClientAuth('jku is not the registered jwks_uri');
}

function keepSecretsHashed(provider: Provider): void {
  provider.Client.prototype.compareClientSecret = function compare(this: Client, secret: string) {
    return this.clientSecret === undefined ? false : secretMatches(this.clientSecret, secret);
  };
}

/** The library finds, then saves: two processes could both find nothing. Here the insert itself is the test. */
function useAssertionsOnce(provider: Provider, records: RecordStore): void {
  provider.ReplayDetection.unique = async (issuer, jti, exp) => {
    const id = createHash('sha256')
      .update(JSON.stringify([issuer, jti]))
      .digest('base64url');
    const put = await records.put('used-assertion', id, null, { revision: null, expires: exp * 1000 });
    return put.kind === 'written';
  };
}
