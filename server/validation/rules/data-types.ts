/**
 * What the text of the data types asks and no invariant says: systems are absolute, an Identifier of the system of URIs should be one, an Attachment has the
 * size it states. https://hl7.org/fhir/R4/datatypes.html#Identifier, https://hl7.org/fhir/R4/datatypes.html#Attachment
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { Visit } from '../structure.ts';

const at = (up: Place, step: string, diagnostics: string): Finding[] => [{ place: { up, step }, diagnostics, code: 'value' }];

export function isAbsolute(uri: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:./.test(uri);
}

export function systemFindings({ value, place }: Visit): Finding[] {
  const { system } = value;
  return typeof system !== 'string' || isAbsolute(system) ? [] : at(place, '.system', 'A system must be an absolute URI.');
}

export function identifierFindings(visit: Visit): Finding[] {
  const { system, value } = visit.value;
  const findings = systemFindings(visit);
  if (system === 'urn:ietf:rfc:3986' && typeof value === 'string' && !isAbsolute(value))
    findings.push({ place: { up: visit.place, step: '.value' }, ...NOT_A_URI });
  return findings;
}

/** Official examples have it. */
const NOT_A_URI = { diagnostics: 'In the system urn:ietf:rfc:3986 a value should be an absolute URI.', code: 'value', severity: 'warning' } as const;

export function attachmentFindings({ value, place }: Visit): Finding[] {
  const { data, size } = value;
  if (typeof data !== 'string' || typeof size !== 'number') return [];
  return bytesOf(data) === size ? [] : at(place, '.size', 'Is not the number of bytes of the data.');
}

/** Of well-formed base64, white space aside. */
function bytesOf(base64: string): number {
  const packed = base64.replace(/\s+/g, '');
  return (packed.length / 4) * 3 - (packed.endsWith('==') ? 2 : packed.endsWith('=') ? 1 : 0);
}
