/**
 * Why a caller may or may not see a resource: for each patient it names, what their Consents, the built-in policies or the implicit policy come to,
 * and by which provision. consent.md §2
 *
 * Invariant: it decides nothing. It asks of one resource the very expressions that decide.ts hands to the store, in the order in which they decide.
 * Pure: the clock is an argument.
 */
import { type Expression, holds } from '../search/expression.ts';
import { builtInFor } from './built-in.ts';
import type { CompiledConsent, Provision } from './compile.ts';
import {
  type Clause,
  clausesOf,
  type DecisionInput,
  isPermitsNothing,
  onBehalf,
  otherwiseFor,
  otherwiseForNobody,
  throughBrokenGlass,
  weigh,
  whySilent,
} from './decide.ts';
import { facet, PATIENT, UNKNOWN_PATIENT } from './facets.ts';

/** Whether an expression holds of the resource; undefined: whoever asks may not know. */
export type Tells = (expression: Expression) => boolean | undefined;

/** A Consent in force by its versioned reference. */
export type NamedConsent = { readonly reference: string; readonly compiled: CompiledConsent };

type Ground =
  /** A built-in policy, named. */
  | 'built-in'
  /** A Consent of the patient is not the one in the log. */
  | 'void'
  | 'consent-denies'
  | 'consent-permits'
  /** A permit speaks to the caller, and does not reach the resource. */
  | 'not-reached'
  | 'implicit'
  /** A broken glass opens it no more than law and what else the record names let it. */
  | 'beyond-glass'
  /** What the resource holds, which whoever asks may not know. */
  | 'content';

export type Cited = Pick<Clause, 'path' | 'provision'> & { readonly reference: string };

export type Why = {
  /** Undefined: it depends on what may not be told. */
  readonly permitted: boolean | undefined;
  readonly ground: Ground;
  /** Of the ground `built-in`. */
  readonly policy?: string;
  /** The provisions that decide; where it depends on the content, those that may. */
  readonly cited: readonly Cited[];
  /** Consents in force that say nothing to this caller now, and by which of their attributes. */
  readonly silent: readonly { readonly reference: string; readonly because: NonNullable<ReturnType<typeof whySilent>> }[];
};

type About = {
  /** Logical id; undefined: it names nobody. */
  readonly patient: string | undefined;
  /** Of this patient, in force. */
  readonly consents: readonly NamedConsent[];
  readonly tells: Tells;
};

export function why(input: DecisionInput, { patient, consents, tells }: About): Why {
  const { name, decides, opens, permits } = builtInFor(input.type, input.caller);
  const plain = { cited: [], silent: [] };
  if (decides) return { ...plain, permitted: tells(decides), ground: 'built-in', ...(name === undefined ? {} : { policy: name }) };
  if (patient === undefined && tells(opens) === true) return { ...plain, permitted: true, ground: 'built-in', policy: 'directory' };
  if (patient !== undefined && permits.includes(patient)) return { ...plain, permitted: true, ground: 'built-in', policy: 'own-record' };
  if (patient !== undefined && input.voidPatients.has(patient)) return { ...plain, permitted: false, ground: 'void' };
  const { breakGlass } = input.caller;
  const through = breakGlass ? tells(throughBrokenGlass(input, breakGlass)) : false;
  if (through === true) return { ...plain, permitted: true, ground: 'built-in', policy: 'break-glass' };
  if (through === undefined) return { ...plain, permitted: undefined, ground: 'content' };
  const instead = patient === undefined ? false : tells(onBehalf(input, patient));
  if (instead === true) return { ...plain, permitted: true, ground: 'built-in', policy: 'on-behalf' };
  if (instead === undefined) return { ...plain, permitted: undefined, ground: 'content' };
  const otherwise = otherwiseFor(input);
  const weighed = weigh(
    consents.map(({ compiled }) => compiled),
    input,
    otherwise,
  );
  const silent = consents.flatMap(({ reference, compiled }) => {
    const because = whySilent(compiled, input);
    return because ? [{ reference, because }] : [];
  });
  const closed = breakGlass && tells(weighed.denied) !== true;
  const ground = closed ? 'beyond-glass' : groundOf(weighed, tells);
  const because = (reference: string) => silent.find((one) => one.reference === reference)?.because;
  const speaking = consents.filter(({ reference }) => speaks(because(reference)));
  const clauses = ground === 'not-reached' ? speaking.map(rootOf) : speaking.flatMap((consent) => decisive(consent, input, tells));
  const cited = clauses.filter(
    ({ reference, provision: { type } }) =>
      (ground === 'content' || type === effects[ground]) && (type === 'deny' || because(reference) === undefined),
  );
  return {
    permitted: breakGlass ? false : tells(patient === undefined ? otherwiseForNobody(input, permits) : weighed.residual),
    ground,
    silent,
    cited: cited.map(({ reference, path, provision }) => ({ reference, path, provision })),
  };
}

/** Or denies at least. */
function speaks(because: Why['silent'][number]['because'] | undefined): boolean {
  return because === undefined || isPermitsNothing(because);
}

function groundOf({ permitted, denied, replaces }: ReturnType<typeof weigh>, tells: Tells): Ground {
  const [isDenied, isPermitted] = [tells(denied), tells(permitted)];
  if (isDenied === true) return 'consent-denies';
  if (isDenied === undefined || isPermitted === undefined) return 'content';
  if (isPermitted) return 'consent-permits';
  return replaces ? 'not-reached' : 'implicit';
}

type Deciding = Clause & { readonly reference: string; readonly certain: boolean };

/** Of one Consent: its deepest provisions that match; all that may match, where that cannot be told. */
function decisive({ reference, compiled }: NamedConsent, input: DecisionInput, tells: Tells): Deciding[] {
  const clauses = clausesOf(compiled.root, input).flatMap((clause) => {
    const matches = tells(clause.matches);
    return matches === false ? [] : [{ ...clause, reference, certain: matches === true }];
  });
  if (clauses.some(({ certain }) => !certain)) return clauses;
  const deepest = Math.max(...clauses.map(({ path }) => path.length));
  const last = clauses.filter(({ path }) => path.length === deepest);
  const denying = last.filter(({ provision }) => provision.type === 'deny');
  return denying.length > 0 ? denying : last;
}

function rootOf({ reference, compiled: { root } }: NamedConsent): Cited {
  return { reference, path: [], provision: root };
}

/** What is cited for a ground. */
const effects: Readonly<Partial<Record<Ground, Provision['type']>>> = {
  'consent-denies': 'deny',
  'consent-permits': 'permit',
  'not-reached': 'permit',
};

/** Of the resource with this id and these keys. */
export function tellsOf(id: string, keys: readonly string[]): Tells {
  return (expression) => holds(expression, id, keys);
}

/**
 * Of whatever resource with this id names exactly these patients, and perhaps one who cannot be found: true or false only where nothing else about it matters. So nobody learns from it
 * what the resource holds.
 */
export function tellsOfAny(id: string, patients: readonly string[], unknown = false): Tells {
  const keys = [...patients.map(facet.patient), ...(unknown ? [UNKNOWN_PATIENT] : [])];
  const tells: Tells = (expression) => {
    switch (expression.kind) {
      case 'all':
      case 'none':
      case 'id':
        return holds(expression, id, keys);
      case 'any':
        if (holds(expression, id, keys)) return true;
        return [...expression.keys].every((key) => key.startsWith(PATIENT) || key === UNKNOWN_PATIENT) ? false : undefined;
      case 'every':
        return expression.prefix === PATIENT ? holds(expression, id, keys) : undefined;
      case 'range':
        return expression.from === PATIENT ? patients.length > 0 : undefined;
      case 'and':
        return strictest(expression.of.map(tells));
      case 'or':
        return opposite(strictest(expression.of.map((part) => opposite(tells(part)))));
      case 'not':
        return opposite(tells(expression.of));
      default:
        return undefined;
    }
  };
  return tells;
}

function strictest(parts: readonly (boolean | undefined)[]): boolean | undefined {
  return parts.includes(false) ? false : parts.includes(undefined) ? undefined : true;
}

function opposite(truth: boolean | undefined): boolean | undefined {
  return truth === undefined ? undefined : !truth;
}
