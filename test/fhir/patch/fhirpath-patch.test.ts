/** FHIRPath Patch, with the cases of the specification's own suite in our words, and what exact text adds. https://hl7.org/fhir/R4/fhirpatch.html */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssentError } from '../../../server/errors.ts';
import { parseDocument } from '../../../server/fhir/json.ts';
import { applyFhirPathPatch } from '../../../server/fhir/patch/fhirpath-patch.ts';
import { createCheck } from '../../../server/validation/validate.ts';

const limits = { maxDepth: 64, maxBytes: 1_000_000 };
type Part = Readonly<Record<string, unknown>>;
type Op = { readonly type: string; readonly path?: unknown; readonly value?: Part } & Part;

/** One operation; `value` is the rest of its part: `{ valueString: 'x' }`, `{ part: […] }`, `{ resource: {…} }`. */
function operation({ type, path, value, ...more }: Op): object {
  const part = [
    { name: 'type', valueCode: type },
    ...(path === undefined ? [] : [{ name: 'path', valueString: path }]),
    ...Object.entries(more).map(([name, given]) => (typeof given === 'number' ? { name, valueInteger: given } : { name, valueString: given })),
    ...(value ? [{ name: 'value', ...value }] : []),
  ];
  return { name: 'operation', part };
}

const parameters = (...operations: readonly Op[]) => ({ resourceType: 'Parameters', parameter: operations.map(operation) });
const documentOf = (body: unknown) => parseDocument(typeof body === 'string' ? body : JSON.stringify(body), limits);

function apply(target: unknown, patch: unknown): string {
  return applyFhirPathPatch(documentOf(target).text, documentOf(patch), limits);
}

/** The new text, or the code and words of the refusal. */
function outcome(target: unknown, ...operations: readonly Op[]): unknown {
  try {
    return JSON.parse(apply(target, parameters(...operations)));
  } catch (error) {
    if (!(error instanceof AssentError)) throw error;
    return `${error.code}: ${error.issues[0]?.diagnostics}`;
  }
}

const patient = (more: object) => ({ resourceType: 'Patient', ...more });
const ids = (...values: readonly string[]) => values.map((value) => ({ value }));
const text = (valueString: string) => ({ valueString });

type Case = readonly [name: string, before: object, operations: readonly Op[], after: object | RegExp];
const cases: readonly Case[] = [
  [
    'replaces a primitive',
    { birthDate: '1920-01-01' },
    [{ type: 'replace', path: 'Patient.birthDate', value: { valueDate: '1930-01-01' } }],
    { birthDate: '1930-01-01' },
  ],
  ['deletes a primitive', { birthDate: '1920-01-01' }, [{ type: 'delete', path: 'Patient.birthDate' }], {}],
  ['adds a primitive', {}, [{ type: 'add', path: 'Patient', name: 'birthDate', value: { valueDate: '1930-01-01' } }], { birthDate: '1930-01-01' }],
  [
    'replaces a nested primitive',
    { contact: [{ name: { text: 'a' }, gender: 'male' }] },
    [{ type: 'replace', path: 'Patient.contact[0].name.text', value: text('b') }],
    { contact: [{ name: { text: 'b' }, gender: 'male' }] },
  ],
  [
    'takes a parent along that has nothing left',
    { contact: [{ name: { text: 'a' }, gender: 'male' }] },
    [{ type: 'delete', path: 'Patient.contact[0].name.text' }],
    { contact: [{ gender: 'male' }] },
  ],
  ['takes a whole chain of parents along', { contact: [{ name: { text: 'a' } }] }, [{ type: 'delete', path: 'Patient.contact[0].name.text' }], {}],
  [
    'adds and replaces a complex element',
    {},
    [
      { type: 'add', path: 'Patient', name: 'maritalStatus', value: { valueCodeableConcept: { text: 'married' } } },
      { type: 'replace', path: 'Patient.maritalStatus', value: { valueCodeableConcept: { id: '2', text: 'not married' } } },
    ],
    { maritalStatus: { id: '2', text: 'not married' } },
  ],
  [
    'adds an anonymous type by its parts, lists where R4 has lists',
    {},
    [
      {
        type: 'add',
        path: 'Patient',
        name: 'contact',
        value: {
          part: [
            { name: 'name', valueHumanName: { text: 'a name' } },
            { name: 'relationship', valueCodeableConcept: { text: 'aunt' } },
            { name: 'telecom', valueContactPoint: { value: '1' } },
            { name: 'telecom', valueContactPoint: { value: '2' } },
            { name: 'gender', valueCode: 'female' },
          ],
        },
      },
    ],
    { contact: [{ name: { text: 'a name' }, relationship: [{ text: 'aunt' }], telecom: [{ value: '1' }, { value: '2' }], gender: 'female' }] },
  ],
  [
    'inserts at the end',
    { identifier: ids('1', '2') },
    [{ type: 'insert', path: 'Patient.identifier', index: 2, value: { valueIdentifier: { value: '3' } } }],
    { identifier: ids('1', '2', '3') },
  ],
  [
    'inserts at the front',
    { identifier: ids('1', '2') },
    [{ type: 'insert', path: 'Patient.identifier', index: 0, value: { valueIdentifier: { value: '3' } } }],
    { identifier: ids('3', '1', '2') },
  ],
  [
    'inserts into what is not there yet',
    {},
    [{ type: 'insert', path: 'Patient.identifier', index: 0, value: { valueIdentifier: { value: '3' } } }],
    { identifier: ids('3') },
  ],
  [
    'does not insert after the end',
    { identifier: ids('1') },
    [{ type: 'insert', path: 'Patient.identifier', index: 2, value: { valueIdentifier: { value: '3' } } }],
    /^patch-failed: .*index/,
  ],
  ['deletes one of a list', { identifier: ids('1', '2', '3') }, [{ type: 'delete', path: 'Patient.identifier[1]' }], { identifier: ids('1', '3') }],
  [
    'moves forwards',
    { identifier: ids('1', '2', '3', '4') },
    [{ type: 'move', path: 'Patient.identifier', source: 0, destination: 2 }],
    { identifier: ids('2', '3', '1', '4') },
  ],
  [
    'moves backwards',
    { identifier: ids('1', '2', '3', '4') },
    [{ type: 'move', path: 'Patient.identifier', source: 3, destination: 1 }],
    { identifier: ids('1', '4', '2', '3') },
  ],
  [
    'does not move what is not there',
    { identifier: ids('1') },
    [{ type: 'move', path: 'Patient.identifier', source: 1, destination: 0 }],
    /^patch-failed: .*source/,
  ],
  ['deletes nothing where there is nothing', { active: true }, [{ type: 'delete', path: 'Patient.birthDate' }], { active: true }],
  ['deletes one element, not several', { identifier: ids('1', '2') }, [{ type: 'delete', path: 'Patient.identifier' }], /^patch-failed: .*several/],
  [
    'replaces one element, not several',
    { name: [{ text: 'a' }, { text: 'b' }] },
    [{ type: 'replace', path: 'Patient.name.text', value: text('c') }],
    /^patch-failed: .*several/,
  ],
  [
    'replaces nothing where there is nothing',
    {},
    [{ type: 'replace', path: 'Patient.birthDate', value: { valueDate: '1930-01-01' } }],
    /^patch-failed: .*nothing/,
  ],
  [
    'adds to one parent, not to none',
    { identifier: [{ use: 'official' }] },
    [{ type: 'add', path: "Patient.identifier.where(use = 'official').period", name: 'end', value: { valueDate: '2021-12-01' } }],
    /^patch-failed: .*nothing/,
  ],
  [
    'adds what does not repeat once',
    { birthDate: '1920-01-01' },
    [{ type: 'add', path: 'Patient', name: 'birthDate', value: { valueDate: '1930-01-01' } }],
    /^patch-failed: .*there already/,
  ],
  [
    'operations follow one another',
    {},
    [
      { type: 'add', path: 'Patient', name: 'name', value: { valueHumanName: { family: 'a' } } },
      { type: 'add', path: 'Patient.name[0]', name: 'given', value: text('x') },
      { type: 'insert', path: 'Patient.name[0].given', index: 0, value: text('y') },
      { type: 'replace', path: 'Patient.name.given[1]', value: text('z') },
    ],
    { name: [{ family: 'a', given: ['y', 'z'] }] },
  ],
  [
    'selects by criteria',
    {
      name: [
        { use: 'usual', text: 'a' },
        { use: 'official', text: 'b' },
      ],
    },
    [{ type: 'replace', path: "Patient.name.where(use = 'official').text", value: text('c') }],
    {
      name: [
        { use: 'usual', text: 'a' },
        { use: 'official', text: 'c' },
      ],
    },
  ],
  [
    'selects by criteria about what is inside',
    { contact: [{ name: { text: 'a' } }, { name: { text: 'b' }, gender: 'male' }] },
    [{ type: 'delete', path: "Patient.contact.where(name.text = 'b' and gender.exists()).gender" }],
    { contact: [{ name: { text: 'a' } }, { name: { text: 'b' } }] },
  ],
  [
    'selects primitives by themselves',
    { name: [{ given: ['a', 'b'] }] },
    [{ type: 'delete', path: "Patient.name.given.where($this = 'a')" }],
    { name: [{ given: ['b'] }] },
  ],
  [
    'counts from either end',
    { identifier: ids('1', '2', '3') },
    [
      { type: 'delete', path: 'Patient.identifier.last()' },
      { type: 'delete', path: 'Patient.identifier.first()' },
    ],
    { identifier: ids('2') },
  ],
  [
    'skips and takes',
    { identifier: ids('1', '2', '3') },
    [
      { type: 'delete', path: 'Patient.identifier.skip(1).take(1)' },
      { type: 'delete', path: 'Patient.identifier.tail()' },
    ],
    { identifier: ids('1') },
  ],
  ['paths need no type in front', { birthDate: '1920-01-01' }, [{ type: 'delete', path: 'birthDate' }], {}],
  [
    'puts a choice under its type',
    {},
    [{ type: 'add', path: 'Patient', name: 'deceased', value: { valueBoolean: true } }],
    { deceasedBoolean: true },
  ],
  [
    'finds a choice by its name and changes its type',
    { deceasedBoolean: true, active: true },
    [{ type: 'replace', path: 'Patient.deceased', value: { valueDateTime: '2020' } }],
    { deceasedDateTime: '2020', active: true },
  ],
  ['finds a choice by type', { deceasedBoolean: true }, [{ type: 'delete', path: 'Patient.deceased.ofType(boolean)' }], {}],
  ['and not by another type', { deceasedBoolean: true }, [{ type: 'delete', path: 'Patient.deceased.ofType(dateTime)' }], { deceasedBoolean: true }],
  [
    'does not make a choice of two',
    { deceasedBoolean: true },
    [{ type: 'add', path: 'Patient', name: 'deceased', value: { valueDateTime: '2020' } }],
    /^patch-failed: .*there already/,
  ],
  [
    'refuses a type the choice does not have',
    {},
    [{ type: 'add', path: 'Patient', name: 'deceased', value: { valueQuantity: { value: 1 } } }],
    /^patch-failed: .*type/,
  ],
  ['an element that R4 does not know', {}, [{ type: 'add', path: 'Patient', name: 'wrong', value: text('x') }], /^patch-failed: .*no element/],
  ['a path that R4 does not know', {}, [{ type: 'delete', path: 'Patient.wrong' }], /^patch-failed: .*not define/],
  ['the whole resource is not deleted', {}, [{ type: 'delete', path: 'Patient' }], /^patch-failed/],
  [
    'the whole resource is not replaced',
    {},
    [{ type: 'replace', path: 'Patient', value: { resource: { resourceType: 'Patient' } } }],
    /^patch-failed/,
  ],
  [
    'contains a resource',
    {},
    [{ type: 'add', path: 'Patient', name: 'contained', value: { resource: { resourceType: 'Basic', id: 'b' } } }],
    { contained: [{ resourceType: 'Basic', id: 'b' }] },
  ],
  [
    'reaches into a contained resource',
    { contained: [{ resourceType: 'Organization', id: 'o', name: 'a' }] },
    [{ type: 'replace', path: "Patient.contained.where(id = 'o').name", value: text('b') }],
    { contained: [{ resourceType: 'Organization', id: 'o', name: 'b' }] },
  ],
  [
    'gives a primitive its extension',
    { birthDate: '1920-01-01' },
    [{ type: 'add', path: 'Patient.birthDate', name: 'extension', value: { valueExtension: { url: 'urn:x', valueString: 'y' } } }],
    { birthDate: '1920-01-01', _birthDate: { extension: [{ url: 'urn:x', valueString: 'y' }] } },
  ],
  [
    'takes the last extension of a primitive, not its value',
    { birthDate: '1920-01-01', _birthDate: { extension: [{ url: 'urn:x', valueString: 'y' }] } },
    [{ type: 'delete', path: "Patient.birthDate.extension('urn:x')" }],
    { birthDate: '1920-01-01' },
  ],
  [
    'takes a primitive with its extensions',
    { birthDate: '1920-01-01', _birthDate: { id: 'a' }, active: true },
    [{ type: 'delete', path: 'Patient.birthDate' }],
    { active: true },
  ],
  [
    'keeps lists parallel',
    { name: [{ given: ['a', 'b'], _given: [null, { id: 'x' }] }] },
    [
      { type: 'insert', path: 'Patient.name.given', index: 0, value: text('0') },
      { type: 'delete', path: 'Patient.name.given[1]' },
      { type: 'add', path: 'Patient.name', name: 'given', value: { valueString: 'c', _valueString: { id: 'y' } } },
    ],
    { name: [{ given: ['0', 'b', 'c'], _given: [null, { id: 'x' }, { id: 'y' }] }] },
  ],
  [
    'adds an extension to one of a list',
    { name: [{ given: ['a', 'b'] }] },
    [{ type: 'add', path: 'Patient.name.given[1]', name: 'id', value: text('x') }],
    { name: [{ given: ['a', 'b'], _given: [null, { id: 'x' }] }] },
  ],
];

describe('FHIRPath Patch', () => {
  it.each(cases)('%s', (_name, before, operations, after) => {
    const result = outcome(patient(before), ...operations);
    if (after instanceof RegExp) expect(result).toMatch(after);
    else expect(result).toEqual(patient(after));
  });

  it('without operations changes nothing', () => {
    expect(apply(patient({ active: true }), { resourceType: 'Parameters' })).toBe('{"resourceType":"Patient","active":true}');
  });

  it('selects the same once the definitions are loaded into the FHIRPath library', () => {
    const check = createCheck();
    for (const type of ['Patient', 'Observation']) check.warm(type);
    for (const [, before, operations, after] of cases)
      if (!(after instanceof RegExp)) expect(outcome(patient(before), ...operations)).toEqual(patient(after));
  });

  it('keeps every digit and every escape, of the resource and of the patch', () => {
    const target =
      '{"resourceType":"Observation","valueQuantity":{"value":1.50,"unit":"\\u00b5g"},"component":[{"valueQuantity":{"value":1E+2}},{"valueQuantity":{"value":0.10}}]}';
    const patch =
      '{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.component[0].value"},{"name":"value","valueQuantity":{"value":2.500,"unit":"\\u00b5"}}]},{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Observation.component.where(value.value = 0.1)"}]}]}';
    expect(apply(target, patch)).toBe(
      '{"resourceType":"Observation","valueQuantity":{"value":1.50,"unit":"\\u00b5g"},"component":[{"valueQuantity":{"value":2.500,"unit":"\\u00b5"}}]}',
    );
  });

  it.each([
    ['another resource', { resourceType: 'Patient' }],
    ['another parameter', { resourceType: 'Parameters', parameter: [{ name: 'other' }] }],
    ['an unknown part', parameters({ type: 'delete', path: 'Patient.name', colour: 'red' })],
    [
      'a part twice',
      {
        resourceType: 'Parameters',
        parameter: [
          {
            name: 'operation',
            part: [
              { name: 'type', valueCode: 'delete' },
              { name: 'type', valueCode: 'delete' },
            ],
          },
        ],
      },
    ],
    ['no path', parameters({ type: 'delete' })],
    [
      'a path that is a number',
      {
        resourceType: 'Parameters',
        parameter: [
          {
            name: 'operation',
            part: [
              { name: 'type', valueCode: 'delete' },
              { name: 'path', valueInteger: 1 },
            ],
          },
        ],
      },
    ],
    ['an unknown type', parameters({ type: 'erase', path: 'Patient' })],
    ['no value', parameters({ type: 'add', path: 'Patient', name: 'active' })],
    ['two values', parameters({ type: 'add', path: 'Patient', name: 'active', value: { valueBoolean: true, valueString: 'x' } })],
    ['no name', parameters({ type: 'add', path: 'Patient', value: { valueBoolean: true } })],
    ['no index', parameters({ type: 'insert', path: 'Patient.name', value: { valueHumanName: {} } })],
    ['a negative index', parameters({ type: 'insert', path: 'Patient.name', index: -1, value: { valueHumanName: {} } })],
    ['no source', parameters({ type: 'move', path: 'Patient.name', destination: 0 })],
  ])('%s is no FHIRPath Patch', (_name, patch) => {
    expect(() => apply(patient({ name: [{}] }), patch)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  });

  it.each([
    ['a regular expression', "Patient.name.where(text.matches('(a+)+$'))"],
    ['descendants', 'Patient.descendants()'],
    ['descendants in criteria', 'Patient.name.where(descendants().exists())'],
    ['repeat', 'Patient.repeat(contact)'],
    ['another resource', 'Patient.managingOrganization.resolve()'],
    ['a variable', 'Patient.name.where(%resource.active = true)'],
    ['a union', '(Patient.name | Patient.contact.name)'],
    ['a constant', "'x'"],
    ['a comparison', 'Patient.active = true'],
    ['a computed index', 'Patient.name[1 + 1]'],
    ['a negative index', 'Patient.name[-1]'],
    ['no FHIRPath', 'Patient.name.where(use'],
    ['nothing', ''],
    ['too many words', `Patient${'.name'.repeat(300)}`],
    ['deep brackets', '('.repeat(900)],
    ['names of prototypes', 'Patient.__proto__'],
    ['names of functions', 'Patient.constructor'],
  ])('refuses %s as a path', (_name, path) => {
    expect(outcome(patient({ active: true, name: [{ text: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' }] }), { type: 'delete', path })).toMatch(
      /^patch-failed: Operation 0 \(delete\) cannot be applied: [^!]*\.$/,
    );
  });

  it('ends criteria that look at too much', () => {
    const names = Array.from({ length: 3000 }, (_, i) => ({ text: `name ${i} ${'x'.repeat(100)}` }));
    const criteria = Array.from({ length: 20 }, () => "text = 'y'").join(' or ');
    const many = Array.from({ length: 50 }, () => ({ type: 'delete', path: `Patient.name.where(${criteria})` }));
    expect(outcome(patient({ name: names }), ...many)).toMatch(/^too-costly/);
  });

  it('ends what grows too deep', () => {
    const nested = { url: 'urn:x', extension: [{ url: 'urn:y', extension: [{ url: 'urn:z', valueString: 'x' }] }] };
    const path = (levels: number) => `Patient${'.extension.last()'.repeat(levels)}`;
    const deeper = Array.from({ length: 40 }, (_, i) => ({ type: 'add', path: path(i * 3), name: 'extension', value: { valueExtension: nested } }));
    expect(outcome(patient({}), ...deeper)).toMatch(/^patch-failed: .*deep/);
  });
});

describe('FHIRPath Patch against the obvious way', () => {
  type Name = { given?: string[]; text?: string };
  const name: fc.Arbitrary<Name> = fc.record({
    given: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }),
    text: fc.constantFrom('x', 'y'),
  });
  const index = fc.integer({ min: 0, max: 3 });
  const word = fc.constantFrom('k', 'l');
  type Move = readonly [Op, (names: Name[]) => void];
  const must = <T>(found: T | undefined): T => {
    if (found === undefined) throw new Error('nothing');
    return found;
  };
  const onGiven = (names: Name[], at: number, change: (given: string[]) => void): void => {
    const given = must(names[at]).given ?? [];
    change(given);
    if (given.length > 0) must(names[at]).given = given;
    else delete must(names[at]).given;
  };
  const move: fc.Arbitrary<Move> = fc.oneof(
    fc
      .tuple(index, word)
      .map(
        ([i, w]): Move => [
          { type: 'add', path: `Patient.name[${i}]`, name: 'given', value: text(w) },
          (names) => onGiven(names, i, (given) => given.push(w)),
        ],
      ),
    fc.tuple(index, index, word).map(
      ([i, j, w]): Move => [
        { type: 'insert', path: `Patient.name[${i}].given`, index: j, value: text(w) },
        (names) =>
          onGiven(names, i, (given) => {
            if (j > given.length) throw new Error('end');
            given.splice(j, 0, w);
          }),
      ],
    ),
    fc.tuple(index, index).map(
      ([i, j]): Move => [
        { type: 'delete', path: `Patient.name[${i}].given[${j}]` },
        (names) => {
          if (names[i]?.given?.[j] !== undefined) onGiven(names, i, (given) => given.splice(j, 1));
        },
      ],
    ),
    fc.tuple(index, word).map(
      ([i, w]): Move => [
        { type: 'replace', path: `Patient.name[${i}].text`, value: text(w) },
        (names) => {
          must(must(names[i]).text);
          must(names[i]).text = w;
        },
      ],
    ),
    fc.tuple(index, index).map(
      ([i, j]): Move => [
        { type: 'move', path: 'Patient.name', source: i, destination: j },
        (names) => {
          if (j >= names.length) throw new Error('end');
          const [moved] = [must(names[i])];
          names.splice(i, 1);
          names.splice(j, 0, moved);
        },
      ],
    ),
    word.map(
      (w): Move => [
        { type: 'delete', path: `Patient.name.where(text = '${w}')` },
        (names) => {
          const found = names.filter((one) => one.text === w);
          if (found.length > 1) throw new Error('several');
          if (found[0]) names.splice(names.indexOf(found[0]), 1);
        },
      ],
    ),
  );

  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('does the same (seed %i)', (seed) => {
    let applied = 0;
    const agrees = (names: Name[], moves: readonly Move[]): void => {
      const result = outcome(patient({ name: names }), ...moves.map(([op]) => op));
      const expected = structuredClone(names);
      try {
        for (const [, change] of moves) change(expected);
      } catch {
        expect(result).toMatch(/^patch-failed/);
        return;
      }
      applied++;
      expect(result).toEqual(patient(expected.length > 0 ? { name: expected } : {}));
    };
    fc.assert(fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.array(move, { minLength: 1, maxLength: 5 }), agrees), {
      seed,
      numRuns: 1500,
    });
    expect(applied).toBeGreaterThan(200);
  });

  const fragment = fc.constantFrom(
    'Patient',
    'name',
    'given',
    'where',
    'use',
    '.',
    '(',
    ')',
    '[',
    ']',
    "'",
    '"',
    '`',
    '0',
    '-1',
    '=',
    ' and ',
    'exists()',
    '$this',
    '%',
    '|',
    '//',
    '\\u0000',
    'as',
    '@2020',
    '~',
  );
  const anyPath = fc.array(fragment, { maxLength: 12 }).map((parts) => parts.join(''));
  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('never fails with anything but a refusal (seed %i)', (seed) => {
    const any = (type: string, path: string, junk: unknown): void => {
      const patch = {
        resourceType: 'Parameters',
        parameter: [operation({ type, path, name: 'name', index: 0, source: 0, destination: 0, value: { valueHumanName: junk } })],
      };
      try {
        apply(patient({ name: [{ given: ['a'], use: 'official' }] }), patch);
      } catch (error) {
        expect(error).toBeInstanceOf(AssentError);
        expect((error as AssentError).status).toBeLessThan(500);
      }
    };
    fc.assert(fc.property(fc.constantFrom('add', 'insert', 'delete', 'replace', 'move'), anyPath, fc.jsonValue(), any), { seed, numRuns: 2000 });
  });
});
