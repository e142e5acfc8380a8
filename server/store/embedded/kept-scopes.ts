/**
 * A scope may name every patient there is: it is told to the reader thread once, under a number, and not with each search. What is remembered of a scope
 * there (row-classes.ts) lasts as well, because it stays the same object.
 *
 * Invariant: messages arrive in the order in which they were made, each once; both sides keep the same scopes.
 */
import { type Expression, none } from '../../search/expression.ts';
import type { ScopeOrInternal } from '../port.ts';
import type { LongRead } from './reads.ts';

/** `where`: a new one. `instead`: of this one, which is told no more. */
type KeptScope = { readonly number: number; readonly where?: Expression; readonly instead?: number };

/** A read without what its scopes say, and which these are, in their order. */
export type ReadWithKept = { readonly read: LongRead; readonly scopes: readonly KeptScope[] };

/** How many are kept. */
export const MOST_KEPT = 32;

export function createScopeTeller(): (read: LongRead) => ReadWithKept {
  const numbers = new Map<Expression, number>();
  let last = 0;
  const tell = (where: Expression): KeptScope => {
    const known = numbers.get(where);
    if (known !== undefined) return { number: known };
    const [oldest] = numbers;
    const instead = oldest && numbers.size >= MOST_KEPT ? { instead: oldest[1] } : {};
    if (oldest && 'instead' in instead) numbers.delete(oldest[0]);
    numbers.set(where, ++last);
    return { number: last, where, ...instead };
  };
  return (read) => {
    const scopes: KeptScope[] = [];
    const told = withScopes(read, (where) => {
      scopes.push(tell(where));
      return none;
    });
    return { read: told, scopes };
  };
}

export function createScopeKeeper(): (told: ReadWithKept) => LongRead {
  const kept = new Map<number, Expression>();
  return ({ read, scopes }) => {
    // A read of many types may have more scopes than are kept: each is looked up when it is told, before another takes its place.
    const wheres = scopes.map(({ number, where, instead }) => {
      if (instead !== undefined) kept.delete(instead);
      if (where) kept.set(number, where);
      const known = kept.get(number);
      if (!known) throw new Error('A scope that was never told.');
      return known;
    });
    const following = wheres.values();
    return withScopes(read, () => following.next().value ?? none);
  };
}

function withScopes(read: LongRead, instead: (where: Expression) => Expression): LongRead {
  const scoped = (scope: ScopeOrInternal): ScopeOrInternal => (scope === 'internal' ? scope : { ...scope, where: instead(scope.where) });
  switch (read.kind) {
    case 'find':
      return { ...read, query: { ...read.query, scope: scoped(read.query.scope) } };
    case 'count':
      return { ...read, query: { ...read.query, scope: scoped(read.query.scope) } };
    case 'several':
      return { ...read, query: { ...read.query, parts: read.query.parts.map((part) => ({ ...part, scope: scoped(part.scope) })) } };
  }
}
