/**
 * A token without its system is a span of keys, which is in no order. The few keys that are in use in it can be walked in order, sought, or found to be
 * none: for live resources the same is found.
 */
import { alternatives, and, any, type Expression } from '../../search/expression.ts';
import { isTokenSpan } from '../../search/keys.ts';
import { type Driver, driverOf } from '../driver.ts';
import { type Database, one } from './database.ts';
import { SOUGHT } from './walk.ts';

/** Of more, seeking them one by one gains nothing. */
const MOST_IN_USE = 4;

export function inUse(database: Database, type: string, expression: Expression): Expression {
  switch (expression.kind) {
    case 'and':
      return and(expression.of.map((part) => inUse(database, type, part)));
    case 'or':
      return alternatives(expression.of.map((part) => inUse(database, type, part)));
    case 'range': {
      const driver = isTokenSpan(expression.from, expression.to) ? driverOf(expression) : undefined;
      const keys = driver?.kind === 'range' ? keysIn(database, type, driver) : undefined;
      return keys ? any(keys) : expression;
    }
    default:
      return expression;
  }
}

/** Undefined: there are many. */
function keysIn({ statement, counted }: Database, type: string, { from, to }: Driver & { readonly kind: 'range' }): readonly string[] | undefined {
  const first = statement('SELECT min(key) FROM keys WHERE type = ? AND key >= ? AND key < ?');
  const later = statement('SELECT min(key) FROM keys WHERE type = ? AND key > ? AND key < ?');
  const keys: string[] = [];
  counted?.(SOUGHT);
  for (let key = one<[string | null]>(first, type, from, to)?.[0]; typeof key === 'string'; key = one<[string | null]>(later, type, key, to)?.[0]) {
    counted?.(SOUGHT);
    if (keys.push(key) > MOST_IN_USE) return undefined;
  }
  return keys;
}
