import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type SearchParameters, searchParameters } from '../../server/fhir/search-parameters.ts';
import { holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import { madeUpParameters } from './made-up-parameters.ts';
import { base, anyCriterionOf, resourceOf, sampleTypes, terms } from './samples.ts';

const now = Date.UTC(2024, 0, 1);

test.each(sampleTypes)('the plan says of the keys what the query says of the resource: %s', (type) => {
  agrees(type, searchParameters, anyCriterionOf(type));
});

test.each(sampleTypes)('so it does for search parameters that somebody made up: %s', (type) => {
  const { parameters, names, refused } = madeUpParameters(type, 20_240_101);
  // Of the drawn ones some lead nowhere, or to what their type does not find.
  expect(names.length).toBeGreaterThan(8);
  expect(refused).toBeGreaterThan(8);
  const known = (of: string) => new Map([...parameters(of)].filter(([name]) => names.includes(name)));
  agrees(type, parameters, anyCriterionOf(type, known));
});

function agrees(type: string, parameters: SearchParameters, criterion: fc.Arbitrary<[string, string]>): void {
  let matched = 0;
  let differing = 0;
  const resources = fc.array(resourceOf(type), { minLength: 8, maxLength: 8 });
  const queries = fc.array(criterion, { minLength: 1, maxLength: 2 });
  const property = fc.property(resources, fc.array(queries, { minLength: 12, maxLength: 12 }), (records, asked) => {
    const indexed = records.map((resource) => ({ resource, ...indexKeys(resource, base, parameters) }));
    for (const criteria of asked) {
      const query = parseSearch(type, new URLSearchParams(criteria), { handling: 'strict', base, now, terms, parameters });
      const { where } = planSearch(query);
      for (const { resource, keys } of indexed) {
        const expected = match(resource, query, base);
        if (expected) matched++;
        else differing++;
        if (holds(where, resource.id, keys) !== expected)
          throw new Error(`${JSON.stringify(criteria)} on ${JSON.stringify(resource)} should be ${expected}; keys ${JSON.stringify(keys)}`);
      }
    }
  });
  fc.assert(property, { numRuns: 40, seed: 20_240_101 });
  // A property that never matches, or always does, would prove nothing.
  expect(matched).toBeGreaterThan(150);
  expect(differing).toBeGreaterThan(150);
}
