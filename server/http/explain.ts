/**
 * How a search is run, for operators: by POST /admin/explain, the command line and the console. fhir.md §2 (explain)
 *
 * Invariant: the plan is of the same parser and the same Gate as the search itself; the answer holds names, numbers and times, and the asking
 * is in the audit trail.
 */
import type { Clock } from '../clock.ts';
import type { Explained, GateFor, SearchRequest, SeveralRequest } from '../consent/gate.ts';
import { type Caller, holdsRole } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import { isResourceType, resourceTypes } from '../fhir/resource-types.ts';
import { allOf } from '../search/join.ts';
import type { Search } from '../search/create-search.ts';
import type { Reach } from '../search/parse-joins.ts';
import { askedTypes, writtenBefore } from './search-several.ts';
import type { Allows } from './services.ts';

export type ExplainDeps = {
  readonly search: Search;
  readonly clock: Clock;
  readonly gateFor: GateFor;
  readonly allows: Allows;
  /** Throws AssentError: not-found, invalid-request. */
  readonly callerAs: (client: string, purpose: string | undefined) => Promise<Caller>;
};

/** `as`: in the view of this client; absent: in the asker's own, whatever its token may search. */
export type ExplainInput = { readonly search: string; readonly as?: string | undefined; readonly purpose?: string | undefined };

export type Explanation = Omit<Explained, 'ms'> & {
  /** Of several: their names with commas; of the whole system: `every type`. */
  readonly type: string;
  /** Names of what was used, and of what was not and why. */
  readonly parameters: readonly string[];
  readonly warnings: readonly string[];
  readonly ms: Explained['ms'] & { readonly parse: number };
};

export type Explain = (caller: Caller, input: ExplainInput) => Promise<Explanation>;

const SEARCH = /^\/?(?:fhir\/?)?([A-Za-z]{1,64})?(?:\?(.*))?$/s;

/** Throws AssentError: forbidden, invalid-request, and whatever the search itself would be refused with. */
export function createExplain(deps: ExplainDeps): Explain {
  const { gateFor, allows, callerAs } = deps;
  return async (caller, input) => {
    if (!holdsRole(caller, 'operator')) throw new AssentError('forbidden', 'How a search runs is told to administrators only.');
    const [, type = '', query] = SEARCH.exec(input.search.trim()) ?? [];
    if (type === '' ? query === undefined : !isResourceType(type))
      throw new AssentError('invalid-request', 'A search is needed, as in Observation?code=8867-4 or ?_type=Condition,Observation&patient=1.');
    const as = input.as === undefined ? undefined : await callerAs(input.as, input.purpose);
    const began = performance.now();
    const reach: Reach = (of, letter) => as === undefined || allows(as, letter, of);
    const { named, request, used, cursor, warnings } = (type === '' ? severalOf : oneOf)(deps, { type, query: query ?? '', reach });
    const parse = performance.now() - began;
    if (cursor !== undefined) throw new AssentError('invalid-request', 'A page link belongs to its caller: explain the search without _cursor.');
    const asked = new URLSearchParams({ search: `${type}?${query ?? ''}`, ...(as && { as: as.client, purpose: as.purpose }) });
    const explained = await gateFor(caller).explain({ ...request, query: `$explain?${asked.toString()}` }, as);
    const parameters = [...new URLSearchParams(used).keys()];
    return { type: named, parameters, warnings, ...explained, ms: { parse, ...explained.ms } };
  };
}

type Asked = { readonly type: string; readonly query: string; readonly reach: Reach };
type Planned = {
  readonly named: string;
  readonly request: Omit<SearchRequest, 'query'> | Omit<SeveralRequest, 'query'>;
  readonly used: string;
  readonly cursor: string | undefined;
  readonly warnings: readonly string[];
};

const OUT_OF_REACH = 'The client holds no scope to search this type: it would be refused.';

function oneOf({ search }: ExplainDeps, { type, query, reach }: Asked): Planned {
  if (!reach(type, 's')) throw new AssentError('invalid-request', OUT_OF_REACH);
  const { used, cursor, warnings, where, includes, order, count, total } = search.planJoined(type, query, { handling: 'lenient', reach });
  return { named: type, request: { type, where, includes, order, count, total }, used, cursor, warnings };
}

/** As search-several.ts runs it, from the first page. */
function severalOf({ search, clock }: ExplainDeps, { query, reach }: Asked): Planned {
  const parameters = new URLSearchParams(query);
  const asked = askedTypes(parameters.getAll('_type'));
  parameters.delete('_type');
  const types = [...(asked ?? resourceTypes)].filter((type) => reach(type, 's'));
  if (types.length === 0 || (asked && types.length < asked.size)) throw new AssentError('invalid-request', OUT_OF_REACH);
  const plan = search.planSeveral(types, parameters, { handling: 'lenient', reach, named: asked !== undefined });
  const now = clock();
  const parts = plan.parts.map(({ type, where, order }) => ({ type, order, where: allOf([where, writtenBefore({ search }, type, now)]) }));
  const { includes, count, total, used, cursor, warnings } = plan;
  const request = { interaction: 'search-system' as const, parts, includes, count, total };
  return { named: asked ? types.join(', ') : 'every type', request, used: `${asked ? '_type&' : ''}${used}`, cursor, warnings };
}

/** Of a JSON body. Throws AssentError('invalid-request'). */
export function explainInput(body: unknown): ExplainInput {
  const { search, as, purpose, ...more } = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const optional = [as, purpose].every((value) => value === undefined || typeof value === 'string');
  if (typeof search !== 'string' || !optional || Object.keys(more).length > 0)
    throw new AssentError(
      'invalid-request',
      'The body is { "search": "Observation?…", "as": client id, "purpose": code }; the last two may be absent.',
    );
  return { search, as: as as string | undefined, purpose: purpose as string | undefined };
}
