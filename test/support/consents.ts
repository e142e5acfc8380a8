/** Small Consents, callers and decisions for tests: only what a test is about is written out in it. */
import { closureOf } from '../../server/consent/closure.ts';
import { compileConsent } from '../../server/consent/compile.ts';
import { type DecisionInput, scopeFor } from '../../server/consent/decide.ts';
import { facetsOf } from '../../server/consent/facets.ts';
import type { Caller, ImplicitPolicy } from '../../server/consent/model.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { holds } from '../../server/search/expression.ts';

export const NOON = Date.parse('2024-06-01T12:00:00Z');

type Json = Readonly<Record<string, unknown>>;

export const purpose = (...codes: string[]) => ({
  purpose: codes.map((code) => ({ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code })),
});
export const ofClass = (...codes: string[]) => ({ class: codes.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) });
export const labelled = (...codes: string[]) => ({ securityLabel: codes.map(label) });
export const by = (...references: string[]) => ({
  actor: references.map((reference) => ({
    role: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] },
    reference: { reference },
  })),
});
export const data = (meaning: string, reference: string) => ({ meaning, reference: { reference } });
export const except = (...provision: Json[]) => ({ provision });

function label(code: string): { readonly system: string; readonly code: string } {
  const system = 'ULMNRV'.includes(code) ? 'v3-Confidentiality' : 'v3-ActCode';
  return { system: `http://terminology.hl7.org/CodeSystem/${system}`, code };
}

export function consentBy(patient: string, provision: Json | undefined, more: Json = {}): ResourceValue {
  return {
    resourceType: 'Consent',
    id: 'c1',
    status: 'active',
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    patient: { reference: `Patient/${patient}` },
    organization: [{ reference: 'Organization/hospital' }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    ...(provision ? { provision } : {}),
    ...more,
  };
}

export const callerFor = (actor: string, code = 'TREAT', more: Partial<Caller> = {}): Caller => ({
  client: 'client',
  actor,
  purpose: code,
  scopes: [],
  admin: false,
  choosesIds: false,
  tokenId: 't',
  ...more,
});

/** An Observation of patient 1 with these labels. */
export function observation(more: Json = {}, ...labels: string[]): ResourceValue {
  return {
    resourceType: 'Observation',
    id: 'o',
    subject: { reference: 'Patient/1' },
    ...(labels.length > 0 ? { meta: { security: labels.map(label) } } : {}),
    ...more,
  };
}

export type Asked = {
  readonly consents?: readonly ResourceValue[];
  readonly caller?: Caller;
  readonly implicit?: ImplicitPolicy;
  readonly directory?: readonly ResourceValue[];
  readonly now?: number;
  readonly writer?: string;
  readonly voidPatients?: readonly string[];
  readonly anchors?: readonly string[];
  /** Stored resources that others refer to. */
  readonly stored?: Readonly<Record<string, ResourceValue>>;
  readonly sealed?: boolean;
};

/** P or D: whether the caller (by default Organization/insurer for TREAT) may see the resource. */
export function decision(resource: ResourceValue, asked: Asked = {}): 'P' | 'D' {
  const { input, keys } = decisionOn(resource, asked);
  return holds(scopeFor(input).where, String(resource.id), keys) ? 'P' : 'D';
}

/** What is decided with, and the facets of the resource. */
export function decisionOn(resource: ResourceValue, asked: Asked): { readonly input: DecisionInput; readonly keys: readonly string[] } {
  const { consents = [], caller = callerFor('Organization/insurer'), implicit = { kind: 'deny' }, directory = [], now = NOON } = asked;
  const input = {
    caller,
    implicit,
    now,
    type: resource.resourceType,
    closure: closureOf(caller, directory, now),
    // Signed while it was still good.
    policies: consents.map((consent) => compileConsent(consent, { now: Number.NEGATIVE_INFINITY })),
    voidPatients: new Set(asked.voidPatients),
    anchors: new Set(asked.anchors),
  };
  const { writer = 'Organization/hospital', stored = {}, sealed = false } = asked;
  return { input, keys: facetsOf(resource, { writer, base: 'https://here.example/fhir', lookup: (reference) => stored[reference], sealed }) };
}
