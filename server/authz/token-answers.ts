/**
 * What the token, introspection and revocation endpoints answer beyond the library: the launch context beside the token, and JWTs introspected
 * (RFC 7662) and revoked (RFC 7009), which the library refuses. https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
 *
 * Invariant: a client learns of, and ends, its own tokens only.
 */
import { decodeJwt } from 'jose';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Endpoints } from './endpoints.ts';
import { type ApprovalsDeps, approvedOf, contextOf, scopeBeside } from './permissions.ts';
import type { Authenticator } from './token.ts';

export type TokenAnswersDeps = ApprovalsDeps & { readonly endpoints: Endpoints; readonly authenticate: Authenticator['authenticate'] };

export function completeTokenAnswers(provider: Provider, deps: TokenAnswersDeps): void {
  provider.use(async (ctx, next) => {
    await next();
    const exchange = ctx as KoaContextWithOIDC;
    const { route } = exchange.oidc;
    if (route === 'token' && ctx.status === 200) await addContext(exchange, deps);
    if (route === 'token' && ctx.status === 400) nameGrantRefused(exchange);
    // The library refuses a JWT only after it knows whose request it is.
    if (!exchange.oidc.client || ctx.status !== 400 || errorOf(ctx.body) !== 'unsupported_token_type') return;
    const sent = exchange.oidc.params?.['token'];
    const token = typeof sent === 'string' ? sent : '';
    if (route === 'introspection') answer(exchange, await introspect(deps, token, exchange.oidc.client.clientId));
    if (route === 'revocation' && (await revoke(provider, deps, { token, client: exchange.oidc.client.clientId }))) answer(exchange, '');
  });
}

/** RFC 6749 §5.2 has a word of its own for a grant type that the client is not registered for. */
function nameGrantRefused(ctx: KoaContextWithOIDC): void {
  const asked = ctx.oidc.params?.['grant_type'];
  if (errorOf(ctx.body) !== 'invalid_request' || typeof asked !== 'string' || ctx.oidc.client?.grantTypeAllowed(asked) !== false) return;
  ctx.body = { error: 'unauthorized_client', error_description: 'the client is not registered for this grant type' };
}

function errorOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined;
}

function answer(ctx: KoaContextWithOIDC, body: object | ''): void {
  ctx.status = 200;
  ctx.body = body;
}

/** Scopes that are about the person and the launch are granted too, and so named; the access token itself carries what it opens. */
async function addContext(ctx: KoaContextWithOIDC, deps: TokenAnswersDeps): Promise<void> {
  const { AccessToken: token, Grant: grant } = ctx.oidc.entities;
  if (token?.grantId === undefined || !grant) return;
  const { context } = await approvedOf(deps, token.grantId);
  ctx.body = { ...(ctx.body as object), scope: together(scopeBeside(ctx), token.scope), ...context };
}

function together(...scopes: readonly unknown[]): string {
  return scopes.filter((scope) => typeof scope === 'string' && scope !== '').join(' ');
}

/** As the token response had it: scope, and the context of the launch. `client`: who asks; undefined: anybody's token may be told of. */
export async function introspect(
  { authenticate, endpoints, records }: Omit<TokenAnswersDeps, 'consentStands'>,
  token: string,
  client: string | undefined,
): Promise<object> {
  const caller = await authenticate({ headers: { authorization: `Bearer ${token}` } }).catch(() => undefined);
  if (!caller || (client !== undefined && caller.client !== client)) return { active: false };
  const { scope, beside, client_id, exp, iat, iss, aud, jti, sub } = decodeJwt(token);
  const { launch } = caller;
  return {
    ...(launch ? { fhirUser: `${endpoints.fhir}/${launch.user}`, ...(await contextOf(records, launch.grant)) } : {}),
    active: true,
    token_type: 'Bearer',
    scope: together(beside, scope),
    client_id,
    exp,
    iat,
    iss,
    aud,
    jti,
    sub,
  };
}

/** Ends all that was approved with it (RFC 7009 §2.1). False: a client's own token, which no grant is behind. */
async function revoke(
  provider: Provider,
  { authenticate }: TokenAnswersDeps,
  { token, client }: { readonly token: string; readonly client: string },
): Promise<boolean> {
  const caller = await authenticate({ headers: { authorization: `Bearer ${token}` } }).catch(() => undefined);
  if (!caller || caller.client !== client) return true;
  if (!caller.launch) return false;
  await provider.Grant.adapter.destroy(caller.launch.grant);
  return true;
}
