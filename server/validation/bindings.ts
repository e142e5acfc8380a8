/**
 * Codes against the value set an element binds: outside a required one is an error, outside an extensible one a warning, not on board is said.
 * https://hl7.org/fhir/R4/terminologies.html#strength
 *
 * Invariant: an error is only said of a code that is certainly outside.
 */
import type { Finding } from './finding.ts';
import type { Binding } from './shapes.ts';
import type { Membership, ValueSets } from './value-sets.ts';

type Bound = { readonly type: string; readonly value: unknown; readonly binding: Binding };
type CodeFinding = Omit<Finding, 'place'>;
type Coded = { readonly code?: unknown; readonly system?: unknown };

export function codeFindings({ type, value, binding }: Bound, valueSets: ValueSets): readonly CodeFinding[] {
  const found = membershipOf(type, value, (coded) => lookUp(coded, binding, valueSets));
  if (found === 'in') return NONE;
  if (found === 'unknown') return [UNCHECKED];
  if (binding.strength === 'extensible') return found === 'none' ? NONE : [OUTSIDE_EXTENSIBLE];
  if (found === 'none') return [{ diagnostics: 'A code of the required value set must be given; text alone is not enough.', code: 'code-invalid' }];
  const codes = valueSets.short(binding.valueSet);
  return [{ diagnostics: `Must be one of the codes the specification requires here${codes ? `: ${codes.join(', ')}` : ''}.`, code: 'code-invalid' }];
}

const NONE: readonly CodeFinding[] = [];
const UNCHECKED: CodeFinding = {
  diagnostics: 'The codes of this value set are not all on board, so this code was not checked.',
  code: 'not-supported',
  severity: 'information',
};
const OUTSIDE_EXTENSIBLE: CodeFinding = {
  diagnostics: 'None of the codes is of the value set that should be used here unless it has no fitting concept.',
  code: 'code-invalid',
  severity: 'warning',
};

function membershipOf(type: string, value: unknown, of: (coded: Coded) => Membership | 'none'): Membership | 'none' {
  if (typeof value === 'string') return of({ code: value });
  if (typeof value !== 'object' || value === null) return 'none';
  if (type !== 'CodeableConcept') return type === 'Coding' || type === 'Quantity' ? of(value) : 'in';
  const codings = (value as { readonly coding?: unknown }).coding;
  if (!Array.isArray(codings)) return 'none';
  const each = codings.map((coding: unknown) => of((coding ?? {}) as Coded));
  return each.find((found) => found === 'in') ?? each.find((found) => found === 'unknown') ?? each.find((found) => found === 'out') ?? 'none';
}

function lookUp({ code, system }: Coded, { valueSet }: Binding, valueSets: ValueSets): Membership | 'none' {
  if (typeof code !== 'string') return 'none';
  return valueSets.membership(valueSet, code, typeof system === 'string' ? system : undefined);
}
