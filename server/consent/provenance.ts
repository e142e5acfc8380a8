/** The Provenance that carries the signatures of a Consent version. https://hl7.org/fhir/R4/provenance.html, consent.md §4 */
import type { Approval } from './workflow.ts';
import type { ResourceValue } from '../fhir/resource.ts';

/** ASTM E1762 purposes of signature: the patient's consent, the custodian's verification. */
const SIGNATURE_TYPE = {
  patient: { code: '1.2.840.10065.1.12.1.7', display: 'Consent Signature' },
  proxy: { code: '1.2.840.10065.1.12.1.7', display: 'Consent Signature' },
  custodian: { code: '1.2.840.10065.1.12.1.5', display: 'Verification Signature' },
} as const;

/** `consent`: the version the signatures established. `patient`: logical id, on whose behalf a proxy signed. */
export function provenanceOf(
  consent: { readonly id: string; readonly version: string; readonly lastUpdated: number; readonly patient: string },
  approvals: readonly Approval[],
): ResourceValue {
  const onBehalf = (role: Approval['role']) => (role === 'proxy' ? { onBehalfOf: { reference: `Patient/${consent.patient}` } } : {});
  const recorded = new Date(consent.lastUpdated).toISOString();
  return {
    resourceType: 'Provenance',
    target: [{ reference: `Consent/${consent.id}/_history/${consent.version}` }],
    recorded,
    agent: approvals.map(({ who, role }) => ({
      type: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type', code: role === 'custodian' ? 'verifier' : 'author' }],
      },
      who: { reference: who },
      ...onBehalf(role),
    })),
    signature: approvals.map(({ who, role, jws, at }) => ({
      type: [{ system: 'urn:iso-astm:E1762-95:2013', ...SIGNATURE_TYPE[role] }],
      when: at,
      who: { reference: who },
      ...onBehalf(role),
      sigFormat: jws.startsWith('{') ? 'application/json' : 'application/jose',
      data: Buffer.from(jws, 'utf8').toString('base64'),
    })),
  };
}
