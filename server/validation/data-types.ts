/**
 * What @medplum/core leaves out of a type's definition: the invariants of the data types themselves (a Period's order, a reference to
 * something contained, a Quantity's code without system …) and that only one type of a choice element is given.
 * https://hl7.org/fhir/R4/datatypes.html
 *
 * Invariant: runs on resources whose shape the JSON schema has proven; findings carry places and the specification's words, no values.
 */
import { evalFhirPathTyped, type FhirPathAtom, parseFhirPath, tryGetDataType } from '@medplum/core';
import type { StructureDefinition } from '@medplum/fhirtypes';
import type { ResourceValue } from '../fhir/resource.ts';
import { choiceOf, type ElementsByName, typeOf } from './element-types.ts';
import type { Finding, Path } from './schema.ts';

type Value = Readonly<Record<string, unknown>>;
type Context = { readonly root: ResourceValue; readonly contained: ReadonlySet<unknown> };
type Invariant = { readonly words: string; readonly holds: (value: Value, context: Context) => boolean };
type Visit = { readonly value: Value; readonly type: string; readonly path: Path; readonly context: Context };

export type DataTypeStep = (root: ResourceValue) => Finding[];

/** Checked by validateResource already (ext-1), or written out below because empty operands make the published expression false. */
const ELSEWHERE: ReadonlySet<string> = new Set(['ele-1', 'ext-1', 'ref-1', 'per-1']);

export function createDataTypeStep(dataTypes: readonly StructureDefinition[]): DataTypeStep {
  const invariants = new Map<string, Invariant[]>();
  for (const { name, snapshot } of dataTypes) {
    const own = (snapshot?.element[0]?.constraint ?? []).filter(({ key, expression }) => expression && !ELSEWHERE.has(key ?? ''));
    invariants.set(
      name,
      own.map(({ key, human, expression }) => ({
        words: `Constraint ${key} not met: ${human}.`,
        holds: evaluator(name, parseFhirPath(expression ?? 'true')),
      })),
    );
  }
  invariants
    .get('Reference')
    ?.push({ words: 'Constraint ref-1 not met: a local reference must name a contained resource.', holds: isLocalTargetThere });
  invariants.get('Period')?.push({ words: 'Constraint per-1 not met: the start must not be later than the end.', holds: isInOrder });
  return (root) => walk(root, invariants);
}

function walk(root: ResourceValue, invariants: ReadonlyMap<string, readonly Invariant[]>): Finding[] {
  const findings: Finding[] = [];
  const open: Visit[] = [{ value: root, type: root.resourceType, path: [], context: contextOf(root) }];
  for (let visit = open.pop(); visit; visit = open.pop()) {
    const { value, type, path, context } = visit;
    for (const { words, holds } of invariants.get(type) ?? []) {
      if (!holds(value, context)) findings.push({ path, diagnostics: words.replace(/\.\.$/, '.'), code: 'invariant' });
    }
    enter(visit, open, findings);
  }
  return findings;
}

/** Queues what is inside, and reports choice elements given twice. */
function enter({ value, type, path, context }: Visit, open: Visit[], findings: Finding[]): void {
  const elements: ElementsByName | undefined = tryGetDataType(type)?.elements;
  if (!elements) return;
  const chosen = new Map<string, string>();
  for (const [key, member] of Object.entries(value)) {
    const name = key.startsWith('_') ? key.slice(1) : key;
    const choice = choiceOf(elements, name);
    if (choice) {
      const other = chosen.get(choice.element);
      if (other !== undefined && other !== name)
        findings.push({ path: [...path, choice.element], diagnostics: 'Only one type of a choice element may be given.' });
      chosen.set(choice.element, name);
    }
    if (typeof member !== 'object' || member === null) continue;
    const inner = key.startsWith('_') ? 'Element' : (choice?.type ?? typeOf(elements, name));
    if (inner === undefined) continue;
    const items = Array.isArray(member) ? member.map((item: unknown, i) => [item, [...path, key, i]] as const) : [[member, [...path, key]] as const];
    for (const [item, at] of items) if (isObject(item)) open.push(visitOf(item, { type: inner, path: at, context }));
  }
}

/** A resource inside starts anew as its own type; only contained ones share the context of what contains them. */
function visitOf(value: Value, { type, path, context }: Omit<Visit, 'value'>): Visit {
  const resourceType = value['resourceType'];
  if (typeof resourceType !== 'string' || !(type === 'Resource' || type === 'ResourceList')) return { value, type, path, context };
  const isContained = path.at(-2) === 'contained';
  return { value, type: resourceType, path, context: isContained ? context : contextOf(value as ResourceValue) };
}

function contextOf(root: ResourceValue): Context {
  const contained = Array.isArray(root['contained']) ? (root['contained'] as unknown[]) : [];
  return { root, contained: new Set(contained.map((resource) => (isObject(resource) ? resource['id'] : undefined))) };
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function evaluator(type: string, expression: FhirPathAtom): Invariant['holds'] {
  return (value, { root }) => {
    const resource = { type: root.resourceType, value: root };
    const variables = { '%resource': resource, '%rootResource': resource, '%ucum': { type: 'uri', value: 'http://unitsofmeasure.org' } };
    const [result, ...more] = evalFhirPathTyped(expression, [{ type, value }], variables);
    // An empty result says that what the invariant is about is not there.
    return more.length === 0 && (result === undefined || result.value === true);
  };
}

/** `#` alone names the container. */
function isLocalTargetThere({ reference }: { readonly reference?: unknown }, { contained }: Context): boolean {
  return typeof reference !== 'string' || !reference.startsWith('#') || reference === '#' || contained.has(reference.slice(1));
}

/** Unequal precision or zones of partial dates leave the order open; only a certain inversion is refused. */
function isInOrder({ start, end }: { readonly start?: unknown; readonly end?: unknown }): boolean {
  if (typeof start !== 'string' || typeof end !== 'string') return true;
  if (start.includes('T') && end.includes('T')) return !(Date.parse(start) > Date.parse(end));
  const length = Math.min(start.length, end.length, 10);
  return start.slice(0, length) <= end.slice(0, length);
}
