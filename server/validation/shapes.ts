/**
 * StructureDefinitions compiled to look-ups by JSON property: which elements a type has, of which types, how often, with which bindings,
 * targets and invariants. https://hl7.org/fhir/R4/structuredefinition.html, https://hl7.org/fhir/R4/json.html
 *
 * Invariant: compiled once per type; shapes never change after.
 */
import type { ElementDefinition, ElementDefinitionType, StructureDefinition } from '@medplum/fhirtypes';
import { elementIdCheck, primitiveChecks, type PrimitiveCheck } from './primitives.ts';

export type Invariant = { readonly key: string; readonly human: string; readonly expression: string; readonly severity?: 'warning' };

export type Binding = { readonly strength: 'required' | 'extensible'; readonly valueSet: string };

export type ElementShape = {
  /** Without `[x]`. */
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly isList: boolean;
  readonly isChoice: boolean;
  readonly binding?: Binding;
  /** JSON properties that can hold it. */
  readonly keys: readonly string[];
};

export type PropertyType =
  | { readonly kind: 'primitive'; readonly name: string; readonly check: PrimitiveCheck }
  | {
      readonly kind: 'complex';
      readonly name: string;
      readonly shape: () => Shape;
      /** Types a Reference may point to; undefined: any. */
      readonly targets?: ReadonlySet<string>;
      readonly invariants: readonly Invariant[];
    }
  | { readonly kind: 'resource' };

export type Property = {
  readonly element: ElementShape;
  readonly type: PropertyType;
  /** The `_name` beside a primitive. */
  readonly isTwin: boolean;
  /** `.name` or `.value.ofType(Quantity)`. */
  readonly step: string;
};

export type Shape = {
  /** As @medplum/core names it: `Patient`, `PatientContact`, `HumanName`. */
  readonly name: string;
  readonly isResource: boolean;
  readonly properties: ReadonlyMap<string, Property>;
  readonly required: readonly ElementShape[];
  readonly invariants: readonly Invariant[];
};

export type Shapes = {
  /** The shape of a resource type; undefined where R4 has no such resource. */
  resource(name: string): Shape | undefined;
  /** The shape of a data type. Throws for a name R4 does not have. */
  dataType(name: string): Shape;
};

type Sources = { readonly structure: (type: string) => StructureDefinition | undefined; readonly dataTypes: readonly StructureDefinition[] };

export function createShapes({ structure, dataTypes }: Sources): Shapes {
  const types = new Map(dataTypes.map((definition) => [definition.name ?? '', definition]));
  const compiled = new Map<string, Shape>();
  const resources = new Map<string, Shape | undefined>();
  const dataType = (name: string): Shape => {
    const known = compiled.get(name);
    if (known) return known;
    const definition = types.get(name);
    if (!definition) throw new Error(`no definition of ${name}`);
    const shape = compile(definition, dataType);
    compiled.set(name, shape);
    return shape;
  };
  return {
    resource(name) {
      if (!resources.has(name)) {
        const definition = structure(name);
        const isConcrete = definition?.kind === 'resource' && !definition.abstract;
        resources.set(name, isConcrete ? compile(definition, dataType) : undefined);
      }
      return resources.get(name);
    },
    dataType,
  };
}

type Draft = {
  readonly name: string;
  readonly properties: Map<string, Property>;
  readonly required: ElementShape[];
  readonly invariants: Invariant[];
};
type Compiler = { readonly isResource: boolean; readonly shapeAt: (path: string) => Shape; readonly dataType: (name: string) => Shape };

function compile(definition: StructureDefinition, dataType: (name: string) => Shape): Shape {
  const isResource = definition.kind === 'resource';
  const drafts = new Map<string, Draft & { readonly isResource: boolean }>();
  const shapeAt = (path: string): Shape => {
    const shape = drafts.get(path);
    if (!shape) throw new Error(`no element ${path}`);
    return shape;
  };
  const elements = definition.snapshot?.element ?? [];
  const parents = new Set(elements.map(({ path }) => path.slice(0, path.lastIndexOf('.'))));
  for (const element of elements) {
    const { path } = element;
    const dot = path.lastIndexOf('.');
    if (dot === -1 || parents.has(path)) {
      const root = { name: innerName(path), isResource: isResource && dot === -1, properties: new Map<string, Property>(), required: [] };
      drafts.set(path, { ...root, invariants: invariantsOf(element) });
    }
    if (dot !== -1)
      addElement(drafts.get(path.slice(0, dot)) as Draft, element, {
        isResource: isResource && !path.slice(0, dot).includes('.'),
        shapeAt,
        dataType,
      });
  }
  return shapeAt(elements[0]?.path ?? '');
}

/** `Patient.contact` → `PatientContact`. */
function innerName(path: string): string {
  return path
    .split('.')
    .map((part) => capitalized(part))
    .join('');
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function addElement(parent: Draft, definition: ElementDefinition, compiler: Compiler): void {
  const { path } = definition;
  const last = path.slice(path.lastIndexOf('.') + 1);
  const isChoice = last.endsWith('[x]');
  const name = isChoice ? last.slice(0, -3) : last;
  const max = definition.max === '*' ? Number.POSITIVE_INFINITY : Number(definition.max);
  if (max === 0) return;
  const types = definition.contentReference ? [{ code: definition.contentReference }] : (definition.type ?? []);
  const variants = distinct(types).map((type) => ({ key: isChoice ? name + capitalized(codeOf(type)) : name, type }));
  const isList = (definition.base?.max ?? definition.max) !== '1' && max !== 1;
  const element: ElementShape = {
    name,
    min: definition.min ?? 0,
    max,
    isList,
    isChoice,
    ...bindingOf(definition),
    keys: variants.flatMap(({ key }) => [key, `_${key}`]),
  };
  for (const { key, type } of variants) {
    const step = isChoice ? `.${name}.ofType(${codeOf(type)})` : `.${name}`;
    const resolved = typeOf(definition, type, compiler);
    parent.properties.set(key, { element, type: resolved, isTwin: false, step });
    // Ids and the url of an extension are attributes in XML, so they have no twin.
    if (resolved.kind !== 'primitive' || name === 'id' || path === 'Extension.url') continue;
    const twin: PropertyType = { kind: 'complex', name: 'Element', shape: () => compiler.dataType('Element'), invariants: [] };
    parent.properties.set(`_${key}`, { element, type: twin, isTwin: true, step });
  }
  if (element.min > 0) parent.required.push(element);
}

/** One entry per type: the definitions name a type once per profile in places. */
function distinct(types: readonly ElementDefinitionType[]): ElementDefinitionType[] {
  const seen = new Map<string, ElementDefinitionType>();
  for (const type of types) {
    const known = seen.get(codeOf(type));
    seen.set(codeOf(type), known ? { ...known, targetProfile: [...(known.targetProfile ?? []), ...(type.targetProfile ?? [])] } : type);
  }
  return [...seen.values()];
}

const FHIR_TYPE = 'http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type';

function codeOf({ code, extension }: ElementDefinitionType): string {
  return extension?.find(({ url }) => url === FHIR_TYPE)?.valueUrl ?? code;
}

function typeOf(definition: ElementDefinition, type: ElementDefinitionType, { isResource, shapeAt, dataType }: Compiler): PropertyType {
  const { path } = definition;
  const code = codeOf(type);
  if (code.startsWith('#')) return { kind: 'complex', name: code, shape: () => shapeAt(code.slice(1)), invariants: [] };
  if (code === 'Resource' || (code === 'OperationOutcome' && path.startsWith('Bundle.'))) return { kind: 'resource' };
  const isId = path.endsWith('.id');
  const primitive = isId ? (isResource ? 'id' : 'string') : code;
  const check = isId && !isResource ? elementIdCheck : primitiveChecks.get(primitive);
  if (check) return { kind: 'primitive', name: primitive, check };
  const isInner = code === 'BackboneElement' || code === 'Element';
  return {
    kind: 'complex',
    name: code,
    shape: isInner ? () => shapeAt(path) : () => dataType(code),
    ...targetsOf(path, type),
    invariants: isInner ? [] : [...invariantsOf(definition), ...quantityInvariants(type)],
  };
}

/** Targets that R4 does not list but that its own published examples use: refusing them would refuse the specification. */
const USED_BY_EXAMPLES: ReadonlyMap<string, string> = new Map([
  ['DeviceMetric.parent', 'DeviceDefinition'],
  ['DeviceUseStatement.reasonReference', 'Procedure'],
  ['MedicationRequest.dispenseRequest.performer', 'Practitioner'],
  ['Observation.performer', 'Encounter'],
]);

function targetsOf(path: string, { code, targetProfile }: ElementDefinitionType): { targets?: ReadonlySet<string> } {
  if (code !== 'Reference' || !targetProfile) return {};
  const names = targetProfile.map((url) => url.slice(url.lastIndexOf('/') + 1));
  const used = USED_BY_EXAMPLES.get(path);
  return names.includes('Resource') ? {} : { targets: new Set(used === undefined ? names : [...names, used]) };
}

/** Quantities named by profile carry the invariants of that profile. https://hl7.org/fhir/R4/datatypes.html#SimpleQuantity */
function quantityInvariants({ profile = [] }: ElementDefinitionType): Invariant[] {
  if (!profile.some((url) => url.endsWith('/SimpleQuantity'))) return [];
  return [{ key: 'sqty-1', human: 'The comparator is not used on a SimpleQuantity', expression: 'comparator.empty()' }];
}

/** Common languages are preferred; any other must still be a language tag. https://hl7.org/fhir/R4/valueset-languages.html */
const LANGUAGES = 'http://hl7.org/fhir/ValueSet/languages';
const ANY_LANGUAGE: Binding = { strength: 'required', valueSet: 'http://hl7.org/fhir/ValueSet/all-languages' };

function bindingOf({ binding, type }: ElementDefinition): { binding?: Binding } {
  const { strength, valueSet } = binding ?? {};
  if (valueSet === LANGUAGES && type?.[0]?.code === 'code') return { binding: ANY_LANGUAGE };
  return valueSet && (strength === 'required' || strength === 'extensible') ? { binding: { strength, valueSet } } : {};
}

function invariantsOf({ constraint = [] }: ElementDefinition): Invariant[] {
  return constraint.flatMap(({ key, severity, human, expression }) =>
    expression ? [{ key, human, expression, ...(severity === 'warning' ? { severity } : {}) }] : [],
  );
}
