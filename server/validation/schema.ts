/**
 * The first step of validation: the R4 JSON schema through ajv. https://hl7.org/fhir/R4/json.html#schema
 *
 * One ajv instance compiles a type when it is first met; data types compiled for one resource type serve the next. Resources inside
 * resources are left open here: validate.ts checks each of them as its own type, which avoids a choice among 148 alternatives.
 * Invariant: words come from the schema and from names of the specification, never from values.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Definitions, JsonSchema, SchemaNode } from './definitions.ts';

/** Names and indices from the resource down. */
export type Path = readonly (string | number)[];
export type Finding = { readonly path: Path; readonly diagnostics: string; readonly code?: string };

export type SchemaStep = {
  knows(resourceType: string): boolean;
  /** `thorough` collects every finding; otherwise the first one, so that a huge bad body cannot fill the memory with findings. */
  check(resourceType: string, value: unknown, thorough: boolean): Finding[];
};

const ROOT = 'https://hl7.org/fhir/R4/schema';

export function createSchemaStep(definitions: Pick<Definitions, 'schema'>): SchemaStep {
  const schema = adapt(definitions.schema());
  const instance = (allErrors: boolean): Ajv => {
    const ajv = new Ajv({
      allErrors,
      strict: false,
      validateFormats: false,
      validateSchema: false,
      unicodeRegExp: false,
      logger: false,
      verbose: true,
    });
    return ajv.addSchema(schema, ROOT);
  };
  const instances = { thorough: instance(true), quick: instance(false) };
  const compiled = (type: string, thorough: boolean): ValidateFunction => {
    const found = instances[thorough ? 'thorough' : 'quick'].getSchema(`${ROOT}#/definitions/${type}`);
    if (!found) throw new Error(`no schema for ${type}`);
    return found;
  };
  return {
    knows: (type) => schema.definitions[type]?.properties?.['resourceType'] !== undefined && Object.hasOwn(schema.definitions, type),
    check(type, value, thorough) {
      const validate = compiled(type, thorough);
      if (validate(value)) return [];
      return (validate.errors ?? []).filter(({ keyword }) => keyword !== 'if').map((error) => finding(error));
    },
  };
}

/**
 * Opens the slots of inner resources, allows null where a list of primitives has an extension instead of a value, and says of complex
 * types that they are objects, which the published schema forgets.
 */
function adapt(schema: JsonSchema): JsonSchema {
  const definitions = Object.entries(schema.definitions).map(([name, node]) => {
    if (name === 'ResourceList')
      return [name, { type: 'object', required: ['resourceType'], properties: { resourceType: { type: 'string' } } }] as const;
    if (name === 'xhtml') return [name, { ...node, type: 'string' }] as const;
    // The published pattern refuses no-break spaces, which official examples contain.
    if (name === 'string' || name === 'markdown') return [name, { ...node, pattern: '\\S' }] as const;
    const { properties } = node;
    if (!properties) return [name, node] as const;
    const adapted = Object.entries(properties).map(
      ([key, property]) => [key, isPrimitiveList(key, properties) ? nullable(property) : property] as const,
    );
    return [name, { ...node, type: 'object', properties: Object.fromEntries(adapted) }] as const;
  });
  return { definitions: Object.fromEntries(definitions) };
}

/** https://hl7.org/fhir/R4/json.html#primitive: only primitives have a twin with an underscore. */
function isPrimitiveList(key: string, properties: Readonly<Record<string, SchemaNode>>): boolean {
  return properties[key]?.['type'] === 'array' && (key.startsWith('_') || properties[`_${key}`] !== undefined);
}

function nullable(property: SchemaNode): SchemaNode {
  return { ...property, items: { if: { type: 'null' }, else: property['items'] } };
}

function finding({ instancePath, keyword, params, schema, schemaPath }: ErrorObject): Finding {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')));
  const { [keyword]: say = () => 'Does not follow the JSON schema of R4.' } = WORDS;
  const named: unknown = params['additionalProperty'] ?? params['missingProperty'];
  const names = typeof named === 'string' && /^_?[A-Za-z][A-Za-z0-9]{0,63}$/.test(named);
  const code = keyword === 'enum' ? 'code-invalid' : keyword === 'required' ? 'required' : keyword === 'pattern' ? 'value' : 'structure';
  return { path: names ? [...path, named] : path, diagnostics: say(schema, schemaPath), code };
}

const WORDS: Readonly<Record<string, (schema: unknown, schemaPath: string) => string>> = {
  additionalProperties: () => 'R4 has no such element here.',
  required: () => 'This element is required.',
  type: (schema) => `Must be ${schema === 'array' ? 'an array' : schema === 'object' ? 'an object' : `a ${String(schema)}`}.`,
  enum: (schema) =>
    `Must be one of the codes the specification requires here${Array.isArray(schema) && schema.length <= 24 ? `: ${schema.join(', ')}` : ''}.`,
  const: (schema) => `Must be ${String(schema)}.`,
  pattern: (_schema, schemaPath) => patternWords(/definitions\/(\w+)\/pattern$/.exec(schemaPath)?.[1]),
};

function patternWords(type: string | undefined): string {
  if (type === 'dateTime') return 'Not a valid dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone (Z or ±hh:mm).';
  if (type === 'instant') return 'Not a valid instant: YYYY-MM-DDThh:mm:ss with a time zone (Z or ±hh:mm).';
  if (type === 'date') return 'Not a valid date: YYYY, YYYY-MM or YYYY-MM-DD.';
  if (type === 'id') return 'Not a valid id: 1 to 64 letters, digits, hyphens and dots.';
  if (type === 'string' || type === 'markdown') return 'Must not be empty or only white space.';
  return type ? `Not a valid ${type}.` : 'Not in the form the specification requires here.';
}
