/**
 * `_sort`: the parameters named, and the index keys that are ordered as their values are. https://hl7.org/fhir/R4/search.html#sort
 * Of several values the least counts when ascending and the greatest when descending; what has none comes last in both directions.
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import {
  dateEndPrefix,
  datePrefix,
  numberPrefix,
  rangeEndPrefix,
  rangePrefix,
  referencePrefix,
  stringPrefix,
  tokensPrefix,
  urisPrefix,
} from './keys.ts';
import { mayBeRange } from './number-criteria.ts';
import { paramCode } from './param-codes.ts';
import type { ParsedQuery, Sort } from './query.ts';

/** A page link holds a value for each. */
const MOST_SORTED_BY = 6;

type Why = { readonly why: string };

/** `parameters`: of the type, by name. */
export function readSort(value: string, parameters: ReadonlyMap<string, SearchParameter>): readonly Sort[] | Why {
  const names = value.split(',').filter((name) => name !== '');
  if (names.length === 0) return { why: 'names nothing to sort by' };
  if (names.length > MOST_SORTED_BY) return { why: `names more than the ${MOST_SORTED_BY} parameters this server sorts by` };
  const sorts: Sort[] = [];
  for (const name of names) {
    const direction = name.startsWith('-') ? ('descending' as const) : ('ascending' as const);
    const bare = name.replace(/^-/, '');
    const parameter = parameters.get(bare);
    if (bare.includes('.')) return { why: 'asks to sort by a chain, which this server does not offer' };
    if (!parameter || (parameter.name !== '_id' && prefixOf(parameter, direction) === undefined))
      return { why: 'names something that is no parameter of this type with values to sort by' };
    sorts.push({ parameter, direction });
  }
  return sorts;
}

/**
 * `ranges`: in the place of the prefix in the keys of ranges. `within`, `rangesWithin`: whoever matches has each of these keys with this one in its place
 * as well, and others have none with it.
 */
type SortKey = {
  readonly prefix: string;
  readonly direction: Sort['direction'];
  readonly ranges?: string;
  readonly within?: string;
  readonly rangesWithin?: string;
};
export type SearchOrder =
  | { readonly by: 'instant'; readonly direction: 'newest-first' | 'oldest-first' }
  | { readonly by: 'keys'; readonly keys: readonly SortKey[]; readonly ids: Sort['direction'] };

/** What comes after the id tells nothing apart. */
export function orderOf(sort: ParsedQuery['sort']): SearchOrder {
  const [lead] = sort ?? [];
  if (!sort || !lead) return { by: 'instant', direction: 'newest-first' };
  const keys: SortKey[] = [];
  for (const { parameter, direction } of sort) {
    if (parameter.name === '_id') return { by: 'keys', keys, ids: direction };
    const prefix = prefixOf(parameter, direction);
    if (prefix !== undefined) keys.push({ prefix, direction, ...rangesOf(parameter, prefix, direction) });
  }
  return { by: 'keys', keys, ids: lead.direction };
}

/** Numbers as dates: ascending by where a range begins, descending by where it ends. */
function rangesOf(parameter: SearchParameter, prefix: string, direction: Sort['direction']): { readonly ranges?: string } {
  const code = paramCode(parameter);
  if (code === undefined || !(parameter.type === 'number' || parameter.type === 'quantity') || !mayBeRange(parameter)) return {};
  return { ranges: (direction === 'ascending' ? rangePrefix : rangeEndPrefix)(code, prefix) };
}

/** Dates: ascending by the earliest beginning, descending by the latest end. */
function prefixOf(parameter: SearchParameter, direction: Sort['direction']): string | undefined {
  const code = paramCode(parameter);
  if (code === undefined) return undefined;
  switch (parameter.type) {
    case 'date':
      return direction === 'ascending' ? datePrefix(code) : dateEndPrefix(code);
    case 'string':
      return stringPrefix(code, '');
    case 'token':
      return tokensPrefix(code);
    case 'reference':
      return referencePrefix(code);
    case 'number':
    case 'quantity':
      return numberPrefix(code);
    case 'uri':
      return urisPrefix(code);
    default:
      return undefined;
  }
}
