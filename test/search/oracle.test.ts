import fc from 'fast-check';
import { expect, test } from 'vitest';
import { holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import { base, anyCriterionOf, resourceOf, sampleTypes, terms } from './samples.ts';

const now = Date.UTC(2024, 0, 1);

test.each(sampleTypes)('the plan says of the keys what the query says of the resource: %s', (type) => {
  let matched = 0;
  let differing = 0;
  const resources = fc.array(resourceOf(type), { minLength: 8, maxLength: 8 });
  const queries = fc.array(anyCriterionOf(type), { minLength: 1, maxLength: 2 });
  const property = fc.property(resources, fc.array(queries, { minLength: 12, maxLength: 12 }), (records, asked) => {
    const indexed = records.map((resource) => ({ resource, ...indexKeys(resource, base) }));
    for (const criteria of asked) {
      const query = parseSearch(type, new URLSearchParams(criteria), { handling: 'strict', base, now, terms });
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
});
