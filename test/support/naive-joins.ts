/**
 * Joins by looking at every resource for every other: the meaning that the Gate's way over index keys is tested against. It knows neither
 * keys nor limits nor an order.
 */
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { compileExpression } from '../../server/search/extract.ts';
import { holdsFormula } from '../../server/search/filter.ts';
import { match } from '../../server/search/match.ts';
import type { Criteria, JoinCriterion } from '../../server/search/query.ts';

export type Stored = { readonly resourceType: string; readonly id: string; readonly [element: string]: unknown };

export function naiveMatch(world: readonly Stored[], resource: Stored, criteria: Criteria, base: string): boolean {
  return match(resource, { ...criteria, joins: [] }, base) && criteria.joins.every((join) => holdsJoin(world, resource, join, base));
}

function holdsJoin(world: readonly Stored[], resource: Stored, join: JoinCriterion, base: string): boolean {
  if (join.kind === 'formula') return holdsFormula(join.of, (inner) => naiveMatch(world, resource, inner, base));
  const { name } = join.parameter;
  if (join.kind === 'has')
    return world.some(
      (other) => other.resourceType === join.from.type && refers(other, name, resource, base) && naiveMatch(world, other, join.from, base),
    );
  return join.to.some((inner) =>
    world.some((other) => other.resourceType === inner.type && refers(resource, name, other, base) && naiveMatch(world, other, inner, base)),
  );
}

/** Whether `from` refers to `to` by the parameter of this name. */
export function refers(from: Stored, name: string, to: Stored, base: string): boolean {
  const parameter = searchParameters(from.resourceType).get(name);
  if (!parameter) return false;
  const address = `${to.resourceType}/${to.id}`;
  return compileExpression(
    parameter.expression,
    from.resourceType,
  )(from).some((element) => {
    if (typeof element !== 'string') {
      const text = (element as { reference?: string }).reference?.replace(`${base}/`, '').replace(/\/_history\/.*$/, '');
      return text === address;
    }
    const [url, version] = element.split('|');
    return to['url'] === url && (version === undefined || version === to['version']);
  });
}
