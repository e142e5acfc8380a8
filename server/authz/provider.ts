/**
 * The OAuth 2 authorization server: oidc-provider, configured for SMART App Launch and backend services. authorization.md §1–3,
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html, https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
 *
 * Invariants: actor and purpose of a token come from the client's registration and from who approved it; a token is RS256, `at+jwt`, lives at
 * most ten minutes and is for our FHIR base only; a client assertion lives at most five minutes and is used once, whichever process sees it;
 * every authorization asks its person anew and knows no grant but its own.
 */
import { createHash } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { type Client, type Configuration, errors, interactionPolicy, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import type { RecordStore } from '../store/port.ts';
import { createAdapter, REGISTRATION } from './adapter.ts';
import type { Clients } from './clients.ts';
import type { RecordCommit } from './commit.ts';
import { assertionAlgorithms, authPaths, clientAuthMethods, type Endpoints } from './endpoints.ts';
import type { Fetch } from './fetch-jwks.ts';
import type { Launches } from './launches.ts';
import { askedScope, claimsFor, type ConsentStands, registrationOf, resourceServerFor, TOKEN_SECONDS } from './permissions.ts';
import { contextScopes, wordsOf } from './scopes.ts';
import { secretMatches } from './secret.ts';
import type { SigningKey } from './signing-keys.ts';

const ASSERTION_SECONDS = 300;
const CLOCK_TOLERANCE_SECONDS = 15;
const CODE_SECONDS = 60;
/** For the person to sign in and to decide. */
const INTERACTION_SECONDS = 900;
const ONLINE_SECONDS = 12 * 3600;
export const GRANT_SECONDS = 90 * 86_400;

/** What went wrong where there is nowhere to send the person back to. */
export type ProblemPage = (problem: {
  /** Of OAuth, e.g. invalid_client. */
  readonly error: string;
  /** For whoever makes the app. */
  readonly text: string;
  readonly headers: { readonly cookie?: string | undefined; readonly 'accept-language'?: string | undefined };
}) => {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export type ProviderDeps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clients: Pick<Clients, 'find'>;
  readonly launches: Pick<Launches, 'find'>;
  readonly consentStands: ConsentStands;
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly signingKey: SigningKey;
  /** Signs the cookies of an authorization that is under way; the same in every process. */
  readonly cookieKey: string;
  readonly fetch: Fetch;
  readonly problemPage: ProblemPage;
  /** Told of faults; never given request content. */
  readonly onFault: (error: Error) => void;
};

export function createProvider(deps: ProviderDeps): Provider {
  const provider = new Provider(deps.endpoints.issuer, configuration(deps));
  // What the request says of host and scheme was replaced by the public URL's (authorization.ts).
  provider.proxy = true;
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
  return {
    adapter: createAdapter(deps),
    jwks: { keys: [deps.signingKey.privateJwk] } as NonNullable<Configuration['jwks']>,
    cookies: { keys: [deps.cookieKey] },
    routes: {
      token: authPaths.token,
      jwks: authPaths.jwks,
      authorization: authPaths.authorize,
      introspection: authPaths.introspect,
      revocation: authPaths.revoke,
    },
    scopes: [...contextScopes],
    responseTypes: ['code'],
    clientAuthMethods: [...clientAuthMethods],
    enabledJWA: { clientAuthSigningAlgValues: [...assertionAlgorithms], idTokenSigningAlgValues: ['RS256'] },
    extraClientMetadata: { properties: [REGISTRATION] },
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    // Token requests carry no cookies, so any origin may send them; the answer still needs the client's credential.
    clientBasedCORS: () => true,
    fetch: deps.fetch,
    renderError: (ctx, out) => renderError(deps, ctx, out),
    assertJwtClientAuthClaimsAndHeader: (_ctx, claims, header, client) => checkAssertion({ claims, header, client, now: deps.clock() / 1000 }),
    extraTokenClaims: (ctx, token) => claimsFor(ctx, 'grantId' in token ? token.grantId : undefined, deps),
    ...people(deps),
    ...lifetimes,
    features: features(deps),
  };
}

/** How a person is asked, and for what. */
function people({ launches, endpoints }: ProviderDeps): Configuration {
  const { Prompt, Check } = interactionPolicy;
  const unasked = new Check(
    'not_approved',
    'the person has to approve it',
    'interaction_required',
    (ctx) => ctx.oidc.result?.['consent'] === undefined,
  );
  return {
    interactions: { policy: [new Prompt({ name: 'consent', requestable: true }, unasked)], url: (_ctx, { uid }) => `${authPaths.page}/${uid}` },
    // An older grant is another person's, or of another patient.
    loadExistingGrant: async (ctx) => {
      const grant = ctx.oidc.result?.consent?.grantId;
      return grant === undefined ? undefined : ctx.oidc.provider.Grant.find(grant);
    },
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, fhirUser: `${endpoints.fhir}/${id}` }) }),
    claims: { openid: ['sub'], fhirUser: ['fhirUser'] },
    extraParams: {
      aud: (_ctx, value) => {
        if (value?.replace(/\/$/, '') !== endpoints.fhir) throw new errors.InvalidRequest('aud must be the FHIR base URL of this server');
      },
      launch: (ctx, value, client) => checkLaunch(ctx, { value, client: client.clientId }, launches),
      purpose_of_use: (_ctx, value, client) => {
        if (value !== undefined && !registrationOf(client).purposes.includes(value))
          throw new errors.InvalidRequest('purpose_of_use is not one the client is registered for');
      },
    },
    issueRefreshToken: (_ctx, client, { scopes }) =>
      client.grantTypeAllowed('refresh_token') && (scopes.has('offline_access') || scopes.has('online_access')),
    rotateRefreshToken: true,
    revokeGrantPolicy: () => true,
  };
}

async function checkLaunch(
  ctx: KoaContextWithOIDC,
  { value, client }: { readonly value: string | undefined; readonly client: string },
  launches: ProviderDeps['launches'],
): Promise<void> {
  const wanted = wordsOf(askedScope(ctx)).includes('launch');
  if (wanted !== (value !== undefined)) throw new errors.InvalidRequest('scope launch and parameter launch come together');
  if (value !== undefined && !(await launches.find(value, client))) throw new errors.InvalidRequest('launch is not known, or not any more');
}

const lifetimes: Configuration = {
  ttl: {
    AccessToken: TOKEN_SECONDS,
    ClientCredentials: TOKEN_SECONDS,
    AuthorizationCode: CODE_SECONDS,
    IdToken: TOKEN_SECONDS,
    Interaction: INTERACTION_SECONDS,
    Session: INTERACTION_SECONDS,
    Grant: GRANT_SECONDS,
    RefreshToken: (_ctx, { scopes }) => (scopes.has('offline_access') ? GRANT_SECONDS : ONLINE_SECONDS),
  },
  // Tokens end with their grant; the session is that of one authorization only.
  expiresWithSession: () => false,
};

function features({ endpoints }: ProviderDeps): NonNullable<Configuration['features']> {
  const off = { enabled: false };
  const own = (_ctx: KoaContextWithOIDC, client: Client, token: { readonly clientId?: string | undefined }) => token.clientId === client.clientId;
  return {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: own },
    revocation: { enabled: true, allowedPolicy: own },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => endpoints.fhir,
      getResourceServerInfo: (ctx, resource, client) => resourceServerFor({ ctx, client }, resource, endpoints.fhir),
      useGrantedResource: () => true,
    },
    devInteractions: off,
    dPoP: off,
    userinfo: off,
    pushedAuthorizationRequests: off,
    rpInitiatedLogout: off,
  };
}

function renderError(
  { problemPage }: ProviderDeps,
  ctx: KoaContextWithOIDC,
  out: { readonly error: string; readonly error_description?: string | undefined },
): void {
  if (ctx.oidc.route !== 'authorization' && ctx.oidc.route !== 'resume') {
    ctx.type = 'json';
    ctx.body = out;
    return;
  }
  const { headers, body } = problemPage({ error: out.error, text: out.error_description ?? out.error, headers: ctx.req.headers });
  ctx.set(headers);
  ctx.body = body;
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
