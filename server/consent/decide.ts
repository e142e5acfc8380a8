/**
 * The decision: which resources of one type this caller may see now, as an expression over facets. consent.md §2
 *
 * Read it aloud: of each patient, the Consents that speak to the caller are asked; in each, the deepest provision that matches decides, and
 * at equal depth deny wins; across Consents deny wins; where a signed permit speaks to the caller, what it does not reach is denied, and
 * elsewhere the custodian's implicit policy holds. Every patient a resource names must permit. Pure: the clock is an argument.
 */
import { all, and, any, type Expression, none, not, or } from '../search/expression.ts';
import { type Authority, isStanding, mayAct } from './authority.ts';
import { builtInFor } from './built-in.ts';
import type { Closure } from './closure.ts';
import { purposeIsWithin, readActions } from './code-systems.ts';
import type { CompiledConsent, Provision, Span } from './compile.ts';
import { facet, namesOnly, UNKNOWN_PATIENT } from './facets.ts';
import { implicitExpression, labelOf } from './implicit.ts';
import type { Caller, ImplicitPolicy } from './model.ts';
import { labelsDenied, type Sureness, whatExpression } from './what.ts';

export type Asked = { readonly caller: Caller; readonly closure: Closure; readonly now: number };

export type DecisionInput = Asked & {
  readonly type: string;
  /** Consents in force that speak to the caller. */
  readonly policies: readonly CompiledConsent[];
  readonly implicit: ImplicitPolicy;
  /** Patients one of whose Consents is not the one in the log: nothing about them is shown on anybody else's say. */
  readonly voidPatients: ReadonlySet<string>;
  /** Of a relative: for whom they act, each from and until its time. */
  readonly actsFor?: readonly Authority[];
  /** Labels that a guardian does not see of an adolescent. */
  readonly hiddenFromGuardians?: readonly string[];
  /** Labels that no broken glass opens, by law. */
  readonly beyondBreakGlass?: readonly string[];
  /** Of the resources that a `related` starts from, as `Type/id`, those that this caller may see now (rule 11). */
  readonly anchors: ReadonlySet<string>;
  /** By which labels have to be assigned to count as they stand. */
  readonly labelRules?: string | undefined;
};

/** `validUntil`: ms since 1970, when a period next begins or ends. */
export type Decision = { readonly where: Expression; readonly validUntil: number };

export function scopeFor(input: DecisionInput): Decision {
  const { type, caller, policies, closure, now } = input;
  const { breakGlass } = caller;
  const ends = breakGlass && now < breakGlass.until ? [breakGlass.until] : [];
  const terms = actsForChanges(input).filter((instant) => instant > now);
  const validUntil = Math.min(closure.validUntil, ...ends, ...terms, ...policies.map((policy) => nextChange(policy, now)));
  const { decides, opens, permits } = builtInFor(type, caller);
  return {
    where: decides ?? or([opens, breakGlass ? throughBrokenGlass(input, breakGlass) : or([consentedTo(input, permits), onBehalf(input)])]),
    validUntil,
  };
}

/**
 * What names this patient and nobody else. It stands in for a permit, never against a denial: what a Consent denies this caller for this purpose,
 * or law excludes, stays hidden.
 */
export function throughBrokenGlass(input: DecisionInput, { patient, until }: NonNullable<Caller['breakGlass']>): Expression {
  return input.now >= until ? none : instead(input, { patient, except: input.beyondBreakGlass });
}

function instead(
  input: DecisionInput,
  { patient, except = [] }: { readonly patient: string; readonly except?: readonly string[] | undefined },
): Expression {
  const theirs = new Set([facet.patient(patient)]);
  return and([namesOnly(theirs), notDenied(input), not(labelsDenied(except.map(labelOf), input))]);
}

/**
 * As the patient themselves would read it, on their behalf: what names them and nobody else, unless a Consent denies it to this relative; to the
 * guardian of an adolescent nothing that is the adolescent's own. `patient`: for this one alone.
 */
export function onBehalf(input: DecisionInput, patient?: string): Expression {
  const { actsFor = [], now, caller, hiddenFromGuardians } = input;
  const standing = actsFor.filter(
    (authority) =>
      mayAct(authority, 'read', now) &&
      (patient === undefined || authority.patient === patient) &&
      (authority.purposes === undefined || authority.purposes.includes(caller.purpose)),
  );
  return or(
    standing.map((authority) => {
      return instead(input, { patient: authority.patient, ...(hidesNow(authority, now) ? { except: hiddenFromGuardians } : {}) });
    }),
  );
}

function hidesNow({ adolescence }: Authority, now: number): boolean {
  return adolescence !== undefined && now >= adolescence;
}

/** Where no Consent applies. What is an adolescent's own, or may be, no custodian's policy opens to their guardian either. */
export function otherwiseFor(input: DecisionInput): Expression {
  const implicit = implicitExpression(input.implicit, input.caller, input);
  const { actsFor = [], now, hiddenFromGuardians = [] } = input;
  const theirs = actsFor.filter((authority) => isStanding(authority, now) && hidesNow(authority, now)).map(({ patient }) => patient);
  if (theirs.length === 0) return implicit;
  return and([implicit, not(and([anyOrUnknown(theirs), labelsDenied(hiddenFromGuardians.map(labelOf), input)]))]);
}

/** Instants at which what is read on behalf of others changes by itself. */
export function actsForChanges({ actsFor = [] }: Pick<DecisionInput, 'actsFor'>): readonly number[] {
  return actsFor.flatMap(({ from, until, adolescence }) => [from, until, ...(adolescence === undefined ? [] : [adolescence])]);
}

/** `selves`: patients who need no Consent to read, and whose Consents are about others. */
function consentedTo(input: DecisionInput, selves: readonly string[]): Expression {
  const otherwise = otherwiseFor(input);
  const groups = groupByResidual(foreignTo(input, selves), input, otherwise);
  const explicit = new Set([...selves, ...groups.flatMap(({ patients }) => patients)].map(facet.patient));
  return and([
    // Someone is named and each of them is decided below, or the implicit policy speaks for those who are not.
    or([namesOnly(explicit), otherwise]),
    ...groups.map(({ patients, residual }) => or([not(anyOrUnknown(patients)), residual])),
    notVoid(input, selves),
  ]);
}

/** What it takes where nobody is named, or somebody who cannot be found: the implicit policy, and that none of those they may be stands against it. */
export function otherwiseForNobody(input: DecisionInput, selves: readonly string[]): Expression {
  const otherwise = otherwiseFor(input);
  const groups = groupByResidual(foreignTo(input, selves), input, otherwise);
  return and([otherwise, ...groups.map(({ residual }) => or([not(anyOrUnknown([])), residual])), notVoid(input, selves)]);
}

function foreignTo({ policies }: DecisionInput, selves: readonly string[]): readonly CompiledConsent[] {
  return policies.filter(({ patient }) => !selves.includes(patient));
}

/** One of them, or somebody who cannot be found: they may be anyone, so each of those who speak to the caller has to permit. */
function anyOrUnknown(patients: readonly string[]): Expression {
  return any([...patients.map(facet.patient), UNKNOWN_PATIENT]);
}

function notVoid({ voidPatients }: DecisionInput, selves: readonly string[]): Expression {
  const voided = [...voidPatients].filter((patient) => !selves.includes(patient));
  return voided.length === 0 ? all : not(anyOrUnknown(voided));
}

/** Of a type that permits do not reach: whom it names, and that none of their Consents denies it (rule 18). */
export function notDenied(input: DecisionInput): Expression {
  const { permits: selves } = builtInFor(input.type, input.caller);
  const byPatient = Map.groupBy(foreignTo(input, selves), ({ patient }) => patient);
  const denials = [...byPatient].map(([patient, consents]) => {
    const denied = or(consents.filter(({ root }) => anySpeaksNow(root, input)).map(({ root }) => verdictOf(root, input).deny));
    return or([not(anyOrUnknown([patient])), not(denied)]);
  });
  return and([...denials, notVoid(input, [])]);
}

type Group = { readonly patients: readonly string[]; readonly residual: Expression };

/** Patients whose Consents say the same to this caller share one residual: most do. */
function groupByResidual(policies: readonly CompiledConsent[], input: DecisionInput, otherwise: Expression): Group[] {
  const byPatient = Map.groupBy(policies, ({ patient }) => patient);
  const groups = new Map<string, { patients: string[]; residual: Expression }>();
  for (const [patient, consents] of byPatient) {
    const terms = JSON.stringify(
      consents.map(({ root, permitsUntil, onBehalf, ended }) => JSON.stringify([root, permitsUntil, onBehalf, ended])).sort(),
    );
    const known = groups.get(terms);
    if (known) known.patients.push(patient);
    else groups.set(terms, { patients: [patient], residual: residualOf(consents, input, otherwise) });
  }
  return [...groups.values()];
}

/** What these Consents of one patient let the caller see. */
function residualOf(consents: readonly CompiledConsent[], input: DecisionInput, otherwise: Expression): Expression {
  return weigh(consents, input, otherwise).residual;
}

/** `residual` is what the others come to; `replaces`: a signed permit speaks to the caller, so the implicit policy does not hold (rule 16). */
export type Weighed = { readonly permitted: Expression; readonly denied: Expression; readonly replaces: boolean; readonly residual: Expression };

export function weigh(consents: readonly CompiledConsent[], input: DecisionInput, otherwise: Expression): Weighed {
  const spoken = consents.filter(({ root }) => anySpeaksNow(root, input));
  const verdicts = spoken.map((consent) => ({ ...verdictOf(consent.root, input), why: whyPermitsNothing(consent, input) }));
  const permitted = or(verdicts.flatMap(({ permit, why }) => (why === undefined ? [permit] : [])));
  const denied = or(verdicts.map(({ deny }) => deny));
  const replaces = spoken.some(({ root }, i) => root.type === 'permit' && speaksNow(root, input) && closes(verdicts[i]?.why));
  return { permitted, denied, replaces, residual: and([replaces ? permitted : or([permitted, otherwise]), not(denied)]) };
}

/** The deepest match anywhere decides; at equal depth deny wins (rule 13). */
function verdictOf(root: Provision, input: DecisionInput): { readonly permit: Expression; readonly deny: Expression } {
  const clauses = clausesOf(root, input);
  let deeper: Expression = none;
  let permit: Expression = none;
  let deny: Expression = none;
  for (let depth = Math.max(-1, ...clauses.map(({ path }) => path.length)); depth >= 0; depth--) {
    const matching = (type: Provision['type']) =>
      or(clauses.flatMap((clause) => (clause.path.length === depth && clause.provision.type === type ? [clause.matches] : [])));
    const [denies, permits] = [matching('deny'), matching('permit')];
    deny = or([deny, and([denies, not(deeper)])]);
    permit = or([permit, and([permits, not(denies), not(deeper)])]);
    deeper = or([deeper, denies, permits]);
  }
  return { permit, deny };
}

/** A provision that speaks to the caller now. `matches`: the resources it is about, those above it among its conditions; `path`: its place in the tree, each number counted from 0, so as long as it is deep. */
export type Clause = { readonly provision: Provision; readonly path: readonly number[]; readonly matches: Expression };

export function clausesOf(root: Provision, input: DecisionInput): readonly Clause[] {
  const clauses: Clause[] = [];
  collect(root, { path: [], within: { surely: all, perhaps: all }, clauses }, input);
  return clauses;
}

type Place = { readonly path: readonly number[]; readonly within: Readonly<Record<Sureness, Expression>>; readonly clauses: Clause[] };

/** A provision matches only where its parent does, unless it stands beside it. */
function collect(provision: Provision, { path, within, clauses }: Place, input: DecisionInput): void {
  const speaks = speaksNow(provision, input);
  // A deny that may hold is not lost because what it stands in is not certain; a permit is.
  const matching = (how: Sureness): Expression =>
    speaks ? and([provision.beside ? all : within[how], whatExpression(provision, input, how)]) : none;
  const matched = { surely: matching('surely'), perhaps: matching('perhaps') };
  const matches = provision.type === 'permit' ? matched.surely : matched.perhaps;
  if (matches !== none) clauses.push({ provision, path, matches });
  for (const [i, nested] of provision.nested.entries())
    if (matched.perhaps !== none || nested.beside) collect(nested, { path: [...path, i], within: matched, clauses }, input);
}

/** Of a provision and those that stand beside it. */
function anyOf(provision: Provision, speaks: (provision: Provision) => boolean): boolean {
  return speaks(provision) || provision.nested.some((nested) => nested.beside && anyOf(nested, speaks));
}

function anySpeaksNow(root: Provision, asked: Asked): boolean {
  return anyOf(root, (provision) => speaksNow(provision, asked));
}

/** At any time: whether the Consent has to be watched for this caller. */
export function everSpeaksTo(root: Provision, asked: Omit<Asked, 'now'>): boolean {
  return anyOf(root, (provision) => speaksTo(provision, asked));
}

/** Whether a disclosure now may rest on this Consent: it speaks to the caller and permits something. */
export function maySupport(consent: CompiledConsent, asked: Asked): boolean {
  return permitsNow(consent, asked) && permitsSomething(consent.root, asked);
}

function permitsSomething(root: Provision, asked: Asked): boolean {
  return anyOf(root, (each) => speaksNow(each, asked) && (each.type === 'permit' || each.nested.some((nested) => permitsSomething(nested, asked))));
}

function permitsNow(consent: CompiledConsent, asked: Asked): boolean {
  return whyPermitsNothing(consent, asked) === undefined;
}

/**
 * It denies what it denied. `signature`: a signer is not to be trusted; `suspended`, `by-stolen-key`: it was ended so; `majority`: a guardian's word is
 * over; `on-behalf`: a relative asks; `linked`: it is about another record of the same person.
 */
const permitsNothing = ['signature', 'suspended', 'by-stolen-key', 'majority', 'on-behalf', 'linked'] as const;
export type PermitsNothing = (typeof permitsNothing)[number];

export function isPermitsNothing(because: PassedOver | PermitsNothing): because is PermitsNothing {
  return permitsNothing.some((each) => each === because);
}

/** What a permit does not reach it closes (rule 16), also where nobody is sure any more of what it opened: no stolen key opens what an implicit policy would. */
function closes(why: PermitsNothing | undefined): boolean {
  return why !== 'majority' && why !== 'on-behalf' && why !== 'linked';
}

function whyPermitsNothing({ permitsUntil, onBehalf, ended }: CompiledConsent, { caller, now }: Asked): PermitsNothing | undefined {
  if (ended) return ended;
  if (permitsUntil !== undefined && now >= permitsUntil) return onBehalf && permitsUntil > 0 ? 'majority' : 'signature';
  return onBehalf && caller.actor.startsWith('RelatedPerson/') ? 'on-behalf' : undefined;
}

/** Whether it still opens something to whomever it names. */
export function opensNow({ root, permitsUntil, ended }: CompiledConsent, now: number): boolean {
  return root.type === 'permit' && !ended && isWithin(root.period, now) && (permitsUntil === undefined || now < permitsUntil);
}

/** Who, for what and when: everything of a provision that does not depend on the resource. */
function speaksNow(provision: Provision, asked: Asked): boolean {
  return isWithin(provision.period, asked.now) && speaksTo(provision, asked);
}

function speaksTo(provision: Provision, asked: Omit<Asked, 'now'>): boolean {
  return passesOver(provision, asked) === undefined;
}

/** The first attribute by which it says nothing to the caller. */
type PassedOver = 'period' | 'actor' | 'purpose' | 'action';

/**
 * Why a Consent says nothing to the caller now; undefined: it speaks. Of one whose provisions stand beside each other, as its root.
 */
export function whySilent(consent: CompiledConsent, asked: Asked): PassedOver | PermitsNothing | undefined {
  const { root } = consent;
  if (anySpeaksNow(root, asked)) return whyPermitsNothing(consent, asked);
  return isWithin(root.period, asked.now) ? passesOver(root, asked) : 'period';
}

function passesOver({ type, actors, purposes, actions }: Provision, { caller, closure }: Omit<Asked, 'now'>): PassedOver | undefined {
  const references = type === 'permit' ? closure.permit : closure.deny;
  if (actors && !actors.some((actor) => references.has(actor))) return 'actor';
  // A permit matches its purpose exactly; a deny also what lies below it (rule 6).
  if (purposes && !purposes.some((purpose) => (type === 'permit' ? caller.purpose === purpose : purposeIsWithin(caller.purpose, purpose))))
    return 'purpose';
  return !actions || actions.some((action) => (type === 'permit' ? action === 'access' : readActions.has(action))) ? undefined : 'action';
}

export function isWithin(period: Span | undefined, now: number): boolean {
  return !period || (now >= period.low && now <= period.high);
}

/** When what it says next changes by itself: ms since 1970. */
export function nextChange({ root, permitsUntil = 0 }: CompiledConsent, now: number): number {
  return Math.min(nextBoundary(root, now), permitsUntil > now ? permitsUntil : Number.POSITIVE_INFINITY);
}

function nextBoundary({ period, nested }: Provision, now: number): number {
  const own = period ? [period.low, period.high + 1].filter((instant) => instant > now) : [];
  return Math.min(...own, ...nested.map((each) => nextBoundary(each, now)), Number.POSITIVE_INFINITY);
}
