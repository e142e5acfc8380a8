/**
 * Extensions: a value or extensions of its own (ext-1), an absolute url unless it is part of another extension, and a word about modifiers.
 * https://hl7.org/fhir/R4/extensibility.html
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { Visit } from '../structure.ts';

export function extensionFindings({ value, place }: Visit): Finding[] {
  const hasValue = Object.keys(value).some((key) => key.startsWith('value') || key.startsWith('_value'));
  const findings: Finding[] = [];
  if (hasValue === (value['extension'] !== undefined))
    findings.push({
      place,
      diagnostics: 'Constraint ext-1 not met: an extension has either a value or extensions, not both and not neither.',
      code: 'invariant',
    });
  // Inside a complex extension the url is relative to that of the whole.
  const isPart = isExtensionStep(place.up);
  if (!isPart && !/^[A-Za-z][A-Za-z0-9+.-]*:./.test(String(value['url'])))
    findings.push({ place: { up: place, step: '.url' }, diagnostics: 'The url of an extension must be absolute.', code: 'value' });
  if (place.step === '.modifierExtension') findings.push({ ...UNKNOWN_MODIFIER, place });
  return findings;
}

function isExtensionStep(place: Place | undefined): boolean {
  return place?.step === '.extension' || place?.step === '.modifierExtension';
}

/** It is kept and served; who reads the element must know what it changes. https://hl7.org/fhir/R4/extensibility.html#modifierExtension */
const UNKNOWN_MODIFIER = {
  diagnostics: 'The server does not know this modifier extension: it stores it, and does not take it into account.',
  code: 'extension',
  severity: 'warning',
} as const;
