/** Without a look at what its sections speak of, a Composition is decided as if that were labelled and coded with everything. server/consent/sources.ts */
import { expect, test } from 'vitest';
import { scopeFor } from '../../server/consent/decide.ts';
import { UNKNOWN_PART } from '../../server/consent/facets.ts';
import { holds } from '../../server/search/expression.ts';
import { consentBy, decisionOn, labelled } from '../support/consents.ts';

const coded = (code: string) => ({ code: [{ coding: [{ system: 'http://loinc.org', code }] }] });
const composition = {
  resourceType: 'Composition',
  id: 'c',
  status: 'final',
  type: { coding: [{ system: 'http://loinc.org', code: 'B' }] },
  subject: { reference: 'Patient/1' },
  section: [{ entry: [{ reference: 'Encounter/e' }] }],
};

const cases: readonly (readonly [string, Readonly<Record<string, unknown>>, boolean])[] = [
  ['a permit alone', { type: 'permit' }, true],
  ['a code that a part may have', { type: 'permit', provision: [{ type: 'deny', ...coded('X') }] }, false],
  // Whether the label is certain or not: the code may be there.
  [
    'the same under a permit by label',
    { type: 'permit', provision: [{ type: 'permit', ...labelled('R'), provision: [{ type: 'deny', ...coded('X') }] }] },
    false,
  ],
  [
    'the same under a permit by code',
    { type: 'permit', provision: [{ type: 'permit', ...coded('B'), provision: [{ type: 'deny', ...coded('X') }] }] },
    false,
  ],
  // A permit in a deny that is not certain permits nothing by itself.
  ['a permit under a denial that may not hold', { type: 'deny', ...coded('X'), provision: [{ type: 'permit', ...coded('B') }] }, false],
];

test.each(cases)('%s', (_, provision, permitted) => {
  const { input, keys } = decisionOn(composition, { consents: [consentBy('1', provision)] });
  expect(keys).toContain(UNKNOWN_PART);
  expect(holds(scopeFor(input).where, 'c', keys)).toBe(permitted);
});
