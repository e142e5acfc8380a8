/** Keys left out of the index: a search on them finds the same events as on any other key, and rare values stay walkable. */
import { expect, test } from 'vitest';
import { auditEvent } from '../../server/audit/event.ts';
import { isCommon, mayHoldCommon } from '../../server/search/common-keys.ts';
import { successor } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';

const act = {
  interaction: 'read',
  outcome: 'done',
  client: 'c',
  actor: 'Organization/o',
  purpose: 'TREAT',
  patient: 'p',
  what: ['Patient/p/_history/1'],
  basis: ['Consent/k/_history/1'],
} as const;
const stamp = { id: 'a', version: '1', recorded: 0, observer: 'https://example.org' };
const keysOf = (more: object) => indexKeys(auditEvent({ ...act, ...more }, stamp)).keys;

test('what tells events apart is indexed: patient, date, agent, client, entity', () => {
  const indexed = keysOf({}).filter((key) => !isCommon(key));
  expect(indexed.filter((key) => key.includes('Patient/p'))).toHaveLength(2);
  expect(indexed.some((key) => key.includes('Consent/k'))).toBe(true);
  expect(indexed.some((key) => key.includes('Organization/o'))).toBe(true);
  expect(indexed).toHaveLength(9);
  expect(keysOf({}).length).toBeGreaterThanOrEqual(20);
});

test('a refusal, a deletion and an operation are found through the index', () => {
  const common = keysOf({});
  const rare = keysOf({ outcome: 'refused', interaction: 'delete' }).filter((key) => !common.includes(key));
  expect(rare.filter((key) => !isCommon(key))).toHaveLength(3);
});

test('a span that holds a common key, and the beginning of one, cannot be walked', () => {
  for (const key of keysOf({}).filter(isCommon)) {
    expect(mayHoldCommon(key, successor(key))).toBe(true);
    expect(mayHoldCommon(key.slice(0, 3), successor(key.slice(0, 3)))).toBe(true);
    expect(isCommon(key.slice(0, 3))).toBe(true);
  }
  const date = keysOf({}).find((key) => key.startsWith('02gd')) as string;
  expect(mayHoldCommon(date, successor(date))).toBe(false);
});
