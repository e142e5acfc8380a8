/**
 * What a token may do and what it says: scopes from the client's registration and, where a person let the app in, from what they approved.
 * authorization.md §3, https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * Invariant: a scope is in a token only if it was asked for, is registered now, and, for an app of a person, was approved by them.
 */
import { type Client, errors, type KoaContextWithOIDC, type ResourceServer } from 'oidc-provider';
import type { RecordStore } from '../store/port.ts';
import { GRANT, REGISTRATION } from './adapter.ts';
import type { StoredClient } from './clients.ts';
import type { Context } from './launches.ts';
import { contextScopes, grantByPerson, grantToSystem, parseScope, readScopes, wordsOf } from './scopes.ts';
import { launchClaims } from './token.ts';

export const TOKEN_SECONDS = 600;

/** What a person approved, kept beside the grant of the same id. `user`: their FHIR reference. `consent`: id of the patient's Consent it lives with. */
export type Approved = { readonly user: string; readonly purpose: string; readonly context: Context; readonly consent?: string };

/** Whether this Consent (its id) of the patient (`Patient/1`) is in force. Its end moves the epoch. */
export type ConsentStands = (patient: string, consent: string) => Promise<boolean>;

/** Record kind of Approved. */
export const APPROVED = 'approved-app';

type Asking = { readonly ctx: KoaContextWithOIDC; readonly client: Client };

/** Decides what the token may do; called whenever scopes are, before a page, a code or a token is made. Throws InvalidTarget, InvalidScope. */
export function resourceServerFor({ ctx, client }: Asking, resource: string, fhir: string): ResourceServer {
  if (resource.replace(/\/$/, '') !== fhir) throw new errors.InvalidTarget('the only resource is the FHIR base URL');
  const scope = (isAlone(ctx) ? scopeAlone : ctx.oidc.route === 'token' ? scopeApproved : scopeAsked)({ ctx, client });
  return { scope, audience: fhir, accessTokenFormat: 'jwt', accessTokenTTL: TOKEN_SECONDS, jwt: { sign: { alg: 'RS256' } } };
}

function isAlone(ctx: KoaContextWithOIDC): boolean {
  return ctx.oidc.route === 'token' && ctx.oidc.params?.['grant_type'] === 'client_credentials';
}

function scopeAlone({ ctx, client }: Asking): string {
  const asked = askedScope(ctx);
  const granted = grantToSystem(knownScopes(asked), registrationOf(client).scope.split(' ')).join(' ');
  if (granted === '') throw new errors.InvalidScope('none of the scopes asked for is permitted', asked);
  purposeFor(ctx, client);
  // The library issues what is in both the request and the resource's scope, so a scope that was cut down is written back.
  if (ctx.oidc.params) ctx.oidc.params['scope'] = granted;
  return granted;
}

/** Before the person is asked. */
function scopeAsked({ ctx, client }: Asking): string {
  const asked = askedScope(ctx);
  const granted = grantByPerson(knownScopes(asked), registrationOf(client).scope.split(' '));
  const contexts = wordsOf(asked).filter((word) => (contextScopes as readonly string[]).includes(word));
  if (granted.length + contexts.length === 0) throw new errors.InvalidScope('none of the scopes asked for is permitted', asked);
  if (ctx.oidc.params) ctx.oidc.params['scope'] = [...contexts, ...granted].join(' ');
  return granted.join(' ');
}

/** What was approved, as far as the registration still holds it. */
function scopeApproved({ ctx, client }: Asking): string {
  const { AuthorizationCode: code, RefreshToken: refresh } = ctx.oidc.entities;
  const approved = [...((refresh ?? code)?.scopes ?? [])].filter((word) => parseScope(word) !== undefined);
  const granted = grantByPerson(approved, registrationOf(client).scope.split(' '));
  if (approved.length > 0 && granted.length === 0) throw new errors.InvalidScope('none of the scopes is permitted any more', approved.join(' '));
  return granted.join(' ');
}

export function askedScope({ oidc }: KoaContextWithOIDC): string {
  const asked = oidc.params?.['scope'];
  return typeof asked === 'string' ? asked : '';
}

function knownScopes(asked: string): readonly string[] {
  const { known, malformed } = readScopes(asked);
  if (malformed.length > 0)
    throw new errors.InvalidScope(
      'a scope has letters that are undefined or out of order (cruds), or a query that cannot be one',
      malformed.join(' '),
    );
  return known;
}

export function purposeFor(ctx: KoaContextWithOIDC, client: Client): string {
  const { purposes } = registrationOf(client);
  const asked: unknown = ctx.oidc.body?.['purpose_of_use'];
  if (asked === undefined) return purposes[0] ?? '';
  if (typeof asked !== 'string' || !purposes.includes(asked))
    throw new errors.InvalidRequest('purpose_of_use is not one the client is registered for');
  return asked;
}

/** The claims of an access token. `grant`: of a token made under what a person approved. */
export async function claimsFor(
  ctx: KoaContextWithOIDC,
  grant: string | undefined,
  approvals: ApprovalsDeps,
): Promise<Readonly<Record<string, unknown>>> {
  const { client } = ctx.oidc;
  if (!client) throw new errors.InvalidClient('no client');
  const { actor, choosesIds, generation } = registrationOf(client);
  if (grant === undefined) return { actor, purpose: purposeFor(ctx, client), chooses_ids: choosesIds, reg: generation };
  const { user, purpose, context } = await approvedOf(approvals, grant);
  const asked: unknown = ctx.oidc.body?.['purpose_of_use'];
  if (asked !== undefined && asked !== purpose) throw new errors.InvalidRequest('purpose_of_use is not the one that was approved');
  const launch = launchClaims({ grant, user, ...(context.patient === undefined ? {} : { patient: context.patient }) });
  const beside = scopeBeside(ctx);
  return { actor: actorFor(user, actor), purpose, chooses_ids: false, reg: generation, ...launch, ...(beside === '' ? {} : { beside }) };
}

/** What is granted beside what the token opens: openid, fhirUser, launch/patient, …, as far as this request asks for it. */
export function scopeBeside({ oidc }: KoaContextWithOIDC): string {
  const { Grant: grant, AuthorizationCode: code, RefreshToken: refresh } = oidc.entities;
  const asked = oidc.params?.['scope'];
  const words = typeof asked === 'string' ? new Set(asked.split(' ')) : (refresh ?? code)?.scopes;
  return words === undefined ? '' : (grant?.getOIDCScopeFiltered(words) ?? '');
}

/** A clinician's app sees what is permitted to the clinician; a patient's app is somebody else than the patient, and needs a Consent of its own. */
function actorFor(user: string, registered: string): string {
  return user.startsWith('Patient/') ? registered : user;
}

export type ApprovalsDeps = { readonly records: RecordStore; readonly consentStands: ConsentStands };

/** What the token response said beside the token. */
export async function contextOf(records: RecordStore, grant: string): Promise<Context> {
  return ((await records.get(APPROVED, grant))?.value as Approved | undefined)?.context ?? {};
}

/** Throws InvalidGrant when it is over, or the Consent it lives with is. */
export async function approvedOf({ records, consentStands }: ApprovalsDeps, grant: string): Promise<Approved> {
  const found = (await records.get(APPROVED, grant))?.value as Approved | undefined;
  if (!found) throw new errors.InvalidGrant('what was approved is not known any more');
  if (found.consent !== undefined && !(await consentStands(found.user, found.consent)))
    throw new errors.InvalidGrant('what was approved was withdrawn');
  return found;
}

/** Whether what a person allowed is still allowed. */
export async function grantStands(approvals: ApprovalsDeps, grant: string): Promise<boolean> {
  if (!(await approvals.records.get(GRANT, grant))) return false;
  return approvedOf(approvals, grant).then(
    () => true,
    (error: unknown) => {
      if (error instanceof errors.InvalidGrant) return false;
      throw error;
    },
  );
}

/** The registration the client authenticated with. */
export function registrationOf(client: Client): StoredClient {
  const registration = client[REGISTRATION] as StoredClient | undefined;
  if (!registration) throw new Error('A client without its registration.');
  return registration;
}
