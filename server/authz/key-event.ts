/**
 * The events of a signing key and what they amount to. consent.md §6
 * Invariant: a revocation can only be added to, and only in the direction of less trust; a recovery that was stopped stays stopped.
 */
import { decodeProtectedHeader } from 'jose';
import { parseAssertion } from '../../ledger/webauthn.ts';

/** What a key signs as. An Organization's is a custodian's unless it was registered as a requester's; a practitioner's signs its owner in, and no statement. */
export type KeyRole = 'patient' | 'related-person' | 'custodian' | 'requester' | 'practitioner';

export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };

/** Where the private half lives in an authenticator: such a key signs by WebAuthn assertions only. `rpId`: the host name it is bound to. */
export type Passkey = { readonly credentialId: string; readonly rpId: string };

/** Before the id of a credential: a name of the passkey, beside its kid. */
export const PASSKEY = 'passkey:';

/** The exact text that keys signed, as detached compact JWS. */
export type Authorization = { readonly statement: string; readonly signatures: readonly string[] };
type Actor = { readonly client: string; readonly actor: string };

export type KeyEvent =
  | {
      readonly event: 'registered';
      readonly kid: string;
      readonly owner: string;
      readonly role: KeyRole;
      readonly jwk: PublicJwk;
      readonly proofing: string;
      readonly passkey?: Passkey;
      readonly enrolledBy: Actor;
      /** By keys, where it was not an administrator alone. */
      readonly authorizedBy?: Authorization;
      /** ISO instant. */
      readonly occurredAt: string;
    }
  | {
      readonly event: 'revoked';
      readonly kid: string;
      readonly reason: string;
      /** Signatures made since then are not trusted, even where they were accepted before. */
      readonly compromisedSince?: string;
      /** The same as a place in the log: what was signed at this index or later. */
      readonly compromisedFromIndex?: number;
      readonly revokedBy: Actor;
      readonly occurredAt: string;
    }
  | {
      readonly event: 'recovery-opened';
      readonly kid: string;
      readonly owner: string;
      readonly authorizedBy: Authorization;
      /** From when it can be completed. */
      readonly dueAt: string;
      readonly openedBy: Actor;
      readonly occurredAt: string;
    }
  | {
      readonly event: 'recovery-stopped';
      readonly kid: string;
      readonly authorizedBy: Authorization;
      readonly stoppedBy: Actor;
      readonly occurredAt: string;
    };

/** The state of one key: its events folded. Instants are ISO texts. */
export type RegisteredKey = {
  readonly kid: string;
  readonly owner: string;
  readonly role: KeyRole;
  readonly jwk: PublicJwk;
  readonly proofing: string;
  readonly passkey?: Passkey;
  readonly registeredAt: string;
  readonly revoked?: {
    readonly at: string;
    readonly reason: string;
    readonly compromisedSince?: string;
    readonly compromisedFromIndex?: number;
  };
};

/** A key that is to take the place of lost ones. */
export type KeyRecovery = {
  readonly kid: string;
  readonly owner: string;
  readonly openedAt: string;
  readonly dueAt: string;
  readonly authorizedBy: Authorization;
  readonly state: 'open' | 'stopped' | 'completed';
};

/** Events of one key, in order. The first revocation ends its validity; a later one may only move `compromisedSince` back. */
export function foldEvents(texts: readonly string[]): RegisteredKey | undefined {
  let key: RegisteredKey | undefined;
  for (const event of texts.map((record) => JSON.parse(record) as KeyEvent)) {
    if (event.event === 'registered') {
      const { kid, owner, role, jwk, proofing, passkey, occurredAt } = event;
      key ??= { kid, owner, role, jwk, proofing, ...(passkey ? { passkey } : {}), registeredAt: occurredAt };
    } else if (key && event.event === 'revoked') {
      const { at, reason } = key.revoked ?? { at: event.occurredAt, reason: event.reason };
      key = { ...key, revoked: { at, reason, ...compromiseOf(event, key.revoked) } };
    }
  }
  return key;
}

/** Whose signatures stand under its registration. */
export function authorizersOf(texts: readonly string[]): readonly string[] {
  const events = texts.map((record) => JSON.parse(record) as KeyEvent);
  const signatures = events.flatMap((event) => (event.event === 'registered' ? (event.authorizedBy?.signatures ?? []) : []));
  return signatures.flatMap((text) => {
    const assertion = parseAssertion(text);
    return assertion ? PASSKEY + assertion.id : (decodeProtectedHeader(text).kid ?? []);
  });
}

/** Undefined: the key was registered without one. */
export function foldRecovery(texts: readonly string[]): KeyRecovery | undefined {
  let recovery: KeyRecovery | undefined;
  for (const event of texts.map((record) => JSON.parse(record) as KeyEvent)) {
    if (event.event === 'recovery-opened') {
      const { kid, owner, occurredAt, dueAt, authorizedBy } = event;
      recovery ??= { kid, owner, openedAt: occurredAt, dueAt, authorizedBy, state: 'open' };
    } else if (recovery?.state === 'open' && event.event !== 'revoked') {
      recovery = { ...recovery, state: event.event === 'registered' ? 'completed' : 'stopped' };
    }
  }
  return recovery;
}

type Compromise = Pick<NonNullable<RegisteredKey['revoked']>, 'compromisedSince' | 'compromisedFromIndex'>;

/** The earlier of the two. An event that names no index was logged before indexes were named: nothing the key signed counts. */
function compromiseOf(event: Compromise, before: Compromise = {}): Compromise {
  const { compromisedSince, compromisedFromIndex = 0 } = event;
  if (compromisedSince === undefined) return before;
  if (before.compromisedSince === undefined) return { compromisedSince, compromisedFromIndex };
  return {
    compromisedSince: compromisedSince < before.compromisedSince ? compromisedSince : before.compromisedSince,
    compromisedFromIndex: Math.min(compromisedFromIndex, before.compromisedFromIndex ?? 0),
  };
}
