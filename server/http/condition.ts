/**
 * If-None-Exist and other criteria that pick resources without a page of results. https://hl7.org/fhir/R4/http.html#ccreate
 * Invariant: criteria are planned strictly: a condition that was only partly understood would match the wrong resources.
 */
import { AssentError } from '../errors.ts';
import type { Expression } from '../search/expression.ts';
import type { FhirRequest } from './interaction.ts';
import type { Services } from './services.ts';

type Conditional = Pick<FhirRequest, 'type' | 'header' | 'gate'>;

export function conditionOf(request: Conditional, services: Services): { readonly ifNoneExist?: Expression } {
  const header = request.header('if-none-exist');
  if (header === undefined) return {};
  // Whether something matches is what a search would tell.
  if (!services.allows(request.gate.caller, 's', request.type)) throw new AssentError('forbidden', 'A condition needs the scope to search its type.');
  return { ifNoneExist: expressionOf(request.type, header, services) };
}

/** `criteria`: a query string, with or without its question mark. */
export function expressionOf(type: string, criteria: string, { search }: Services): Expression {
  const parameters = new URLSearchParams(criteria.replace(/^.*\?/, ''));
  const modifiers = [...parameters.keys()].filter((name) => RESULT_PARAMETERS.has(name));
  if (modifiers.length > 0) throw new AssentError('invalid-search', `${modifiers[0]} has no meaning in a condition.`);
  const { where } = search.plan(type, parameters, 'strict');
  if (where.kind === 'all') throw new AssentError('invalid-search', 'The condition names no criterion.');
  return where;
}

const RESULT_PARAMETERS = new Set(['_count', '_sort', '_summary', '_total', '_cursor', '_elements', '_include', '_revinclude']);
