/**
 * A signed Consent as rules: who it speaks to, and about what. consent.md §2
 *
 * Invariant: every element is understood or the Consent is refused here, when it is signed; nothing is ignored when it is read.
 */
import { AssentError, type Issue } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import { parseDate, rangeOf } from '../fhir/dates.ts';
import { actions, isPurpose, isSensitivity, rankOf, systems } from './code-systems.ts';

export const SEMANTICS = 'urn:assent:consent-semantics:1';

/** Instants in ms since 1970; open ends are infinite. */
export type Span = { readonly low: number; readonly high: number };
export type Code = { readonly system: string; readonly code: string };

/** `provision.data`: the resource itself (`Type/id`), what it refers to, what refers to it, or what it wrote. */
export type Data =
  | { readonly meaning: 'instance' | 'dependents' | 'authoredby'; readonly reference: string }
  /** `reaches`: what it referred to when the Consent was prepared (rule 21), as `Type/id`. */
  | { readonly meaning: 'related'; readonly reference: string; readonly reaches: readonly string[] };

/** By anchor, what each `related` reaches. */
export type Related = Readonly<Record<string, readonly string[]>>;

/** Attributes AND; values of one attribute OR; an absent attribute holds for everything. */
export type Provision = {
  readonly type: 'permit' | 'deny';
  readonly period?: Span;
  readonly actors?: readonly string[];
  readonly purposes?: readonly string[];
  readonly actions?: readonly string[];
  readonly labels?: readonly ({ readonly kind: 'rank'; readonly rank: number } | { readonly kind: 'sensitivity'; readonly code: string })[];
  readonly classes?: readonly string[];
  readonly codes?: readonly Code[];
  readonly dataPeriod?: Span;
  readonly data?: readonly Data[];
  /** Holds whether or not its parent does. */
  readonly beside?: true;
  readonly nested: readonly Provision[];
};

export type CompiledConsent = {
  /** Logical id. */
  readonly patient: string;
  /** References of the custodians. */
  readonly organizations: readonly string[];
  readonly root: Provision;
  /** ms since 1970. From then on it permits nothing, while what it denies stays denied: who signed it could not answer for more. */
  readonly permitsUntil?: number;
  /** Signed by a proxy: it permits nothing to a relative. What they see is what an authority says, and nobody widens it by signing. */
  readonly onBehalf?: true;
  /** It permits nothing here: it was ended and its end opens nothing (the custodian's alone, or by a key in other hands), or it is about another record of the person. */
  readonly ended?: 'suspended' | 'by-stolen-key' | 'linked';
};

type Element = Readonly<Record<string, unknown>>;
/** Collects what cannot be accepted, with its place. */
type Findings = (path: string, diagnostics: string) => void;

const PATIENT_REFERENCE = /^Patient\/([A-Za-z0-9.-]{1,64})$/;
const ORGANIZATION_REFERENCE = /^Organization\/[A-Za-z0-9.-]{1,64}$/;
/** Consent.provision.actor.reference in R4; any other type would never match, and a deny that never matches is ignored. */
export const ACTOR_REFERENCE = /^(?:Device|Group|CareTeam|Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)\/[A-Za-z0-9.-]{1,64}$/;

/** IHE Privacy Consent on FHIR: a nested provision takes from its parent what it does not state, and stands beside it (rule 1). */
const PCF = /^https:\/\/profiles\.ihe\.net\/ITI\/PCF\/StructureDefinition\/IHE\.PCF\.consent(?:Basic|Intermediate|Advanced)(?:\||$)/;

/** How a Consent asks to be read: as we read, by policy.uri; as PCF reads; undefined where it does not say. */
export function readingNamed(consent: ResourceValue): 'ours' | 'pcf' | undefined {
  const profiles = (consent['meta'] as Element | undefined)?.['profile'];
  if (Array.isArray(profiles) && profiles.some((profile) => typeof profile === 'string' && PCF.test(profile))) return 'pcf';
  return elements(consent['policy']).some(({ uri }) => uri === SEMANTICS) ? 'ours' : undefined;
}

export type Compiling = {
  /** Ms since 1970; a period that is over is refused. */
  readonly now: number;
  /** As frozen with the statement; before that, nothing. */
  readonly related?: Related | undefined;
  /** Other than as it asks to be read: to compare what it would mean. */
  readonly as?: Reading;
};

/**
 * `root`: what a root without a type is. `untyped`: what a nested provision without a type is, to its parent. `nested`: PCF's are beside.
 * `related`: PCF's are dependents.
 */
export type Reading = {
  readonly root: 'permit' | 'deny';
  readonly untyped: 'opposite' | 'same';
  readonly nested: 'within' | 'beside';
  readonly related: 'related' | 'dependents';
};

const OURS: Reading = { root: 'deny', untyped: 'opposite', nested: 'within', related: 'related' };
const readings = { ours: OURS, pcf: { ...OURS, nested: 'beside', related: 'dependents' } } as const;

/** Throws AssentError('invalid-consent') that names every element in the way. */
export function compileConsent(consent: ResourceValue, { now, related = {}, as }: Compiling): CompiledConsent {
  const issues: Issue[] = [];
  const named = readingNamed(consent);
  const reading = as ?? readings[named ?? 'ours'];
  const refuse: Findings = (path, diagnostics) => void issues.push({ diagnostics, expression: [path] });
  checkFrame(consent, refuse);
  if (!as) checkPolicy(consent, named, refuse);
  const patient = PATIENT_REFERENCE.exec(referenceIn(consent['patient']) ?? '')?.[1];
  if (patient === undefined) refuse('Consent.patient', 'The patient is needed as a reference of the form Patient/id.');
  const provision = element(consent['provision']);
  if (!provision) refuse('Consent.provision', 'A Consent without a provision permits nothing and cannot be signed.');
  const root = provision && readProvision(provision, { path: 'Consent.provision', inherited: reading.root, refuse, now, related, reading });
  if (root && sizeOf(root) > MOST_PROVISIONS) refuse('Consent.provision', `More than ${MOST_PROVISIONS} provisions are not understood by anyone.`);
  if (issues.length > 0 || !root || patient === undefined) throw new AssentError('invalid-consent', issues);
  return { patient, organizations: elements(consent['organization']).flatMap((each) => referenceIn(each) ?? []), root };
}

/** Each decision asks every provision: a bound keeps one Consent from slowing everybody's reads. */
const MOST_PROVISIONS = 200;

function sizeOf({ nested }: Provision): number {
  return nested.reduce((sum, each) => sum + sizeOf(each), 1);
}

function checkFrame(consent: ResourceValue, refuse: Findings): void {
  if (consent['status'] !== 'active') refuse('Consent.status', 'Only an active Consent can be signed.');
  const scope = elements(element(consent['scope'])?.['coding']);
  const privacy = scope.filter(({ system, code }) => system === systems.scope && code === 'patient-privacy');
  if (privacy.length === 0 || scope.some(({ system, code }) => system === systems.scope && code !== 'patient-privacy'))
    refuse('Consent.scope', 'The scope must be patient-privacy.');
  if (consent['implicitRules'] !== undefined) refuse('Consent.implicitRules', 'implicitRules could change the meaning and is not understood.');
  const { provision: _provision, ...outside } = consent;
  refuseModifiers(outside, 'Consent', refuse);
  const organizations = elements(consent['organization']).map(referenceIn);
  if (organizations.length === 0) refuse('Consent.organization', 'The custodian is needed.');
  if (!organizations.every((reference) => reference !== undefined && ORGANIZATION_REFERENCE.test(reference)))
    refuse('Consent.organization', 'Each custodian is needed as a reference of the form Organization/id.');
}

function checkPolicy(consent: ResourceValue, named: 'ours' | 'pcf' | undefined, refuse: Findings): void {
  if (named === undefined) refuse('Consent.policy', `A Consent has several published readings; name ours in policy.uri: ${SEMANTICS}.`);
  // PCF has the policy named that the Consent is an exception to; here that is the custodian's.
  if (named !== 'pcf' && elements(consent['policy']).some(({ uri }) => uri !== SEMANTICS))
    refuse('Consent.policy', 'Another policy than the one named could change the meaning.');
}

/** Outside the provision plain extensions say nothing about the decision; a modifier might, wherever it stands. */
function refuseModifiers(node: unknown, path: string, refuse: Findings): void {
  if (Array.isArray(node)) {
    node.forEach((item, i) => refuseModifiers(item, `${path}[${i}]`, refuse));
    return;
  }
  for (const [name, value] of Object.entries(element(node) ?? {})) {
    if (name === 'modifierExtension') refuse(`${path}.${name}`, 'modifierExtension could change the meaning and is not understood.');
    else refuseModifiers(value, `${path}.${name}`, refuse);
  }
}

const KNOWN = new Set(['id', 'type', 'period', 'actor', 'action', 'securityLabel', 'purpose', 'class', 'code', 'dataPeriod', 'data', 'provision']);

type Place = {
  readonly path: string;
  readonly inherited: 'permit' | 'deny';
  readonly refuse: Findings;
  readonly now: number;
  readonly related: Related;
  readonly reading: Reading;
  /** Of a provision that stands beside its parent: what it takes from it. */
  readonly taken?: Attributes;
};

type Attributes = Omit<Provision, 'type' | 'beside' | 'nested'>;

/** `inherited`: the type where none is stated: deny at the root, the opposite of the parent below. */
function readProvision(provision: Element, place: Place): Provision {
  const { path, inherited, refuse, reading } = place;
  for (const name of Object.keys(provision)) if (!KNOWN.has(name)) refuse(`${path}.${name}`, 'This element is not understood.');
  refuseExtensions(provision, path, refuse);
  const stated = provision['type'] ?? inherited;
  if (stated !== 'permit' && stated !== 'deny') refuse(`${path}.type`, 'The type must be permit or deny.');
  const type = stated === 'permit' ? 'permit' : 'deny';
  const attributes = { ...place.taken, ...readAttributes(provision, place) };
  const opposite = type === 'permit' ? 'deny' : 'permit';
  const { taken: _taken, ...common } = place;
  const beside = reading.nested === 'beside' ? { taken: attributes } : {};
  const below = (nested: Element, at: string) =>
    readProvision(nested, { ...common, ...beside, path: at, inherited: reading.untyped === 'same' ? type : opposite });
  return {
    type,
    ...attributes,
    ...(place.taken ? { beside: true } : {}),
    nested: readEach(provision['provision'], `${path}.provision`, { read: below, refuse }) ?? [],
  };
}

function readAttributes(provision: Element, { path, refuse, now, related, reading }: Place): Attributes {
  const period = span(provision['period'], `${path}.period`, refuse);
  if (period && period.high < now) refuse(`${path}.period`, 'The period is over.');
  const each = <T>(name: string, read: (value: Element, at: string, refuse: Findings) => T | undefined) =>
    readEach(provision[name], `${path}.${name}`, { read, refuse });
  const coded = (name: string, system: string, known: (code: string) => boolean) =>
    each(name, (coding, at) => readCode(coding, { at, system, known, refuse }));
  return {
    ...given('period', period),
    ...given('actors', each('actor', readActor)),
    ...given('purposes', coded('purpose', systems.purpose, isPurpose)),
    ...given('actions', each('action', readAction)),
    ...given('labels', each('securityLabel', readLabel)),
    ...given('classes', coded('class', systems.resourceTypes, isResourceType)),
    ...given('codes', each('code', readConcept)?.flat()),
    ...given('dataPeriod', span(provision['dataPeriod'], `${path}.dataPeriod`, refuse)),
    ...given(
      'data',
      each('data', (data, at) => readData(data, at, { refuse, related, reading })),
    ),
  };
}

/** exactOptionalPropertyTypes: a member that is not there, rather than one that is undefined. */
function given<Name extends string, Value>(name: Name, value: Value | undefined): { [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]?: Value });
}

type Reader<T> = { readonly read: (value: Element, at: string, refuse: Findings) => T | undefined; readonly refuse: Findings };

/** An attribute without a value that can be read would hold for nothing, or for everything: it is refused. */
function readEach<T>(value: unknown, at: string, { read, refuse }: Reader<T>): readonly T[] | undefined {
  if (value === undefined) return undefined;
  const values = elements(value);
  if (!Array.isArray(value) || value.length === 0 || values.length !== value.length) refuse(at, 'A list with at least one element is needed.');
  return values.flatMap((item, i) => {
    const result = read(item, `${at}[${i}]`, refuse);
    return result === undefined ? [] : [result];
  });
}

function readActor(actor: Element, at: string, refuse: Findings): string | undefined {
  const roles = elements(element(actor['role'])?.['coding']);
  if (roles.length === 0 || !roles.every(({ system, code }) => system === systems.participation && (code === 'IRCP' || code === 'PRCP')))
    refuse(`${at}.role`, 'The role must be IRCP or PRCP.');
  const reference = referenceIn(actor['reference']);
  if (reference !== undefined && ACTOR_REFERENCE.test(reference)) return reference;
  refuse(`${at}.reference`, 'The actor is needed as a reference of the form Type/id to a person, role, team, group, organization or device.');
  return undefined;
}

type Coded = { readonly at: string; readonly system: string; readonly known: (code: string) => boolean; readonly refuse: Findings };

function readCode({ system: named, code }: Element, { at, system, known, refuse }: Coded): string | undefined {
  if (named === system && typeof code === 'string' && known(code)) return code;
  refuse(at, `A code of ${system} is needed.`);
  return undefined;
}

function readAction(concept: Element, at: string, refuse: Findings): string | undefined {
  const codings = elements(concept['coding']);
  if (codings.length !== 1) refuse(at, 'One coding says the action.');
  return readCode(codings[0] ?? {}, { at, system: systems.action, known: (code) => actions.has(code), refuse });
}

function readLabel(coding: Element, at: string, refuse: Findings): NonNullable<Provision['labels']>[number] | undefined {
  const { system, code } = coding;
  const rank = system === systems.confidentiality ? rankOf(String(code)) : undefined;
  if (rank !== undefined) return { kind: 'rank', rank };
  if (system === systems.sensitivity && typeof code === 'string' && isSensitivity(code)) return { kind: 'sensitivity', code };
  refuse(at, 'A label of the pinned confidentiality or sensitivity codes is needed.');
  return undefined;
}

/** The codings of one concept say the same in several systems. */
function readConcept(concept: Element, at: string, refuse: Findings): readonly Code[] {
  return (
    readEach(concept['coding'] ?? [], `${at}.coding`, {
      refuse,
      read: ({ system, code }, place) => {
        if (typeof system === 'string' && system !== '' && typeof code === 'string' && code !== '') return { system, code };
        refuse(place, 'A code needs its system.');
        return undefined;
      },
    }) ?? []
  );
}

export const MEANINGS = ['instance', 'related', 'dependents', 'authoredby'] as const;
const ANY_REFERENCE = /^([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]{1,64}$/;

type DataPlace = Pick<Place, 'refuse' | 'related' | 'reading'>;

function readData({ meaning: written, reference: named }: Element, at: string, { refuse, related, reading }: DataPlace): Data | undefined {
  const meaning = written === 'related' ? reading.related : written;
  const reference = referenceIn(named);
  const known = MEANINGS.find((one) => one === meaning);
  if (!known) refuse(`${at}.meaning`, 'The meaning must be instance, related, dependents or authoredby.');
  if (reference === undefined || !isResourceType(ANY_REFERENCE.exec(reference)?.[1] ?? ''))
    refuse(`${at}.reference`, 'The resource is needed as a reference of the form Type/id.');
  else if (known === 'related') return { meaning: known, reference, reaches: Object.hasOwn(related, reference) ? (related[reference] ?? []) : [] };
  else if (known) return { meaning: known, reference };
  return undefined;
}

/** Every `related` of a Consent, by the resource it starts from. */
export function anchorsOf({ data = [], nested }: Provision): readonly string[] {
  return [...data.flatMap(({ meaning, reference }) => (meaning === 'related' ? [reference] : [])), ...nested.flatMap(anchorsOf)];
}

function span(value: unknown, at: string, refuse: Findings): Span | undefined {
  if (value === undefined) return undefined;
  const { start, end } = element(value) ?? {};
  const range = rangeOf(value);
  // A bound that cannot be read must not become an open end.
  const readable = [start, end].every((bound) => bound === undefined || (typeof bound === 'string' && parseDate(bound) !== undefined));
  if (!range || !readable) refuse(at, 'A period with a start or an end is needed.');
  else if (range.low > range.high) refuse(at, 'The period ends before it starts.');
  return range;
}

/** Extensions anywhere within a provision, but not in the nested ones, which look for their own. */
function refuseExtensions(node: unknown, path: string, refuse: Findings): void {
  if (Array.isArray(node)) {
    node.forEach((item, i) => refuseExtensions(item, `${path}[${i}]`, refuse));
    return;
  }
  const parent = element(node);
  if (!parent) return;
  for (const [name, value] of Object.entries(parent)) {
    if (name === 'extension' || name === 'modifierExtension' || name.startsWith('_'))
      refuse(`${path}.${name}`, 'Extensions within a provision are not understood.');
    else if (name !== 'provision') refuseExtensions(value, `${path}.${name}`, refuse);
  }
}

function referenceIn(value: unknown): string | undefined {
  const reference = element(value)?.['reference'];
  return typeof reference === 'string' ? reference : undefined;
}

function element(value: unknown): Element | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Element) : undefined;
}

/** The objects of a list. */
export function elements(value: unknown): Element[] {
  return Array.isArray(value) ? (value as unknown[]).map(element).filter((each) => each !== undefined) : [];
}
