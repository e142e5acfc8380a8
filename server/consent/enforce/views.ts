/**
 * One caller's view at one consent epoch, cached until the epoch, a void Consent or a period boundary changes it; or made for one question about one
 * resource, and not kept.
 * Invariant: a view is made from the policies of exactly the epoch it carries, and the store refuses it under any other.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { Authority } from '../authority.ts';
import type { Closure } from '../closure.ts';
import { anchorsOf, type CompiledConsent } from '../compile.ts';
import { type Decision, everSpeaksTo, maySupport, nextChange, actsForChanges, scopeFor } from '../decide.ts';
import { UNKNOWN_PATIENT } from '../facets.ts';
import type { Caller, ImplicitPolicy } from '../model.ts';
import type { Policies, PolicyInForce } from '../policies.ts';
import { and, type Expression, holds, none } from '../../search/expression.ts';
import { type Refinement, refinementOf, type Row } from '../sources.ts';
import { type NamedConsent, why } from '../why.ts';
import { isBound, type ReadingLetter } from './reach.ts';
import type { SourcedScope } from './sourced.ts';
import type { GateRow, View, Views } from './view.ts';

export type ViewsDeps = {
  readonly policies: Policies;
  readonly epoch: () => Promise<number>;
  readonly closureOf: (caller: Caller) => Promise<Closure>;
  readonly implicit: ImplicitPolicy;
  /** Labels that no broken glass opens. */
  readonly beyondBreakGlass: readonly string[];
  readonly hiddenFromGuardians: readonly string[];
  /** For whom this caller acts, at some time; asked anew for each request. */
  readonly actsFor: (caller: Caller) => Promise<readonly Authority[]>;
  /** Labelling.rules */
  readonly labelRules: string;
  readonly clock: Clock;
  /** Those of the resources (`Type/id`) that the scopes let be seen; undefined: the epoch has moved. */
  readonly visibleAmong: (references: readonly string[], scopeOf: View['scope']) => Promise<ReadonlySet<string> | undefined>;
  /** How far the scopes of a caller that isBound reach. */
  readonly reachOf: (caller: Caller, letter: ReadingLetter) => (type: string) => Expression;
  /** Whose Consents can matter to who may see the row. `anchorsOf`: of the Consents of these patients. */
  readonly concernedBy: (row: GateRow, anchorsOf: (patients: readonly string[]) => readonly string[]) => Promise<ReadonlySet<string>>;
};

export type ViewMaker = {
  /** `letter`: by which scopes of the caller it sees; they matter to a caller that isBound alone. */
  of(caller: Caller, letter: ReadingLetter): Views;
  /** For a caller that does not call, as far as this row is concerned: of other resources it says nothing. */
  about(caller: Caller, row: GateRow): Views;
};

type Cached = {
  /** `visible`: which of the anchors the caller may see now. The same set, the same view. */
  readonly viewOf: (visible: ReadonlySet<string>) => View;
  /** What a `related` permit starts from, as `Type/id`. */
  readonly anchors: readonly string[];
  readonly epoch: number;
  readonly generation: number;
  readonly validUntil: number;
};

const MOST_CALLERS = 10_000;

export function createViews(deps: ViewsDeps): ViewMaker {
  const { policies, epoch, closureOf, implicit, clock } = deps;
  const cache = new Map<string, Cached>();

  /** `patients`: whose Consents matter; absent: everybody's. */
  async function prepare(caller: Caller, actsFor: readonly Authority[], patients?: ReadonlySet<string>): Promise<Cached> {
    const [at, generation] = [policies.epoch(), policies.generation()];
    const closure = await closureOf(caller);
    const mine = inForce(policies, patients).filter(({ compiled }) => everSpeaksTo(compiled.root, { caller, closure }));
    const voidPatients = policies.voidPatients();
    const standing = { ...settingsOf(deps), caller, closure, policies: mine.map(({ compiled }) => compiled), voidPatients, actsFor };
    const support = supportOf(mine, { caller, closure, clock });
    const viewOf = remembered((anchors) => {
      const decide = createDecider({ ...standing, anchors }, clock);
      return {
        epoch: at,
        scope: (type) => ({ epoch: at, ...decide(type) }),
        ...support,
        consentsOf: (patient) => consentsOf(policies, patient),
        why: (type, { patient, tells, anchors: instead = anchors }) =>
          why(
            { ...standing, anchors: instead, type, now: clock() },
            { patient, tells, consents: patient === undefined ? [] : consentsOf(policies, patient) },
          ),
        mark: () => markOf({ caller, closure, mine, actsFor, implicit, voidPatients: policies.voidPatients(), anchors }, clock()),
      };
    });
    const anchors = [...new Set(mine.flatMap(({ compiled }) => anchorsOf(compiled.root)))];
    return { viewOf, anchors, epoch: at, generation, validUntil: closure.validUntil };
  }

  async function current(caller: Caller): Promise<View> {
    await policies.upTo(await epoch());
    const actsFor = await deps.actsFor(caller);
    const key = actsFor.length === 0 ? callerKey(caller) : JSON.stringify([callerKey(caller), actsFor.map(({ id }) => id)]);
    const known = cache.get(key);
    if (known && known.epoch === policies.epoch() && known.generation === policies.generation() && known.validUntil > clock())
      return settled(known, deps);
    const made = await prepare(caller, actsFor);
    if (cache.size >= MOST_CALLERS) cache.clear();
    cache.set(key, made);
    return settled(made, deps);
  }

  async function currentAbout(caller: Caller, row: GateRow): Promise<View> {
    await policies.upTo(await epoch());
    const anchors = (patients: readonly string[]) => inForce(policies, new Set(patients)).flatMap(({ compiled }) => anchorsOf(compiled.root));
    // Who cannot be found may be anybody.
    const concerned = row.keys.includes(UNKNOWN_PATIENT) ? undefined : await deps.concernedBy(row, anchors);
    return settled(await prepare(caller, await deps.actsFor(caller), concerned), deps);
  }

  const confirming: Pick<Views, 'confirm' | 'confirmAll'> = { confirm: (patients) => policies.confirm(patients), confirmAll: policies.confirmAll };
  return {
    of: (caller, letter) => ({ current: reaching(deps, { caller, letter }, () => current(caller)), ...confirming }),
    about: (caller, row) => ({ current: () => currentAbout(caller, row), ...confirming }),
  };
}

function reaching(
  { reachOf }: ViewsDeps,
  { caller, letter }: { readonly caller: Caller; readonly letter: ReadingLetter },
  current: Views['current'],
): Views['current'] {
  if (!isBound(caller)) return current;
  const reach = reachOf(caller, letter);
  return async () => within(await current(), reach, `${letter} ${reachKey(caller)}`);
}

/** The view, as far as the token's scopes reach. Consents are decided without them: what one starts from need not be in reach. */
function within(view: View, reach: (type: string) => Expression, key: string): View {
  return {
    ...view,
    scope(type) {
      const { refinement, ...scope } = view.scope(type);
      const reached = reach(type);
      const refined = refinement ? { refinement: withinReach(refinement, type, reach) } : {};
      return { ...scope, where: and([scope.where, reached]), ...refined };
    },
    mark: () => hash('sha256', JSON.stringify([view.mark(), key]), 'base64url'),
  };
}

/** Where what else decides is what it is about, that has to be in reach: a Binary and a Provenance are in nobody's compartment by themselves. */
function withinReach(refinement: Refinement, type: string, reach: (type: string) => Expression): Refinement {
  if (type !== 'Binary' && type !== 'Provenance') return { ...refinement, loose: and([refinement.loose, reach(type)]) };
  const isReached = (row: Row | undefined) => row !== undefined && holds(reach(row.type), row.id, row.keys);
  return {
    ...refinement,
    once: (references, sources) => (references.every((source) => isReached(sources.get(source))) ? refinement.once(references, sources) : none),
  };
}

function reachKey({ launch, scopes }: Caller): string {
  return JSON.stringify([launch?.user, launch?.patient, scopes]);
}

function settingsOf(deps: ViewsDeps): Pick<Standing, 'implicit' | 'beyondBreakGlass' | 'hiddenFromGuardians' | 'labelRules'> {
  const { implicit, beyondBreakGlass, hiddenFromGuardians, labelRules } = deps;
  return { implicit, beyondBreakGlass, hiddenFromGuardians, labelRules };
}

function inForce(policies: Policies, patients: ReadonlySet<string> | undefined): PolicyInForce[] {
  const all = [...policies.inForce()];
  return patients ? all.filter(({ compiled }) => patients.has(compiled.patient)) : all;
}

function consentsOf(policies: Policies, patient: string): NamedConsent[] {
  return inForce(policies, new Set([patient])).map(({ reference, version, compiled }) => ({
    reference: `${reference}/_history/${version}`,
    compiled,
  }));
}

const nothing: ReadonlySet<string> = new Set();

/**
 * Which anchors can be seen depends on nothing but what can be seen without them, and then with them: from none upwards, so that no two hold each
 * other up. Asked anew for each request: a label on an anchor counts at once.
 */
async function settled({ viewOf, anchors }: Cached, { visibleAmong }: ViewsDeps): Promise<View> {
  if (anchors.length === 0) return viewOf(nothing);
  let visible = nothing;
  for (let round = 0; round <= anchors.length; round++) {
    const view = viewOf(visible);
    const next = await visibleAmong(anchors, view.scope);
    // What is read in this view will find out that the epoch has moved.
    if (!next || (next.size === visible.size && [...next].every((anchor) => visible.has(anchor)))) return view;
    visible = next;
  }
  return viewOf(nothing);
}

const MOST_VIEWS = 100;

function remembered(make: Cached['viewOf']): Cached['viewOf'] {
  const views = new Map<string, View>();
  return (visible) => {
    const key = [...visible].sort().join(' ');
    const view = views.get(key) ?? make(visible);
    if (views.size >= MOST_VIEWS) views.clear();
    views.set(key, view);
    return view;
  };
}

/** Which Consents a disclosure rests on. */
function supportOf(
  mine: readonly PolicyInForce[],
  { caller, closure, clock }: { readonly caller: Caller; readonly closure: Closure; readonly clock: Clock },
): Pick<View, 'basis' | 'patients'> {
  const bases = new Map<string, { readonly reference: string; readonly compiled: CompiledConsent }[]>();
  for (const { reference, version, compiled } of mine)
    bases.set(compiled.patient, [...(bases.get(compiled.patient) ?? []), { reference: `${reference}/_history/${version}`, compiled }]);
  // What patients read of themselves, administrators of the trail and whoever broke the glass rests on other policies.
  const needsNone = (patient: string) => caller.admin || caller.actor === `Patient/${patient}` || caller.breakGlass !== undefined;
  const supporting = (patient: string) => {
    const asked = { caller, closure, now: clock() };
    return (bases.get(patient) ?? []).filter((each) => maySupport(each.compiled, asked)).map(({ reference }) => reference);
  };
  return {
    basis: (patients) => patients.flatMap((patient) => (needsNone(patient) ? [] : supporting(patient))),
    patients: [...bases.keys()],
  };
}

type Marked = {
  readonly caller: Caller;
  readonly closure: Closure;
  readonly mine: readonly PolicyInForce[];
  readonly actsFor: readonly Authority[];
  readonly implicit: ImplicitPolicy;
  readonly voidPatients: ReadonlySet<string>;
  readonly anchors: ReadonlySet<string>;
};

/** Periods by the next of their boundaries: once it is passed, another is next. */
function markOf({ caller, closure, mine, actsFor, implicit, voidPatients, anchors }: Marked, now: number): string {
  const policies = mine.map(
    ({ reference, version, compiled }) => `${compiled.patient} ${reference} ${version} ${compiled.permitsUntil} ${nextChange(compiled, now)}`,
  );
  // What they are, and how many of their boundaries are passed.
  const relatives = actsFor.length === 0 ? [] : [actsFor.map(({ id }) => id), actsForChanges({ actsFor }).filter((at) => at <= now).length];
  const sets = [closure.permit, closure.deny, voidPatients, anchors].map((set) => [...set].sort());
  return hash(
    'sha256',
    JSON.stringify([callerKey(caller), isOver(caller, now), policies.sort(), sets, closure.validUntil, implicit, ...relatives]),
    'base64url',
  );
}

function isOver({ breakGlass }: Caller, now: number): boolean {
  return breakGlass !== undefined && now >= breakGlass.until;
}

type Standing = Omit<Parameters<typeof scopeFor>[0], 'type' | 'now'>;

/** Decisions by type, each until its next period boundary. */
function createDecider(standing: Standing, clock: Clock): (type: string) => Omit<SourcedScope, 'epoch'> {
  const decisions = new Map<string, Decision & { readonly refinement?: Refinement }>();
  const decide = (type: string): Decision & { readonly refinement?: Refinement } => {
    const now = clock();
    const known = decisions.get(type);
    if (known && known.validUntil > now) return known;
    const input = { ...standing, type, now };
    const alone = scopeFor(input);
    decisions.set(type, alone);
    const refinement = refinementOf(input, (other) => decide(other).where);
    const decision = { ...alone, ...(refinement ? { refinement } : {}) };
    decisions.set(type, decision);
    return decision;
  };
  return (type) => {
    const { where, refinement } = decide(type);
    return { where, ...(refinement ? { refinement } : {}) };
  };
}

/** One Caller object serves every request of its token. */
const callerKeys = new WeakMap<Caller, string>();

/** What a decision depends on besides the Consents themselves. */
function callerKey(caller: Caller): string {
  const known = callerKeys.get(caller);
  if (known !== undefined) return known;
  const { client, actor, purpose, admin, roles = [], breakGlass = null } = caller;
  const key = JSON.stringify([client, actor, purpose, admin, roles, breakGlass]);
  callerKeys.set(caller, key);
  return key;
}
