/**
 * The parts of one element that a composite search parameter asks together. https://hl7.org/fhir/R4/search.html#composite
 *
 * Invariant: parts come from one element, or from the resource where the definition says so, never from two elements.
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { compileExpression } from './extract.ts';

type Element = Readonly<Record<string, unknown>>;

export type Composite = {
  readonly components: readonly SearchParameter[];
  /** For each component, the values of one element. */
  partsOf(element: unknown, resource: Element): readonly (readonly unknown[])[];
};

const RESOURCE = '%resource.';

export function componentsOf({ components = [] }: SearchParameter, type: string): Composite {
  const extracts = components.map(({ expression }) => {
    const ofResource = expression.startsWith(RESOURCE);
    return { ofResource, extract: compileExpression(ofResource ? expression.slice(RESOURCE.length) : expression, type) };
  });
  return {
    components,
    partsOf: (element, resource) => extracts.map(({ ofResource, extract }) => extract(ofResource ? resource : (element as Element))),
  };
}
