/**
 * Constraints a profile adds, in FHIRPath through @medplum/core. https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint
 *
 * Invariant: a constraint that cannot be evaluated here is said to be unchecked; it neither refuses nor passes in silence.
 */
import { evalFhirPathTyped, type FhirPathAtom, parseFhirPath, type TypedValue } from '@medplum/core';
import type { Scope } from '../scope.ts';
import type { JsonObject } from '../structure.ts';
import type { Item } from './items.ts';
import type { Constraint } from './rules.ts';

export type Broken = { readonly words: string; readonly code: string; readonly severity?: 'warning' | 'information' };

type About = { readonly resource: JsonObject; readonly scope: Scope };

/** What is broken, or what could not be checked; undefined when the constraint holds. */
export function breaks(constraint: Constraint, item: Item, about: About): Broken | undefined {
  const { key, human, severity } = constraint;
  const verdict = evaluate(constraint, item, about);
  if (verdict === 'holds') return undefined;
  if (verdict === 'unknown')
    return { words: `Constraint ${key} was not checked: it uses what this server cannot evaluate`, code: 'not-supported', severity: 'information' };
  const words = `Constraint ${key} not met: ${human.replace(/\.$/, '')}`;
  return severity === 'warning' ? { words, code: 'invariant', severity } : { words, code: 'invariant' };
}

const UCUM: TypedValue = { type: 'uri', value: 'http://unitsofmeasure.org' };
const parsed = new WeakMap<Constraint, FhirPathAtom | undefined>();

function evaluate(constraint: Constraint, { value, shape, type }: Item, { resource, scope }: About): 'holds' | 'broken' | 'unknown' {
  const expression = parse(constraint);
  if (!expression) return 'unknown';
  const context: TypedValue = { type: shape?.name ?? type, value };
  const variables = { '%context': context, '%resource': typed(resource), '%rootResource': typed(scope.container), '%ucum': UCUM };
  try {
    const [result, ...more] = evalFhirPathTyped(expression, value === undefined ? [] : [context], variables);
    // An empty result says that what the constraint is about is not there.
    return more.length === 0 && (result === undefined || result.value === true) ? 'holds' : 'broken';
  } catch {
    return 'unknown';
  }
}

function parse(constraint: Constraint): FhirPathAtom | undefined {
  if (parsed.has(constraint)) return parsed.get(constraint);
  let expression: FhirPathAtom | undefined;
  try {
    expression = parseFhirPath(constraint.expression);
  } catch {
    expression = undefined;
  }
  parsed.set(constraint, expression);
  return expression;
}

function typed(value: JsonObject): TypedValue {
  return { type: String(value['resourceType']), value };
}
