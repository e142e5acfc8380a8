/** Which parts of a resource are left, and that they are left as they were. */
import { describe, expect, test } from 'vitest';
import { elementNamed, isSubset, type Subset, SUBSETTED, subsetText } from '../../../server/fhir/subset/subset.ts';

const tag = JSON.stringify(SUBSETTED);
const by = (...names: string[]): Subset => ({ by: 'elements', names: new Set(names) });

const observation =
  '{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"own","extension":[{"url":"x","valueDecimal":1.0}]}]},' +
  '"text":{"status":"generated","div":"<div>x</div>"},"contained":[{"resourceType":"Patient","id":"p"}],' +
  '"modifierExtension":[{"url":"urn:m","valueDecimal":2.50}],"status":"final","code":{"id":"c","text":"code"},' +
  '"valueQuantity":{"value":1.50,"_value":{"id":"v"}},"note":[{"text":"n"}],"component":[{"code":{"text":"a"},"interpretation":[{"text":"i"}]}]}';

describe('of an Observation', () => {
  test.each<[string, Subset, string]>([
    [
      'true',
      { by: 'true' },
      `"modifierExtension":[{"url":"urn:m","valueDecimal":2.50}],"status":"final","code":{"text":"code"},"valueQuantity":{"value":1.50,"_value":{"id":"v"}},"component":[{"code":{"text":"a"}}]}`,
    ],
    ['text', { by: 'text' }, '"text":{"status":"generated","div":"<div>x</div>"},"status":"final","code":{"id":"c","text":"code"}}'],
    ['data', { by: 'data' }, observation.slice(observation.indexOf('"contained"'))],
    [
      'an element',
      by('note'),
      '"modifierExtension":[{"url":"urn:m","valueDecimal":2.50}],"status":"final","code":{"id":"c","text":"code"},"note":[{"text":"n"}]}',
    ],
    [
      'a choice',
      by('value'),
      '"modifierExtension":[{"url":"urn:m","valueDecimal":2.50}],"status":"final","code":{"id":"c","text":"code"},"valueQuantity":{"value":1.50,"_value":{"id":"v"}}}',
    ],
    [
      'nothing that there is',
      by('nothing'),
      '"modifierExtension":[{"url":"urn:m","valueDecimal":2.50}],"status":"final","code":{"id":"c","text":"code"}}',
    ],
  ])('%s', (_name, subset, rest) => {
    const meta = `"meta":{"versionId":"1","tag":[{"code":"own","extension":[{"url":"x","valueDecimal":1.0}]},${tag}]}`;
    expect(subsetText(observation, subset)).toBe(`{"resourceType":"Observation","id":"o",${meta},${rest}`);
  });
});

test('a primitive stays with its extension, a tag is not given twice, and a part is known as one', () => {
  const text =
    '{"resourceType":"Patient","_gender":{"id":"g"},"gender":"male","_birthDate":{"extension":[{"url":"u","valueString":"x"}]},"maritalStatus":{"text":"x"}}';
  const once = subsetText(text, { by: 'true' });
  expect(once).toBe(
    `{"resourceType":"Patient","meta":{"tag":[${tag}]},"_gender":{"id":"g"},"gender":"male","_birthDate":{"extension":[{"url":"u","valueString":"x"}]}}`,
  );
  expect(subsetText(once, { by: 'true' })).toBe(once);
  expect([text, once].map((part) => isSubset(JSON.parse(part)))).toEqual([false, true]);
});

test.each<[string, string, string | undefined]>([
  ['Observation', 'value', 'value'],
  ['Observation', 'value[x]', 'value'],
  ['Observation', 'valueQuantity', 'value'],
  ['Observation', 'status', 'status'],
  ['Observation', 'nonsense', undefined],
  ['Observation', 'constructor', undefined],
  ['Nonsense', 'status', undefined],
])('%s has %s: %s', (type, name, expected) => {
  expect(elementNamed(type, name)).toBe(expected);
});
