/**
 * One caller's view at one consent epoch, cached until the epoch, a void Consent or a period boundary changes it.
 * Invariant: a view is made from the policies of exactly the epoch it carries, and the store refuses it under any other.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { Closure } from '../closure.ts';
import type { Provision } from '../compile.ts';
import { type Decision, maySupport, nextBoundary, scopeFor, speaksTo } from '../decide.ts';
import type { Caller, ImplicitPolicy } from '../model.ts';
import type { Policies, PolicyInForce } from '../policies.ts';
import type { View, Views } from './view.ts';

export type ViewsDeps = {
  readonly policies: Policies;
  readonly epoch: () => Promise<number>;
  readonly closureOf: (caller: Caller) => Promise<Closure>;
  readonly implicit: ImplicitPolicy;
  readonly clock: Clock;
};

type Cached = { readonly view: View; readonly epoch: number; readonly generation: number; readonly validUntil: number };

const MOST_CALLERS = 10_000;

export function createViews({ policies, epoch, closureOf, implicit, clock }: ViewsDeps): (caller: Caller) => Views {
  const cache = new Map<string, Cached>();

  async function makeView(caller: Caller): Promise<Cached> {
    const [at, generation] = [policies.epoch(), policies.generation()];
    const closure = await closureOf(caller);
    const mine = [...policies.inForce()].filter(({ compiled }) => speaksTo(compiled.root, { caller, closure }));
    const decide = createDecider(
      { caller, closure, policies: mine.map(({ compiled }) => compiled), implicit, voidPatients: policies.voidPatients() },
      clock,
    );
    const bases = new Map<string, { readonly reference: string; readonly root: Provision }[]>();
    for (const { reference, version, compiled } of mine)
      bases.set(compiled.patient, [...(bases.get(compiled.patient) ?? []), { reference: `${reference}/_history/${version}`, root: compiled.root }]);
    // What patients read of themselves and administrators of the trail rests on built-in policies.
    const needsNone = (patient: string) => caller.admin || caller.actor === `Patient/${patient}`;
    const supporting = (patient: string) => {
      const asked = { caller, closure, now: clock() };
      return (bases.get(patient) ?? []).filter(({ root }) => maySupport(root, asked)).map(({ reference }) => reference);
    };
    const view: View = {
      epoch: at,
      scope: (type) => ({ epoch: at, where: decide(type).where }),
      basis: (patients) => patients.flatMap((patient) => (needsNone(patient) ? [] : supporting(patient))),
      mark: () => markOf({ caller, closure, mine, implicit, voidPatients: policies.voidPatients() }, clock()),
      patients: [...bases.keys()],
    };
    return { view, epoch: at, generation, validUntil: closure.validUntil };
  }

  async function current(caller: Caller): Promise<View> {
    await policies.upTo(await epoch());
    const key = callerKey(caller);
    const known = cache.get(key);
    if (known && known.epoch === policies.epoch() && known.generation === policies.generation() && known.validUntil > clock()) return known.view;
    const made = await makeView(caller);
    if (cache.size >= MOST_CALLERS) cache.clear();
    cache.set(key, made);
    return made.view;
  }

  return (caller) => ({ current: () => current(caller), confirm: (patients) => policies.confirm(patients) });
}

type Marked = {
  readonly caller: Caller;
  readonly closure: Closure;
  readonly mine: readonly PolicyInForce[];
  readonly implicit: ImplicitPolicy;
  readonly voidPatients: ReadonlySet<string>;
};

/** Periods by the next of their boundaries: once it is passed, another is next. */
function markOf({ caller, closure, mine, implicit, voidPatients }: Marked, now: number): string {
  const policies = mine.map(({ reference, version, compiled }) => `${reference} ${version} ${nextBoundary(compiled.root, now)}`);
  const sets = [closure.permit, closure.deny, voidPatients].map((set) => [...set].sort());
  return hash('sha256', JSON.stringify([callerKey(caller), policies.sort(), sets, closure.validUntil, implicit]), 'base64url');
}

type Standing = Omit<Parameters<typeof scopeFor>[0], 'type' | 'now'>;

/** Decisions by type, each until its next period boundary. */
function createDecider(standing: Standing, clock: Clock): (type: string) => Decision {
  const decisions = new Map<string, Decision>();
  return (type) => {
    const now = clock();
    const known = decisions.get(type);
    if (known && known.validUntil > now) return known;
    const decision = scopeFor({ ...standing, type, now });
    decisions.set(type, decision);
    return decision;
  };
}

/** One Caller object serves every request of its token. */
const callerKeys = new WeakMap<Caller, string>();

/** What a decision depends on besides the Consents themselves. */
function callerKey(caller: Caller): string {
  const known = callerKeys.get(caller);
  if (known !== undefined) return known;
  const { client, actor, purpose, admin } = caller;
  const key = JSON.stringify([client, actor, purpose, admin]);
  callerKeys.set(caller, key);
  return key;
}
