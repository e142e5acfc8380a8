/**
 * Keys that most AuditEvents carry alike. Every disclosure writes one or more of these events before it answers, and an index entry for what
 * they have in common costs as much as one that tells them apart; so these are checked row by row and never walked. storage.md §1, §3
 *
 * Invariant: a criterion on such a key finds the same resources as one on any other; only the way there differs.
 */
import { compareKeys, successor } from './expression.ts';
import { paramCode } from './param-codes.ts';

/** Rare values of the same parameters (a refusal, a deletion) stay in the index. */
const COMMON: readonly (readonly [parameter: string, beginnings: readonly string[]])[] = [
  ['action', ['tR\u0001', 'tE\u0001']],
  ['entity-role', ['']],
  ['outcome', ['t0\u0001']],
  ['source', ['p']],
  ['subtype', ['s', 'tread\u0001', 'tsearch-type\u0001']],
  ['type', ['']],
];

const prefixes: readonly string[] = COMMON.flatMap(([name, beginnings]) => {
  const code = paramCode({ base: 'AuditEvent', name });
  if (code === undefined) throw new Error(`AuditEvent.${name} has no code.`);
  return beginnings.map((beginning) => code + beginning);
});

const codes = new Set(prefixes.map((prefix) => prefix.slice(0, 3)));

/** Also true of the beginning of a common key: a walk of all that begin so would miss rows. */
export function isCommon(key: string): boolean {
  return codes.has(key.slice(0, 3)) && prefixes.some((prefix) => key.startsWith(prefix) || prefix.startsWith(key));
}

/** Whether a span of keys (from ≤ key < to) may hold a common one. */
export function mayHoldCommon(from: string, to: string): boolean {
  return prefixes.some((prefix) => compareKeys(from, successor(prefix)) < 0 && compareKeys(prefix, to) < 0);
}
