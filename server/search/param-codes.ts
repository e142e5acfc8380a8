/**
 * Short codes of (type, parameter) at the head of every index key. storage.md §3
 *
 * Invariant: append-only. A code is a row's number in param-codes.json; rows are never moved, renamed or reused, because keys in
 * databases that exist were written with them. All codes have one width, so none is a prefix of another; none begins with `@` or `~`.
 * Parameters that are not R4's own have codes made from their definition, under a number the table never reaches: a definition that changes
 * has new keys, so what the old one found is never taken for the new.
 */
import { createHash } from 'node:crypto';
import type { SearchParameter } from '../fhir/search-parameters.ts';
import table from './param-codes.json' with { type: 'json' };

const WIDTH = 3;

const codes = new Map(table.map((row, number) => [row, number.toString(36).padStart(WIDTH, '0')]));

/** The parameter's name, of a code or of a key that begins with one; of those that are not R4's own, where this process makes keys for it. */
export function paramNameOf(code: string): string | undefined {
  if (isDefined(code)) return namesOfOthers.get(codeOfKey(code));
  const row = table[Number.parseInt(code.slice(0, WIDTH), 36)];
  return row !== undefined && codes.get(row) === code.slice(0, WIDTH) ? row.slice(row.indexOf('.') + 1) : undefined;
}

const OTHERS = '9zzc';
const DIGITS = 10;
const others = new Map<string, string>();
const namesOfOthers = new Map<string, string>();

/** Whether a code, or a key that begins with one, is of a SearchParameter that is not R4's own. */
export function isDefined(code: string): boolean {
  return code.startsWith(OTHERS);
}

/** What a key begins with. */
export function codeOfKey(key: string): string {
  return key.slice(0, isDefined(key) ? OTHERS.length + DIGITS : WIDTH);
}

/** Under which words are found: those of the narrative, and all of them. */
export const NARRATIVE_CODE = codeIn('DomainResource._text');
export const CONTENT_CODE = codeIn('Resource._content');

function codeIn(row: string): string {
  const code = codes.get(row);
  if (code === undefined) throw new Error(`${row} has no code.`);
  return code;
}

/** Undefined for a parameter that has no row: it cannot be indexed. */
export function paramCode({ base, name, definition }: Pick<SearchParameter, 'base' | 'name' | 'definition'>): string | undefined {
  if (definition === undefined) return codes.get(`${base}.${name}`);
  const identity = `${base}.${name} ${definition}`;
  let code = others.get(identity);
  if (code === undefined) {
    code = OTHERS + createHash('sha256').update(identity).digest('hex').slice(0, DIGITS);
    others.set(identity, code);
    namesOfOthers.set(code, name);
  }
  return code;
}
