/**
 * The plan of a search of several types: of everything (parameters that every type has), of the types that `_type` names (those which all of
 * them have), of a compartment. https://hl7.org/fhir/R4/search.html#searchcontexts, https://hl7.org/fhir/R4/http.html#vsearch (3.1.1.5)
 *
 * Invariant: a criterion is used for all the types or for none, so that leaving one out never makes the answer one of another question.
 */
import { AssentError } from '../errors.ts';
import type { Condition, Include } from './join.ts';
import { CURSOR_PARAMETER, type ParseOptions, parseSearch } from './parse.ts';
import { isInclude, type Reach } from './parse-joins.ts';
import { type JoinedPlan, planJoined } from './plan.ts';
import type { ParsedQuery } from './query.ts';
import type { SearchOrder } from './sort.ts';

export type SeveralOptions = {
  readonly handling: 'strict' | 'lenient';
  readonly reach: Reach;
  /** Whether the caller said which types. */
  readonly named: boolean;
};

export type SeveralPlan = Omit<JoinedPlan, 'where' | 'order'> & {
  readonly parts: readonly { readonly type: string; readonly where: Condition; readonly order: SearchOrder }[];
};

/** `current`: as of planJoined. */
type Options = SeveralOptions & ParseOptions & { readonly current?: boolean };
type Pair = readonly [name: string, value: string];

/** `*` reaches over every type from each of these. */
const MOST_WITH_ALL = 10;

/** `types`: at least one. Throws AssentError('invalid-search', 'forbidden'). */
export function planSeveral(types: readonly string[], query: URLSearchParams, options: Options): SeveralPlan {
  const given: Pair[] = [...query];
  const criteria = given.filter(([name]) => !isInclude(name) && isCommon(name, types, options));
  const parse = (pairs: readonly Pair[]) => types.map((type) => parseSearch(type, asQuery(pairs), { ...options, handling: 'lenient' }));
  const first = parse(criteria);
  const usable = commonOf(criteria, first);
  const parsed = usable.length === criteria.length ? first : parse(usable);
  const { includes, taken } = includesOf(given, types, options);
  const unused = given.filter((pair) => !usable.includes(pair) && !taken.includes(pair));
  const warnings = unused.map((pair) => whyNot(pair, first));
  const [problem] = warnings;
  if (problem !== undefined && options.handling === 'strict') throw new AssentError('invalid-search', problem);
  const plans = parsed.map((one) => ({ type: one.type, plan: planJoined(one, options.current) }));
  const { count, total, cursor } = (plans[0] as (typeof plans)[number]).plan;
  const used = asQuery(given.filter((pair) => !unused.includes(pair) && pair[0] !== CURSOR_PARAMETER)).toString();
  return { parts: plans.map(({ type, plan: { where, order } }) => ({ type, where, order })), includes, count, total, cursor, used, warnings };
}

function asQuery(pairs: readonly Pair[]): URLSearchParams {
  return new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value]));
}

/** Of types that nobody named only what all of R4 has in common is asked. */
function isCommon(name: string, [type = '']: readonly string[], { named, parameters }: Options): boolean {
  return named || name.startsWith('_') || parameters?.(type).get(name.replace(/[:.].*$/s, ''))?.base === 'Resource';
}

/** Those that every type uses; each as often as all of them do. */
function commonOf(pairs: readonly Pair[], parsed: readonly ParsedQuery[]): readonly Pair[] {
  const left = parsed.map(({ used }) => countsOf(used));
  const sorted = new Set(parsed.map(({ sort = [] }) => sort.map(({ parameter }) => parameter.type).join()));
  const isUsed = (pair: Pair) => left.every((counts) => take(counts, textOf(pair)));
  return pairs.filter((pair) => pair[0] === CURSOR_PARAMETER || (isUsed(pair) && (pair[0] !== '_sort' || sorted.size === 1)));
}

function countsOf(pairs: readonly Pair[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const pair of pairs) counts.set(textOf(pair), (counts.get(textOf(pair)) ?? 0) + 1);
  return counts;
}

function take(counts: Map<string, number>, text: string): boolean {
  const left = counts.get(text) ?? 0;
  counts.set(text, left - 1);
  return left > 0;
}

function textOf([name, value]: Pair): string {
  return `${name}=${value}`;
}

type Included = { readonly includes: readonly Include[]; readonly taken: readonly Pair[] };

/** An include starts from the type it names: it is used where one of the types can. */
function includesOf(given: readonly Pair[], types: readonly string[], options: Options): Included {
  const includes = new Map<string, Include>();
  const taken: Pair[] = [];
  for (const pair of given.filter(([name]) => isInclude(name))) {
    if (pair[1] === '*' && types.length > MOST_WITH_ALL) continue;
    const found = types.map((type) => parseSearch(type, asQuery([pair]), { ...options, handling: 'lenient' })).filter(({ used }) => used.length > 0);
    if (found.length > 0) taken.push(pair);
    for (const include of found.flatMap((one) => one.includes)) includes.set(JSON.stringify(include), include);
  }
  return { includes: [...includes.values()], taken };
}

/** The words of a type that could not use it. The name comes from outside: shown as parse.ts shows it. */
function whyNot([name]: Pair, parsed: readonly ParsedQuery[]): string {
  const shown = `The search parameter "${name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')}"`;
  if (isInclude(name)) return `${shown} leads nowhere from the types searched; of more than ${MOST_WITH_ALL} types it takes no *.`;
  const known = parsed.flatMap(({ warnings }) => warnings).find((warning) => warning.startsWith(`${shown} `));
  return (
    known ?? `${shown} ${name === '_sort' ? 'orders these types by values of different kinds' : 'is none that every type has: name types by _type'}.`
  );
}
