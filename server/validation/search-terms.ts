/**
 * The codes of value sets and hierarchies on board, listed for search: packages before what R4 itself binds, and R4's own code systems and the
 * hierarchies of v3 by a table made from the definitions (test/support/code-system-table.ts). https://hl7.org/fhir/R4/valueset.html#composition
 *
 * Invariant: a list is whole or there is none; a set that names a system, a filter or another set that is not on board has none.
 */
import type { Definition, Package } from './packages/package.ts';
import { compareVersions } from './packages/profiles.ts';
import systems from './code-systems.json' with { type: 'json' };
import table from './value-sets.json' with { type: 'json' };
import type { CodeSystem, Concept, Expanded, Filter, Include, ValueSet } from './packages/value-set.ts';

type Code = { readonly system: string; readonly code: string };
export type SearchTerms = {
  readonly expand: (valueSet: string) => readonly Code[] | undefined;
  readonly below: (code: Code) => readonly Code[] | undefined;
  readonly above: (code: Code) => readonly Code[] | undefined;
};

/** Every code of a system, with all above it. */
type Hierarchy = ReadonlyMap<string, ReadonlySet<string>>;

const MOST_CODES = 20_000;
const DEEPEST = 20;

export function createSearchTerms(packages: readonly Package[]): SearchTerms {
  const hierarchyOf = remembered((system: string) => {
    const found = newest<CodeSystem>(system, packages, 'codeSystems');
    if (found) return found.content === 'complete' ? flatten(found.concept ?? []) : undefined;
    return Object.hasOwn(ownSystems, system) ? flatten(conceptsOf(ownSystems[system] ?? [])) : undefined;
  });
  const expand = (canonical: string, depth: number): readonly Code[] | undefined => {
    if (depth > DEEPEST) return undefined;
    const set = newest<ValueSet>(canonical, packages, 'valueSets');
    if (!set) return bound(canonical);
    const { include = [], exclude = [] } = set.compose ?? {};
    const listOf = (one: Include) => included(one, { hierarchyOf, expand: (url) => expand(url, depth + 1) });
    const codes = include.length === 0 ? undefined : union(include.map(listOf));
    const without = union(exclude.map(listOf));
    if (!codes || !without) return expanded(set.expansion);
    const left = new Set(without.map(nameOf));
    return codes.filter((code) => !left.has(nameOf(code)));
  };
  const whole = remembered((canonical: string) => {
    const codes = expand(canonical, 0);
    return codes && codes.length <= MOST_CODES ? codes : undefined;
  });
  const related = ({ system, code }: Code, isRelated: (other: string, above: ReadonlySet<string>) => boolean) => {
    const codes = hierarchyOf(system);
    if (!codes?.has(code)) return undefined;
    return [...codes].filter(([other, above]) => other === code || isRelated(other, above)).map(([other]) => ({ system, code: other }));
  };
  return {
    expand: whole,
    below: (code) => related(code, (_, above) => above.has(code.code)),
    above: (code) => related(code, (other) => hierarchyOf(code.system)?.get(code.code)?.has(other) ?? false),
  };
}

/** Names come from outside: what is remembered is bounded. */
function remembered<T>(find: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const found = known.has(name) ? (known.get(name) as T) : find(name);
    if (known.size < 1_000) known.set(name, found);
    return found;
  };
}

function newest<T>(canonical: string, packages: readonly Package[], kind: 'valueSets' | 'codeSystems'): T | undefined {
  const [url, version] = canonical.split('|');
  const found: Definition[] = packages.flatMap((one) => one[kind]).filter((one) => one.url === url && (version ?? one.version) === one.version);
  const [first] = found.toSorted((a, b) => compareVersions(b.version, a.version));
  return first && (JSON.parse(first.text) as T);
}

/** Codes in order; a list stands behind the code whose children it holds. */
type Nested = readonly (string | Nested)[];

const ownSystems = systems as unknown as Readonly<Record<string, Nested>>;

function conceptsOf(codes: Nested): Concept[] {
  return codes.flatMap((code, i) => {
    const children = codes[i + 1];
    if (typeof code !== 'string') return [];
    return [typeof children === 'object' ? { code, concept: conceptsOf(children) } : { code }];
  });
}

function flatten(concepts: readonly Concept[]): Hierarchy {
  const codes = new Map<string, Set<string>>();
  const add = (list: readonly Concept[], above: ReadonlySet<string>): void => {
    for (const { code, concept = [] } of list) {
      if (code === undefined) continue;
      codes.set(code, new Set([...(codes.get(code) ?? []), ...above]));
      add(concept, new Set([...above, code]));
    }
  };
  add(concepts, new Set());
  return codes;
}

type Board = { readonly hierarchyOf: (system: string) => Hierarchy | undefined; readonly expand: (valueSet: string) => readonly Code[] | undefined };

/** What an include names: the codes it lists, or those its filters pass, which are in all of its value sets as well. */
function included({ system, concept, filter = [], valueSet = [] }: Include, { hierarchyOf, expand }: Board): readonly Code[] | undefined {
  const sets = valueSet.map(expand);
  if (!sets.every((set) => set !== undefined)) return undefined;
  const own = system === undefined ? undefined : ofSystem(system, { concept, filter }, hierarchyOf);
  if (system !== undefined && !own) return undefined;
  const [first = [], ...others] = own ? [own, ...sets] : sets;
  const rest = others.map((set) => new Set(set.map(nameOf)));
  return first.filter((code) => rest.every((set) => set.has(nameOf(code))));
}

type Narrowed = { readonly concept: readonly Concept[] | undefined; readonly filter: readonly Filter[] };

function ofSystem(system: string, { concept, filter }: Narrowed, hierarchyOf: Board['hierarchyOf']): readonly Code[] | undefined {
  if (concept) return concept.flatMap(({ code }) => (code === undefined ? [] : [{ system, code }]));
  const codes = hierarchyOf(system);
  if (!codes || !filter.every(isKnown)) return undefined;
  return [...codes].filter(([code, above]) => filter.every((one) => passes(one, code, above))).map(([code]) => ({ system, code }));
}

function isKnown({ property, op }: Filter): boolean {
  return property === 'concept' && ['is-a', 'descendent-of', 'is-not-a'].includes(op ?? '');
}

function passes({ op, value = '' }: Filter, code: string, above: ReadonlySet<string>): boolean {
  const isBelow = above.has(value);
  return op === 'descendent-of' ? isBelow : (isBelow || code === value) === (op === 'is-a');
}

/** An expansion that shows fewer codes than it says it has is a page of it. */
function expanded(expansion: ValueSet['expansion']): readonly Code[] | undefined {
  const codes: Code[] = [];
  const add = (list: readonly Expanded[]): void => {
    for (const { system, code, abstract, contains = [] } of list) {
      if (abstract !== true && system !== undefined && code !== undefined) codes.push({ system, code });
      add(contains);
    }
  };
  add(expansion?.contains ?? []);
  return expansion?.total !== undefined && expansion.total <= codes.length ? codes : undefined;
}

function bound(canonical: string): readonly Code[] | undefined {
  const rows = table as Readonly<Record<string, Readonly<Record<string, readonly string[] | null>>>>;
  const url = canonical.replace(/\|.*$/, '');
  if (!Object.hasOwn(rows, url)) return undefined;
  return union(
    Object.entries(rows[url] ?? {}).map(([system, codes]) => (codes && system !== '*' ? codes.map((code) => ({ system, code })) : undefined)),
  );
}

function union(lists: readonly (readonly Code[] | undefined)[]): readonly Code[] | undefined {
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
}

function nameOf({ system, code }: Code): string {
  return `${system}|${code}`;
}
