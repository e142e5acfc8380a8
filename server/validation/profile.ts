/**
 * The second step of validation: the type's StructureDefinition (cardinality, invariants, forms of primitives) through
 * @medplum/core, and what that leaves out. https://hl7.org/fhir/R4/structuredefinition.html
 *
 * Invariant: a definition is loaded before a resource of its type is judged, so a verdict never rests on an empty schema.
 */
import { loadDataType, OperationOutcomeError, tryGetDataType, validateResource } from '@medplum/core';
import type { OperationOutcomeIssue, Resource } from '@medplum/fhirtypes';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Definitions } from './definitions.ts';
import { createDataTypeStep } from './data-types.ts';
import { choiceOf, typeOf } from './element-types.ts';
import type { Path } from './schema.ts';

export type ProfileFinding = { readonly expression: string; readonly diagnostics: string; readonly code?: string };

export type ProfileStep = {
  /** Makes the definitions of these types ready; false where R4 has no such resource. */
  load(resourceType: string): boolean;
  check(value: ResourceValue): ProfileFinding[];
  /** The FHIRPath of a place inside a resource, with choice elements as `value.ofType(Quantity)`. */
  locate(resourceType: string, path: Path, prefix?: string): string;
};

export function createProfileStep(definitions: Pick<Definitions, 'structure' | 'dataTypes'>): ProfileStep {
  const dataTypes = definitions.dataTypes();
  for (const definition of dataTypes) loadDataType(definition);
  const checkDataTypes = createDataTypeStep(dataTypes);
  const loaded = new Set<string>();
  return {
    load(type) {
      if (loaded.has(type)) return true;
      const definition = definitions.structure(type);
      if (!definition) return false;
      loadDataType(definition);
      loaded.add(type);
      return true;
    },
    check(value) {
      const inner = checkDataTypes(value).map(({ path, ...rest }) => ({ expression: locate(value.resourceType, path), ...rest }));
      return [...judge(value).flatMap((issue) => finding(issue, value)), ...inner];
    },
    locate,
  };
}

/** validateResource throws its issues when one of them is an error and returns them otherwise. */
function judge(value: ResourceValue): OperationOutcomeIssue[] {
  try {
    return validateResource(value as unknown as Resource, { base64BinaryMaxBytes: Number.POSITIVE_INFINITY });
  } catch (error) {
    if (error instanceof OperationOutcomeError && error.outcome.issue) return error.outcome.issue;
    throw error;
  }
}

const BASE64 = 'Invalid base64Binary format';

function finding({ severity, code, details, expression }: OperationOutcomeIssue, value: ResourceValue): ProfileFinding[] {
  const text = details?.text ?? '';
  const [where = value.resourceType] = expression ?? [];
  if (severity !== 'error') return [];
  // White space inside base64 is allowed: https://hl7.org/fhir/R4/datatypes.html#base64Binary
  if (text === BASE64 && isBase64(valueAt(value, where))) return [];
  return [{ expression: where.replaceAll('[x]', ''), diagnostics: `${text.replace(/\.?$/, '')}.`, ...(code ? { code } : {}) }];
}

function isBase64(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  const packed = value.replace(/\s+/g, '');
  return packed !== '' && packed.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(packed);
}

/** The value at a location as medplum writes it, e.g. `Binary.data` or `Patient.photo[0].data`. */
function valueAt(root: ResourceValue, location: string): unknown {
  let value: unknown = root;
  for (const part of location.split('.').slice(1)) {
    const [, name = '', index] = /^([^[]+)(?:\[(\d+)\])?$/.exec(part) ?? [];
    value = member(value, name);
    if (index !== undefined) value = Array.isArray(value) ? value[Number(index)] : undefined;
  }
  return value;
}

/** Of a choice element (`value[x]`, or `value` after it) the member that is there. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  const object = value as Readonly<Record<string, unknown>>;
  return object[name] ?? object[Object.keys(object).find((key) => key === `${name}Base64Binary`) ?? ''];
}

function locate(resourceType: string, path: Path, prefix: string = resourceType): string {
  let place = prefix;
  let schema = tryGetDataType(resourceType);
  for (const part of path) {
    if (typeof part === 'number') {
      place += `[${part}]`;
      continue;
    }
    const name = part.startsWith('_') ? part.slice(1) : part;
    const choice = schema && choiceOf(schema.elements, name);
    place += choice ? `.${choice.element}.ofType(${choice.type})` : `.${name}`;
    const type: string | undefined = choice?.type ?? (schema && typeOf(schema.elements, name));
    schema = type === undefined ? undefined : tryGetDataType(type);
  }
  return place;
}
