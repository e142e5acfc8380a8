/** RFC 6902 with its appendix A, RFC 6901, and what exact text adds to them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssentError } from '../../../server/errors.ts';
import { parseJson } from '../../../server/fhir/json.ts';
import { applyJsonPatch } from '../../../server/fhir/patch/json-patch.ts';
import { naiveJsonPatch, type Operation } from './naive-json-patch.ts';

const limits = { maxDepth: 64, maxBytes: 1_000_000 };
const compact = (text: string) => parseJson(text, limits).text;
const apply = (target: string, patch: string, within = limits) => applyJsonPatch(compact(target), compact(patch), within);
function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof AssentError) return error.code;
    throw error;
  }
  return 'done';
}

type Case = readonly [name: string, target: string, patch: string, expected: string | undefined];
// RFC 6902 appendix A, by its numbers; no expected text: refused.
const appendix: readonly Case[] = [
  ['A.1', '{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"foo":"bar","baz":"qux"}'],
  ['A.2', '{"foo":["bar","baz"]}', '[{"op":"add","path":"/foo/1","value":"qux"}]', '{"foo":["bar","qux","baz"]}'],
  ['A.3', '{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'],
  ['A.4', '{"foo":["bar","qux","baz"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["bar","baz"]}'],
  ['A.5', '{"baz":"qux","foo":"bar"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo","foo":"bar"}'],
  [
    'A.6',
    '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
    '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
    '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
  ],
  ['A.7', '{"foo":["all","grass","cows","eat"]}', '[{"op":"move","from":"/foo/1","path":"/foo/3"}]', '{"foo":["all","cows","eat","grass"]}'],
  [
    'A.8',
    '{"baz":"qux","foo":["a",2,"c"]}',
    '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
    '{"baz":"qux","foo":["a",2,"c"]}',
  ],
  ['A.9', '{"baz":"qux"}', '[{"op":"test","path":"/baz","value":"bar"}]', undefined],
  ['A.10', '{"foo":"bar"}', '[{"op":"add","path":"/child","value":{"grandchild":{}}}]', '{"foo":"bar","child":{"grandchild":{}}}'],
  ['A.11', '{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux","xyz":123}]', '{"foo":"bar","baz":"qux"}'],
  ['A.12', '{"foo":"bar"}', '[{"op":"add","path":"/baz/bat","value":"qux"}]', undefined],
  ['A.14', '{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'],
  ['A.15', '{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":"10"}]', undefined],
  ['A.16', '{"foo":["bar"]}', '[{"op":"add","path":"/foo/-","value":["abc","def"]}]', '{"foo":["bar",["abc","def"]]}'],
];

const more: readonly Case[] = [
  ['no recursion into what is missing', '{"q":{"bar":2}}', '[{"op":"add","path":"/a/b","value":1}]', undefined],
  ['copy', '{"a":{"b":1}}', '[{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/c/b","value":2}]', '{"a":{"b":1},"c":{"b":2}}'],
  ['copy of a value into itself', '{"a":{"b":1}}', '[{"op":"copy","from":"/a","path":"/a/c"}]', '{"a":{"b":1,"c":{"b":1}}}'],
  ['move of a value into itself', '{"a":{"b":1}}', '[{"op":"move","from":"/a","path":"/a/c"}]', undefined],
  ['move to where it is', '{"a":1,"b":2}', '[{"op":"move","from":"/a","path":"/a"}]', '{"b":2,"a":1}'],
  ['the whole', '{"a":1}', '[{"op":"replace","path":"","value":{"b":2}},{"op":"test","path":"","value":{"b":2}}]', '{"b":2}'],
  ['the whole cannot go', '{"a":1}', '[{"op":"remove","path":""}]', undefined],
  ['the empty name', '{"":1}', '[{"op":"replace","path":"/","value":2}]', '{"":2}'],
  ['an index with a leading zero', '{"a":[1,2]}', '[{"op":"remove","path":"/a/01"}]', undefined],
  ['a negative index', '{"a":[1,2]}', '[{"op":"remove","path":"/a/-1"}]', undefined],
  ['- names nothing that is there', '{"a":[1,2]}', '[{"op":"remove","path":"/a/-"}]', undefined],
  ['a place after the end', '{"a":[1,2]}', '[{"op":"add","path":"/a/3","value":1}]', undefined],
  ['a failure takes back what was done before it', '{"a":1}', '[{"op":"remove","path":"/a"},{"op":"remove","path":"/a"}]', undefined],
  ['null is a value', '{"a":null}', '[{"op":"test","path":"/a","value":null}]', '{"a":null}'],
  ['absent is not null', '{}', '[{"op":"test","path":"/a","value":null}]', undefined],
  ['members in any order', '{"a":{"x":1,"y":2}}', '[{"op":"test","path":"/a","value":{"y":2,"x":1}}]', '{"a":{"x":1,"y":2}}'],
  ['items in their order', '{"a":[1,2]}', '[{"op":"test","path":"/a","value":[2,1]}]', undefined],
  ['no property of an array', '{"a":[1]}', '[{"op":"test","path":"/a/length","value":1}]', undefined],
  ['no property of a prototype', '{"a":{}}', '[{"op":"copy","from":"/a/constructor","path":"/b"}]', undefined],
];

describe('JSON Patch', () => {
  it.each([...appendix, ...more])('%s', (_name, target, patch, expected) => {
    if (expected === undefined) expect(codeOf(() => apply(target, patch))).toBe('patch-failed');
    else expect(apply(target, patch)).toBe(expected);
  });

  it('keeps every digit and every escape, of the resource and of the patch', () => {
    const target = '{"a":1.50,"b":1E+2,"c":"\\u00e9\\/x","d":[0.10,{"e":-0.0}],"f":100000000000000000000.5}';
    const patch =
      '[{"op":"add","path":"/d/0","value":2.500},{"op":"add","path":"/g","value":{"h":1e-7,"i":"\\u0041"}},{"op":"move","from":"/b","path":"/j"}]';
    expect(apply(target, patch)).toBe(
      '{"a":1.50,"c":"\\u00e9\\/x","d":[2.500,0.10,{"e":-0.0}],"f":100000000000000000000.5,"g":{"h":1e-7,"i":"\\u0041"},"j":1E+2}',
    );
  });

  it.each([
    ['1.50', '1.5', true],
    ['1e2', '100', true],
    ['0.0', '-0', true],
    ['9007199254740993', '9007199254740992', false],
    ['0.1', '0.10000000000000001', false],
    ['1e400', '1e401', false],
    ['1e999999999999', '10e999999999998', true],
    ['"\\u0041"', '"A"', true],
    ['"1"', '1', false],
  ])('%s and %s are equal: %s', (a, b, same) => {
    expect(codeOf(() => apply(`{"a":${a}}`, `[{"op":"test","path":"/a","value":${b}}]`))).toBe(same ? 'done' : 'patch-failed');
  });

  it('takes names of prototypes as plain data', () => {
    const text = apply('{"a":1}', '[{"op":"add","path":"/__proto__","value":{"x":1}},{"op":"add","path":"/__proto__/y","value":2}]');
    expect(text).toBe('{"a":1,"__proto__":{"x":1,"y":2}}');
    expect(({} as { x?: unknown }).x).toBeUndefined();
    expect(apply('{"__proto__":{"x":1},"a":2}', '[{"op":"remove","path":"/__proto__"}]')).toBe('{"a":2}');
  });

  it.each([
    ['no array', '{"op":"add","path":"/a","value":1}'],
    ['no object', '["add"]'],
    ['an unknown operation', '[{"op":"spam","path":"/a"}]'],
    ['no operation', '[{"path":"/a"}]'],
    ['no path', '[{"op":"remove"}]'],
    ['a path that is no string', '[{"op":"remove","path":1}]'],
    ['a path without its slash', '[{"op":"remove","path":"a"}]'],
    ['a tilde alone', '[{"op":"remove","path":"/a~2"}]'],
    ['no value', '[{"op":"add","path":"/a"}]'],
    ['no from', '[{"op":"move","path":"/a"}]'],
  ])('%s is no JSON Patch', (_name, patch) => {
    expect(codeOf(() => apply('{"a":1}', patch))).toBe('invalid-request');
  });

  it('ends what doubles itself, in size and in depth', () => {
    const twice = Array.from({ length: 60 }, (_, i) => `{"op":"copy","from":"","path":"/a${i}"}`);
    expect(codeOf(() => apply('{"x":"0123456789"}', `[${twice.join(',')}]`))).toBe('too-large');
    const deeper = Array.from({ length: 20 }, () => '{"op":"copy","from":"","path":"/a"}');
    expect(codeOf(() => apply('{"x":1}', `[${deeper.join(',')}]`))).toBe('done');
    const inwards = Array.from({ length: 9 }, (_, i) => `{"op":"copy","from":"","path":"${'/a'.repeat(2 ** i)}"}`);
    expect(codeOf(() => apply('{"x":1}', `[${inwards.join(',')}]`))).toBe('patch-failed');
    expect(codeOf(() => apply('{}', `[${Array.from({ length: 1001 }, () => '{"op":"add","path":"/a","value":1}').join(',')}]`))).toBe('too-large');
  });

  const token = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('a', 'b', '0', '1', '-') },
    { weight: 1, arbitrary: fc.constantFrom('2', '01', '', '~0', '~1', '__proto__', 'constructor', 'length') },
  );
  const pointer = fc.array(token, { minLength: 1, maxLength: 2 }).map((tokens) => tokens.map((one) => `/${one}`).join(''));
  const leaf = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.boolean(), fc.constant(null), fc.constantFrom('', 'x', 'é"\\/'));
  const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', '0', '1', '', '~', '/'), tie('value'), { maxKeys: 3 }),
    ),
  })).value;
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ op: fc.constantFrom('add', 'replace', 'test'), path: pointer, value }),
    fc.record({ op: fc.constant('remove'), path: pointer }),
    fc.record({ op: fc.constantFrom('move', 'copy'), path: pointer, from: pointer }),
  );

  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('does what the obvious way does (seed %i)', (seed) => {
    let applied = 0;
    const agrees = (...drawn: readonly [target: unknown, patch: readonly Operation[]]) => {
      // As it comes over the wire: fast-check also draws objects without a prototype.
      const [target, patch] = JSON.parse(JSON.stringify(drawn)) as typeof drawn;
      let expected: unknown;
      try {
        expected = naiveJsonPatch(target, patch);
      } catch {
        expect(codeOf(() => applyJsonPatch(JSON.stringify(target), JSON.stringify(patch), limits))).toBe('patch-failed');
        return;
      }
      applied++;
      expect(JSON.parse(applyJsonPatch(JSON.stringify(target), JSON.stringify(patch), limits))).toEqual(expected);
    };
    fc.assert(
      fc.property(
        fc.oneof(fc.dictionary(fc.constantFrom('a', 'b', '0'), value, { minKeys: 1 }), fc.array(value, { minLength: 1 })),
        fc.array(operation, { minLength: 1, maxLength: 3 }),
        agrees,
      ),
      { seed, numRuns: 3000 },
    );
    // Some 250 of them can be applied at all, more or fewer by the seed.
    expect(applied).toBeGreaterThan(100);
  });
});
