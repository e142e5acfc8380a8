/**
 * The few words of FHIR a receipt rests on, read from the exact texts in it: who the patient and the custodian of a Consent are, which
 * Consents an AuditEvent names as its basis, what a signer signed. interface.md §3, consent.md §4
 */
import canonicalize from 'canonicalize';

/** What a patient signs names itself, so that no other signed text can stand for it. */
export const STATEMENT_TYPE = 'urn:assent:consent-statement:1';

type Json = { readonly [member: string]: unknown };

export type ConsentWords = {
  readonly reference: string;
  /** `Consent/id/_history/version`. */
  readonly versionReference: string;
  readonly status: string;
  readonly patient: string;
  readonly organizations: readonly string[];
};

export function readJson(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function consentWords(consent: Json): ConsentWords | undefined {
  const { resourceType, id, meta, status } = consent;
  const version = isJson(meta) ? meta['versionId'] : undefined;
  if (resourceType !== 'Consent' || typeof id !== 'string' || typeof status !== 'string' || typeof version !== 'string') return undefined;
  return {
    reference: `Consent/${id}`,
    versionReference: `Consent/${id}/_history/${version}`,
    status,
    patient: referenceIn(consent['patient']) ?? '',
    organizations: listIn(consent['organization']).flatMap((organization) => referenceIn(organization) ?? []),
  };
}

/** The text that was signed: the terms and the Consent without what the server adds when it stores a version. */
export function statementText(terms: Json, consent: Json): string {
  const { meta, ...rest } = consent;
  const { versionId: _version, lastUpdated: _updated, ...kept } = isJson(meta) ? meta : {};
  const signed = Object.keys(kept).length > 0 ? { ...rest, meta: kept } : rest;
  return canonicalize({ ...terms, consent: signed }) as string;
}

export type EventWords = {
  readonly reference: string;
  /** `Patient/x`: the one patient it names as such. */
  readonly patient: string | undefined;
  readonly basis: readonly string[];
  readonly requester: string;
  readonly purpose: string;
  readonly recorded: string;
};

const BASIS = '13';
const PATIENT = '1';
const DISCLOSED = '4';

export function eventWords(event: Json): EventWords | undefined {
  const { resourceType, id, recorded } = event;
  if (resourceType !== 'AuditEvent' || typeof id !== 'string' || typeof recorded !== 'string') return undefined;
  const requester = listIn(event['agent']).map((agent) => (isJson(agent) ? referenceIn(agent['who']) : undefined));
  return {
    reference: `AuditEvent/${id}`,
    patient: entitiesOf(event, PATIENT)[0],
    basis: entitiesOf(event, BASIS),
    requester: requester[0] ?? 'someone unnamed',
    purpose: purposeOf(event),
    recorded,
  };
}

/** All that a trail tells of an act; nothing in it was written by who acted. */
export type TrailWords = {
  readonly event: string;
  readonly recorded: string;
  readonly act: string;
  readonly outcome: 'done' | 'refused';
  readonly actor: string;
  readonly client: string;
  readonly purpose: string;
  readonly patient: string | undefined;
  readonly what: readonly string[];
  readonly consents: readonly string[];
};

export function trailWords(event: Json): TrailWords | undefined {
  const words = eventWords(event);
  if (!words) return undefined;
  const [subtype] = listIn(event['subtype']);
  const [agent] = listIn(event['agent']);
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return {
    event: words.reference,
    recorded: words.recorded,
    act: text(isJson(subtype) ? subtype['code'] : undefined),
    outcome: event['outcome'] === '0' ? 'done' : 'refused',
    actor: words.requester,
    client: text(isJson(agent) ? agent['altId'] : undefined),
    purpose: words.purpose,
    patient: words.patient,
    what: entitiesOf(event, DISCLOSED),
    consents: words.basis,
  };
}

/** References of the entities in this role. */
function entitiesOf(event: Json, code: string): readonly string[] {
  const inRole = ({ role }: Json) => isJson(role) && role['code'] === code;
  return listIn(event['entity']).flatMap((entity) => (isJson(entity) && inRole(entity) ? (referenceIn(entity['what']) ?? []) : []));
}

function purposeOf(event: Json): string {
  const [concept] = listIn(event['purposeOfEvent']);
  const [coding] = isJson(concept) ? listIn(concept['coding']) : [];
  const code = isJson(coding) ? coding['code'] : undefined;
  return typeof code === 'string' ? code : 'none stated';
}

/** `passkey`: the key lives in an authenticator and signs by assertions only. */
export type KeyWords = {
  readonly kid: string;
  readonly owner: string;
  readonly role: string;
  readonly jwk: Json;
  readonly passkey: { readonly credentialId: string; readonly rpId: string } | undefined;
};

export function keyWords(record: Json): KeyWords | undefined {
  const { event, kid, owner, role, jwk, passkey } = record;
  if (event !== 'registered' || typeof kid !== 'string' || typeof owner !== 'string' || typeof role !== 'string' || !isJson(jwk)) return undefined;
  if (passkey === undefined) return { kid, owner, role, jwk, passkey };
  const { credentialId, rpId } = isJson(passkey) ? passkey : {};
  return typeof credentialId === 'string' && typeof rpId === 'string' ? { kid, owner, role, jwk, passkey: { credentialId, rpId } } : undefined;
}

/** Instants in UTC with milliseconds: in this spelling the earlier text is the earlier time. */
export type AuthorityWords = {
  readonly id: string;
  /** `Patient/x`, and who signs on their behalf. */
  readonly patient: string;
  readonly delegate: string;
  /** `patient`: by the patient's own word. */
  readonly basis: string;
  readonly acts: readonly unknown[];
  readonly purposes: readonly unknown[] | undefined;
  readonly from: string;
  readonly until: string;
  /** The exact text of its terms and the detached JWS over it. */
  readonly statement: string;
  readonly signature: string;
};

export const AUTHORITY_TYPE = 'urn:assent:authority:1';

export function authorityWords(record: Json): AuthorityWords | undefined {
  const { event, id, statement, signature } = record;
  if (event !== 'granted' || typeof id !== 'string' || typeof statement !== 'string' || typeof signature !== 'string') return undefined;
  const { type, patient, delegate, basis, acts, purposes, from, until } = readJson(statement) ?? {};
  if (!statement.isWellFormed() || type !== AUTHORITY_TYPE || !isInstant(from) || !isInstant(until)) return undefined;
  if (typeof patient !== 'string' || typeof delegate !== 'string' || typeof basis !== 'string') return undefined;
  const limits = purposes === undefined ? undefined : listIn(purposes);
  return { id, patient, delegate, basis, acts: listIn(acts), purposes: limits, from, until, statement, signature };
}

const INSTANT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/;

export function isInstant(value: unknown): value is string {
  return typeof value === 'string' && INSTANT.test(value);
}

function referenceIn(value: unknown): string | undefined {
  const reference = isJson(value) ? value['reference'] : undefined;
  return typeof reference === 'string' ? reference : undefined;
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
