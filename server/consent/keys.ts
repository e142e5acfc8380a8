/**
 * What the consent room asks of a registered key: whose it is, as what it signs, and whether what it signed counts, judged by places in the log
 * and never by a time that anybody states. consent.md §6
 */

export type SigningKey = {
  readonly kid: string;
  readonly owner: string;
  readonly role: 'patient' | 'related-person' | 'custodian' | 'requester' | 'practitioner';
  readonly jwk:
    | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
    | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };
  /** In an authenticator, bound to this host: it signs by WebAuthn assertions only. */
  readonly passkey?: { readonly credentialId: string; readonly rpId: string };
  /** Keys by whose signature it was registered, and those they rest on. */
  readonly restsOn?: readonly string[];
  /** `compromisedFromIndex`: what it signed at this index of the log or later was perhaps signed by somebody else. */
  readonly revoked?: { readonly compromisedFromIndex?: number };
  /** Where in the log it was registered, and revoked. */
  readonly logged: { readonly registered: number; readonly revoked?: number };
  /** Holds in a commit as long as nothing has happened to the key since it was looked up: a signature and a revocation have one order. */
  readonly unchanged: { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: null };
};

/** Whether a new signature by this key is accepted. A lost key voids no old Consent, but signs no new one. */
export function maySign({ revoked }: SigningKey): boolean {
  return revoked === undefined;
}

/** Whether the key was registered and not revoked where the signature stands in the log. */
export function couldSign({ logged: { registered, revoked } }: SigningKey, index: number): boolean {
  return registered < index && (revoked === undefined || index < revoked);
}

/** Whether a signature that stands there still counts: not if the key was in other hands by then. */
export function stillCounts({ revoked }: SigningKey, index: number): boolean {
  const from = revoked?.compromisedFromIndex;
  return from === undefined || index < from;
}
