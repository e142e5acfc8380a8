/**
 * What R4 defines of the elements that a search parameter finds in a type, worked out once: a search asks it of each of its criteria.
 *
 * Invariant: what cannot be told is not claimed.
 */
import { type ElementInfo, elementsOf } from '../fhir/elements/elements.ts';
import type { SearchParameter } from '../fhir/search-parameters.ts';

export type ElementFacts = {
  /** A resource has one at most. */
  readonly once: boolean;
  /** Each is a Coding or has some, so that no Identifier is among them. */
  readonly coded: boolean;
};

const NOTHING: ElementFacts = { once: false, coded: false };
const CODED: ReadonlySet<string> = new Set(['CodeableConcept', 'Coding']);
const known = new WeakMap<SearchParameter, Map<string, ElementFacts>>();

export function elementFacts(parameter: SearchParameter, type: string): ElementFacts {
  const byType = known.get(parameter) ?? new Map<string, ElementFacts>();
  known.set(parameter, byType);
  let facts = byType.get(type);
  if (!facts) byType.set(type, (facts = parameter.definition === undefined ? factsOf(parameter.expression, type) : NOTHING));
  return facts;
}

function factsOf(expression: string, type: string): ElementFacts {
  const paths = expression.split('|').map((branch) => {
    const steps = branch.replace(/\.ofType\(\w+\)|[\s()]/g, '').split('.');
    return pathOf(type, steps[0] === type ? steps.slice(1) : steps);
  });
  return {
    once: paths.every((path) => path?.every(({ many }) => !many) ?? false),
    // Of a choice the type is not told by its path.
    coded: paths.every(
      (path) => (path?.length ?? 0) > 0 && path?.every(({ name, element }) => name === element) && CODED.has(path.at(-1)?.type ?? ''),
    ),
  };
}

/** Undefined: no such path. */
function pathOf(type: string, [step, ...steps]: readonly string[]): readonly ElementInfo[] | undefined {
  if (step === undefined) return [];
  const child = [...(elementsOf(type)?.values() ?? [])].find(({ element }) => element === step);
  const rest = child && pathOf(child.type, steps);
  return rest && [child, ...rest];
}
