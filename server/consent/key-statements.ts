/**
 * What is signed about keys and authorities: that another key joins or replaces one, that lost keys are replaced, that this is stopped; that somebody
 * acts for a patient, and no longer. Pure. consent.md §6
 *
 * Invariant: a statement names itself, this server, whose keys it is about and when it was made, and holds nothing that is not understood; so no
 * other signed text can stand for it, and an old one found somewhere does nothing.
 */
import { isObject } from '../fhir/resource.ts';
import type { SigningKey } from './keys.ts';
import { isNamedIn, isSignedBy, type ParsedSignature } from './signature.ts';
import { FRESH_MS } from './workflow.ts';

type Form = 'text' | 'flag' | 'object' | 'texts';
/** With a question mark: need not be there. */
type Members = Readonly<Record<string, Form | `${Form}?`>>;

/**
 * By the last word of their type. `retires`: the key that signs is not used any more. `kid`: the key that is
 * revoked, or whose recovery is stopped. `passkey`: `{ credentialId, rpId }` of a new key that lives in an authenticator.
 */
const kinds = {
  'key-rotation': { owner: 'text', jwk: 'object', passkey: 'object?', retires: 'flag' },
  'key-revocation': { owner: 'text', kid: 'text', reason: 'text' },
  'key-recovery': { owner: 'text', jwk: 'object', passkey: 'object?', reason: 'text' },
  'key-recovery-stop': { owner: 'text', kid: 'text' },
  authority: { patient: 'text', delegate: 'text', basis: 'text', acts: 'texts', purposes: 'texts?', from: 'text', until: 'text' },
  'authority-end': { authority: 'text', reason: 'text', compromisedSince: 'text?' },
} as const satisfies Record<string, Members>;

type Kinds = typeof kinds;
type Value = { readonly text: string; readonly flag: boolean; readonly object: object; readonly texts: readonly string[] };
type ValueOf<F> = F extends Form ? Value[F] : F extends `${infer G extends Form}?` ? Value[G] | undefined : never;
export type Said<K extends keyof Kinds> = { readonly [M in keyof Kinds[K]]: ValueOf<Kinds[K][M]> };

/** Undefined where the text is not one of this kind, for this server. `now`: it must be fresh; absent: its time was looked at when it was accepted. */
export function readKeyStatement<K extends keyof Kinds>(
  kind: K,
  text: string,
  { audience, now }: { readonly audience: string; readonly now?: number },
): Said<K> | undefined {
  const value = parse(text);
  if (!isObject(value)) return undefined;
  const { type, audience: stated, created, ...said } = value;
  const fresh = now === undefined || (typeof created === 'string' && Math.abs(Date.parse(created) - now) <= FRESH_MS);
  if (type !== `urn:assent:${kind}:1` || stated !== audience || !fresh) return undefined;
  const members: Members = kinds[kind];
  const understood = Object.keys(said).every((name) => Object.hasOwn(members, name));
  return understood && Object.entries(members).every(([name, form]) => isOf(form, said[name])) ? (said as Said<K>) : undefined;
}

function isOf(form: Members[string], value: unknown): boolean {
  switch (form) {
    case 'object':
      return isObject(value);
    case 'flag':
      return typeof value === 'boolean';
    case 'text':
      return typeof value === 'string' && value !== '' && value.length <= LONGEST;
    case 'texts':
      return Array.isArray(value) && value.length <= MOST_TEXTS && new Set(value).size === value.length && value.every((each) => isOf('text', each));
    default:
      return value === undefined || isOf(form.slice(0, -1) as Form, value);
  }
}

const MOST_TEXTS = 100;
const LONGEST = 500;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether exactly these keys signed the text, each once. */
export function areSignedBy(
  signatures: readonly ParsedSignature[],
  keys: readonly Pick<SigningKey, 'kid' | 'jwk' | 'passkey'>[],
  text: string,
): boolean {
  return (
    signatures.length === keys.length &&
    keys.every((key) => signatures.some((each) => isNamedIn(each, key) && each.payload === '' && isSignedBy(each, key, text)))
  );
}
