/**
 * A signed Consent as rules: who it speaks to, and about what. consent.md §2
 *
 * Invariant: every element is understood or the Consent is refused here, when it is signed; nothing is ignored when it is read.
 */
import { AssentError, type Issue } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import { rangeOf } from '../fhir/dates.ts';
import { actions, isPurpose, isSensitivity, rankOf, systems } from './code-systems.ts';

export const SEMANTICS = 'urn:assent:consent-semantics:1';

/** Instants in ms since 1970; open ends are infinite. */
export type Span = { readonly low: number; readonly high: number };
export type Code = { readonly system: string; readonly code: string };

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
  readonly nested: readonly Provision[];
};

export type CompiledConsent = {
  /** Logical id. */
  readonly patient: string;
  /** References of the custodians. */
  readonly organizations: readonly string[];
  readonly root: Provision;
};

type Element = Readonly<Record<string, unknown>>;
/** Collects what cannot be accepted, with its place. */
type Findings = (path: string, diagnostics: string) => void;

const PATIENT_REFERENCE = /^Patient\/([A-Za-z0-9.-]{1,64})$/;

/** Throws AssentError('invalid-consent') that names every element in the way. `now`: ms since 1970; a period that is over is refused. */
export function compileConsent(consent: ResourceValue, { now }: { readonly now: number }): CompiledConsent {
  const issues: Issue[] = [];
  const refuse: Findings = (path, diagnostics) => void issues.push({ diagnostics, expression: [path] });
  checkFrame(consent, refuse);
  const patient = PATIENT_REFERENCE.exec(referenceIn(consent['patient']) ?? '')?.[1];
  if (patient === undefined) refuse('Consent.patient', 'The patient is needed as a reference of the form Patient/id.');
  const provision = element(consent['provision']);
  if (!provision) refuse('Consent.provision', 'A Consent without a provision permits nothing and cannot be signed.');
  const root = provision && readProvision(provision, { path: 'Consent.provision', inherited: 'deny', refuse });
  if (root?.period && root.period.high < now) refuse('Consent.provision.period', 'The period is over.');
  if (issues.length > 0 || !root || patient === undefined) throw new AssentError('invalid-consent', issues);
  return { patient, organizations: elements(consent['organization']).flatMap((each) => referenceIn(each) ?? []), root };
}

function checkFrame(consent: ResourceValue, refuse: Findings): void {
  if (consent['status'] !== 'active') refuse('Consent.status', 'Only an active Consent can be signed.');
  const scope = elements(element(consent['scope'])?.['coding']);
  if (!scope.some(({ system, code }) => system === systems.scope && code === 'patient-privacy'))
    refuse('Consent.scope', 'The scope must be patient-privacy.');
  for (const name of ['modifierExtension', 'implicitRules'])
    if (consent[name] !== undefined) refuse(`Consent.${name}`, `${name} could change the meaning and is not understood.`);
  const policies = elements(consent['policy']);
  if (!policies.some(({ uri }) => uri === SEMANTICS))
    refuse('Consent.policy', `A Consent has several published readings; name ours in policy.uri: ${SEMANTICS}.`);
  if (policies.some(({ uri }) => uri !== SEMANTICS)) refuse('Consent.policy', 'Another policy than the one named could change the meaning.');
  if (elements(consent['organization']).length === 0) refuse('Consent.organization', 'The custodian is needed.');
}

const KNOWN = new Set(['id', 'type', 'period', 'actor', 'action', 'securityLabel', 'purpose', 'class', 'code', 'dataPeriod', 'data', 'provision']);

type Place = { readonly path: string; readonly inherited: 'permit' | 'deny'; readonly refuse: Findings };

/** `inherited`: the type where none is stated: deny at the root, the opposite of the parent below. */
function readProvision(provision: Element, { path, inherited, refuse }: Place): Provision {
  for (const name of Object.keys(provision)) if (!KNOWN.has(name)) refuse(`${path}.${name}`, 'This element is not understood.');
  refuseExtensions(provision, path, refuse);
  if (provision['data'] !== undefined) refuse(`${path}.data`, 'Naming single resources is not offered yet.');
  const type = provision['type'] ?? inherited;
  if (type !== 'permit' && type !== 'deny') refuse(`${path}.type`, 'The type must be permit or deny.');
  const opposite = type === 'permit' ? 'deny' : 'permit';
  const nested = elements(provision['provision']).map((each, i) =>
    readProvision(each, { path: `${path}.provision[${i}]`, inherited: opposite, refuse }),
  );
  return {
    type: type === 'permit' ? 'permit' : 'deny',
    ...given('period', span(provision['period'], `${path}.period`, refuse)),
    ...given(
      'actors',
      readEach(provision, 'actor', path, (actor, at) => readActor(actor, at, refuse)),
    ),
    ...given(
      'purposes',
      readEach(provision, 'purpose', path, (coding, at) => readCode(coding, { at, system: systems.purpose, known: isPurpose, refuse })),
    ),
    ...given('actions', readActions(provision, path, refuse)),
    ...given(
      'labels',
      readEach(provision, 'securityLabel', path, (coding, at) => readLabel(coding, at, refuse)),
    ),
    ...given(
      'classes',
      readEach(provision, 'class', path, (coding, at) => readCode(coding, { at, system: systems.resourceTypes, known: isResourceType, refuse })),
    ),
    ...given('codes', readCodes(provision, path, refuse)),
    ...given('dataPeriod', span(provision['dataPeriod'], `${path}.dataPeriod`, refuse)),
    nested,
  };
}

/** exactOptionalPropertyTypes: a member that is not there, rather than one that is undefined. */
function given<Name extends string, Value>(name: Name, value: Value | undefined): { [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]?: Value });
}

function readEach<T>(provision: Element, name: string, path: string, read: (value: Element, at: string) => T | undefined): readonly T[] | undefined {
  if (provision[name] === undefined) return undefined;
  return elements(provision[name]).flatMap((value, i) => {
    const result = read(value, `${path}.${name}[${i}]`);
    return result === undefined ? [] : [result];
  });
}

function readActor(actor: Element, at: string, refuse: Findings): string | undefined {
  const roles = elements(element(actor['role'])?.['coding']);
  if (!roles.some(({ system, code }) => system === systems.participation && (code === 'IRCP' || code === 'PRCP')))
    refuse(`${at}.role`, 'The role must be IRCP or PRCP.');
  const reference = referenceIn(actor['reference']);
  if (reference === undefined || !/^[A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64}$/.test(reference)) {
    refuse(`${at}.reference`, 'The actor is needed as a reference of the form Type/id.');
    return undefined;
  }
  return reference;
}

type Coded = { readonly at: string; readonly system: string; readonly known: (code: string) => boolean; readonly refuse: Findings };

function readCode({ system: named, code }: Element, { at, system, known, refuse }: Coded): string | undefined {
  if (named === system && typeof code === 'string' && known(code)) return code;
  refuse(at, `A code of ${system} is needed.`);
  return undefined;
}

function readActions(provision: Element, path: string, refuse: Findings): readonly string[] | undefined {
  return readEach(provision, 'action', path, (concept, at) => {
    const [coding, ...more] = elements(concept['coding']);
    if (more.length > 0) refuse(at, 'One coding says the action.');
    return readCode(coding ?? {}, { at, system: systems.action, known: (code) => actions.has(code), refuse });
  });
}

function readLabel(coding: Element, at: string, refuse: Findings): NonNullable<Provision['labels']>[number] | undefined {
  const { system, code } = coding;
  const rank = system === systems.confidentiality ? rankOf(String(code)) : undefined;
  if (rank !== undefined) return { kind: 'rank', rank };
  if (system === systems.sensitivity && typeof code === 'string' && isSensitivity(code)) return { kind: 'sensitivity', code };
  refuse(at, 'A label of the pinned confidentiality or sensitivity codes is needed.');
  return undefined;
}

function readCodes(provision: Element, path: string, refuse: Findings): readonly Code[] | undefined {
  return readEach(provision, 'code', path, (concept, at) => {
    const list = elements(concept['coding']);
    if (list.length === 0) refuse(at, 'A coding is needed.');
    return list.flatMap(({ system, code }) => {
      if (typeof system === 'string' && typeof code === 'string') return [{ system, code }];
      refuse(at, 'A code needs its system.');
      return [];
    });
  })?.flat();
}

function span(value: unknown, at: string, refuse: Findings): Span | undefined {
  if (value === undefined) return undefined;
  const range = element(value) && rangeOf(value);
  if (!range) refuse(at, 'A period with a start or an end is needed.');
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

function elements(value: unknown): Element[] {
  return Array.isArray(value) ? (value as unknown[]).map(element).filter((each) => each !== undefined) : [];
}
