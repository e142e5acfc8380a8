/** Which words a resource has, as the rules for `_text` and `_content` say, and what finds them. */
import { expect, test } from 'vitest';
import { narrativeText } from '../../server/fhir/xml/narrative-text.ts';
import { holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import { TEXT_CHARACTERS, textsOf } from '../../server/search/resource-text.ts';
import { runsOf, termsOf } from '../../server/search/words.ts';

test.each([
  ['Müller, ANA', 'muller ana'],
  ['ｗｉｄｅ Straße', 'wide strasse'],
  ["O'Hara-Łuk", 'ohara luk'],
  ['pH 7.2, not 72.', 'ph 7 2 not 72'],
  ['７．２', '7 2'],
  ['U.S.A. (COVID-19)', 'usa covid 19'],
  ['用aspirin治療', '用 aspirin 治療'],
  ['고혈압 환자', '고혈압 환자'],
  ['ガス', 'カス'],
  ['a+b=c <5', 'a b c 5'],
  ['…!?', ''],
  ['', ''],
])('%s has the words %s', (text, expected) => {
  expect(runsOf(text).join(' ')).toBe(expected);
});

test('a script without spaces is found by every two characters', () => {
  expect(termsOf('高血壓')).toEqual(['高血', '血壓', '壓']);
  expect(termsOf('𠮷野')).toEqual(['𠮷野', '野']);
  expect(termsOf('aspirin')).toEqual(['aspirin']);
});

test.each([
  ['<div>a<b>b</b>c<br/>d</div>', 'abc d'],
  ['<div><td title="x > y">a</td><td>b</td></div>', 'a b'],
  ['<div>a <!-- <p>hidden</p> --> b</div>', 'a b'],
  ['<div>caf&eacute; &amp; &#x8840;&#22739; &lt;b&gt;</div>', 'café & 血壓 <b>'],
  ['<div>a<span class="x', 'a'],
  ['<div>&#99999999; &#x110000; &odd;</div>', '&#99999999; &odd;'],
])('the words of the narrative %s', (div, expected) => {
  expect(narrativeText(div, 1_000).replace(/\s+/g, ' ').trim()).toBe(expected);
});

test('a narrative costs time in proportion to its length', () => {
  for (const hostile of ['<', '<"', '<!--', '&#', '<a ']) expect(narrativeText(hostile.repeat(1_000_000), 100).length).toBeLessThanOrEqual(100);
});

const condition = {
  resourceType: 'Condition',
  id: 'idword',
  meta: { tag: [{ display: 'metaword' }] },
  implicitRules: 'http://example.org/ruleword',
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml" title="titleword">Narrated</div>' },
  contained: [{ resourceType: 'Practitioner', name: [{ family: 'Contained' }], text: { status: 'generated', div: '<div>Inner</div>' } }],
  extension: [{ url: 'http://example.org/extword', valueString: 'Extended', valueCode: 'codeword' }],
  identifier: [{ value: 'numberword', assigner: { display: 'assignerword' } }],
  code: { coding: [{ system: 'http://example.org/systemword', code: 'otherword', display: 'Displayed' }], text: 'Texted' },
  onsetString: 'Onset',
  _onsetString: { extension: [{ url: 'x', valueMarkdown: 'Translated' }] },
  subject: { reference: 'Patient/refword', display: 'Referred' },
  abatementAge: { value: 4, unit: 'unitword' },
  note: [{ text: 'Noted' }],
  unknown: { text: 'Strange' },
};

test('which elements are words and which are not', () => {
  const { narrative, rest } = textsOf(condition);
  expect(narrative.map((text) => text.trim())).toEqual(['Narrated']);
  const expected = ['Contained', 'Inner', 'Extended', 'Displayed', 'Texted', 'Onset', 'Translated', 'Referred', 'Noted'];
  expect(rest.map((text) => text.trim()).sort()).toEqual(expected.sort());
});

test('what may hold a secret is no word', () => {
  const said = (resource: object) => textsOf(resource as { resourceType: string }).rest;
  expect(said({ resourceType: 'Endpoint', name: 'Gate', header: ['Authorization: Bearer x'], address: 'https://secret.example' })).toEqual(['Gate']);
  const channel = { type: 'rest-hook', header: ['Authorization: Bearer x'], endpoint: 'https://secret.example' };
  expect(said({ resourceType: 'Subscription', reason: 'Watch', channel })).toEqual(['Watch']);
});

function finds(query: string, resource: { resourceType: string; id: string; [element: string]: unknown } = condition): boolean {
  const parsed = parseSearch(resource.resourceType, query, { handling: 'strict', base: '', now: 0 });
  const found = holds(planSearch(parsed).where, resource.id, indexKeys(resource).keys);
  expect(match(resource, parsed), query).toBe(found);
  return found;
}

test.each([
  ['_text=narrated', true],
  ['_text=noted', false],
  ['_content=narrated', true],
  ['_content=noted', true],
  ['_content=otherword', false],
  ['_content=narrated noted', true],
  ['_content=narrated absent', false],
  ['_content=narrated OR absent', true],
  ['_content=absent,noted', true],
  ['_content=(absent or noted) and narrated', true],
  ['_content=absent OR noted absent', false],
  ['_content=NOT absent', true],
  ['_content=noted NOT narrated', false],
  ['_content="displayed texted"', false],
  ['_content=not', false],
])('%s finds it: %s', (query, expected) => {
  expect(finds(query)).toBe(expected);
});

const spoken = { resourceType: 'Basic', id: 'b', text: { div: '<div>患者高血壓病史，用aspirin 治療。Blood <b>p</b>ressure 7.2 high</div>' } };

test.each([
  ['"blood pressure"', true],
  ['"pressure blood"', false],
  ['"blood pressure 7.2"', true],
  ['blood-pressure', true],
  ['pressure-blood', false],
  ['7.2', true],
  ['72', false],
  ['高血壓', true],
  ['高壓', false],
  ['血', true],
  ['史', true],
  ['史用', false],
  ['"病史 用"', true],
  ['用aspirin', true],
  ['aspirin治', true],
  ['"用aspirin治療"', true],
  ['spirin', false],
])('_text=%s finds it: %s', (query, expected) => {
  expect(finds(`_text=${encodeURIComponent(query)}`, spoken)).toBe(expected);
  expect(finds(`_content=${encodeURIComponent(query)}`, spoken)).toBe(expected);
});

test('what a text adds to the index is bounded', () => {
  const many = Array.from({ length: 100_000 }, (_, i) => `w${i}`).join(' ');
  const deep = JSON.parse(`${'{"extension":[{"valueString":"deep","extension":['.repeat(500)}{}${']}]}'.repeat(500)}`) as object;
  const { keys } = indexKeys({ resourceType: 'Basic', text: { div: `<div>${many}</div>` }, code: { text: '血'.repeat(1_000_000) }, ...deep });
  expect(keys.length).toBeLessThan(TEXT_CHARACTERS);
  expect(keys.join('').length).toBeLessThan(8 * TEXT_CHARACTERS);
  expect(finds('_text=w1', { resourceType: 'Basic', id: 'b', text: { div: `<div>${many}</div>` } })).toBe(true);
  expect(finds('_text=w99999', { resourceType: 'Basic', id: 'b', text: { div: `<div>${many}</div>` } })).toBe(false);
});
