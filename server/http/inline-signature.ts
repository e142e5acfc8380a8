/**
 * Signatures that arrive beside a Consent do what Consent/$sign does: `X-Provenance` on its create, or a transaction of the Consent and a
 * Provenance. interface.md §3
 *
 * Invariant: a signature that cannot be taken so is refused with the way to send it: taking the resource and dropping its signature would
 * leave a Consent that its signer believes to be in force.
 */
import type { SignedConsent } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { type BundleEntry, bundleText } from '../fhir/bundle.ts';
import { parseDocument } from '../fhir/json.ts';
import type { ResourceDocument, ResourceValue } from '../fhir/resource.ts';
import { etag, versionHeaders, versionUrl } from './answer.ts';
import { statusLine } from './entry-call.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import type { Services } from './services.ts';

const WAY =
  'Signatures of a Consent are sent by POST Consent/$sign, as X-Provenance on its create, or in a transaction of the Consent and its Provenance alone; nothing was stored.';
const PROVENANCE = 'x-provenance';
const MOST_SIGNATURES = 10;
export const signedStatus = { activated: 201, 'already-active': 200, proposed: 202 } as const;

/** Of other types, a write takes the header as it is: provenance.ts. */
export function refuseInlineSignature(request: FhirRequest): void {
  if (request.header(PROVENANCE) !== undefined && (request.type === '' || request.type === 'Consent'))
    throw new AssentError('invalid-signature', WAY);
}

/** Signatures in another format than ours cannot be meant to establish a Consent here: they are stored like anything else, and mean nothing to the Gate. */
export function refuseConsentProvenance(value: ResourceValue): void {
  if (value.resourceType !== 'Provenance' || !mayBeOurs(value['signature'])) return;
  if (/"Consent\/|\/Consent\/|urn:uuid:/.test(JSON.stringify(value['target'] ?? ''))) throw new AssentError('invalid-signature', WAY);
}

function mayBeOurs(signatures: unknown): boolean {
  if (!Array.isArray(signatures)) return signatures !== undefined;
  // Not validated yet: anything may stand in the list.
  return signatures.some((signature: { readonly sigFormat?: unknown } | null) => {
    const format = signature?.sigFormat;
    return typeof format !== 'string' || /jose|json|octet-stream/i.test(format);
  });
}

/** The create of a Consent with X-Provenance; undefined: this is none. */
export async function signedCreate(request: FhirRequest, resource: ResourceDocument, { base, limits }: Services): Promise<Answer | undefined> {
  const header = request.header(PROVENANCE);
  if (header === undefined || resource.value.resourceType !== 'Consent') return undefined;
  const provenance = parseDocument(header, { maxDepth: limits.jsonDepth, maxBytes: limits.bodyBytes }).value;
  return signedAnswer(await request.gate.signPreparedConsent({ consent: resource.value, signatures: signaturesOf(provenance) }), base);
}

export function signedAnswer({ kind, row }: SignedConsent, base: string): Answer {
  return { status: signedStatus[kind], headers: { ...versionHeaders(row), location: versionUrl(base, row) }, body: row.body };
}

/** A transaction of one Consent and the Provenance that signs it; undefined: it is none. */
export async function signedTransaction(request: FhirRequest, entries: readonly BundleEntry[], { base }: Services): Promise<Answer | undefined> {
  const values = entries.map(({ resource }) => resource?.value);
  const consent = values.find((value) => value?.resourceType === 'Consent');
  const provenance = values.find((value) => value?.resourceType === 'Provenance' && value['signature'] !== undefined);
  if (entries.length !== 2 || !consent || !provenance) return undefined;
  const { kind, row } = await request.gate.signPreparedConsent({ consent, signatures: signaturesOf(provenance) });
  const response = { status: statusLine(signedStatus[kind]), etag: etag(row.version), lastModified: new Date(row.lastUpdated).toISOString() };
  const answers = values.map((value) => ({ response: value === consent ? { ...response, location: versionUrl(base, row) } : response }));
  return { status: 200, headers: {}, body: bundleText({ type: 'transaction-response', entries: answers }) };
}

/** Throws AssentError('invalid-signature') unless every signature has its signer and its JWS. */
function signaturesOf(provenance: ResourceValue): { who: string; jws: string }[] {
  const list = Array.isArray(provenance['signature']) ? (provenance['signature'] as unknown[]) : [];
  const signatures = list.map((item) => {
    const { who, data } = item as { readonly who?: { readonly reference?: unknown }; readonly data?: unknown };
    if (typeof who?.reference !== 'string' || typeof data !== 'string')
      throw new AssentError('invalid-signature', 'A signature needs who.reference and data.');
    return { who: who.reference, jws: Buffer.from(data, 'base64').toString('utf8') };
  });
  if (provenance.resourceType !== 'Provenance' || signatures.length === 0 || signatures.length > MOST_SIGNATURES)
    throw new AssentError('invalid-signature', `A Provenance with 1 to ${MOST_SIGNATURES} signatures is needed.`);
  return signatures;
}
