/** What the consent room asks of a registered key: whose it is, as what it signs, and whether it could sign at a given time. consent.md §6 */

export type SigningKey = {
  readonly kid: string;
  readonly owner: string;
  readonly role: 'patient' | 'related-person' | 'custodian' | 'requester';
  readonly jwk:
    | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
    | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };
  /** ISO instants. */
  readonly registeredAt: string;
  readonly revoked?: { readonly at: string; readonly compromisedSince?: string };
};

/** Whether a new signature by this key is accepted now. A lost key voids no old Consent, but signs no new one. */
export function maySign(key: SigningKey, now: number): boolean {
  return key.revoked === undefined && Date.parse(key.registeredAt) <= now;
}

/** Whether a signature accepted at `signedAt` still counts: not if the key was in other hands by then. */
export function stillCounts(key: SigningKey, signedAt: number): boolean {
  const since = key.revoked?.compromisedSince;
  return since === undefined || signedAt < Date.parse(since);
}
