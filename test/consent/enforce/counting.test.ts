/** Of which searches a total is told unasked, whatever the caller may see. docs/operations/pages.md */
import { expect, test } from 'vitest';
import { countingOf } from '../../../server/consent/enforce/counting.ts';
import type { View } from '../../../server/consent/enforce/view.ts';
import { any } from '../../../server/search/expression.ts';
import { createSearch } from '../../../server/search/create-search.ts';
import type { ResourceStore } from '../../../server/store/port.ts';

const search = createSearch({ base: 'https://example.org/fhir', clock: () => 0 });
const view = { patients: ['p'] } as unknown as View;
const scope = { epoch: 1, where: any(['@patient/p']) };

/** Of a caller who sees much. */
async function isTold(type: string, query: string): Promise<boolean> {
  let looked = 0;
  const resources = {
    findSeveral: async () => {
      looked++;
      return { kind: 'rows', rows: [], first: undefined, next: undefined, walked: 0, total: { count: 5_001, exact: false } };
    },
  } as unknown as ResourceStore;
  const { where, total, count } = search.plan(type, query, 'strict');
  const counting = await countingOf(resources, { ...view }, { total, count, parts: [{ type, where, scope }] });
  // Whoever is told unasked is told without looking how much there is to be seen.
  expect(looked).toBe(counting ? 0 : 1);
  return counting !== undefined;
}

test.each([
  'patient=Patient/p',
  'patient=Patient/p&code=http://loinc.org|1',
  'patient=Patient/p&code=1',
  'subject=Patient/p&code=http://loinc.org|1,http://loinc.org|2&date=ge2017',
  'patient=Patient/p,Patient/q&code=1',
  '_id=a&code=1',
])('a search about named patients tells it: %s', async (query) => {
  expect(await isTold('Observation', query)).toBe(true);
});

test.each(['code=http://loinc.org|1', 'date=ge2017', 'code=1&value-quantity=gt5', 'status=final', ''])('any other does not: %s', async (query) => {
  expect(await isTold('Observation', query)).toBe(false);
});
