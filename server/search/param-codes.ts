/**
 * Short codes of (type, parameter) at the head of every index key. storage.md §3
 *
 * Invariant: append-only. A code is a row's number in param-codes.json; rows are never moved, renamed or reused, because keys in
 * databases that exist were written with them. All codes have one width, so none is a prefix of another; none begins with `@` or `~`.
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import table from './param-codes.json' with { type: 'json' };

const WIDTH = 3;

const codes = new Map(table.map((row, number) => [row, number.toString(36).padStart(WIDTH, '0')]));

/** Undefined for a parameter that has no row: it cannot be indexed. */
export function paramCode({ base, name }: Pick<SearchParameter, 'base' | 'name'>): string | undefined {
  return codes.get(`${base}.${name}`);
}
