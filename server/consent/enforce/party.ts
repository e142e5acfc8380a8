/**
 * Who may know of a Consent, or of a key, that somebody else names: to everybody else there is none. consent.md §2 rule 24, §3
 *
 * Invariant: whoever prepares terms learns by it neither which Consents are in force nor which patients have a key here.
 */
import { opensByScopeAlone } from '../../fhir/resource-types.ts';
import type { ResourceStore } from '../../store/port.ts';
import type { Caller } from '../model.ts';
import { inView, newestFirst, patientsOf, type Views } from './view.ts';

type Deps = {
  readonly caller: Caller;
  readonly resources: Pick<ResourceStore, 'find'>;
  readonly views: Views;
  readonly isCustodian: () => Promise<boolean>;
};

/** Whether the caller reads this Consent, or is the client of a custodian that it names. */
export async function hasPartIn(deps: Deps, id: string, { custodians }: { readonly custodians: readonly string[] }): Promise<boolean> {
  if (custodians.includes(deps.caller.actor) && (await deps.isCustodian())) return true;
  const query = { type: 'Consent', where: { kind: 'id' as const, ids: new Set([id]) }, order: newestFirst, limit: 1, bodies: false };
  return inView(deps.views, {
    read: (view) => deps.resources.find({ ...query, scope: view.scope('Consent') }),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: async ({ rows }) => rows.length > 0,
  });
}

/** Whether the caller may know which keys an owner signs with: those of the directory are no secret, those of patients and relatives are. */
export function knowsKeysOf({ admin, actor }: Caller, owner: string): boolean {
  return admin || actor === owner || opensByScopeAlone(owner.slice(0, owner.indexOf('/')));
}
