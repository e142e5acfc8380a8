/**
 * What a client is registered as, and the checks of what an administrator may register. interface.md §2,
 * https://www.rfc-editor.org/rfc/rfc7591
 *
 * Invariant: actor and purposes come from here alone; a token never says more than its client's registration.
 */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { Issue } from '../errors.ts';
import { type Check, isObject, issue, type JsonObject, listOf, readObject, referenceTo, refuse, text } from './input.ts';
import { purposesOfUse } from './purposes.ts';
import { ADMIN_SCOPE, isOwnScope, parseScope, roleOf } from './scopes.ts';

export type Credential =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'jwks'; readonly jwks: { readonly keys: readonly JsonObject[] } }
  | { readonly kind: 'jwks_uri'; readonly uri: string }
  /** A public client: an app that can keep no secret. */
  | { readonly kind: 'none' };

export type Registration = {
  readonly client_name: string;
  readonly scope: string;
  readonly actor: string;
  readonly purposes: readonly string[];
  readonly choosesIds: boolean;
  readonly grant_types: readonly string[];
  readonly redirect_uris: readonly string[];
};

export type RegistrationInput = {
  readonly clientId: string | undefined;
  readonly registration: Registration;
  /** undefined: none was sent. */
  readonly credential: Credential | undefined;
};

/** Who a client can act for: the types a Consent can name as actor, less the groupings, which a client can only be a member of. */
const actorTypes = ['Organization', 'Practitioner', 'PractitionerRole', 'Patient', 'RelatedPerson', 'Device'];
const grantTypes = ['client_credentials', 'authorization_code', 'refresh_token'];
const authMethods = ['client_secret_basic', 'private_key_jwt', 'none'] as const;
export type AuthMethod = (typeof authMethods)[number];
/** Assertions are signed with ES384 or RS384, so only keys that can do that are of use. */
const usable: Readonly<Record<string, (jwk: JsonObject) => boolean>> = {
  EC: (jwk) => jwk['crv'] === 'P-384',
  RSA: (jwk) => typeof jwk['n'] === 'string' && Buffer.from(jwk['n'], 'base64url').length >= 256,
};
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** `privateHosts`: hosts inside the private network whose jwks_uri may be fetched, also over plain http. */
export function readRegistration(input: unknown, privateHosts: readonly string[]): RegistrationInput {
  const body = readObject(input, members(privateHosts), ['client_name', 'scope', 'actor', 'purposes']);
  const credentials = readCredentials(body);
  const issues: Issue[] = credentials.length > 1 ? [issue('jwks', 'stands beside another credential: one of jwks, jwks_uri and client_secret')] : [];
  const [credential] = credentials;
  const method = body['token_endpoint_auth_method'];
  if (credential && method !== undefined && method !== authMethod(credential))
    issues.push(issue('token_endpoint_auth_method', 'does not fit the credential'));
  const registered = (body['grant_types'] as string[] | undefined) ?? ['client_credentials'];
  const redirects = (body['redirect_uris'] as string[] | undefined) ?? [];
  refuse([...issues, ...checkGrants(registered, redirects, method), ...checkDuties(body['scope'] as string, body['actor'] as string)]);
  return {
    clientId: body['client_id'] as string | undefined,
    registration: {
      client_name: body['client_name'] as string,
      scope: (body['scope'] as string)
        .split(' ')
        .filter((word) => word !== '')
        .join(' '),
      actor: body['actor'] as string,
      purposes: body['purposes'] as string[],
      choosesIds: body['choosesIds'] === true,
      grant_types: registered,
      redirect_uris: redirects,
    },
    credential,
  };
}

function checkGrants(grants: readonly string[], redirects: readonly string[], method: unknown): Issue[] {
  const byPerson = grants.includes('authorization_code');
  return [
    ...(byPerson && redirects.length === 0 ? [issue('redirect_uris', 'is required with authorization_code')] : []),
    ...(grants.includes('refresh_token') && !byPerson ? [issue('grant_types', 'may hold refresh_token beside authorization_code only')] : []),
    ...(method === 'none' && grants.includes('client_credentials')
      ? [issue('grant_types', 'of a public client may not hold client_credentials')]
      : []),
  ];
}

/** Whether the account administers: wholly or by one duty. */
export function administers({ scope }: Pick<Registration, 'scope'>): boolean {
  return scope.split(' ').some((word) => word === ADMIN_SCOPE || roleOf(word) !== undefined);
}

/** An account with duties holds nothing else: what it sees of records is what the duty needs. Who signs for a custodian has no other duty. */
function checkDuties(scope: string, actor: string): Issue[] {
  const words = scope.split(' ').filter((word) => word !== '');
  const duties = words.flatMap((word) => roleOf(word) ?? []);
  if (duties.length === 0) return [];
  return [
    ...(duties.length < words.length ? [issue('scope', 'of an account with duties (admin/…) may hold no other scopes')] : []),
    ...(duties.includes('signer') && duties.length > 1
      ? [issue('scope', 'may hold admin/signer alone: who signs for a custodian has no other duty')]
      : []),
    ...(duties.includes('signer') && !actor.startsWith('Organization/')
      ? [issue('actor', 'of admin/signer is the Organization that is signed for')]
      : []),
    ...(actor.startsWith('Patient/') || actor.startsWith('RelatedPerson/')
      ? [issue('actor', 'of an account with duties is no patient and no relative')]
      : []),
  ];
}

const methods: Readonly<Record<Credential['kind'], AuthMethod>> = {
  secret: 'client_secret_basic',
  jwks: 'private_key_jwt',
  jwks_uri: 'private_key_jwt',
  none: 'none',
};

export function authMethod({ kind }: Pick<Credential, 'kind'>): AuthMethod {
  return methods[kind];
}

/** Before the names of patients' passkeys as clients: what is theirs is shown to no client of that name. */
export const OWN_CLIENTS = 'passkey.';

const members = (privateHosts: readonly string[]): Readonly<Record<string, Check>> => ({
  client_id: text(/^(?!passkey\.)[A-Za-z0-9._~-]{1,64}$/, `must be 1 to 64 letters, digits or ._~-, and not begin with ${OWN_CLIENTS}`),
  client_name: text(/^(?=.*\S).{1,200}$/, 'must be a line of at most 200 characters'),
  client_secret: text(/^[\x20-\x7e]{16,256}$/, 'must be 16 to 256 printable ASCII characters'),
  jwks: checkJwks,
  jwks_uri: (value) => checkJwksUri(value, privateHosts),
  token_endpoint_auth_method: text(new RegExp(`^(${authMethods.join('|')})$`), `must be ${authMethods.join(', ')}`),
  scope: checkScope,
  redirect_uris: listOf(checkRedirectUri, { empty: true }),
  grant_types: listOf((value) => (grantTypes.includes(value as string) ? undefined : `may hold ${grantTypes.join(', ')} only`)),
  actor: referenceTo(actorTypes),
  purposes: listOf((value) => (purposesOfUse.has(value as string) ? undefined : 'must be codes of v3-PurposeOfUse, e.g. TREAT')),
  choosesIds: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
});

function readCredentials(body: JsonObject): Credential[] {
  const { client_secret: secret, jwks, jwks_uri: uri } = body as { client_secret?: string; jwks?: { keys: JsonObject[] }; jwks_uri?: string };
  return [
    ...(body['token_endpoint_auth_method'] === 'none' ? [{ kind: 'none' as const }] : []),
    ...(secret === undefined ? [] : [{ kind: 'secret' as const, secret }]),
    ...(jwks === undefined ? [] : [{ kind: 'jwks' as const, jwks: { keys: jwks.keys } }]),
    ...(uri === undefined ? [] : [{ kind: 'jwks_uri' as const, uri }]),
  ];
}

function checkScope(value: unknown): string | undefined {
  const words = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : [];
  if (words.length === 0 || words.length > 200) return 'must be SMART scopes, separated by spaces';
  return words.every((word) => isOwnScope(word) || parseScope(word) !== undefined)
    ? undefined
    : 'holds a scope that is not understood: use e.g. system/Observation.rs (letters of cruds, in that order)';
}

function checkJwks(value: unknown): string | undefined {
  const keys = isObject(value) ? value['keys'] : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > 20 || !keys.every(isObject)) return 'must be { "keys": [ … ] } with 1 to 20 keys';
  if (keys.some((key) => privateMembers.some((name) => Object.hasOwn(key, name)))) return 'must hold public keys only';
  return keys.every(isUsableKey) ? undefined : 'must hold keys for ES384 (EC P-384) or RS384 (RSA, 2048 bits or more)';
}

function isUsableKey(key: JsonObject): boolean {
  if (!usable[String(key['kty'])]?.(key)) return false;
  try {
    createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
    return true;
  } catch {
    return false; // a point that is not on the curve, a broken number
  }
}

function checkJwksUri(value: unknown, privateHosts: readonly string[]): string | undefined {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  if (!url || url.username !== '' || url.password !== '' || url.hash !== '') return 'must be an absolute URL';
  if (url.protocol === 'https:' || (url.protocol === 'http:' && privateHosts.includes(url.host))) return undefined;
  return 'must use https';
}

function checkRedirectUri(value: unknown): string | undefined {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  const loopback = url !== null && url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  return url && url.hash === '' && (url.protocol === 'https:' || loopback) ? undefined : 'must be https URLs without a fragment';
}
