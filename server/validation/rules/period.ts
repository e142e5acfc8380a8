/**
 * A Period ends no earlier than it starts (per-1), partial precision and unequal zones allowed for. https://hl7.org/fhir/R4/datatypes.html#Period
 *
 * Invariant: only a certain inversion is refused.
 */
import type { Finding } from '../finding.ts';
import type { Visit } from '../structure.ts';

export function periodFindings({ value, place }: Visit): Finding[] {
  const { start, end } = value as { readonly start?: unknown; readonly end?: unknown };
  if (typeof start !== 'string' || typeof end !== 'string' || isInOrder(start, end)) return [];
  return [
    { place: { up: place, step: '.start' }, diagnostics: 'Constraint per-1 not met: the start must not be later than the end.', code: 'invariant' },
  ];
}

function isInOrder(start: string, end: string): boolean {
  if (start.includes('T') && end.includes('T')) return !(Date.parse(start) > Date.parse(end));
  const length = Math.min(start.length, end.length, 10);
  if (start.slice(0, length) <= end.slice(0, length)) return true;
  // A day without a zone and an instant of the day before in another zone can be in order.
  return start.length !== end.length && length === 10 && Date.parse(start.slice(0, 10)) - Date.parse(end.slice(0, 10)) <= DAY;
}

/** Zones lie up to 14 hours from UTC on either side. */
const DAY = 86_400_000;
