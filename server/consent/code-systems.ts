/**
 * The pinned v3 code systems that consents speak in: purposes of use, confidentiality ranks, sensitivities. consent.md §2
 * https://terminology.hl7.org/CodeSystem-v3-ActReason.html, -v3-ActCode.html, -v3-Confidentiality.html
 *
 * Invariant: a code that is not here is not understood, and what is not understood is refused when a Consent is signed.
 */
import table from './code-systems.json' with { type: 'json' };

export const systems = {
  purpose: 'http://terminology.hl7.org/CodeSystem/v3-ActReason',
  sensitivity: 'http://terminology.hl7.org/CodeSystem/v3-ActCode',
  confidentiality: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality',
  action: 'http://terminology.hl7.org/CodeSystem/consentaction',
  participation: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType',
  resourceTypes: 'http://hl7.org/fhir/resource-types',
  scope: 'http://terminology.hl7.org/CodeSystem/consentscope',
} as const;

const ancestors = {
  purpose: table.purposes as Readonly<Record<string, readonly string[]>>,
  sensitivity: table.sensitivities as Readonly<Record<string, readonly string[]>>,
};

export function isPurpose(code: string): boolean {
  return Object.hasOwn(ancestors.purpose, code);
}

export function isSensitivity(code: string): boolean {
  return Object.hasOwn(ancestors.sensitivity, code);
}

/** Whether `code` is `wanted` or lies below it: v3 puts BTG under ETREAT under TREAT. */
export function purposeIsWithin(code: string, wanted: string): boolean {
  return code === wanted || (ancestors.purpose[code] ?? []).includes(wanted);
}

/** Every purpose below it, without itself. */
export function purposesBelow(wanted: string): readonly string[] {
  return Object.keys(ancestors.purpose).filter((code) => ancestors.purpose[code]?.includes(wanted));
}

/** The sensitivity and every code below it. */
export function sensitivityClosure(wanted: string): readonly string[] {
  return Object.keys(ancestors.sensitivity).filter((code) => code === wanted || ancestors.sensitivity[code]?.includes(wanted));
}

const RANKS = ['U', 'L', 'M', 'N', 'R', 'V'] as const;

/** U < L < M < N < R < V as 0 to 5; undefined for any other code. */
export function rankOf(code: string): number | undefined {
  const rank = RANKS.findIndex((known) => known === code);
  return rank < 0 ? undefined : rank;
}

export const HIGHEST_RANK = RANKS.length - 1;
/** What has no confidentiality label is restricted until somebody labels it. */
export const UNLABELLED_RANK = RANKS.indexOf('R');

/** consentaction codes; a read is `access`. */
export const actions: ReadonlySet<string> = new Set(['collect', 'access', 'use', 'disclose', 'correct']);
/** Denying any of these stops a read (rule 7). */
export const readActions: ReadonlySet<string> = new Set(['access', 'use', 'disclose']);
