/**
 * How a search is run, for operators: by POST /admin/explain, the command line and the console. fhir.md §2 (explain)
 *
 * Invariant: the plan is of the same parser and the same Gate as the search itself; the answer holds names, numbers and times, and the asking
 * is in the audit trail.
 */
import type { Explained, GateFor } from '../consent/gate.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { Search } from '../search/create-search.ts';
import type { Allows } from './services.ts';

export type ExplainDeps = {
  readonly search: Pick<Search, 'planJoined'>;
  readonly gateFor: GateFor;
  readonly allows: Allows;
  /** Throws AssentError: not-found, invalid-request. */
  readonly callerAs: (client: string, purpose: string | undefined) => Promise<Caller>;
};

/** `as`: in the view of this client; absent: in the asker's own, whatever its token may search. */
export type ExplainInput = { readonly search: string; readonly as?: string | undefined; readonly purpose?: string | undefined };

export type Explanation = Omit<Explained, 'ms'> & {
  readonly type: string;
  /** Names of what was used, and of what was not and why. */
  readonly parameters: readonly string[];
  readonly warnings: readonly string[];
  readonly ms: Explained['ms'] & { readonly parse: number };
};

export type Explain = (caller: Caller, input: ExplainInput) => Promise<Explanation>;

const SEARCH = /^\/?(?:fhir\/)?([A-Za-z]{1,64})(?:\?(.*))?$/s;

/** Throws AssentError: forbidden, invalid-request, and whatever the search itself would be refused with. */
export function createExplain({ search, gateFor, allows, callerAs }: ExplainDeps): Explain {
  return async (caller, input) => {
    if (!caller.admin) throw new AssentError('forbidden', 'How a search runs is told to administrators only.');
    const [, type = '', query = ''] = SEARCH.exec(input.search.trim()) ?? [];
    if (!isResourceType(type)) throw new AssentError('invalid-request', 'A search of one type is needed, as in Observation?code=8867-4.');
    const as = input.as === undefined ? undefined : await callerAs(input.as, input.purpose);
    if (as && !allows(as, 's', type)) throw new AssentError('invalid-request', 'The client holds no scope to search this type: it would be refused.');
    const began = performance.now();
    const reach = (of: string, letter: 's' | 'r') => as === undefined || allows(as, letter, of);
    const { used, cursor, warnings, ...plan } = search.planJoined(type, query, { handling: 'lenient', reach });
    const parse = performance.now() - began;
    if (cursor !== undefined) throw new AssentError('invalid-request', 'A page link belongs to its caller: explain the search without _cursor.');
    const { where, includes, order, count, total } = plan;
    const asked = `$explain?${new URLSearchParams({ search: `${type}?${query}`, ...(as && { as: as.client, purpose: as.purpose }) }).toString()}`;
    const explained = await gateFor(caller).explain({ type, where, includes, order, count, total, query: asked }, as);
    const parameters = [...new URLSearchParams(used).keys()];
    return { type, parameters, warnings, ...explained, ms: { parse, ...explained.ms } };
  };
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
