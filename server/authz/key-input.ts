/**
 * The checks of a key that is to be registered, and of a revocation. interface.md §2, https://www.rfc-editor.org/rfc/rfc8037
 *
 * Invariants: P-256 and Ed25519 public keys only, in the one spelling that has the one thumbprint; private members are refused, for a
 * key that was sent is no longer a secret.
 */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { type Check, isObject, issue, readObject, referenceTo, refuse, text } from './input.ts';
import type { KeyRole, Passkey, PublicJwk } from './key-event.ts';

const staffTypes = ['Practitioner', 'PractitionerRole'];
const ownerTypes = ['Patient', 'Organization', 'RelatedPerson', ...staffTypes];
/** Handles: whether such a Patient is stored is neither asked nor told (consent.md §2, 23). */
export const checkOwner = referenceTo(ownerTypes);
export const checkPasskeyOwner = referenceTo(['Patient', 'Organization', ...staffTypes]);
export const checkLine: Check = text(/^(?=.*\S).{1,200}$/, 'must be a line of at most 200 characters');

/** Throws AssentError('invalid-request'). */
export function readKey(input: unknown): { readonly owner: string; readonly role: KeyRole; readonly jwk: PublicJwk; readonly proofing: string } {
  const role = text(/^(custodian|requester)$/, 'must be custodian or requester');
  const body = readObject(input, { owner: checkOwner, jwk: checkJwk, proofing: checkLine, role }, ['owner', 'jwk', 'proofing']);
  const owner = body['owner'] as string;
  const asked = body['role'] as KeyRole | undefined;
  if (asked !== undefined && !owner.startsWith('Organization/')) refuse([issue('role', 'is for keys of an Organization only')]);
  return {
    owner,
    role: asked ?? roleOf(owner),
    jwk: publicMembers(body['jwk'] as Readonly<Record<string, string>>),
    proofing: body['proofing'] as string,
  };
}

/** `{ credentialId, rpId }` as they are stated with a key; that they are the key's own shows its signature. Throws AssentError('invalid-request'). */
export function readPasskey(stated: unknown): Passkey {
  const members = {
    credentialId: text(/^[\w-]{16,1400}$/, 'must be the id of a credential, in base64url'),
    rpId: text(/^[a-z0-9.-]{1,253}$/, 'must be a host name'),
  };
  const { credentialId, rpId } = readObject(stated, members, ['credentialId', 'rpId']);
  return { credentialId: String(credentialId), rpId: String(rpId) };
}

function roleOf(owner: string): KeyRole {
  if (owner.startsWith('Patient/')) return 'patient';
  if (owner.startsWith('Organization/')) return 'custodian';
  return owner.startsWith('RelatedPerson/') ? 'related-person' : 'practitioner';
}

function checkJwk(value: unknown): string | undefined {
  if (!isObject(value)) return 'must be a JSON Web Key';
  if (['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv'].some((name) => Object.hasOwn(value, name)))
    return 'must be a public key: private members were sent, so the key is no longer a secret';
  const algorithm =
    value['kty'] === 'EC' && value['crv'] === 'P-256' ? 'ES256' : value['kty'] === 'OKP' && value['crv'] === 'Ed25519' ? 'EdDSA' : undefined;
  if (algorithm === undefined) return 'must be an EC P-256 or an OKP Ed25519 key';
  if (value['alg'] !== undefined && value['alg'] !== algorithm && !(algorithm === 'EdDSA' && value['alg'] === 'Ed25519'))
    return 'has an alg that does not fit the key';
  if (value['use'] !== undefined && value['use'] !== 'sig') return 'is not for signatures';
  return isPoint(value as JsonWebKey) ? undefined : 'is not a valid public key';
}

function isPoint(jwk: JsonWebKey): boolean {
  // 32 bytes each, in the one base64url form: another spelling of the same key would have another thumbprint.
  const canonical = (value: unknown) =>
    typeof value === 'string' && /^[\w-]{43}$/.test(value) && Buffer.from(value, 'base64url').toString('base64url') === value;
  if (!canonical(jwk.x) || (jwk.kty === 'EC' && !canonical(jwk.y))) return false;
  if (jwk.kty === 'OKP' && isSmallOrder(Buffer.from(jwk.x ?? '', 'base64url'))) return false;
  try {
    createPublicKey({ key: jwk, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}

/** y coordinates of Ed25519's points of small order: under such a "key" one signature fits many messages. RFC 8032 §8, https://eprint.iacr.org/2020/1244 */
const smallOrder: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

function isSmallOrder(point: Buffer): boolean {
  const y = Buffer.from(point);
  y[31] = (y[31] ?? 0) & 0x7f; // the sign of x
  return smallOrder.has(y.toString('hex'));
}

function publicMembers({ kty, x = '', y = '' }: Readonly<Record<string, string>>): PublicJwk {
  return kty === 'EC' ? { kty, crv: 'P-256', x, y } : { kty: 'OKP', crv: 'Ed25519', x };
}

/** `now`: ms since 1970. Throws AssentError('invalid-request'). */
export function readRevocation(input: unknown, now: number): { readonly reason: string; readonly compromisedSince: string | undefined } {
  const instant: Check = (value) => {
    const written =
      typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
    return written <= now ? undefined : 'must be an instant in the past, e.g. 2026-01-31T09:30:00Z';
  };
  const body = readObject(input, { reason: checkLine, compromisedSince: instant }, ['reason']);
  const since = body['compromisedSince'] as string | undefined;
  return { reason: body['reason'] as string, compromisedSince: since === undefined ? undefined : new Date(since).toISOString() };
}
