/**
 * Superseded bodies, compressed: deflate with a dictionary of what FHIR documents repeat.
 * Invariant: the dictionary is part of the stored format and never changes; another one needs a migration.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';

const dictionary = Buffer.from(
  [
    '"identifier":[{"use":"official","system":"https://","value":"',
    '"contained":[{"resourceType":"',
    '"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/',
    '"telecom":[{"system":"phone","value":"',
    '"address":[{"line":["',
    '"city":"',
    '"state":"',
    '"postalCode":"',
    '"country":"',
    '"name":[{"family":"',
    '"given":["',
    '"gender":"female","birthDate":"',
    '"active":true',
    '"referenceRange":[{"low":{"value":',
    '"component":[{"code":{"coding":[{"system":"http://snomed.info/sct","code":"',
    '"valueCodeableConcept":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/',
    '"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"',
    '"code":{"coding":[{"system":"http://loinc.org","code":"',
    '"}],"text":"',
    '"subject":{"reference":"Patient/',
    '"encounter":{"reference":"Encounter/',
    '"performer":[{"reference":"Practitioner/',
    '"display":"',
    '"effectiveDateTime":"',
    '"period":{"start":"',
    '","end":"',
    '"issued":"',
    '"recorded":"',
    '"valueQuantity":{"value":',
    '"unit":"',
    '"system":"http://unitsofmeasure.org","code":"',
    '"status":"active"',
    '"status":"final"',
    '"status":"finished"',
    '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">',
    '{"resourceType":"Observation","id":"',
    '"meta":{"versionId":"',
    '","lastUpdated":"',
    '"profile":["http://hl7.org/fhir/us/core/StructureDefinition/',
  ].join(''),
);

export function compressBody(body: string): Uint8Array {
  return deflateRawSync(body, { dictionary });
}

export function expandBody(compressed: Uint8Array): string {
  return inflateRawSync(compressed, { dictionary }).toString('utf8');
}
