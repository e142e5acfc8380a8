/** Between which instants what a query finds is sorted, as far as its criteria say so: where a walk in that order begins and ends. */
import { type Expression, or } from '../search/expression.ts';

/** ms since 1970, ends included; `unless`: what it holds for may be sorted anywhere. */
export type Instants = Expression & { readonly kind: 'instants' };

/** More that may be sorted anywhere than this: nothing is gained by looking for it apart. */
export const MOST_BESIDE = 200;

/** Undefined: anywhere. */
export function instantsOf(expression: Expression): Instants | undefined {
  const parts = expression.kind === 'and' ? expression.of : [expression];
  return parts.filter((part) => part.kind === 'instants').reduce<Instants | undefined>((all, part) => (all ? both(all, part) : part), undefined);
}

function both(one: Instants, other: Instants): Instants {
  return { kind: 'instants', from: Math.max(one.from, other.from), to: Math.min(one.to, other.to), unless: or([one.unless, other.unless]) };
}
