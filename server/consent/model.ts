/** The words of the consent room: who asks, for what, and what a resource says about itself. No IO, no clock. */

/** Who calls, established by the token alone: nothing here ever comes from a header a caller can invent. */
export type Caller = {
  readonly client: string;
  /** The FHIR reference the client acts for, e.g. `Organization/1` or `Patient/1`. */
  readonly actor: string;
  /** One code of v3-ActReason (PurposeOfUse), e.g. `TREAT`. */
  readonly purpose: string;
  readonly scopes: readonly SmartScope[];
  /** Scope `admin`: reads Consent, Provenance, AuditEvent and Task, never clinical content. */
  readonly admin: boolean;
  /** Duties of an account of administration that does not hold all of scope `admin`. Such an account reads no clinical content. */
  readonly roles?: readonly Role[];
  /** Registered as allowed to choose ids (update-as-create): such a client learns which ids exist. */
  readonly choosesIds: boolean;
  readonly tokenId: string;
  /** This one patient's record, without their permit, for a reason that is recorded. `until`: ms since 1970. consent.md §7 */
  readonly breakGlass?: { readonly patient: string; readonly until: number };
  /** A person let the client in; absent: it calls for itself. What its scopes reach is bound to this. */
  readonly launch?: Launch;
  /** Scope `launch`, of a client's own token: tells in which context an app is opened. */
  readonly opensApps?: boolean;
};

/**
 * Duties of administration, kept apart: who registers, who looks at trails, who runs the server, who signs for a custodian. Scope `admin` holds all of
 * them but the last.
 */
export const roles = ['registrar', 'auditor', 'operator', 'signer'] as const;
export type Role = (typeof roles)[number];

export function holdsRole({ admin, roles: held = [] }: Pick<Caller, 'admin' | 'roles'>, role: Role): boolean {
  return held.includes(role) || (admin && role !== 'signer');
}

/** `user`: FHIR reference of who authorized the app. `patient`: logical id of the patient in context. */
export type Launch = { readonly grant: string; readonly user: string; readonly patient?: string };

/** One SMART v2 scope, e.g. system/Observation.rs → { context: 'system', type: 'Observation', letters: 'rs' }. `query`: what a granular one holds after its `?`. */
export type SmartScope = {
  readonly context: 'system' | 'user' | 'patient';
  readonly type: string;
  readonly letters: string;
  readonly query?: string;
};

export type ImplicitPolicy =
  | { readonly kind: 'deny' }
  | { readonly kind: 'author-treatment' }
  | { readonly kind: 'permit-except'; readonly labels: readonly string[] };

export type Approvals = 'both' | 'patient';
