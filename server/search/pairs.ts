/**
 * Search parameters that are asked together so often that what they find together has index entries of its own: among a patient's observations
 * those of one code, among those of a code the values in a span. Without them a search walks all that one of the two finds.
 *
 * Invariant: each key of the first stands with each key of the second, so both criteria hold of a resource exactly if one on the pair does. A code in
 * whose system case says nothing stands there in lower case alone.
 */
import { hash } from 'node:crypto';
import { alternatives, and, any, type Expression } from './expression.ts';
import { foldedOf, pairPrefix, PAIRED } from './keys.ts';
import { paramCode } from './param-codes.ts';

/** `kinds`: of the keys that are paired; a criterion on keys of other kinds stays as it is. `alias`: finds of the first what is of one type. */
type Declared = { readonly first: string; readonly alias?: readonly [parameter: string, target: string]; readonly second: string };

const { reference, token, folded, number, canonical, coded, ranges, odd } = PAIRED;

const declared: Readonly<Record<string, readonly (Declared & { readonly leads: string; readonly kinds: string })[]>> = {
  Observation: [
    { first: 'subject', alias: ['patient', 'Patient/'], leads: reference, second: 'code', kinds: token + folded },
    { first: 'code', leads: token + folded, second: 'value-quantity', kinds: number + canonical + coded + ranges + odd },
    { first: 'code', leads: token + folded, second: 'category', kinds: token + folded },
  ],
};

/** Characters of base64url: as many as tell apart what nobody can make alike. */
const LEAD = 22;

type Side = { readonly code: string; readonly kinds: string };
type Pair = { readonly code: string; readonly first: Side; readonly alias: Side & { readonly target: string }; readonly second: Side };

const pairs = new Map(
  Object.entries(declared).map(([base, rows]) => [
    base,
    rows.map(({ first, alias: [other, target] = [first, ''], leads, second, kinds }): Pair => {
      const codeOf = (name: string): string => {
        const code = paramCode({ base, name });
        if (code === undefined) throw new Error(`${base}.${name} has no code.`);
        return code;
      };
      return {
        code: codeOf(`${first} ${second}`),
        first: { code: codeOf(first), kinds: leads },
        alias: { code: codeOf(other), kinds: leads, target },
        second: { code: codeOf(second), kinds },
      };
    }),
  ]),
);

const ofReferences = [...pairs.values()].flat().flatMap(({ code, first }) => (first.kinds === reference ? [pairPrefix(code)] : []));

/** Whether a key, or where a span of keys begins, is of a pair with one reference: the key of that is not in it, but no other has it. */
export function hasOneReference(key: string): boolean {
  return ofReferences.some((prefix) => key.startsWith(prefix) && key.length >= prefix.length + LEAD);
}

/** Of a resource with these keys. */
export function pairKeysOf(type: string, keys: ReadonlySet<string>): readonly string[] {
  return (pairs.get(type) ?? []).flatMap((pair) => {
    const seconds = [...keys].filter((key) => isOf(pair.second, key));
    if (seconds.length === 0) return [];
    const firsts = new Set([...keys].filter((key) => isOf(pair.first, key)).map((key) => leadOf(pair, key)));
    return [...firsts].flatMap((first) => seconds.map((second) => moved(pair, first)(second)));
  });
}

/** Keys of the first that are asked at once. */
const MOST_LEADING = 8;

/** The same criteria, those that have a pair as one. */
export function pairUp(type: string, criteria: readonly Expression[]): readonly Expression[] {
  return (pairs.get(type) ?? []).reduce(pairUpBy, criteria);
}

function pairUpBy(criteria: readonly Expression[], pair: Pair): readonly Expression[] {
  const lead = criteria.find((criterion) => leadingKeys(criterion, pair) !== undefined);
  const keys = lead && leadingKeys(lead, pair);
  if (!keys) return criteria;
  let found = false;
  const others = criteria.filter((criterion) => criterion !== lead);
  const paired = others.map((criterion) => {
    const both = keys.map((key) => along(criterion, pair.second, moved(pair, key)));
    if (!both.every((one) => one !== undefined)) return criterion;
    found = true;
    return alternatives(both);
  });
  return found ? paired : criteria;
}

/** The beginning of the keys that stand for these ones of the second where all criteria hold: of one key of the first that one of them asks. */
export function pairedPrefix(type: string, criteria: readonly Expression[], prefix: string): string | undefined {
  for (const pair of pairs.get(type) ?? []) {
    if (!isOf(pair.second, prefix)) continue;
    const leads = criteria.map((criterion) => leadingKeys(criterion, pair)).find((keys) => keys?.length === 1);
    if (leads?.[0] !== undefined) return moved(pair, leads[0])(prefix);
  }
  return undefined;
}

/** As keys of the first; undefined where it asks anything else, or too much. */
function leadingKeys(criterion: Expression, pair: Pair): readonly string[] | undefined {
  const { first, alias } = pair;
  if (criterion.kind !== 'any' || criterion.keys.size > MOST_LEADING) return undefined;
  const keys = [...criterion.keys].map((key) => {
    const own = key.slice(alias.code.length + 1);
    return isOf(alias, key) && own.startsWith(alias.target) ? first.code + key.slice(alias.code.length) : key;
  });
  const leads = [...new Set(keys.map((key) => leadOf(pair, key)))];
  // As it is written, and in no other case, a code is not told by the keys of the pair.
  return keys.every((key) => isOf(first, key)) && leads.every((key) => keys.includes(key)) ? leads : undefined;
}

function leadOf({ first }: Pair, key: string): string {
  return foldedOf(key, first.code) ?? key;
}

function isOf({ code, kinds }: Side, key: string): boolean {
  return key.startsWith(code) && key.length > code.length && kinds.includes(key.charAt(code.length));
}

/** From keys of the second to those of the pair with this key of the first, in the same order. */
function moved({ code, second }: Pair, first: string): (key: string) => string {
  const head = pairPrefix(code) + hash('sha256', first, 'base64url').slice(0, LEAD);
  return (key) => head + key.slice(second.code.length);
}

function along(criterion: Expression, second: Side, move: (key: string) => string): Expression | undefined {
  switch (criterion.kind) {
    case 'any':
      return [...criterion.keys].every((key) => isOf(second, key)) ? any([...criterion.keys].map(move)) : undefined;
    case 'range': {
      const { from, to } = criterion;
      const isOfOneKind = isOf(second, from) && to.startsWith(from.slice(0, second.code.length + 1));
      return isOfOneKind ? { kind: 'range', from: move(from), to: move(to) } : undefined;
    }
    case 'interval':
      return isOf(second, criterion.prefix) ? { ...criterion, prefix: move(criterion.prefix) } : undefined;
    case 'and':
    case 'or': {
      const parts = criterion.of.map((part) => along(part, second, move));
      if (!parts.every((part) => part !== undefined)) return undefined;
      return criterion.kind === 'and' ? and(parts) : alternatives(parts);
    }
    default:
      return undefined;
  }
}
