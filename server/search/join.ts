/**
 * What a search asks of resources beyond the one that is found: of those it refers to (chains), of those that refer to it (_has), and which
 * of both to send along (_include, _revinclude). https://hl7.org/fhir/R4/search.html#chaining
 *
 * Data only. Joins are kept apart from expressions because they cannot be decided by one resource's keys: the Gate resolves them to
 * expressions, in the caller's view.
 */
import { and, type Expression, not, or } from './expression.ts';

/** References by one search parameter. `canonical`: by url and version, not by Type/id. */
export type Link = { readonly code: string; readonly canonical: boolean };

export type Join =
  /** Refers to a resource of one of these types for which the condition holds. */
  | { readonly kind: 'chain'; readonly link: Link; readonly to: readonly { readonly type: string; readonly where: Condition }[] }
  /** Is referred to by a resource of type `from` for which the condition holds. */
  | { readonly kind: 'has'; readonly link: Link; readonly from: string; readonly where: Condition };

export type Condition =
  | Expression
  | Join
  | { readonly kind: 'and'; readonly of: readonly Condition[] }
  | { readonly kind: 'or'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition };

export type Include = {
  /** `forward`: what resources of type `source` refer to, as far as it is of type `targets`. `backward`: what of type `source` refers to those. */
  readonly direction: 'forward' | 'backward';
  readonly source: string;
  readonly link: Link;
  readonly targets: readonly string[];
  /** Also for what was included itself. */
  readonly iterate: boolean;
};

/** Conjunction; what needs no join is one expression. */
export function allOf(parts: readonly Condition[]): Condition {
  const plain = and(parts.filter(isPlain));
  const joined = parts.filter((part) => !isPlain(part));
  if (joined.length === 0) return plain;
  return { kind: 'and', of: plain.kind === 'all' ? joined : [plain, ...joined] };
}

/** Disjunction; what needs no join is one expression. */
export function someOf(parts: readonly Condition[]): Condition {
  const plain = or(parts.filter(isPlain));
  const joined = parts.filter((part) => !isPlain(part));
  if (joined.length === 0 || plain.kind === 'all') return plain;
  return { kind: 'or', of: plain.kind === 'none' ? joined : [plain, ...joined] };
}

export function noneOf(part: Condition): Condition {
  return isPlain(part) ? not(part) : { kind: 'not', of: part };
}

/** Whether the keys of the resource itself decide it. */
export function isPlain(condition: Condition): condition is Expression {
  switch (condition.kind) {
    case 'chain':
    case 'has':
      return false;
    case 'and':
    case 'or':
      return (condition.of as readonly Condition[]).every(isPlain);
    case 'not':
      return isPlain(condition.of);
    default:
      return true;
  }
}
