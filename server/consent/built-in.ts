/**
 * Policies that are not Consents, as entries of the policy list: what is open by scope alone, and the kinds that consents never reach
 * because they record consents and disclosures themselves. consent.md §2 rules 5, 17, 18; `npm run assent -- policies` prints them.
 */
import { opensByScopeAlone } from '../fhir/resource-types.ts';
import { all, and, any, type Expression, none, or } from '../search/expression.ts';
import { facet, PATIENT } from './facets.ts';
import type { Caller } from './model.ts';

type BuiltIn = {
  readonly name: string;
  readonly says: string;
  readonly applies: (type: string, caller: Caller) => boolean;
  readonly where: (type: string, caller: Caller) => Expression;
};

const RECORDS = new Set(['Consent', 'Provenance', 'AuditEvent', 'Task']);

/** In this order; the first that applies decides. */
export const builtInPolicies: readonly BuiltIn[] = [
  {
    name: 'directory',
    says: 'Organizations, practitioners, places, definitions and terminology are open to every token whose scope names the type.',
    applies: (type) => opensByScopeAlone(type),
    where: () => all,
  },
  {
    name: 'administrator',
    says: 'Scope admin reads Consent, Provenance, AuditEvent and Task, and never clinical content.',
    applies: (_type, caller) => caller.admin,
    where: (type) => (RECORDS.has(type) ? all : none),
  },
  {
    name: 'own-acts',
    says: 'A requester reads the AuditEvents and Tasks of its own acts; a patient those about themselves; of Consents and Provenance a patient their own.',
    applies: (type) => RECORDS.has(type),
    where: (type, caller) => or([ownRecord(caller), type === 'AuditEvent' || type === 'Task' ? any([facet.own(caller.client)]) : none]),
  },
  {
    name: 'binary',
    says: 'A Binary without a securityContext that is decided is for its writer only.',
    applies: (type) => type === 'Binary',
    where: (_type, caller) => any([facet.writer(caller.actor)]),
  },
];

/** A patient sees their own compartment, except what names another patient too. */
export function ownRecord({ actor }: Caller): Expression {
  const [, id] = /^Patient\/(.+)$/.exec(actor) ?? [];
  if (id === undefined) return none;
  const keys = new Set([facet.patient(id)]);
  return and([any(keys), { kind: 'every', prefix: PATIENT, keys }]);
}

/** The expression of the built-in policy that decides this type alone; undefined where Consents decide. */
export function closedPolicies(type: string, caller: Caller): Expression | undefined {
  return builtInPolicies.find(({ applies }) => applies(type, caller))?.where(type, caller);
}
