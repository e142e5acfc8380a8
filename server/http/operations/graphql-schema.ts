/**
 * The schema of $graphql in the words of GraphQL's introspection, made from the elements of R4 and the search parameters as it is asked for.
 * https://spec.graphql.org/October2021/#sec-Introspection, https://hl7.org/fhir/R4/graphql.html
 *
 * Invariants: nothing of it depends on what is stored or on who asks; what it names a query may use. Left out, though a query may use it:
 * searches inside a resource by _reference, and filters of lists by what is no single value.
 */
import { type ElementInfo, elementsOf } from '../../fhir/elements/elements.ts';
import { isResourceType, resourceTypes } from '../../fhir/resource-types.ts';

/** A thing of the schema: members are made when they are asked for. */
export type Thing = { readonly __typename: string; readonly [member: string]: Member };
export type Member = string | boolean | null | Thing | readonly (string | Thing)[] | (() => Member);

export type Schema = {
  readonly schema: Thing;
  /** By name; undefined: there is none. */
  type(name: string): Thing | undefined;
  /** Answers that were given, by their question. */
  readonly kept: Map<string, Promise<string>>;
};

type SearchNames = (type: string) => readonly string[];

const SCALARS = ['String', 'Boolean', 'Int', 'Float', 'ID'];

export function createSchema(searchNames: SearchNames): Schema {
  const made = new Map<string, Thing>();
  const elements = elementTypes();
  const names = () => [...SCALARS, 'Query', 'Resource', ...elements.keys(), ...resourceTypes.flatMap((type) => [`${type}Connection`, `${type}Edge`])];
  const build = (name: string): Thing | undefined => {
    if (SCALARS.includes(name)) return typeThing({ kind: 'SCALAR', name }, ref);
    if (name === 'Query') return typeThing({ kind: 'OBJECT', name, fields: () => queryFields(ref, searchNames) }, ref);
    if (name === 'Resource') return typeThing({ kind: 'INTERFACE', name, fields: () => commonFields(ref), possible: resourceTypes }, ref);
    const [, of = '', part = ''] = /^([A-Z]\w*?)(Connection|Edge)$/.exec(name) ?? [];
    if (isResourceType(of))
      return typeThing({ kind: 'OBJECT', name, fields: () => (part === 'Edge' ? edgeFields(of, ref) : pageFields(of, ref)) }, ref);
    const type = elements.get(name);
    if (type === undefined) return undefined;
    const interfaces = isResourceType(type) ? ['Resource'] : [];
    return typeThing({ kind: 'OBJECT', name, fields: () => fieldsOf(type, ref), interfaces }, ref);
  };
  const type = (name: string): Thing | undefined => {
    const found = made.get(name) ?? build(name);
    if (found) made.set(name, found);
    return found;
  };
  /** Every name that a reference holds is one of `names`. */
  const ref = (name: string): Thing => type(name) ?? nothing(name);
  const schema: Thing = {
    __typename: '__Schema',
    description: null,
    types: () => names().map(ref),
    queryType: () => ref('Query'),
    mutationType: null,
    subscriptionType: null,
    directives: () => directives(ref),
  };
  return { schema, type, kept: new Map() };
}

function nothing(name: string): never {
  throw new Error(`The schema names ${name}, which it does not have.`);
}

type Ref = (name: string) => Thing;

/** GraphQL name → path of what has elements. */
function elementTypes(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const open: string[] = [...resourceTypes, 'Element', 'Reference'];
  for (let type = open.pop(); type !== undefined; type = open.pop()) {
    if (found.has(nameOf(type))) continue;
    found.set(nameOf(type), type);
    for (const info of elementsOf(type)?.values() ?? []) if (info.holds === 'elements') open.push(info.type);
  }
  return found;
}

/** `Patient.contact` is PatientContact, as in R4's own schema. */
function nameOf(path: string): string {
  return path.replace(/\.(\w)/g, (_, first: string) => first.toUpperCase());
}

type TypeParts = {
  readonly kind: 'SCALAR' | 'OBJECT' | 'INTERFACE';
  readonly name: string;
  readonly fields?: () => readonly Thing[];
  readonly interfaces?: readonly string[];
  readonly possible?: readonly string[];
};

function typeThing({ kind, name, fields, interfaces = [], possible }: TypeParts, ref: Ref): Thing {
  let made: readonly Thing[] | undefined;
  return {
    __typename: '__Type',
    kind,
    name,
    description: null,
    specifiedByURL: null,
    fields: fields ? () => (made ??= fields()) : null,
    interfaces: fields ? () => interfaces.map(ref) : null,
    possibleTypes: possible ? () => possible.map(ref) : null,
    enumValues: null,
    inputFields: null,
    ofType: null,
    isOneOf: null,
  };
}

function wrapped(kind: 'LIST' | 'NON_NULL', ofType: Thing): Thing {
  return { ...typeThing({ kind: 'SCALAR', name: '' }, () => ofType), kind, name: null, ofType };
}

type FieldParts = { readonly name: string; readonly type: () => Thing; readonly args?: readonly Thing[] };

function field({ name, type, args = [] }: FieldParts): Thing {
  return { __typename: '__Field', name, description: null, args, type, isDeprecated: false, deprecationReason: null };
}

function input(name: string, type: () => Thing): Thing {
  return { __typename: '__InputValue', name, description: null, type, defaultValue: null, isDeprecated: false, deprecationReason: null };
}

function queryFields(ref: Ref, searchNames: SearchNames): Thing[] {
  const text = () => ref('String');
  const many = () => wrapped('LIST', ref('String'));
  return resourceTypes.flatMap((type) => {
    const criteria = searchNames(type).map((name) => input(name.replaceAll('-', '_'), many));
    const args = [...criteria, input('_count', () => ref('Int')), input('_sort', text)];
    return [
      field({ name: type, type: () => ref(type), args: [input('id', () => wrapped('NON_NULL', ref('ID')))] }),
      field({ name: `${type}List`, type: () => wrapped('LIST', ref(type)), args }),
      field({ name: `${type}Connection`, type: () => ref(`${type}Connection`), args: [...args, input('_cursor', text)] }),
    ];
  });
}

function pageFields(type: string, ref: Ref): Thing[] {
  const plain = (name: string, of: string) => field({ name, type: () => ref(of) });
  const counts = ['count', 'offset', 'pagesize'].map((name) => plain(name, 'Int'));
  const links = ['first', 'previous', 'next', 'last'].map((name) => plain(name, 'ID'));
  return [...counts, field({ name: 'edges', type: () => wrapped('LIST', ref(`${type}Edge`)) }), ...links];
}

function edgeFields(type: string, ref: Ref): Thing[] {
  return [
    field({ name: 'mode', type: () => ref('String') }),
    field({ name: 'score', type: () => ref('Float') }),
    field({ name: 'resource', type: () => ref(type) }),
  ];
}

const COMMON = ['id', 'meta', 'implicitRules', 'language'];

/** What every resource has: elements of the same meaning in each. */
function commonFields(ref: Ref): Thing[] {
  return [
    resourceTypeField(ref),
    ...[...(elementsOf('Patient')?.values() ?? [])].filter(({ name }) => COMMON.includes(name)).flatMap(fieldsFor(ref)),
  ];
}

function fieldsOf(type: string, ref: Ref): Thing[] {
  const own = [...(elementsOf(type)?.values() ?? [])].flatMap(fieldsFor(ref));
  if (isResourceType(type)) return [resourceTypeField(ref), ...own];
  if (type !== 'Reference') return own;
  const args = [input('optional', () => ref('Boolean')), input('type', () => ref('String'))];
  return [...own, field({ name: 'resource', type: () => ref('Resource'), args })];
}

function resourceTypeField(ref: Ref): Thing {
  return field({ name: 'resourceType', type: () => ref('String') });
}

/** An element, and of a single value what extends it. */
function fieldsFor(ref: Ref): (info: ElementInfo) => Thing[] {
  return (info) => {
    const type = () => ref(valueType(info));
    const element = field({ name: info.name, type: info.many ? () => wrapped('LIST', type()) : type, args: info.many ? filters(info, ref) : [] });
    if (!isSingle(info)) return [element];
    const extended = () => ref('Element');
    return [element, field({ name: `_${info.name}`, type: info.many ? () => wrapped('LIST', extended()) : extended })];
  };
}

function isSingle({ holds }: ElementInfo): boolean {
  return holds !== 'elements' && holds !== 'resource';
}

function valueType({ type, holds, name }: ElementInfo): string {
  if (holds === 'elements') return nameOf(type);
  if (holds === 'resource') return 'Resource';
  if (holds === 'boolean') return 'Boolean';
  if (holds === 'number') return type === 'decimal' ? 'Float' : 'Int';
  return name === 'id' ? 'ID' : 'String';
}

/** The elements of a list by which it can be filtered: those that are one value in every case. */
function filters({ type }: ElementInfo, ref: Ref): Thing[] {
  const plain = [...(elementsOf(type)?.values() ?? [])].filter((info) => isSingle(info) && !info.many && info.name === info.element);
  const text = () => ref('String');
  return [...plain.map(({ name }) => input(name, text)), ...['_offset', '_count'].map((name) => input(name, () => ref('Int')))];
}

function directives(ref: Ref): Thing[] {
  const condition = [input('if', () => wrapped('NON_NULL', ref('Boolean')))];
  const everywhere = ['FIELD', 'FRAGMENT_SPREAD', 'INLINE_FRAGMENT'];
  const made = (name: string, args: readonly Thing[], locations: readonly string[]): Thing => ({
    __typename: '__Directive',
    name,
    description: null,
    locations,
    args,
    isRepeatable: false,
  });
  return [
    made('skip', condition, everywhere),
    made('include', condition, everywhere),
    ...['flatten', 'first', 'singleton'].map((name) => made(name, [], ['FIELD'])),
    made('slice', [input('path', () => wrapped('NON_NULL', ref('String')))], ['FIELD']),
  ];
}
