/**
 * How far the scopes of a token reach, as an expression that is ANDed with what the Consents permit: patient/ reaches the compartment of the
 * patient in context, user/ what the person may see, system/ everything; each with the query of a granular scope.
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * Invariants: scopes on one type are a union, each limited by its own rule; where a scope is bound to something the token does not name, it
 * reaches nothing. It narrows only: what no Consent permits stays hidden whatever a token says.
 */
import { AssentError } from '../../errors.ts';
import { compartmentOf, ITSELF } from '../../fhir/compartment-definitions.ts';
import { opensByScopeAlone } from '../../fhir/resource-types.ts';
import { all, and, any, type Expression, none, or } from '../../search/expression.ts';
import { facet } from '../facets.ts';
import type { Caller, SmartScope } from '../model.ts';

export type ReachDeps = {
  /** A search as an expression over index keys. Throws AssentError where it cannot be one. */
  readonly where: (type: string, query: string) => Expression;
};

/** What is done: read one by its id, or search. */
export type ReadingLetter = 'r' | 's';

/** Whether anything but the type of a resource decides: not so for a client that calls for itself with plain scopes. */
export function isBound({ launch, scopes }: Caller): boolean {
  return launch !== undefined || scopes.some(({ query }) => query !== undefined);
}

/** What this caller's scopes reach of a type. Where only the other letter is held (an include of what may be read), that one counts. */
export function reachOf(deps: ReachDeps, caller: Caller, letter: ReadingLetter): (type: string) => Expression {
  const known = new Map<string, Expression>();
  return (type) => {
    const found = known.get(type) ?? reachOfType(deps, caller, { letter, type });
    known.set(type, found);
    return found;
  };
}

function reachOfType(deps: ReachDeps, caller: Caller, { letter, type }: { readonly letter: ReadingLetter; readonly type: string }): Expression {
  const mine = caller.scopes.filter((scope) => (scope.type === '*' || scope.type === type) && /[rs]/.test(scope.letters));
  const exact = mine.filter((scope) => scope.letters.includes(letter));
  return or((exact.length > 0 ? exact : mine).map((scope) => and([contextOf(deps, caller, { scope, type }), queryOf(deps, scope, type)])));
}

function contextOf(deps: ReachDeps, { launch }: Caller, { scope, type }: { readonly scope: SmartScope; readonly type: string }): Expression {
  if (scope.context === 'system') return all;
  if (!launch) return none;
  if (scope.context === 'patient') return launch.patient === undefined ? none : compartment(deps, launch.patient, type);
  const [, patient] = /^Patient\/(.+)$/.exec(launch.user) ?? [];
  // A clinician sees what the Consents show to them: the token's actor is they themselves.
  return patient === undefined ? all : compartment(deps, patient, type);
}

/** Types that are about nobody are seen by scope alone. Of the others: what names the patient, and by an element that puts it into the compartment. */
function compartment({ where }: ReachDeps, patient: string, type: string): Expression {
  if (opensByScopeAlone(type)) return all;
  const parameters = compartmentOf('Patient')?.[type];
  const names = any([facet.patient(patient)]);
  if (!parameters) return names;
  const member = or(
    parameters.map((parameter) =>
      parameter === ITSELF ? { kind: 'id', ids: new Set([patient]) } : orNone(() => where(type, `${parameter}=Patient/${patient}`)),
    ),
  );
  return and([names, member]);
}

function queryOf({ where }: ReachDeps, { query }: SmartScope, type: string): Expression {
  return query === undefined ? all : orNone(() => where(type, query));
}

/** A parameter that went away since the scope was granted shows nothing. */
function orNone(make: () => Expression): Expression {
  try {
    return make();
  } catch (error) {
    if (error instanceof AssentError) return none;
    throw error;
  }
}
