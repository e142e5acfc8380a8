/**
 * Criteria that pick resources without a page of results: If-None-Exist, and those of a conditional update, patch or delete.
 * https://hl7.org/fhir/R4/http.html#ccreate
 *
 * Invariants: criteria are planned strictly: a condition that was only partly understood would match the wrong resources. What matches is
 * looked for in the caller's view, under the caller's search scope, and audited as a search: a hidden match does not change the answer.
 */
import type { Row } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import type { Condition } from '../search/join.ts';
import type { FhirRequest } from './interaction.ts';
import { criteriaOf } from './parameters.ts';
import type { Services } from './services.ts';

type Conditional = Pick<FhirRequest, 'type' | 'header' | 'gate'>;

export function conditionOf(request: Conditional, services: Services): { readonly ifNoneExist?: Condition } {
  const header = request.header('if-none-exist');
  if (header === undefined) return {};
  return { ifNoneExist: whereOf(request, new URLSearchParams(header.replace(/^.*\?/, '')), services) };
}

/** What the criteria in the URL ask for. */
export function urlConditionOf(request: FhirRequest, services: Services): Condition {
  return whereOf(request, criteriaOf(request), services);
}

function whereOf({ type, gate }: Pick<FhirRequest, 'type' | 'gate'>, criteria: URLSearchParams, services: Services): Condition {
  // Whether something matches is what a search would tell.
  if (!services.allows(gate.caller, 's', type)) throw new AssentError('forbidden', 'A condition needs the scope to search its type.');
  return criteriaFor({ type, gate }, criteria, services);
}

/** With chains and _has, each within the reach of the caller's token. */
export function criteriaFor({ type, gate }: Pick<FhirRequest, 'type' | 'gate'>, criteria: URLSearchParams, { search, allows }: Services): Condition {
  const modifiers = [...criteria.keys()].filter((name) => RESULT_PARAMETERS.has(name.replace(/:.*$/s, '')));
  if (modifiers.length > 0) throw new AssentError('invalid-search', `${modifiers[0]} has no meaning in a condition.`);
  const reach = (of: string, letter: 's' | 'r') => allows(gate.caller, letter, of);
  const { where } = search.planJoined(type, criteria, { handling: 'strict', reach });
  if (where.kind === 'all') throw new AssentError('invalid-search', 'The condition names no criterion.');
  return where;
}

const RESULT_PARAMETERS = new Set(['_count', '_sort', '_summary', '_total', '_cursor', '_elements', '_include', '_revinclude']);

type Wanted = { readonly type: string; readonly where: Condition; readonly query: string };

/** Up to `most` matches the caller may see. Throws multiple-matches when there are more. */
export async function matchesOf(
  { gate }: Pick<FhirRequest, 'gate'>,
  { type, where, query }: Wanted,
  { most }: { readonly most: number },
): Promise<readonly Row[]> {
  const { rows } = await gate.search({ type, where, order: { by: 'instant', direction: 'newest-first' }, count: most + 1, total: false, query });
  if (rows.length > most)
    throw new AssentError(
      'multiple-matches',
      most === 1 ? 'The criteria match several resources.' : `The criteria match more than ${most} resources.`,
    );
  return rows;
}

const ATTEMPTS = 16;

/** Runs an interaction again while what it rests on changes before its write. */
export async function lookAgain<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0 || !(error instanceof AssentError) || error.code !== 'conflict') throw error;
    }
  }
}
