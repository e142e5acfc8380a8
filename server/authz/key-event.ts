/**
 * The events of a signing key and what they amount to. consent.md §6
 * Invariant: a revocation can only be added to, and only in the direction of less trust.
 */

/** What a key signs as. An Organization's is a custodian's unless it was registered as a requester's. */
export type KeyRole = 'patient' | 'related-person' | 'custodian' | 'requester';

export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };

export type KeyEvent =
  | {
      readonly event: 'registered';
      readonly kid: string;
      readonly owner: string;
      readonly role: KeyRole;
      readonly jwk: PublicJwk;
      readonly proofing: string;
      readonly enrolledBy: { readonly client: string; readonly actor: string };
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
      readonly revokedBy: { readonly client: string; readonly actor: string };
      readonly occurredAt: string;
    };

/** The state of one key: its events folded. Instants are ISO texts. */
export type RegisteredKey = {
  readonly kid: string;
  readonly owner: string;
  readonly role: KeyRole;
  readonly jwk: PublicJwk;
  readonly proofing: string;
  readonly registeredAt: string;
  readonly revoked?: {
    readonly at: string;
    readonly reason: string;
    readonly compromisedSince?: string;
    readonly compromisedFromIndex?: number;
  };
};

/** Events of one key, in order. The first revocation ends its validity; a later one may only move `compromisedSince` back. */
export function foldEvents(texts: readonly string[]): RegisteredKey | undefined {
  let key: RegisteredKey | undefined;
  for (const event of texts.map((record) => JSON.parse(record) as KeyEvent)) {
    if (event.event === 'registered') {
      const { kid, owner, role, jwk, proofing, occurredAt } = event;
      key ??= { kid, owner, role, jwk, proofing, registeredAt: occurredAt };
    } else if (key) {
      const { at, reason } = key.revoked ?? { at: event.occurredAt, reason: event.reason };
      key = { ...key, revoked: { at, reason, ...compromiseOf(event, key.revoked) } };
    }
  }
  return key;
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
