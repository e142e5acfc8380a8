/** The definitions the server judges by against lists that others made: elements, cardinality, types and bindings of all of R4 4.0.1. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { createDefinitions } from '../../server/validation/definitions.ts';
import { createShapes, type Shape } from '../../server/validation/shapes.ts';
import committed from '../../server/validation/value-sets.json' with { type: 'json' };
import { createValueSets } from '../../server/validation/value-sets.ts';
import { buildCodeSystemTable, codeSystemPath } from '../support/code-system-table.ts';
import { buildValueSetTable } from '../support/value-set-table.ts';

/** The element tables of the npm package fhir, which were made from R4 4.0.1 as published. */
type Listed = {
  readonly _name: string;
  readonly _type: string;
  readonly _multiple: boolean;
  readonly _required?: boolean;
  readonly _choice?: string;
  readonly _valueSet?: string;
  readonly _valueSetStrength?: string;
  readonly _properties?: readonly Listed[];
};
const require = createRequire(import.meta.url);
const published = require('fhir/profiles/types.json') as Record<string, { readonly _kind: string; readonly _properties: readonly Listed[] }>;

const definitions = createDefinitions();
const shapes = createShapes({ structure: definitions.structure, dataTypes: definitions.dataTypes() });

/** One line for each element of a type, e.g. `contact.gender code single optional required:…/administrative-gender`. */
function ours(shape: Shape, prefix = ''): string[] {
  return [...shape.properties].flatMap(([key, { element, type, isTwin }]) => {
    if (isTwin) return [];
    const isInner = type.kind === 'complex' && (type.name === 'BackboneElement' || type.name === 'Element');
    const kind = type.kind === 'resource' ? 'Resource' : type.name;
    // The list leaves out most elements whose content is that of another element.
    if (kind.startsWith('#')) return [];
    const line = [prefix + key, kind, element.isList ? 'many' : 'one', element.min > 0 ? 'required' : 'optional', bound(element.binding)].join(' ');
    return isInner ? [line, ...ours(type.shape(), `${prefix}${key}.`)] : [line];
  });
}

function theirs(list: readonly Listed[], prefix = ''): string[] {
  return list.flatMap((item) => {
    if (item._name.startsWith('_') || item._type.startsWith('#')) return [];
    const strong = item._valueSetStrength === 'required' || item._valueSetStrength === 'extensible';
    const isLanguage = item._type === 'code' && item._valueSet === 'http://hl7.org/fhir/ValueSet/languages';
    const binding = isLanguage
      ? 'required:http://hl7.org/fhir/ValueSet/all-languages'
      : strong && item._valueSet
        ? bound({ strength: item._valueSetStrength ?? '', valueSet: item._valueSet })
        : '';
    const line = [prefix + item._name, item._type, item._multiple ? 'many' : 'one', item._required ? 'required' : 'optional', binding].join(' ');
    const isInner = item._type === 'BackboneElement' || item._type === 'Element';
    return isInner ? [line, ...theirs(item._properties ?? [], `${prefix}${item._name}.`)] : [line];
  });
}

function bound(binding: { readonly strength: string; readonly valueSet: string } | undefined): string {
  return binding ? `${binding.strength}:${binding.valueSet.replace(/\|.*$/, '')}` : '';
}

/** What the list calls otherwise: the types of ids and of an extension's url. */
function settled(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/((?:^|\.)id) (string|id) /, '$1 id ').replace(/^url string one required/, 'url uri one required')).sort();
}

test('every resource type of R4 has the elements R4 gives it, and no other', () => {
  expect(resourceTypes.length).toBe(146);
  for (const type of resourceTypes) {
    const shape = shapes.resource(type);
    expect(shape && settled(ours(shape)), type).toEqual(settled(theirs(published[type]?._properties ?? [])));
  }
});

test('so has every data type', () => {
  const names = Object.keys(published).filter(
    (name) => published[name]?._kind === 'complex-type' && !['SimpleQuantity', 'MoneyQuantity'].includes(name),
  );
  expect(names.length).toBeGreaterThan(35);
  for (const name of names) expect(settled(ours(shapes.dataType(name))), name).toEqual(settled(theirs(published[name]?._properties ?? [])));
});

test.each(['SubscriptionStatus', 'Resource', 'DomainResource', 'MetadataResource', 'HumanName', 'constructor', '__proto__', ''])(
  '%j is no resource of R4',
  (name) => {
    expect(shapes.resource(name)).toBeUndefined();
  },
);

test('the table of codes is what the definitions give', () => {
  const table = buildValueSetTable();
  expect(Object.keys(table).length).toBeGreaterThan(290);
  expect(committed).toEqual(table);
});

test('the table of code systems is what the definitions give', () => {
  const table = buildCodeSystemTable();
  expect(Object.keys(table).length).toBeGreaterThan(400);
  expect(JSON.parse(readFileSync(codeSystemPath, 'utf8'))).toEqual(table);
});

test('a code is in, out, or not known: never guessed', () => {
  const { membership, short } = createValueSets();
  const url = (name: string): string => `http://hl7.org/fhir/ValueSet/${name}`;
  expect(membership(url('observation-status|4.0.1'), 'final')).toBe('in');
  expect(membership(url('observation-status'), 'finished')).toBe('out');
  const clinical = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
  expect(membership(url('condition-clinical'), 'active', clinical)).toBe('in');
  expect(membership(url('condition-clinical'), 'nonsense', clinical)).toBe('out');
  expect(membership(url('condition-clinical'), 'active', 'http://example.org/own')).toBe('out');
  expect(membership(url('ucum-units'), 'mg', 'http://unitsofmeasure.org')).toBe('unknown');
  expect(membership(url('mimetypes'), 'text/plain; charset=utf-8')).toBe('in');
  expect(membership(url('mimetypes'), 'text')).toBe('unknown');
  expect(membership(url('all-languages'), 'zh-Hant-TW')).toBe('in');
  expect(membership(url('all-languages'), 'zh_TW')).toBe('out');
  expect(membership(url('currencies'), 'CNY')).toBe('in');
  expect(membership(url('currencies'), 'XYZ')).toBe('unknown');
  expect(membership('http://example.org/ValueSet/elsewhere', 'x')).toBe('unknown');
  // Is-a and exclude: the abstract root of the hierarchy is not a code of the set.
  const act = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
  expect(membership('http://terminology.hl7.org/ValueSet/v3-ActEncounterCode', 'AMB', act)).toBe('in');
  expect(membership('http://terminology.hl7.org/ValueSet/v3-ActEncounterCode', '_ActEncounterCode', act)).toBe('out');
  expect(short(url('administrative-gender'))).toEqual(['female', 'male', 'other', 'unknown']);
  expect(short(url('resource-types'))).toBeUndefined();
});
