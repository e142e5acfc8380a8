/**
 * The store as a request reads it whose caller may leave before the answer. fhir.md §2: $everything, histories,
 * searches with their joins, includes and totals, $lastn, GraphQL.
 *
 * Invariant: once the caller has gone, what is being read for it ends and nothing more is begun; what the server reads and writes on its own
 * account (the record of a refusal) goes on.
 */
import { AssentError } from '../../errors.ts';
import type { ResourceStore, ScopeOrInternal } from '../../store/port.ts';

/** `wanted`: made when the first read needs it, as most requests are answered sooner than anyone could leave. */
export function readWhileWanted(resources: ResourceStore, wanted: (() => AbortSignal) | undefined): ResourceStore {
  if (!wanted) return resources;
  let made: AbortSignal | undefined;
  const during = (scope: ScopeOrInternal | { readonly epoch: number }): { readonly signal?: AbortSignal } => {
    if (scope === 'internal') return {};
    made ??= wanted();
    if (made.aborted) throw new AssentError('abandoned');
    return { signal: made };
  };
  return {
    ...resources,
    find: async (query) => resources.find({ ...query, ...during(query.scope) }),
    findSeveral: async (query) => resources.findSeveral({ ...query, ...during(query.parts[0]?.scope ?? 'internal') }),
    count: async (query, cap) => resources.count({ ...query, ...during(query.scope) }, cap),
    history: async (query) => resources.history({ ...query, ...during(query.scope) }),
  };
}
