/**
 * The elements of R4 in the order of their definitions: what a child of a type is called, may hold and is for.
 * https://hl7.org/fhir/R4/elementdefinition.html
 *
 * The table is built from the R4 definitions by test/support/element-table.ts, because reading those costs half a second; a test keeps
 * the two equal.
 */
import { isResourceType } from '../resource-types.ts';
import table from './table.json' with { type: 'json' };

export type ElementInfo = {
  /** As members are called: `valueQuantity` for a choice. */
  readonly name: string;
  /** As the definition calls it: `value` for a choice. */
  readonly element: string;
  /** A data type, `Resource`, or the path of a nested element: what elementsOf takes. */
  readonly type: string;
  readonly holds: 'elements' | 'resource' | 'xhtml' | 'string' | 'number' | 'boolean';
  readonly many: boolean;
  readonly summary: boolean;
  readonly mandatory: boolean;
  readonly modifier: boolean;
  /** An attribute in XML. */
  readonly attribute: boolean;
  /** Place among its siblings; choices of one element share it. */
  readonly order: number;
};

const rows: Readonly<Record<string, readonly string[]>> = table;
const known = new Map<string, ReadonlyMap<string, ElementInfo>>();
const numbers: ReadonlySet<string> = new Set(['decimal', 'integer', 'positiveInt', 'unsignedInt']);

/** Name → child, in the order of the definition; undefined for what is no type with children. */
export function elementsOf(type: string): ReadonlyMap<string, ElementInfo> | undefined {
  const found = known.get(type);
  if (found || !Object.hasOwn(rows, type)) return found;
  const elements = new Map((rows[type] ?? []).flatMap((row, order) => readRow(row, order)).map((info) => [info.name, info]));
  known.set(type, elements);
  return elements;
}

const bits = { many: 1, summary: 2, mandatory: 4, modifier: 8, attribute: 16 } as const;

function readRow(row: string, order: number): ElementInfo[] {
  const [written = '', types = '', digits = '0'] = row.split(' ');
  const flags = Number(digits);
  const flag = (bit: number): boolean => (flags & bit) !== 0;
  const element = written.replace('[x]', '');
  return types.split('|').map((type) => ({
    name: element === written ? written : element + type.charAt(0).toUpperCase() + type.slice(1),
    element,
    type,
    holds: holdsOf(type),
    many: flag(bits.many),
    summary: flag(bits.summary),
    mandatory: flag(bits.mandatory),
    modifier: flag(bits.modifier),
    attribute: flag(bits.attribute),
    order,
  }));
}

function holdsOf(type: string): ElementInfo['holds'] {
  // A place may name the one resource type it is for.
  if (type === 'Resource' || isResourceType(type)) return 'resource';
  if (type === 'xhtml' || type === 'boolean') return type;
  if (numbers.has(type)) return 'number';
  return Object.hasOwn(rows, type) ? 'elements' : 'string';
}
