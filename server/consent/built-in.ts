/**
 * Policies that are not Consents, as entries of one list: what is open by scope alone, what a patient permits themselves, and the kinds that
 * Consents never reach because they record consents and disclosures. consent.md §2 rules 4, 5, 17, 18; `npm run assent -- policies` prints it.
 */
import { opensByScopeAlone } from '../fhir/resource-types.ts';
import { all, and, any, type Expression, none, not, or, startsWith } from '../search/expression.ts';
import { facet, HAS_CONTEXT, namesOnly, PATIENT, UNKNOWN_PATIENT, UNKNOWN_TARGET } from './facets.ts';
import type { Caller } from './model.ts';

type BuiltIn = { readonly name: string; readonly says: string; readonly applies: (type: string, caller: Caller) => boolean } & (
  | {
      /** `decides`: whatever Consents say. `opens`: besides what Consents permit. */
      readonly effect: 'decides' | 'opens';
      readonly where: (type: string, caller: Caller) => Expression;
    }
  /** Permits everything on behalf of one patient, as a Consent would. */
  | { readonly effect: 'permits'; readonly patient: (caller: Caller) => string }
  /** Besides what Consents permit, by what is not known here: decide.ts has the authorities. */
  | { readonly effect: 'stands-in' }
);

const RECORDS = new Set(['Consent', 'Provenance', 'AuditEvent', 'Task']);
const SELF = /^Patient\/(.+)$/;
/** What is open to every token is about nobody. */
export const namesNobody = and([not(startsWith(PATIENT)), not(any([UNKNOWN_PATIENT]))]);

/** In this order; the first that decides a type decides it alone. */
export const builtInPolicies: readonly BuiltIn[] = [
  {
    name: 'directory',
    says: 'Organizations, practitioners, places, definitions and terminology that name no patient are open to every token whose scope names the type.',
    effect: 'opens',
    applies: (type) => opensByScopeAlone(type),
    where: () => namesNobody,
  },
  {
    name: 'administrator',
    says: 'Scope admin reads Consent, Provenance, AuditEvent, Task and the directory, and never clinical content.',
    effect: 'decides',
    applies: (_type, caller) => caller.admin,
    where: (type) => (RECORDS.has(type) ? all : opensByScopeAlone(type) ? namesNobody : none),
  },
  {
    name: 'duties',
    says: 'An account with single duties of administration reads the directory; an auditor AuditEvents, and nothing else of a record; who signs for a custodian the Tasks that ask for it.',
    effect: 'decides',
    applies: (_type, { roles = [] }) => roles.length > 0,
    where: (type, caller) => dutiesRead(type, caller),
  },
  {
    name: 'own-acts',
    says: 'A requester reads the AuditEvents and Tasks of its own acts, of several people who work with one app each their own; a custodian the Tasks that ask for its approval; a patient those about themselves; of Consents a patient their own; a Provenance is read by whoever may read all its targets.',
    effect: 'decides',
    applies: (type) => RECORDS.has(type),
    where: (type, caller) => or([ownActs(type, caller), ownRecord(type, caller), concerning(type, caller)]),
  },
  {
    name: 'binary',
    says: 'A Binary without a securityContext is for its writer only; with one, for whoever may read that, unless it is denied itself.',
    effect: 'decides',
    applies: (type) => type === 'Binary',
    where: (type, caller) =>
      or([and([any([facet.writer(caller.actor)]), not(any([HAS_CONTEXT]))]), and([ownRecord(type, caller), any([HAS_CONTEXT])])]),
  },
  {
    name: 'own-record',
    says: 'A patient reads their own record, except what names another patient who does not permit it.',
    effect: 'permits',
    applies: (_type, caller) => SELF.test(caller.actor),
    patient: ({ actor }) => SELF.exec(actor)?.[1] ?? '',
  },
  {
    name: 'on-behalf',
    says: 'A relative reads what names a patient who granted it, or for whom it was attested, and nobody else; never what a Consent denies them, nor, as the guardian of an adolescent, excepted labels.',
    effect: 'stands-in',
    applies: (_type, { actor }) => actor.startsWith('RelatedPerson/'),
  },
];

function dutiesRead(type: string, { actor, roles = [] }: Caller): Expression {
  if (type === 'AuditEvent') return roles.includes('auditor') ? all : none;
  if (type === 'Task') return roles.includes('signer') ? any([facet.owner(actor)]) : none;
  return opensByScopeAlone(type) ? namesNobody : none;
}

/**
 * By this party through this client: many people work with one app, and what one of them did is nothing to the others. A Task is its requester's own act
 * only if that requester itself wrote it, or the server for it: anyone can name another as requester.
 */
function ownActs(type: string, { client, actor }: Caller): Expression {
  const through = any([facet.own(client)]);
  if (type === 'AuditEvent') return and([through, any([facet.writer(actor)])]);
  if (type === 'Task') return or([any([facet.owner(actor)]), and([or([through, any([facet.writer(actor)])]), any([facet.author(actor)])])]);
  return none;
}

/** Of what concerned several patients each may read the event that names none of them. */
function concerning(type: string, { actor }: Caller): Expression {
  const [, id] = SELF.exec(actor) ?? [];
  return type === 'AuditEvent' && id !== undefined ? any([facet.concerned(id)]) : none;
}

/** What names this patient and no other; of a Provenance, only if every target is known to be theirs. */
function ownRecord(type: string, { actor }: Caller): Expression {
  const [, id] = SELF.exec(actor) ?? [];
  if (id === undefined) return none;
  const keys = new Set([facet.patient(id)]);
  const theirs = namesOnly(keys);
  return type === 'Provenance' ? and([theirs, not(any([UNKNOWN_TARGET]))]) : theirs;
}

/** `name`: of the policy that decides. */
type BuiltInDecision = {
  readonly name: string | undefined;
  readonly decides: Expression | undefined;
  readonly opens: Expression;
  readonly permits: readonly string[];
};

/** What the built-in policies make of a type for a caller. */
export function builtInFor(type: string, caller: Caller): BuiltInDecision {
  const policies = builtInPolicies.filter(({ applies }) => applies(type, caller));
  return {
    name: policies.find(({ effect }) => effect === 'decides')?.name,
    decides: policies.flatMap((policy) => (policy.effect === 'decides' ? [policy.where(type, caller)] : []))[0],
    opens: or(policies.flatMap((policy) => (policy.effect === 'opens' ? [policy.where(type, caller)] : []))),
    permits: policies.flatMap((policy) => (policy.effect === 'permits' ? [policy.patient(caller)] : [])),
  };
}
