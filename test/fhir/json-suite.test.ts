/**
 * Case by case what RFC 8259 says about a JSON text, in the manner of the well-known suite by Nicolas Seriot: what must be accepted, what must
 * be refused, and where the RFC leaves it open, what this server does. docs/operations/bodies.md
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { type JsonLimits, parseJson } from '../../server/fhir/json.ts';

const limits: JsonLimits = { maxDepth: 64, maxBytes: 1_000_000 };

function refused(source: string | Uint8Array): boolean {
  try {
    parseJson(source, limits);
    return false;
  } catch (error) {
    if (error instanceof AssentError && error.code === 'invalid-json') return true;
    throw error;
  }
}

const backslash = '\\';
/** `u` and four digits after a backslash that no editor turns into the character. */
const u = (...codes: string[]): string => codes.map((code) => `${backslash}u${code}`).join('');

const accepted: readonly string[] = [
  ['[[]   ]', '[""]', '[]', '["a"]', '[false]', '[null, 1, "1", {}]', '[null]', '[1\n]', ' [1]', '[1,null,null,null,2]', '[2] '],
  [
    '[123e65]',
    '[0e+1]',
    '[0e1]',
    '[ 4]',
    '[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]',
    '[20e1]',
    '[-0]',
    '[-123]',
    '[-1]',
  ],
  ['[1E22]', '[1E-2]', '[1E+2]', '[123e45]', '[123.456e78]', '[1e-2]', '[1e+2]', '[123]', '[123.456789]', '[0.0e0]', '[9007199254740993]'],
  [
    '{"asd":"sdf", "dfg":"fgh"}',
    '{"asd":"sdf"}',
    '{}',
    '{"":0}',
    `{"foo${u('0062')}ar": 42}`,
    '{"min": -1.0e+28, "max": 1.0e+28}',
    '{"a":[]}',
    `{"title":"${u('041f', '043e')}" }`,
    '{\n"a": "b"\n}',
  ],
  [
    `["${u('0060', '012a', '12AB')}"]`,
    `["${u('D801', 'dc37')}"]`,
    `["${u('d83d', 'de39', 'd83d', 'dc8d')}"]`,
    `["${backslash}"${backslash}${backslash}${backslash}/${backslash}b${backslash}f${backslash}n${backslash}r${backslash}t"]`,
  ],
  [
    `["${backslash}${backslash}u0000"]`,
    `["${backslash}""]`,
    '["a/*b*/c/*d//e"]',
    `["${backslash}${backslash}a"]`,
    `["${backslash}${backslash}n"]`,
    `["${u('0012')}"]`,
    `["${u('FFFF')}"]`,
    '["asd"]',
    '[ "asd"]',
  ],
  [
    `["${u('DBFF', 'DFFE')}"]`,
    `["new${u('00A0')}line"]`,
    '["\u{10FFFF}"]',
    '["\uFFFF"]',
    `["${u('002c')}"]`,
    '["π"]',
    '["\u{1BFFF}"]',
    '["asd "]',
    '" "',
    `["${u('2028', '2029')}"]`,
    '["\u2028\u2029"]',
  ],
  [
    `["${u('0821')}"]`,
    `["${u('0123')}"]`,
    `["${u('0061', '30af', '30EA', '30b9')}"]`,
    `["new${u('000A')}line"]`,
    '["\u007f"]',
    `["${u('A66D')}"]`,
    `["${u('200B', '2064', 'FDD0', 'FFFE', '0022', '005C')}"]`,
    '["⍂㈴⍂"]',
    '["€𝄞"]',
    '["a\u007Fa"]',
  ],
  ['false', '42', '-0.1', 'null', '"asd"', 'true', '""', '["a"]\n', '[true]', ' [] '],
].flat();

const mustBeRefused: readonly string[] = [
  [
    '[1 true]',
    '["": 1]',
    '[""],',
    '[,1]',
    '[1,,2]',
    '["x",,]',
    '["x"]]',
    '["",]',
    '["x"',
    '[x',
    '[3[4]]',
    '[1:2]',
    '[,]',
    '[-]',
    '[   , ""]',
    '["a",\n4\n,1,',
    '[1,]',
    '[1,,]',
    '["\u000ba"\\f]',
    '[*]',
    '[""',
    '[1,',
    '[1,\n1\n,1',
    '[{}',
  ],
  ['[fals]', '[nul]', '[tru]', '[True]', '[FALSE]', '[nan]', '123\0', '["a\0b"]', '{"a":"b"}\0'],
  [
    '[++1234]',
    '[+1]',
    '[+Inf]',
    '[-01]',
    '[-1.0.]',
    '[-2.]',
    '[-NaN]',
    '[.-1]',
    '[.2e-3]',
    '[0.1.2]',
    '[0.3e+]',
    '[0.3e]',
    '[0.e1]',
    '[0E+]',
    '[0E]',
    '[0e+]',
    '[0e]',
    '[1.0e+]',
    '[1.0e-]',
    '[1.0e]',
    '[1 000.0]',
    '[1eE2]',
    '[2.e+3]',
    '[2.e-3]',
    '[2.e3]',
  ],
  [
    '[9.e+]',
    '[Inf]',
    '[NaN]',
    '[１]',
    '[1+2]',
    '[0x1]',
    '[0x42]',
    '[Infinity]',
    '[0e+-1]',
    '[-123.123foo]',
    '[-Infinity]',
    '[-foo]',
    '[- 1]',
    '[-012]',
    '[-.123]',
    '[-1x]',
    '[1ea]',
    '[1e1.5]',
    '[1.]',
    '[.123]',
    '[1.2a-3]',
    '[1.8011670033376514H-308]',
    '[012]',
    '[01]',
    '[00]',
    '[1_000]',
    '[1,000,]',
    '[1n]',
  ],
  [
    '["x", truth]',
    '{[: "x"}\n',
    '{"x", null}',
    '{"x"::"b"}',
    '{🇨🇭}',
    '{"a":"a" 123}',
    "{key: 'value'}",
    '{"a" b}',
    '{:"b"}',
    '{"a" "b"}',
    '{"a":',
    '{"a"',
    '{1:1}',
    '{9999E9999:1}',
    '{null:null,null:null}',
    '{"id":0,,,,,}',
    "{'a':0}",
    '{"id":0,}',
  ],
  [
    '{"a":"b"}/**/',
    '{"a":"b"}/**//',
    '{"a":"b"}//',
    '{"a":"b"}/',
    '{"a":"b",,"c":"d"}',
    '{a: "b"}',
    '{"a":"a',
    '{ "foo" : "bar", "a" }',
    '{"a":"b"}#',
    '{"a":/*comment*/"b"}',
    '{"a":1 "b":2}',
    '{"a":}',
    '{,}',
  ],
  [
    '"',
    `["${u('D800')}${backslash}"]`,
    `["${u('D800')}${backslash}u"]`,
    `["${u('D800')}${backslash}u1"]`,
    `["${u('D800')}${backslash}u1x"]`,
    '[é]',
    `["${backslash}\0"]`,
    `["${backslash}${backslash}${backslash}"]`,
    `["${backslash}x00"]`,
    `["${backslash}\t"]`,
    `["${backslash}🌀"]`,
    `["${backslash}"]`,
    `["${backslash}u00A"]`,
  ],
  [
    `["${u('D834')}${backslash}uDd"]`,
    `["${u('D800', 'D800')}${backslash}x"]`,
    `["${backslash}a"]`,
    `["${backslash}uqqqq"]`,
    `[${backslash}u0020"asd"]`,
    `[${backslash}n]`,
    'abc',
    "['single quote']",
    '"x',
    `["${backslash}`,
    '["new\nline"]',
    '["\t"]',
    `"${backslash}UA66D"`,
    '["\u0000"]',
    '["\u001f"]',
  ],
  [
    '',
    ' ',
    '\u2060[]',
    '[\u2060]',
    '<.>',
    '[<null>]',
    '[1]x',
    '[1]]',
    '["asd]',
    'aå',
    '[True]',
    '1]',
    '{"x": true,',
    '[][]',
    ']',
    '}',
    'å',
    '[',
    '2@',
    '{}}',
    '{"":',
    '{"a":/*comment*/"b"',
    '[,',
    '["a',
    "['",
    '{"a":"b"}#{}',
    `[${backslash}u000A""]`,
    '[1',
    '[ false, nul',
    '[ true, fals',
    '[ false, tru',
    '{"asd":"asd"',
  ],
  [
    '\u00a0[]',
    '[]\u000c',
    '\u000b[]',
    '[\u2028]',
    'undefined',
    '[undefined]',
    '(1)',
    '{"a":1;"b":2}',
    '[1;2]',
    '[`a`]',
    '{"__proto__":1,}',
    '\uFEFF{}',
    '{}\uFEFF',
    'é',
    '*',
    '{"a":b}',
    '["a" "b"]',
    'true false',
    '[true false]',
    '--1',
    '[1]//',
    '# x\n{}',
    '{"a":"b}',
  ],
].flat();

/** Where the RFC leaves it open, or FHIR says more: each with the reason in docs/operations/bodies.md. */
const ourPolicy: readonly (readonly [string, string | Uint8Array, 'accepted' | 'refused'])[] = [
  ['a member given twice', '{"a":"b","a":"c"}', 'refused'],
  ['a member given twice with one value', '{"a":"b","a":"b"}', 'refused'],
  ['a member given twice, once escaped', `{"a":"b","${u('0061')}":"b"}`, 'refused'],
  ['an escaped NUL', `["${u('0000')}"]`, 'refused'],
  ['an escaped lone high surrogate', `["${u('DADA')}"]`, 'refused'],
  ['an escaped lone low surrogate', `["${u('dc00')}abc"]`, 'refused'],
  ['surrogates the wrong way round', `["${u('Dd1e', 'D834')}"]`, 'refused'],
  ['a high surrogate before an escape', `["${u('D800')}${backslash}n"]`, 'refused'],
  ['a raw surrogate in UTF-8', Uint8Array.from([0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d]), 'refused'],
  ['invalid UTF-8', Uint8Array.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), 'refused'],
  ['overlong UTF-8', Uint8Array.from([0x5b, 0x22, 0xc0, 0xaf, 0x22, 0x5d]), 'refused'],
  ['truncated UTF-8', Uint8Array.from([0x5b, 0x22, 0xe0, 0xff, 0x22, 0x5d]), 'refused'],
  ['beyond Unicode', Uint8Array.from([0x5b, 0x22, 0xf4, 0xbf, 0xbf, 0xbf, 0x22, 0x5d]), 'refused'],
  ['Latin-1', Uint8Array.from([0x5b, 0x22, 0xe9, 0x22, 0x5d]), 'refused'],
  ['UTF-16 with a byte order mark', Buffer.from('\uFEFF["é"]', 'utf16le'), 'refused'],
  ['UTF-16 without one', Buffer.from('["é"]', 'utf16le'), 'refused'],
  ['a byte order mark in UTF-8', Buffer.from('\uFEFF{}'), 'refused'],
  ['500 nested arrays', `${'['.repeat(500)}${']'.repeat(500)}`, 'refused'],
  ['100,000 opened arrays', '['.repeat(100_000), 'refused'],
  ['100,000 opened objects', '{"a":'.repeat(100_000), 'refused'],
  ['an exponent beyond a double', '[123123e100000]', 'accepted'],
  ['a number too small for a double', '[123e-10000000]', 'accepted'],
  ['an exponent with many zeros', `[0.4e${'0'.repeat(50)}1]`, 'accepted'],
  ['an integer beyond a double', '[100000000000000000000]', 'accepted'],
  ['minus nought', '[-0]', 'accepted'],
];

describe('accepted, with the value every reader sees', () => {
  test.each(accepted)('%j', (source) => {
    for (const given of [source, Buffer.from(source)]) expect(parseJson(given, limits).value).toEqual(JSON.parse(source));
  });
});

describe('refused', () => {
  test.each(mustBeRefused)('%j', (source) => {
    expect([refused(source), refused(Buffer.from(source))]).toEqual([true, true]);
  });
});

describe('our policy', () => {
  test.each(ourPolicy)('%s', (_name, source, verdict) => {
    expect(refused(source)).toBe(verdict === 'refused');
  });

  test('numbers stay as they are written, whatever a double makes of them', () => {
    const source = '[-0,1.50,1E400,1e-400,0.4e00001,100000000000000000001]';
    expect(parseJson(source, limits).text).toBe(source);
  });
});

describe('whatever comes', () => {
  const check = (source: string | Uint8Array): void => {
    try {
      const { text, value } = parseJson(source, limits);
      expect(JSON.parse(text)).toEqual(value);
    } catch (error) {
      if (!(error instanceof AssentError)) throw error;
    }
  };
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '"a"',
        '1',
        '-',
        '0',
        '.',
        'e',
        '+',
        'true',
        'null',
        backslash,
        `${backslash}u`,
        'd83d',
        ' ',
        '\n',
        '\0',
        '//',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 16 },
  );

  test('is a value or our own error, and nothing is accepted that JSON.parse refuses (a fixed seed and a new one)', () => {
    const accepts = (parts: readonly string[]): void => {
      const source = parts.join('');
      check(source);
      if (source.isWellFormed() && !refused(source)) expect(() => void JSON.parse(source)).not.toThrow();
    };
    fc.assert(fc.property(pieces, accepts), { seed: 6, numRuns: 3000 });
    fc.assert(fc.property(pieces, accepts), { numRuns: 1000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), check), { numRuns: 1000 });
  });

  test('every value JSON can hold comes through', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary', maxDepth: 6 }), (source) => {
        fc.pre(source.isWellFormed() && !/\\u(?:0000|d[89a-f])/i.test(source));
        expect(parseJson(source, limits).value).toEqual(JSON.parse(source));
      }),
    );
  });
});
