/**
 * The rules of the decision as a table, each with an example that is decided when the table is printed: what it says is what the code does.
 * consent.md §2; `npm run assent -- policies --explain`
 */
import { isObject, type ResourceValue } from '../fhir/resource.ts';
import { holds } from '../search/expression.ts';
import { closureOf } from './closure.ts';
import { systems } from './code-systems.ts';
import { compileConsent, SEMANTICS } from './compile.ts';
import { scopeFor } from './decide.ts';
import { facet, facetsOf } from './facets.ts';
import { createLabelling, withLabels } from './labelling.ts';
import type { Caller } from './model.ts';

type Json = Readonly<Record<string, unknown>>;

type Example = {
  readonly provisions: readonly Json[];
  /** Type, labels and more of a resource of the patient; an Observation without labels by default. */
  readonly resource?: Json;
  readonly actor?: string;
  readonly purpose?: string;
  /** Which of the Consents, counted from 0, was signed or ended with a stolen key since the theft, or suspended: in words, beside how it then stands. */
  readonly shaken?: { readonly consent: number; readonly words: string };
  readonly permitted: boolean;
};

type Rule = { readonly says: string; readonly examples: readonly Example[] };

const GH = 'Organization/gh';
const coding = (system: string, ...codes: string[]) => codes.map((code) => ({ system, code }));
const labels = (...codes: string[]) =>
  codes.map((code) => ({ system: 'ULMNRV'.includes(code) ? systems.confidentiality : systems.sensitivity, code }));
const actor = (reference: string) => ({ actor: [{ role: { coding: coding(systems.participation, 'IRCP') }, reference: { reference } }] });
const purpose = (...codes: string[]) => ({ purpose: coding(systems.purpose, ...codes) });
const kind = (...codes: string[]) => ({ class: coding(systems.resourceTypes, ...codes) });
const labelled = (...codes: string[]) => ({ meta: { security: labels(...codes) } });
const coded = (code: string) => ({ code: { coding: coding('urn:x', code) } });
const about = (reference: string) => ({ focus: [{ reference }] });
/** Stands in for the value sets that the server is started with. */
const labelling = createLabelling([{ labels: ['HIV'], codes: coding('urn:x', 'H'), patterns: [] }]);
/** A resource that holds H. */
const SENSITIVE = 'Condition/h';
const referred = (reference: string) => (reference === SENSITIVE ? [facet.anyCode('urn:x', 'H')] : undefined);
const permit = (more: Json = {}): Json => ({ type: 'permit', ...more });
const deny = (more: Json = {}): Json => ({ type: 'deny', ...more });

export const rules: readonly Rule[] = [
  {
    says: 'Attributes of one provision must all hold; of the values of one attribute, one is enough.',
    examples: [
      { provisions: [permit({ ...actor(GH), ...purpose('TREAT', 'HPAYMT') })], permitted: true },
      { provisions: [permit({ ...actor(GH), ...purpose('HPAYMT') })], permitted: false },
    ],
  },
  {
    says: 'A nested provision without a type is an exception: the opposite of its parent. It matches only where its parent does.',
    examples: [
      { provisions: [permit({ provision: [kind('Observation')] })], permitted: false },
      { provisions: [permit({ ...actor('Organization/other'), provision: [permit(actor(GH))] })], permitted: false },
    ],
  },
  {
    says: 'The deepest matching provision decides; at equal depth deny wins.',
    examples: [
      { provisions: [permit({ provision: [deny({ ...kind('Observation'), provision: [permit(actor(GH))] })] })], permitted: true },
      { provisions: [permit({ provision: [permit(actor(GH)), deny(actor(GH))] })], permitted: false },
    ],
  },
  { says: 'A root without a type denies.', examples: [{ provisions: [actor(GH)], permitted: false }] },
  { says: 'Across Consents deny wins.', examples: [{ provisions: [permit(), deny(actor(GH))], permitted: false }] },
  {
    says: 'A permit matches its purpose exactly; a deny also what lies below it.',
    examples: [
      { provisions: [permit(purpose('TREAT'))], purpose: 'ETREAT', permitted: false },
      { provisions: [permit(), deny(purpose('TREAT'))], purpose: 'ETREAT', permitted: false },
    ],
  },
  {
    says: 'Confidentiality is ranked: permit N reaches N and below, deny R reaches R and above. What is not labelled is R.',
    examples: [
      { provisions: [permit({ securityLabel: labels('N') })], resource: labelled('L'), permitted: true },
      { provisions: [permit({ securityLabel: labels('N') })], permitted: false },
      { provisions: [permit({ provision: [deny({ securityLabel: labels('R') })] })], resource: labelled('V'), permitted: false },
    ],
  },
  {
    says: 'A permit by sensitivity must cover every sensitivity of a resource; one that is denied is enough to deny it.',
    examples: [
      { provisions: [permit({ securityLabel: labels('SUD') })], resource: labelled('SUD', 'HIV'), permitted: false },
      { provisions: [permit({ securityLabel: labels('SUD') })], resource: labelled('ETHUD'), permitted: true },
      { provisions: [permit({ provision: [deny({ securityLabel: labels('SUD') })] })], resource: labelled('ETHUD', 'N'), permitted: false },
    ],
  },
  {
    says: 'A code of the value sets of sensitive codes labels what holds it, and what refers to that, beside what its source says; both are R at least. Here H means HIV.',
    examples: [
      { provisions: [permit({ provision: [deny({ securityLabel: labels('HIV') })] })], resource: coded('A'), permitted: true },
      { provisions: [permit({ provision: [deny({ securityLabel: labels('HIV') })] })], resource: coded('H'), permitted: false },
      { provisions: [permit({ provision: [deny({ securityLabel: labels('HIV') })] })], resource: about(SENSITIVE), permitted: false },
      { provisions: [permit({ securityLabel: labels('N') })], resource: { ...coded('A'), ...labelled('N') }, permitted: true },
      { provisions: [permit({ securityLabel: labels('N') })], resource: { ...coded('H'), ...labelled('N') }, permitted: false },
    ],
  },
  {
    says: 'What names a patient otherwise than by a reference to one of ours is opened by nobody else’s Consent: that patient cannot be asked.',
    examples: [
      { provisions: [permit()], resource: { performer: [{ type: 'Organization', identifier: { value: '1' } }] }, permitted: true },
      { provisions: [permit()], resource: { performer: [{ identifier: { value: '1' } }] }, permitted: true },
      { provisions: [permit()], resource: { focus: [{ display: 'Weiss' }] }, permitted: false },
      { provisions: [permit()], resource: { focus: [{ type: 'Patient', identifier: { value: '1' } }] }, permitted: false },
      { provisions: [permit()], resource: { contained: [{ resourceType: 'Patient', id: 'p' }] }, permitted: false },
    ],
  },
  {
    says: 'A permit by code looks at what a resource is coded as; a deny at every code in it.',
    examples: [
      { provisions: [permit({ code: [{ coding: coding('urn:x', 'A') }] })], resource: { code: { coding: coding('urn:x', 'A') } }, permitted: true },
      {
        provisions: [permit({ code: [{ coding: coding('urn:x', 'B') }] })],
        resource: { category: [{ coding: coding('urn:x', 'B') }] },
        permitted: false,
      },
      {
        provisions: [permit(), deny({ code: [{ coding: coding('urn:x', 'B') }] })],
        resource: { category: [{ coding: coding('urn:x', 'B') }] },
        permitted: false,
      },
    ],
  },
  {
    says: 'A permit by date needs every date inside; a deny needs one that overlaps, or none at all.',
    examples: [
      { provisions: [permit({ dataPeriod: { end: '2023' } })], resource: { effectiveDateTime: '2023-05' }, permitted: true },
      { provisions: [permit({ dataPeriod: { end: '2023' } })], permitted: false },
      { provisions: [permit(), deny({ dataPeriod: { end: '2023' } })], permitted: false },
    ],
  },
  {
    says: 'A container is what its parts are: one part that is denied denies the whole.',
    examples: [
      {
        provisions: [permit({ provision: [deny({ securityLabel: labels('HIV') })] })],
        resource: { contained: [{ resourceType: 'Condition', ...labelled('HIV') }] },
        permitted: false,
      },
    ],
  },
  {
    says: 'No stolen key opens anything: a Consent signed, withdrawn or superseded with one since the theft, by places in the log, permits nothing and denies what it denied until its patient ends it with another key. A custodian who suspends a Consent opens nothing either.',
    examples: [
      { provisions: [permit()], shaken: { consent: 0, words: 'signed with a stolen key' }, permitted: false },
      { provisions: [permit(), deny(actor(GH))], shaken: { consent: 1, words: 'withdrawn with a stolen key' }, permitted: false },
      { provisions: [permit(), deny(actor(GH))], shaken: { consent: 1, words: 'suspended' }, permitted: false },
      { provisions: [permit(), deny(actor('Organization/other'))], shaken: { consent: 1, words: 'withdrawn with a stolen key' }, permitted: true },
    ],
  },
  {
    says: 'Of a resource that names several patients each must permit.',
    examples: [{ provisions: [permit()], resource: { performer: [{ reference: 'Patient/2' }] }, permitted: false }],
  },
];

const BASE = 'https://example.org/fhir';
const NOW = Date.UTC(2024, 5, 1);

/** Whether Organization/gh (or `actor`), for TREAT (or `purpose`), may read it where nothing else is agreed. */
export function isPermitted({ provisions, shaken, resource = {}, actor: reference = GH, purpose: code = 'TREAT' }: Example): boolean {
  const caller: Caller = { client: 'c', actor: reference, purpose: code, scopes: [], admin: false, choosesIds: false, tokenId: '' };
  const asked = { resourceType: 'Observation', subject: { reference: 'Patient/1' }, ...resource } as ResourceValue;
  const facets = facetsOf(asked, { writer: 'Organization/writer', base: BASE, lookup: () => undefined });
  const { where } = scopeFor({
    caller,
    type: asked.resourceType,
    closure: closureOf(caller, [], NOW),
    now: NOW,
    implicit: { kind: 'deny' },
    voidPatients: new Set(),
    anchors: new Set(),
    policies: provisions.map((provision, i) => ({
      ...compileConsent(consentOf(provision), { now: NOW }),
      ...(i === shaken?.consent ? { permitsUntil: 0 } : {}),
    })),
  });
  return holds(where, 'example', withLabels(asked.resourceType, facets, { labelling, referred }));
}

function consentOf(provision: Json): ResourceValue {
  return {
    resourceType: 'Consent',
    status: 'active',
    scope: { coding: coding(systems.scope, 'patient-privacy') },
    patient: { reference: 'Patient/1' },
    organization: [{ reference: 'Organization/custodian' }],
    policy: [{ uri: SEMANTICS }],
    provision,
  };
}

/** Lines of text: each rule, and its examples with what is decided of them. */
export function describeRules(): readonly string[] {
  return rules.flatMap(({ says, examples }, i) => [
    `${i + 1}. ${says}`,
    ...examples.map((example) => `   ${isPermitted(example) ? 'permitted' : 'denied   '}  ${inWords(example)}`),
  ]);
}

function inWords({ provisions, shaken, resource, actor: reference = GH, purpose: code = 'TREAT' }: Example): string {
  const consents = provisions.map((provision, i) => (i === shaken?.consent ? `${short(provision)} (${shaken.words})` : short(provision)));
  return `${consents.join(' and ')}: ${reference} for ${code}, ${resource ? short(resource) : 'nothing labelled'}`;
}

/** Codes and references, without systems and roles. */
function short(value: unknown): string {
  if (Array.isArray(value)) return value.length === 1 ? short(value[0]) : `[${value.map(short).join(', ')}]`;
  if (!isObject(value)) return String(value);
  const plain = value['code'] !== undefined && typeof value['code'] === 'string' ? value['code'] : value['reference'];
  if (typeof plain === 'string') return plain;
  if (isObject(value['reference'])) return short(value['reference']);
  if (value['coding'] !== undefined) return short(value['coding']);
  return `{${Object.entries(value)
    .map(([name, member]) => `${name}: ${short(member)}`)
    .join(', ')}}`;
}
