/**
 * The invariants of the specification as it publishes them, in FHIRPath through @medplum/core, parsed once per type.
 * https://hl7.org/fhir/R4/conformance-rules.html#constraints
 *
 * Invariant: runs on resources whose shape is proven; findings carry the specification's words, no values.
 */
import { evalFhirPathTyped, type FhirPathAtom, parseFhirPath } from '@medplum/core';
import type { Finding } from './finding.ts';
import type { Invariant } from './shapes.ts';
import type { Visit } from './structure.ts';

export type InvariantStep = (visit: Visit) => Finding[];

type Parsed = Pick<Invariant, 'severity'> & { readonly words: string; readonly expression: FhirPathAtom };

/** dom-6 advises every resource to have a narrative, which clinical data seldom has. The others are judged by the walk or by rules/, which say more precisely where; txt-1 and txt-2 name a function that only narrative.ts can stand for. */
const ELSEWHERE: ReadonlySet<string> = new Set(
  (
    'ele-1 ext-1 ref-1 per-1 txt-1 txt-2 dom-6 dom-2 dom-3 dom-4 dom-5 que-2 que-7 qrs-1 csd-1 sdf-1 sdf-8 sdf-8a sdf-16 sdf-17 ' +
    'bdl-1 bdl-2 bdl-3 bdl-4 bdl-5 bdl-7 bdl-8 bdl-9 bdl-10 bdl-11 bdl-12'
  ).split(' '),
);

const NONE: readonly Parsed[] = [];
const UCUM = { type: 'uri', value: 'http://unitsofmeasure.org' } as const;

export function createInvariantStep(): InvariantStep {
  const parsed = new WeakMap<readonly Invariant[], readonly Parsed[]>();
  const parse = (invariants: readonly Invariant[]): readonly Parsed[] => {
    const known = parsed.get(invariants);
    if (known) return known;
    const own = invariants.filter(({ key }) => !ELSEWHERE.has(key));
    const list = own.length === 0 ? NONE : own.map(parsedOf);
    parsed.set(invariants, list);
    return list;
  };
  return (visit) => {
    const own = parse(visit.shape.invariants);
    const added = visit.invariants.length === 0 ? NONE : parse(visit.invariants);
    if (own.length + added.length === 0) return [];
    return [...own, ...added]
      .filter(({ expression }) => !holds(expression, visit))
      .map(({ words, severity }) => ({ place: visit.place, diagnostics: words, code: 'invariant', ...(severity ? { severity } : {}) }));
  };
}

function parsedOf(invariant: Invariant): Parsed {
  const { severity, expression } = invariant;
  return { words: wordsOf(invariant), expression: parseFhirPath(expression), ...(severity ? { severity } : {}) };
}

function wordsOf({ key, human }: Invariant): string {
  return `Constraint ${key} not met: ${human.replace(/\.?$/, '.')}`;
}

function holds(expression: FhirPathAtom, { shape, value, scope }: Visit): boolean {
  const variables = { '%resource': typed(scope.resource), '%rootResource': typed(scope.container), '%ucum': UCUM };
  const [result, ...more] = evalFhirPathTyped(expression, [{ type: shape.name, value }], variables);
  // An empty result says that what the invariant is about is not there.
  return more.length === 0 && (result === undefined || result.value === true);
}

function typed(value: Visit['value']): { type: string; value: unknown } {
  return { type: String(value['resourceType']), value };
}
