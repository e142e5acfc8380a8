import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementTexts, memberText, memberTexts, pretty, replaceStrings, withMembers } from '../../server/fhir/json-text.ts';
import { parseJson } from '../../server/fhir/json.ts';

const meta = { versionId: 'v2', lastUpdated: '2026-01-02T03:04:05.000Z' };

test('identity is written first and nothing else loses a digit', () => {
  const text = '{"valueQuantity":{"value":1.50},"meta":{"tag":[{"code":"x"}],"versionId":"old","x":1e2},"resourceType":"Observation","id":"old"}';
  expect(withMembers(text, { id: 'new', meta })).toBe(
    '{"resourceType":"Observation","id":"new","meta":{"versionId":"v2","lastUpdated":"2026-01-02T03:04:05.000Z","tag":[{"code":"x"}],"x":1e2},"valueQuantity":{"value":1.50}}',
  );
  expect(withMembers('{"resourceType":"Basic"}', { id: 'a', meta })).toBe(
    '{"resourceType":"Basic","id":"a","meta":{"versionId":"v2","lastUpdated":"2026-01-02T03:04:05.000Z"}}',
  );
});

test('members are set, added and removed; an empty object works', () => {
  expect(withMembers('{"a":1.0,"b":2}', { b: undefined, c: [null] })).toBe('{"a":1.0,"c":[null]}');
  expect(withMembers('{}', {})).toBe('{}');
  expect(withMembers('{"id":"1","__proto__":2}', { id: '2' })).toBe('{"id":"2","__proto__":2}');
});

test('members and elements are exact texts', () => {
  expect(memberText('{"a":"}\\"{","b":[1.0,{"a":2}]}', 'b')).toBe('[1.0,{"a":2}]');
  expect(memberText('{"\\u0061":1.0}', 'a')).toBe('1.0');
  expect(memberText('{"b":{"a":1}}', 'a')).toBeUndefined();
  expect(memberText('{}', 'a')).toBeUndefined();
  expect(elementTexts('[]')).toEqual([]);
  expect(elementTexts('[1.0,"a,]\\\\",[2,[]],{},null]')).toEqual(['1.0', '"a,]\\\\"', '[2,[]]', '{}', 'null']);
});

test('only whole string values are replaced, never names or parts', () => {
  const text = '{"x":"x","y":["x","xx",{"x":"\\u0078"}],"z":"a x"}';
  const asked: string[] = [];
  const replaced = replaceStrings(text, (value, member) => {
    asked.push(`${member}=${value}`);
    return value === 'x' ? 'new "1"' : undefined;
  });
  expect(replaced).toBe('{"x":"new \\"1\\"","y":["new \\"1\\"","xx",{"x":"new \\"1\\""}],"z":"a x"}');
  expect(asked).toEqual(['x=x', 'y=x', 'y=xx', 'x=x', 'z=a x']);
});

test('pretty changes white space alone', () => {
  expect(pretty('{"a":[],"b":{},"c":[1.50,{"d":"[,]"}]}')).toBe(
    '{\n  "a": [],\n  "b": {},\n  "c": [\n    1.50,\n    {\n      "d": "[,]"\n    }\n  ]\n}',
  );
});

test('any JSON survives reading, splitting and printing', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const limits = { maxDepth: 64, maxBytes: 1e6 };
      const source = JSON.stringify(value, (_name, item) => (typeof item === 'string' ? item.replaceAll('\0', '').toWellFormed() : item), 3);
      if (/\\u0000|\\ud[89a-f]/i.test(source)) return;
      const { text } = parseJson(source, limits);
      expect(text).toBe(JSON.stringify(JSON.parse(source)));
      expect(parseJson(pretty(text), limits).text).toBe(text);
      if (text.startsWith('[')) expect(`[${elementTexts(text).join(',')}]`).toBe(text);
      if (text.startsWith('{')) expect([...memberTexts(text)].map(([n, t]) => [n, JSON.parse(t)])).toEqual(Object.entries(JSON.parse(text)));
    }),
  );
});

test('what JSON.parse refuses is refused, what it accepts is accepted or refused by policy', () => {
  const piece = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', '-', '.5', 'e1', ' ', 'true', 'nul', '"', '\\', 'l');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const source = pieces.join('');
      let value: unknown;
      try {
        value = JSON.parse(source);
      } catch {
        expect(() => parseJson(source, { maxDepth: 64, maxBytes: 1e6 })).toThrow(expect.objectContaining({ code: 'invalid-json' }));
        return;
      }
      try {
        expect(parseJson(source, { maxDepth: 64, maxBytes: 1e6 }).value).toEqual(value);
      } catch (error) {
        expect(String(error)).toContain('Duplicate');
      }
    }),
    { numRuns: 2000 },
  );
});
