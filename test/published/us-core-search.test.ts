/** US Core 6.1.0 as published, and its example patient: every search parameter of the guide works and finds what is there. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createSearch, type Search } from '../../server/search/create-search.ts';
import { holds } from '../../server/search/expression.ts';
import { createParameters } from '../../server/search/registry.ts';
import { createSearchTerms } from '../../server/validation/search-terms.ts';
import { loadPackages } from '../../server/validation/packages/package.ts';
import { published } from '../support/published.ts';

type Resource = { resourceType: string; id: string };
type Bundle = { entry: { fullUrl: string; resource: Resource }[] };
type Definition = { base: string[]; code: string };

const base = 'https://fhir.example.org/fhir';

async function guide(): Promise<{ search: Search; definitions: Definition[]; refused: readonly string[] }> {
  const packages = await loadPackages([published('us-core', 'us_core_610.tgz')]);
  const definitions = packages.flatMap(({ searchParameters }) => searchParameters.map(({ text }) => JSON.parse(text) as Definition));
  const { parameters, refused } = createParameters(definitions);
  return {
    search: createSearch({ base, clock: () => 0, known: () => ({ asked: parameters, written: parameters }), terms: createSearchTerms(packages) }),
    definitions,
    refused,
  };
}

/** Its entries refer to one another as a transaction does: here as they do once they are stored. */
function patientBundle(): Bundle {
  const text = readFileSync(published('us-core-patient85', 'uscore_bundle_patient_85.json'), 'utf8');
  const names = new Map((JSON.parse(text) as Bundle).entry.map(({ fullUrl, resource }) => [fullUrl, `${resource.resourceType}/${resource.id}`]));
  return JSON.parse(text, (name, value: unknown) => (name === 'reference' ? (names.get(value as string) ?? value) : value)) as Bundle;
}

describe('US Core', () => {
  test('every search parameter of the guide is one, and those its patient has data for find it', async () => {
    const { search, definitions, refused } = await guide();
    expect(refused).toEqual([]);
    const bundle = patientBundle();
    const indexed = bundle.entry.map(({ resource }) => ({ resource, keys: search.keysOf(resource).keys }));
    const count = (type: string, query: string) => {
      const { where } = search.plan(type, query, 'strict');
      return indexed.filter(({ resource, keys }) => resource.resourceType === type && holds(where, resource.id, keys)).length;
    };
    const without: string[] = [];
    let found = 0;
    for (const { base: types, code } of definitions) {
      for (const type of types) {
        if (code === '_id' || !indexed.some(({ resource }) => resource.resourceType === type)) continue;
        if (count(type, `${code}:missing=false`) > 0) found++;
        else without.push(`${type}.${code}`);
      }
    }
    // The patient's conditions say when they were recorded only.
    expect(without).toEqual(['Condition.asserted-date']);
    expect(found).toBeGreaterThan(70);
    expect(count('Patient', 'race=urn:oid:2.16.840.1.113883.6.238|2106-3')).toBe(1);
    expect(count('Patient', 'race:missing=true')).toBe(0);
    expect(count('Patient', 'race=2028-9')).toBe(0);
  });
});
