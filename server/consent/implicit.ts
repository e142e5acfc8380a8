/** What holds where no Consent applies: one of the policies the custodian configures (break-glass only is: nothing, decide.ts). consent.md §2 (default), interface.md §1 */
import { any, type Expression, none, not } from '../search/expression.ts';
import { isSensitivity, rankOf } from './code-systems.ts';
import { facet } from './facets.ts';
import type { Caller, ImplicitPolicy } from './model.ts';
import { labelsDenied } from './what.ts';

export function implicitExpression(policy: ImplicitPolicy, caller: Caller, about: { readonly labelRules?: string | undefined }): Expression {
  switch (policy.kind) {
    case 'deny':
      return none;
    case 'author-treatment':
      // Rule 15: the organization that wrote the current version, for treatment.
      return caller.purpose === 'TREAT' && caller.actor.startsWith('Organization/') ? any([facet.writer(caller.actor)]) : none;
    case 'permit-except':
      return not(labelsDenied(policy.labels.map(labelOf), about));
  }
}

/** Throws Error with a sentence for a label that is not pinned: a policy that silently excepts nothing would be worse. */
export function labelOf(label: string): { readonly kind: 'rank'; readonly rank: number } | { readonly kind: 'sensitivity'; readonly code: string } {
  const rank = rankOf(label);
  if (rank !== undefined) return { kind: 'rank', rank };
  if (isSensitivity(label)) return { kind: 'sensitivity', code: label };
  throw new Error(`${label} is neither a confidentiality (U L M N R V) nor a pinned sensitivity code.`);
}
