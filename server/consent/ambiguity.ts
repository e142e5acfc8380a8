/**
 * Whether a Consent means the same to everyone who reads it: it is read in each of the published ways and asked about every kind of request that
 * its own words tell apart. consent.md §2 (ambiguity gate)
 *
 * Invariant: a Consent that does not name its reading is signed only if no two readings differ; where they do, the request on which they do is
 * named, so that a patient can say which is meant. Pure.
 */
import type { ResourceValue } from '../fhir/resource.ts';
import { type CompiledConsent, compileConsent, type Data, MEANINGS, type Provision, type Reading, type Span } from './compile.ts';
import { HIGHEST_RANK, purposeIsWithin, purposesBelow, readActions, sensitivityClosure, systems, UNLABELLED_RANK } from './code-systems.ts';
import { isWithin } from './decide.ts';

/**
 * `flat`: whatever matches at any depth counts, and deny wins. `exact`: a confidentiality label means itself alone. `base`: what holds where no
 * provision matches, if the Consent says so.
 */
type Published = Reading & {
  readonly name: string;
  readonly depth: 'deepest' | 'flat';
  readonly ranks: 'ordered' | 'exact';
  readonly base?: 'permit' | 'deny';
};

const ours: Published = {
  name: 'nested',
  root: 'deny',
  untyped: 'opposite',
  nested: 'within',
  related: 'related',
  depth: 'deepest',
  ranks: 'ordered',
};

/** https://terminology.hl7.org/CodeSystem-v3-ActCode.html, ActConsentDirective */
const BASES: ReadonlyMap<unknown, 'permit' | 'deny'> = new Map([
  ['OPTIN', 'permit'],
  ['OPTOUT', 'deny'],
]);

/** R4 calls the root provision an exception to the policyRule. Undefined: a rule that is not understood. */
export function publishedReadings(consent: Pick<ResourceValue, string>): readonly Published[] | undefined {
  const { policyRule } = consent as { readonly policyRule?: { readonly coding?: readonly { readonly system?: unknown; readonly code?: unknown }[] } };
  const [coding, ...others] = policyRule?.coding ?? [];
  const base = others.length === 0 && coding?.system === systems.sensitivity ? BASES.get(coding.code) : undefined;
  if (policyRule !== undefined && base === undefined) return undefined;
  return [
    ours,
    { ...ours, name: 'stated types only', untyped: 'same' },
    { ...ours, name: 'PCF', nested: 'beside', related: 'dependents' },
    { ...ours, name: 'flat', depth: 'flat' },
    { ...ours, name: 'exact labels', ranks: 'exact' },
    ...(base ? [{ ...ours, name: 'exceptions to policyRule', base, root: base === 'permit' ? ('deny' as const) : ('permit' as const) }] : []),
  ];
}

/** `certain`: false where a deny reaches it and a permit does not: another coding than the first, one of several labels, somebody in a role. */
type Named = { readonly value: string; readonly certain: boolean };

/** One request, as far as the words of the Consent tell it from others. */
export type Example = {
  readonly actor: Named;
  readonly purpose: string;
  readonly at: number;
  readonly type: Named;
  readonly code: Named;
  readonly rank: number;
  readonly sensitivity: Named;
  /** Ms since 1970; undefined: no date. */
  readonly dated: number | undefined;
  /** How the record stands to a resource that the Consent names. */
  readonly data: { readonly is: Data['meaning'] | 'neither'; readonly reference: string };
};

export type Difference = { readonly example: Example; readonly permitting: string; readonly denying: string };

/** More than so many kinds of request cannot be gone through while somebody waits. */
const MOST_EXAMPLES = 10_000;

/** Undefined: all readings agree. `unknown`: it says so many things, or such, that nobody can tell. Throws as compileConsent. */
export function ambiguityOf(consent: ResourceValue, now: number): Difference | 'unknown' | undefined {
  const published = publishedReadings(consent);
  if (!published) return 'unknown';
  const readings = published.map((reading) => ({ reading, compiled: compileConsent(consent, { now, as: reading }) }));
  const axes = axesOf(
    readings.map(({ compiled }) => compiled),
    now,
  );
  const total = Object.values(axes).reduce((product, values) => product * values.length, 1);
  if (total > MOST_EXAMPLES) return 'unknown';
  for (const example of examples(axes, total)) {
    const permitting = readings.find(({ reading, compiled }) => permits(compiled.root, { reading, example }));
    const denying = permitting && readings.find(({ reading, compiled }) => !permits(compiled.root, { reading, example }));
    if (permitting && denying) return { example, permitting: permitting.reading.name, denying: denying.reading.name };
  }
  return undefined;
}

type Axes = { readonly [Name in keyof Example]: readonly Example[Name][] };

/** Stands for whatever the Consent does not name. */
export const OTHER = '*';

/** Every value the Consent names, and one it does not. */
function axesOf(compiled: readonly CompiledConsent[], now: number): Axes {
  const provisions = compiled.flatMap(({ root }) => everyProvision(root));
  const named = <T>(values: (provision: Provision) => readonly T[] | undefined, among = provisions): T[] => [
    ...new Set(among.flatMap((each) => values(each) ?? [])),
  ];
  const denies = provisions.filter(({ type }) => type === 'deny');
  const values = (of: (provision: Provision) => readonly string[] | undefined): Named[] => [
    ...named(of).map((value) => ({ value, certain: true })),
    ...named(of, denies).map((value) => ({ value, certain: false })),
    { value: OTHER, certain: true },
  ];
  const purposes = named((each) => each.purposes);
  const ranks = named(({ labels }) => labels?.flatMap((label) => (label.kind === 'rank' ? [label.rank - 1, label.rank, label.rank + 1] : [])));
  const references = named(({ data }) => data?.map(({ reference }) => reference));
  return {
    actor: values(({ actors }) => actors),
    purpose: [...new Set([...purposes, ...purposes.flatMap((each) => purposesBelow(each).slice(0, 1)), OTHER])],
    at: instants(
      named(({ period }) => (period ? [period] : [])),
      now,
    ).filter((at) => at >= now),
    type: values(({ classes, data }) => [...(classes ?? []), ...(data?.map(({ reference }) => typeOf(reference)) ?? [])]),
    code: values(({ codes }) => codes?.map(({ system, code }) => `${system}|${code}`)),
    rank: [...new Set([UNLABELLED_RANK, ...ranks])].filter((rank) => rank >= 0 && rank <= HIGHEST_RANK),
    sensitivity: values(({ labels }) => labels?.flatMap((label) => (label.kind === 'sensitivity' ? [label.code] : []))),
    dated: datesOf(named(({ dataPeriod }) => (dataPeriod ? [dataPeriod] : []))),
    data: [...references.flatMap((reference) => MEANINGS.map((is) => ({ is, reference }))), { is: 'neither', reference: '' }],
  };
}

function datesOf(periods: readonly Span[]): (number | undefined)[] {
  return periods.length === 0 ? [undefined] : [...instants(periods, 0), undefined];
}

function everyProvision(provision: Provision): Provision[] {
  return [provision, ...provision.nested.flatMap(everyProvision)];
}

function typeOf(reference: string): string {
  return reference.slice(0, reference.indexOf('/'));
}

/** Within, before and after each span. */
function instants(spans: readonly Span[], now: number): number[] {
  const ends = spans.flatMap(({ low, high }) => [low - 1, low, high, high + 1]).filter((instant) => Number.isFinite(instant));
  return [...new Set([now, ...ends])];
}

/** Every combination, the first axis turning fastest. */
function* examples(axes: Axes, total: number): Generator<Example> {
  const names = Object.keys(axes) as (keyof Example)[];
  for (let n = 0; n < total; n++) {
    let rest = n;
    const chosen = names.map((name) => {
      const values = axes[name];
      const value = values[rest % values.length];
      rest = Math.floor(rest / values.length);
      return [name, value] as const;
    });
    yield Object.fromEntries(chosen) as Example;
  }
}

type Asking = { readonly reading: Published; readonly example: Example };

function permits(root: Provision, asking: Asking): boolean {
  const matches: { readonly depth: number; readonly type: 'permit' | 'deny' }[] = [];
  const descend = (provision: Provision, depth: number, within: boolean): void => {
    const holds = (provision.beside || within) && says(provision, asking);
    if (holds) matches.push({ depth: asking.reading.depth === 'flat' ? 0 : depth, type: provision.type });
    for (const nested of provision.nested) descend(nested, depth + 1, holds);
  };
  descend(root, 0, true);
  const deepest = Math.max(...matches.map(({ depth }) => depth));
  const deciding = matches.filter(({ depth }) => depth === deepest);
  if (deciding.length === 0) return asking.reading.base === 'permit';
  return deciding.every(({ type }) => type === 'permit');
}

function says(provision: Provision, { reading, example }: Asking): boolean {
  const { type, period, actors, purposes, actions, classes, codes, dataPeriod, labels, data } = provision;
  const deny = type === 'deny';
  const among = (values: readonly string[] | undefined, { value, certain }: Named) => !values || (values.includes(value) && (certain || deny));
  return (
    isWithin(period, example.at) &&
    (!dataPeriod || (example.dated === undefined ? deny : isWithin(dataPeriod, example.dated))) &&
    among(actors, example.actor) &&
    (!purposes || purposes.some((purpose) => (deny ? purposeIsWithin(example.purpose, purpose) : purpose === example.purpose))) &&
    (!actions || actions.some((action) => (deny ? readActions.has(action) : action === 'access'))) &&
    among(classes, example.type) &&
    among(
      codes?.map(({ system, code }) => `${system}|${code}`),
      example.code,
    ) &&
    (!labels || labels.some((label) => reaches(label, deny, { reading, example }))) &&
    (!data || data.some((each) => concerns(each, example)))
  );
}

type Label = NonNullable<Provision['labels']>[number];

function reaches(label: Label, deny: boolean, { reading, example: { rank, sensitivity } }: Asking): boolean {
  if (label.kind === 'sensitivity') return (sensitivity.certain || deny) && sensitivityClosure(label.code).includes(sensitivity.value);
  if (reading.ranks === 'exact') return rank === label.rank;
  return deny ? rank >= label.rank : rank <= label.rank;
}

function concerns({ meaning, reference }: Data, { type, data }: Example): boolean {
  if (data.reference !== reference) return false;
  if (data.is === 'instance') return meaning !== 'authoredby' && type.value === typeOf(reference);
  return data.is === meaning;
}
