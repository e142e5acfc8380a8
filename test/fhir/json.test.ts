import { expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { parseDocument, parseJson } from '../../server/fhir/json.ts';
import { cpuMs } from '../support/cpu-time.ts';

const limits = { maxDepth: 64, maxBytes: 1_000_000 };

function failure(source: string | Uint8Array, given = limits): AssentError {
  try {
    parseJson(source, given);
  } catch (error) {
    if (error instanceof AssentError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)));

test('numbers and strings keep every byte; only white space goes', () => {
  const source = ' {\r\n\t"resourceType" : "Basic", "a": [ 1.50 , -0, 1e-7, 1.0E+2 ], "s":"\\u0041\\/ \\ud83d\\ude00 é  😀" } \n';
  const { text, value } = parseDocument(source, limits);
  expect(text).toBe('{"resourceType":"Basic","a":[1.50,-0,1e-7,1.0E+2],"s":"\\u0041\\/ \\ud83d\\ude00 é  😀"}');
  expect(value['s']).toBe('A/ 😀 é  😀');
  expect(parseDocument(Buffer.from(source), limits)).toEqual({ text, value });
});

test.each(['{}', '[]', '""', '0', '-1.5e+10', 'null', ' true ', '[{"a":[]},{}]', '{"a":{"b":null}}', '"\\u00e9"'])('accepts %s', (source) => {
  expect(parseJson(source, limits).value).toEqual(JSON.parse(source));
});

const refused: [string, string | Uint8Array, RegExp][] = [
  ['nothing', '', /ends too early/],
  ['an open object', '{"a":1', /ends too early/],
  ['an open string', '{"a":"b', /ends inside a string/],
  ['a trailing comma in an object', '{"a":1,}', /member name.*byte 7/],
  ['a trailing comma in an array', '[1,]', /Expected a value.*byte 3/],
  ['a comma alone', '[,1]', /byte 1/],
  ['a line comment', '{"a":1}// x', /Nothing may follow.*byte 7/],
  ['a block comment', '/* x */{}', /byte 0/],
  ['trailing garbage', '{} {}', /Nothing may follow.*byte 3/],
  ['two numbers', '1 2', /byte 2/],
  ['a missing colon', '{"a" 1}', /byte 5/],
  ['a bare name', '{a:1}', /byte 1/],
  ['single quotes', "{'a':1}", /byte 1/],
  ['brackets that do not match', '[1}', /byte 2/],
  ['a leading zero', '[01]', /byte 2/],
  ['a plus sign', '[+1]', /byte 1/],
  ['a bare fraction', '[.5]', /byte 1/],
  ['a fraction without digits', '[1.]', /digit.*byte 3/],
  ['an exponent without digits', '[1e]', /digit/],
  ['NaN', '[NaN]', /byte 1/],
  ['a capital literal', '[True]', /byte 1/],
  ['a raw control character', '["a\nb"]', /Control characters.*byte 3/],
  ['a raw NUL in a string', '["a\0b"]', /Control characters.*byte 3/],
  ['a NUL between tokens', '[\0]', /byte 1/],
  ['an escaped NUL', '["\\u0000"]', /NUL.*byte 2/],
  ['an unknown escape', '["\\x41"]', /escape/],
  ['a short unicode escape', '["\\u12"]', /hexadecimal/],
  ['an escaped lone high surrogate', '["\\ud800"]', /Lone surrogate.*byte 2/],
  ['an escaped lone low surrogate', '["\\udc00x"]', /Lone surrogate/],
  ['two high surrogates', '["\\ud800\\ud800"]', /Lone surrogate/],
  ['a raw lone surrogate', '["\ud800"]', /Lone surrogate at character 2/],
  ['a surrogate coded as UTF-8', bytes('["', [0xed, 0xa0, 0x80], '"]'), /Invalid UTF-8 at byte 2/],
  ['invalid UTF-8', bytes('["é', [0xff], '"]'), /Invalid UTF-8 at byte 4/],
  ['a cut UTF-8 character', bytes('["', [0xe2, 0x82]), /Invalid UTF-8 at byte 2/],
  ['an overlong coding', bytes('["', [0xc0, 0xaf], '"]'), /Invalid UTF-8 at byte 2/],
  ['a byte order mark', bytes([0xef, 0xbb, 0xbf], '{}'), /byte order mark/],
  ['UTF-16', Buffer.from('{}', 'utf16le'), /byte 1/],
  ['a duplicate name', '{"a":1,"b":{},"a":2}', /Duplicate.*character 14/],
  ['a duplicate name deep down', '[{"x":{"a":1,"a":1}}]', /Duplicate/],
  ['a duplicate name in disguise', '{"a":1,"\\u0061":2}', /Duplicate/],
  ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', /Duplicate/],
];

test.each(refused)('refuses %s with a position', (_what, source, words) => {
  const error = failure(source);
  expect(error.code).toBe('invalid-json');
  expect(error.message).toMatch(words);
});

test('the same name in different objects is no duplicate', () => {
  expect(parseJson('[{"a":1},{"a":{"a":2}}]', limits).value).toEqual([{ a: 1 }, { a: { a: 2 } }]);
});

test('an error never repeats what was sent', () => {
  for (const source of ['{"name":"Wang",}', '{"Wang":1,"Wang":2}', '["Wang" "Wang"]', 'Wang']) expect(failure(source).message).not.toContain('Wang');
});

test('depth is limited, and a depth bomb costs next to nothing', () => {
  expect(() => parseJson('['.repeat(64) + ']'.repeat(64), limits)).not.toThrow();
  expect(failure('['.repeat(65) + ']'.repeat(65)).message).toMatch(/deeper than 64/);
  for (const bomb of ['['.repeat(100_000), '{"a":'.repeat(100_000), `${'['.repeat(100_000)}${']'.repeat(100_000)}`]) {
    // Twice, as a collection of the garbage of other suites may come in between.
    const costs = [1, 2].map(() => cpuMs(() => expect(failure(bomb).code).toBe('invalid-json')));
    expect(Math.min(...costs)).toBeLessThan(100);
  }
});

test('size is limited by bytes, not characters', () => {
  expect(failure('"éé"', { maxDepth: 8, maxBytes: 5 }).code).toBe('too-large');
  expect(parseJson('"éé"', { maxDepth: 8, maxBytes: 6 }).value).toBe('éé');
});

test('__proto__ is a name like any other', () => {
  const { value } = parseDocument('{"resourceType":"Basic","__proto__":{"admin":true}}', limits);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(value['admin']).toBeUndefined();
});

test.each(['[]', '1', 'null', '{}', '{"resourceType":1}', '{"resourceType":"../Patient"}'])('%s is JSON but no resource', (source) => {
  expect(() => parseDocument(source, limits)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
});

test('bytes of the caller stay untouched', () => {
  const source = Buffer.from('{ "resourceType": "Basic" }');
  parseDocument(source, limits);
  expect(source.toString()).toBe('{ "resourceType": "Basic" }');
});
