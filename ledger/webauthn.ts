/**
 * A WebAuthn assertion as a signature over a text: what an authenticator signs when its challenge is the text's SHA-256. Written as JSON of exactly
 * `id`, `authenticatorData`, `clientDataJSON` and `signature`, each in base64url. https://www.w3.org/TR/webauthn-3/ §7.2
 *
 * Invariants: it holds for one origin and its host only, with the person verified, on a page of the origin itself; the registered key decides the
 * algorithm; one assertion has one spelling.
 */
import { type JsonWebKey, verify } from 'node:crypto';
import { fromBase64Url } from './encoding.ts';
import { sameBytes, sha256 } from './hash.ts';
import { publicKeyOfJwk } from './public-keys.ts';

export type Assertion = {
  /** The credential's id, base64url. */
  readonly id: string;
  readonly authenticatorData: Uint8Array;
  readonly clientData: Uint8Array;
  /** DER for P-256, 64 bytes for Ed25519. */
  readonly signature: Uint8Array;
};

const LONGEST = 16_384;
const MEMBERS = ['id', 'authenticatorData', 'clientDataJSON', 'signature'] as const;

/** Undefined: not an assertion in its one spelling. */
export function parseAssertion(text: string): Assertion | undefined {
  const value = text.length <= LONGEST ? parseObject(text) : undefined;
  if (!value) return undefined;
  const { id, authenticatorData, clientDataJSON, signature } = value;
  if (typeof id !== 'string' || id === '' || JSON.stringify(value, [...MEMBERS]) !== text) return undefined;
  const bytes = [id, authenticatorData, clientDataJSON, signature].map((each) => (typeof each === 'string' ? fromBase64Url(each) : undefined));
  const [, data, client, signed] = bytes;
  return data && client && signed && bytes[0] ? { id, authenticatorData: data, clientData: client, signature: signed } : undefined;
}

/** The one spelling of what a browser answers (AuthenticationResponseJSON, or its inner members beside `id`); undefined: it is none. */
export function assertionText(answer: unknown): string | undefined {
  if (!isObject(answer)) return undefined;
  const { id, response } = answer;
  const text = JSON.stringify({ ...answer, ...(isObject(response) ? response : {}), id }, [...MEMBERS]);
  return parseAssertion(text) ? text : undefined;
}

export type Party = {
  /** What was shown and signed: the challenge is its SHA-256. */
  readonly challenge: Uint8Array;
  /** Of the page, e.g. `https://fhir.example.org`; the key is bound to its host. */
  readonly origin: string;
  readonly rpId: string;
};

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
/** rpIdHash, flags, counter. */
const HEAD_BYTES = 37;

export function assertionHolds({ authenticatorData, clientData, signature }: Assertion, jwk: JsonWebKey, party: Party): boolean {
  const both = USER_PRESENT | USER_VERIFIED;
  if (authenticatorData.length < HEAD_BYTES || ((authenticatorData[32] ?? 0) & both) !== both) return false;
  if (hostOf(party.origin) !== party.rpId || !sameBytes(authenticatorData.subarray(0, 32), sha256(party.rpId))) return false;
  return isFrom(clientData, party) && isSigned(jwk, Buffer.concat([authenticatorData, sha256(clientData)]), signature);
}

/** How often the authenticator has signed, by its own count; 0: it does not count. */
export function counterOf({ authenticatorData }: Assertion): number {
  return new DataView(authenticatorData.buffer, authenticatorData.byteOffset).getUint32(33);
}

/** What the page asked to have signed; undefined: the client's data does not say. */
export function challengeOf({ clientData }: Pick<Assertion, 'clientData'>): string | undefined {
  const challenge = parseObject(Buffer.from(clientData).toString('utf8'))?.['challenge'];
  return typeof challenge === 'string' ? challenge : undefined;
}

function isFrom(clientData: Uint8Array, { challenge, origin }: Party): boolean {
  const said = parseObject(Buffer.from(clientData).toString('utf8')) ?? {};
  const own = said['crossOrigin'] === undefined || said['crossOrigin'] === false;
  const expected = Buffer.from(challenge).toString('base64url');
  return said['type'] === 'webauthn.get' && said['challenge'] === expected && said['origin'] === origin && own && said['topOrigin'] === undefined;
}

/** A key that is not usable verifies nothing. */
function isSigned(jwk: JsonWebKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = publicKeyOfJwk(jwk);
    if (jwk.kty === 'EC' && jwk.crv === 'P-256') {
      const fixed = fromDer(signature);
      return fixed !== undefined && verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, fixed);
    }
    return jwk.kty === 'OKP' && jwk.crv === 'Ed25519' && verify(null, message, key, signature);
  } catch {
    return false;
  }
}

const NUMBER_BYTES = 32;

/** ECDSA-Sig-Value (RFC 3279 §2.2.3), read as strict DER, as r ‖ s of 64 bytes. */
function fromDer(der: Uint8Array): Buffer | undefined {
  if (der[0] !== 0x30 || der[1] !== der.length - 2 || der.length > 72) return undefined;
  const r = integerAt(der, 2);
  const s = r && integerAt(der, r.end);
  return r && s?.end === der.length ? Buffer.concat([r.number, s.number]) : undefined;
}

/** A positive INTEGER in its shortest form. */
function integerAt(der: Uint8Array, at: number): { readonly number: Buffer; readonly end: number } | undefined {
  const length = der[at + 1] ?? 0;
  const end = at + 2 + length;
  const [first = 0, second = 0] = der.subarray(at + 2, end);
  if (der[at] !== 0x02 || length === 0 || end > der.length || first > 0x7f || (first === 0 && length > 1 && second < 0x80)) return undefined;
  const digits = der.subarray(first === 0 ? at + 3 : at + 2, end);
  if (digits.length > NUMBER_BYTES) return undefined;
  return { number: Buffer.concat([new Uint8Array(NUMBER_BYTES - digits.length), digits]), end };
}

/** Of the server that a FHIR base URL is of: `https://fhir.example.org/fhir` → `https://fhir.example.org`. */
export function originOf(base: string): string | undefined {
  return /^(https?:\/\/[a-z0-9.-]+(?::[0-9]+)?)\//.exec(`${base}/`)?.[1];
}

/** `https://fhir.example.org:8443` → `fhir.example.org`. */
export function hostOf(origin: string): string | undefined {
  return /^https?:\/\/([a-z0-9.-]+)(?::[0-9]+)?$/.exec(origin)?.[1];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
