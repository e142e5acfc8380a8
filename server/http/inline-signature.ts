/**
 * Signatures that arrive beside a resource (X-Provenance, or a Provenance about a Consent in a transaction) are refused with the way to
 * send them: taking the resource and dropping its signature would leave a Consent the signer believes to be in force.
 */
import { AssentError } from '../errors.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import type { FhirRequest } from './interaction.ts';

const WAY = 'Signatures of a Consent are sent by POST Consent/$sign; nothing was stored.';

export function refuseInlineSignature(request: FhirRequest): void {
  if (request.header('x-provenance') !== undefined) throw new AssentError('invalid-signature', WAY);
  if (request.body.kind === 'resource') refuseConsentProvenance(request.body.document.value);
}

export function refuseConsentProvenance(value: ResourceValue): void {
  if (value.resourceType !== 'Provenance' || value['signature'] === undefined) return;
  if (/"Consent\/|\/Consent\/|urn:uuid:/.test(JSON.stringify(value['target'] ?? ''))) throw new AssentError('invalid-signature', WAY);
}
