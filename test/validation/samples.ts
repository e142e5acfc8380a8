/**
 * A valid resource of every R4 type with most of its elements in it, made from the definitions: required ones first, then each optional one
 * that leaves the resource valid. Deterministic.
 */
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createDefinitions } from '../../server/validation/definitions.ts';
import { createShapes, type Property, type Shape } from '../../server/validation/shapes.ts';
import type { Check } from '../../server/validation/validate.ts';
import table from '../../server/validation/value-sets.json' with { type: 'json' };

export type Json = Record<string, unknown>;

const definitions = createDefinitions();
export const shapes = createShapes({ structure: definitions.structure, dataTypes: definitions.dataTypes() });

const PRIMITIVES: Readonly<Record<string, unknown>> = {
  boolean: true,
  integer: 1,
  positiveInt: 1,
  unsignedInt: 1,
  decimal: 1.5,
  string: 'Some text',
  markdown: 'Some *text*',
  xhtml: '<div xmlns="http://www.w3.org/1999/xhtml">Some text</div>',
  base64Binary: 'QUJD RA==',
  uri: 'http://example.org/a',
  url: 'http://example.org/b',
  canonical: 'http://example.org/c|1.0',
  code: 'some-code',
  id: 'an-id.1',
  oid: 'urn:oid:1.2.840.1',
  uuid: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d',
  date: '2024-02-29',
  dateTime: '2024-02-29T10:11:12.5+08:00',
  instant: '2024-02-29T10:11:12Z',
  time: '10:11:12',
};

const COMPLEX: Readonly<Record<string, unknown>> = {
  Extension: { url: 'http://example.org/extension', valueBoolean: true },
  Period: { start: '2024-02', end: '2024-02-29' },
  Quantity: { value: 1.5, unit: 'mg', system: 'http://unitsofmeasure.org', code: 'mg' },
  Age: { value: 1, unit: 'a', system: 'http://unitsofmeasure.org', code: 'a' },
  Duration: { value: 1, unit: 'h', system: 'http://unitsofmeasure.org', code: 'h' },
  Range: { low: { value: 1 }, high: { value: 2 } },
  Coding: { system: 'http://example.org/codes', code: 'x', display: 'X' },
  CodeableConcept: { coding: [{ system: 'http://example.org/codes', code: 'x' }], text: 'X' },
  Identifier: { system: 'http://example.org/ids', value: '1' },
  Annotation: { text: 'Some text' },
  Attachment: { contentType: 'text/plain', data: 'QUJD' },
  TriggerDefinition: { type: 'named-event', name: 'An event' },
  Narrative: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Some text</div>' },
};

/** The first code that the binding of an element allows, with its system. */
function firstCode({ element }: Property): { system: string; code: string } | undefined {
  const url = element.binding?.valueSet.replace(/\|.*$/, '') ?? '';
  if (url.endsWith('/all-languages')) return { system: 'urn:ietf:bcp:47', code: 'zh-CN' };
  if (url.endsWith('/ucum-units')) return { system: 'http://unitsofmeasure.org', code: 'mg' };
  const systems: Readonly<Record<string, readonly string[] | null>> = (table as Record<string, Record<string, string[] | null>>)[url] ?? {};
  const found = Object.entries(systems).find(([, codes]) => codes && codes.length > 0);
  return found && { system: found[0], code: found[1]?.[0] ?? '' };
}

/** What it may hold; beyond the second level no more than it must. */
export function valueOf(property: Property, depth: number): unknown {
  const { type } = property;
  const bound = firstCode(property);
  if (type.kind === 'resource') return { resourceType: 'Basic', id: 'inner', code: { text: 'Inner' } };
  if (type.kind === 'primitive') return (type.name === 'code' && bound?.code) || PRIMITIVES[type.name];
  if (type.name === 'Reference') return { reference: `${[...(type.targets ?? ['Patient'])][0]}/a-1`, display: 'Somebody' };
  if (type.name === 'CodeableConcept' && bound) return { coding: [bound] };
  if (type.name === 'Coding' && bound) return bound;
  return Object.hasOwn(COMPLEX, type.name) ? structuredClone(COMPLEX[type.name]) : objectOf(type.shape(), depth + 1);
}

function put(owner: Json, key: string, property: Property, depth: number): void {
  const value = valueOf(property, depth);
  owner[key] = property.element.isList ? [value] : value;
}

/** Required elements; down to the second level the optional primitives and concepts as well. */
function objectOf(shape: Shape, depth: number): Json {
  const owner: Json = {};
  const given = new Set<string>();
  for (const [key, property] of shape.properties) {
    const { element, type, isTwin } = property;
    if (isTwin || given.has(element.name) || element.name === 'id') continue;
    const isSimple =
      type.kind === 'primitive' || (type.kind === 'complex' && ['CodeableConcept', 'Coding', 'Reference', 'Period'].includes(type.name));
    if (element.min === 0 && !(depth <= 2 && isSimple)) continue;
    given.add(element.name);
    put(owner, key, property, depth);
  }
  return Object.keys(owner).length > 0 ? owner : { extension: [structuredClone(COMPLEX['Extension'])] };
}

function isValid(check: Check, value: Json): boolean {
  return check.check({ value: value as ResourceValue, text: '' }).every(({ severity }) => severity !== undefined);
}

/** The sample of a type. Throws when even its required elements do not make a valid resource. */
export function sampleOf(type: string, check: Check): Json {
  const shape = shapes.resource(type) as Shape;
  let sample: Json = { resourceType: type, id: 'a-1', ...SEEDS[type] };
  for (const element of shape.required) {
    const key = element.keys.find((name) => !name.startsWith('_')) ?? '';
    if (element.keys.every((name) => sample[name] === undefined)) put(sample, key, shape.properties.get(key) as Property, 1);
  }
  if (!isValid(check, sample)) throw new Error(`no sample of ${type}: ${JSON.stringify(check.check({ value: sample as ResourceValue, text: '' }))}`);
  const given = new Set(Object.keys(sample).map((key) => shape.properties.get(key)?.element.name));
  for (const [key, property] of shape.properties) {
    if (property.isTwin || given.has(property.element.name) || property.element.name === 'contained') continue;
    const richer: Json = { ...sample };
    put(richer, key, property, 0);
    if (!isValid(check, richer)) put(richer, key, property, 9);
    if (!isValid(check, richer)) continue;
    given.add(property.element.name);
    sample = richer;
  }
  return sample;
}

/** What a type's invariants ask for beyond its required elements. */
const SEEDS: Readonly<Record<string, Json>> = {
  AllergyIntolerance: {
    clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }] },
  },
  Appointment: { status: 'proposed' },
  AppointmentResponse: { actor: { reference: 'Patient/a-1' } },
  CapabilityStatement: { kind: 'requirements', description: 'Some text', rest: [{ mode: 'server' }] },
  Consent: { policyRule: { text: 'Opt in' } },
  InsurancePlan: { name: 'A plan' },
  Linkage: { item: [1, 2].map((i) => ({ type: 'source', resource: { reference: `Patient/${i}` } })) },
  Organization: { name: 'A clinic' },
  StructureDefinition: {
    kind: 'logical',
    abstract: true,
    type: 'Thing',
    differential: { element: [{ id: 'Thing', path: 'Thing', definition: 'A thing' }] },
  },
  TerminologyCapabilities: { kind: 'requirements', description: 'Some text' },
};
