/**
 * One value against the rules of a profile: cardinality, types, fixed values and patterns, bindings, constraints, slices, and the profiles of
 * inner types. https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/elementdefinition.html
 *
 * Invariant: runs on resources whose shape the check of the base type has proven; findings carry places and the profile's words, no values.
 */
import { codeFindings } from '../bindings.ts';
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import { referenceFindings } from '../references.ts';
import type { Scope } from '../scope.ts';
import type { Shapes } from '../shapes.ts';
import type { JsonObject } from '../structure.ts';
import type { ValueSets } from '../value-sets.ts';
import { breaks } from './constraints.ts';
import { equals, includes } from './equality.ts';
import { containedTargets, type Item, itemsOf } from './items.ts';
import type { Profile, Profiles } from './profiles.ts';
import type { Rules, TypeRule } from './rules.ts';
import { assign } from './slicing.ts';

export type Run = {
  readonly profile: Profile;
  readonly profiles: Profiles;
  readonly shapes: Shapes;
  readonly valueSets: ValueSets;
  /** The resource that is judged, and what its references can name. */
  readonly resource: JsonObject;
  readonly scope: Scope;
  readonly findings: Finding[];
  readonly most: number;
  /** Whether references to what is contained are followed: one step, because contained resources may name each other in a circle. */
  readonly follows: boolean;
  /** Whether a value meets a profile, for telling slices apart. */
  readonly conforms: (profile: Profile, item: Item) => boolean;
};

export type Asked = Omit<Run, 'findings' | 'conforms'>;

/** Findings of a value against a whole profile; the run says about which resource. */
export function judgeProfile(asked: Asked, item: Item): readonly Finding[] {
  const findings: Finding[] = [];
  const { type, root, label } = asked.profile;
  if (type !== item.type && !ANY.has(type)) return [{ place: item.place, diagnostics: `The profile is for ${type} (${label}).`, code: 'structure' }];
  const conforms: Run['conforms'] = (profile, value) =>
    judgeProfile({ ...asked, profile, follows: false }, value).every(({ severity }) => severity !== undefined);
  judgeItem({ ...asked, findings, conforms }, root, item);
  return findings;
}

const ANY: ReadonlySet<string> = new Set(['Resource', 'DomainResource', 'Element', 'BackboneElement']);

function report(run: Run, place: Place, words: string, more: { readonly code: string; readonly severity?: 'warning' | 'information' }): void {
  if (run.findings.length < run.most) run.findings.push({ place, diagnostics: `${words} (${run.profile.label}).`, ...more });
}

type Members = { readonly items: readonly Item[]; readonly place: Place; readonly what: string };

/** All values of an element, or of a slice of it, below one parent. */
function judgeMembers(run: Run, rules: Rules, { items, place, what }: Members): void {
  const { min, max } = rules;
  if (items.length < min) report(run, place, `The profile requires ${min === 1 ? '' : `at least ${min} of `}${what}`, { code: 'required' });
  if (items.length > max)
    report(run, place, max === 0 ? `The profile does not allow ${what}` : `The profile allows at most ${max} of ${what}`, { code: 'structure' });
  for (const item of items) judgeItem(run, rules, item);
  if (rules.slices.size > 0 && rules.slicing) judgeSlices(run, rules, { items, place, what });
}

function judgeSlices(run: Run, rules: Rules, { items, place }: Members): void {
  const { slices, rest, misplaced } = assign(run, rules, items);
  for (const [slice, members] of slices) judgeMembers(run, slice, { items: members, place, what: `the slice ${slice.name} here` });
  if (rules.slicing?.rules === 'closed')
    for (const item of rest) report(run, item.place, 'The profile allows only values of its slices here', { code: 'structure' });
  for (const item of misplaced) report(run, item.place, 'The profile asks for another order of its slices', { code: 'structure' });
}

function judgeItem(run: Run, rules: Rules, item: Item): void {
  if (run.findings.length >= run.most) return;
  const { fixed, pattern, binding, constraints } = rules;
  if (fixed && !equals(item.value, fixed.value)) report(run, item.place, `The profile fixes this to ${shown(fixed.value)}`, { code: 'value' });
  if (pattern && !includes(item.value, pattern.value))
    report(run, item.place, `The profile asks for ${shown(pattern.value)} here`, { code: 'value' });
  judgeLimits(run, rules, item);
  if (rules.types.length > 0) judgeTypes(run, rules.types, item);
  if (binding && item.value !== undefined)
    for (const { diagnostics, ...more } of codeFindings({ type: item.type, value: item.value, binding }, run.valueSets))
      report(run, item.place, diagnostics.replace(/\.$/, ''), more);
  for (const constraint of constraints) {
    const broken = breaks(constraint, item, run);
    if (broken) report(run, item.place, broken.words, broken);
  }
  const { children } = rules.refers ?? rules;
  for (const [name, child] of children) {
    const place: Place = { up: item.place, step: item.shape?.properties.get(name)?.step ?? `.${name.replace('[x]', '')}` };
    judgeMembers(run, child, { items: itemsOf(item, name, run.shapes), place, what: 'this element' });
  }
}

function judgeLimits(run: Run, { least, most, maxLength }: Rules, { value, place }: Item): void {
  if (maxLength !== undefined && typeof value === 'string' && value.length > maxLength)
    report(run, place, `The profile allows at most ${maxLength} characters`, { code: 'value' });
  if (least && below(value, least.value)) report(run, place, `The profile allows nothing below ${shown(least.value)}`, { code: 'value' });
  if (most && below(most.value, value)) report(run, place, `The profile allows nothing above ${shown(most.value)}`, { code: 'value' });
}

/** Numbers, and dates of one form; what cannot be compared is not below. */
function below(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  return typeof a === 'string' && typeof b === 'string' && a.length === b.length && a < b;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

function judgeTypes(run: Run, types: readonly TypeRule[], item: Item): void {
  // Inner elements have no type of their own to differ in.
  if (item.type === 'BackboneElement' || item.type === 'Element' || item.type.startsWith('#')) return;
  const rule = types.find(({ code }) => code === item.type || (ANY.has(code) && item.shape?.isResource));
  if (!rule) {
    if (item.shape?.isResource || types.every(({ code }) => !code.startsWith('http')))
      report(run, item.place, `The profile allows only ${types.map(({ code }) => code).join(', ')} here`, { code: 'structure' });
    return;
  }
  if (rule.profiles.length > 0) judgeTypeProfiles(run, rule.profiles, item);
  if (rule.targets.length > 0) judgeTarget(run, rule.targets, item);
}

/** One of them must be met; what is not on board cannot be judged, and then none is said to be broken. */
function judgeTypeProfiles(run: Run, canonicals: readonly string[], item: Item): void {
  const known = canonicals.flatMap((canonical) => run.profiles.find(canonical, run.profile) ?? []);
  if (known.length < canonicals.length || known.length === 0) return;
  if (known.length === 1) {
    for (const profile of known) run.findings.push(...judgeProfile({ ...run, profile }, item));
    return;
  }
  if (!known.some((profile) => run.conforms(profile, item)))
    report(run, item.place, 'The value meets none of the profiles it may have', { code: 'structure' });
}

function judgeTarget(run: Run, canonicals: readonly string[], item: Item): void {
  const types = canonicals.map((canonical) => run.profiles.typeOf(canonical, run.profile));
  if (types.includes(undefined) || types.includes('Resource') || typeof item.value !== 'object' || item.value === null) return;
  const targets = new Set(types.filter((type) => type !== undefined));
  for (const { place, diagnostics, ...more } of referenceFindings(item.value as JsonObject, { place: item.place, scope: run.scope, targets }))
    report(run, place, `By the profile: ${diagnostics.replace(/\.$/, '')}`, more);
  for (const target of run.follows ? containedTargets(item, run) : []) judgeContained(run, canonicals, { item, target });
}

/** Only what is inside the resource is there to be judged; anything else may look different to every reader. */
function judgeContained(run: Run, canonicals: readonly string[], { item, target }: { readonly item: Item; readonly target: Item }): void {
  const fitting = canonicals.filter((canonical) => run.profiles.typeOf(canonical, run.profile) === target.type);
  const profiles = fitting.flatMap((canonical) => run.profiles.find(canonical, run.profile) ?? []);
  if (fitting.length === 0 || profiles.length < fitting.length) return;
  if (profiles.some((profile) => run.conforms(profile, target))) return;
  report(run, item.place, 'The contained resource meets none of the profiles that this element asks for', { code: 'structure' });
}
