/**
 * Value sets and code systems of packages, before those R4 brings. https://hl7.org/fhir/R4/valueset.html
 *
 * Invariant: a code is 'out' only when the whole set is known; a system or filter that is not on board makes it 'unknown', never a guess.
 */
import type { Membership, ValueSets } from '../value-sets.ts';
import type { Definition, Package } from './package.ts';
import { compareVersions } from './profiles.ts';
import type { CodeSystem, Concept, Expanded, Expansion, Filter, Include, ValueSet } from './value-set.ts';

type Ask = { readonly code: string; readonly system: string | undefined };
type Board = {
  readonly valueSet: (url: string) => ValueSet | undefined;
  readonly codes: (system: string) => Codes | undefined;
  readonly base: ValueSets;
};
/** Every code of a complete system, with the codes above it. */
type Codes = ReadonlyMap<string, ReadonlySet<string>>;

export function withPackages(base: ValueSets, packages: readonly Package[]): ValueSets {
  const sets = byUrl(packages.flatMap(({ valueSets }) => valueSets));
  const systems = byUrl(packages.flatMap(({ codeSystems }) => codeSystems));
  const codes = new Map<string, Codes | undefined>();
  const board: Board = {
    base,
    valueSet: (canonical) => sets(canonical) as ValueSet | undefined,
    codes(system) {
      if (!codes.has(system)) codes.set(system, codesOf(systems(system) as CodeSystem | undefined));
      return codes.get(system);
    },
  };
  return {
    membership: (valueSet, code, system) => membership(board, valueSet, { ask: { code, system }, depth: 0 }),
    short: (valueSet) => (board.valueSet(valueSet) ? undefined : base.short(valueSet)),
  };
}

function byUrl(definitions: readonly Definition[]): (canonical: string) => object | undefined {
  const parsed = new Map<Definition, object>();
  return (canonical) => {
    const [url, version] = canonical.split('|');
    const found = definitions.filter((one) => one.url === url && (version === undefined || one.version === version));
    const [newest] = found.toSorted((a, b) => compareVersions(b.version, a.version));
    if (!newest) return undefined;
    const value = parsed.get(newest) ?? (JSON.parse(newest.text) as object);
    parsed.set(newest, value);
    return value;
  };
}

function codesOf(system: CodeSystem | undefined): Codes | undefined {
  if (system?.content !== 'complete') return undefined;
  const codes = new Map<string, ReadonlySet<string>>();
  const add = (concepts: readonly Concept[], above: ReadonlySet<string>): void => {
    for (const { code, concept = [] } of concepts) {
      if (code === undefined) continue;
      codes.set(code, new Set([...(codes.get(code) ?? []), ...above]));
      add(concept, new Set([...above, code]));
    }
  };
  add(system.concept ?? [], new Set());
  return codes;
}

const DEEPEST = 20;

type Question = { readonly ask: Ask; readonly depth: number };

function membership(board: Board, canonical: string, { ask, depth }: Question): Membership {
  const set = depth > DEEPEST ? undefined : board.valueSet(canonical);
  if (!set) return board.base.membership(canonical, ask.code, ask.system);
  const { include = [], exclude = [] } = set.compose ?? {};
  if (include.length === 0) return inExpansion(set.expansion, ask);
  const inside = either(include.map((one) => inInclude(board, one, { ask, depth })));
  if (inside === 'unknown' && set.expansion) {
    const expanded = inExpansion(set.expansion, ask);
    if (expanded !== 'unknown') return expanded;
  }
  if (inside === 'out' || exclude.length === 0) return inside;
  const outside = either(exclude.map((one) => inInclude(board, one, { ask, depth })));
  if (outside === 'in') return 'out';
  return outside === 'unknown' ? 'unknown' : inside;
}

function either(verdicts: readonly Membership[]): Membership {
  return verdicts.includes('in') ? 'in' : verdicts.includes('unknown') ? 'unknown' : 'out';
}

function every(verdicts: readonly Membership[]): Membership {
  return verdicts.includes('out') ? 'out' : verdicts.includes('unknown') ? 'unknown' : 'in';
}

function inInclude(board: Board, { system, concept, filter = [], valueSet = [] }: Include, question: Question): Membership {
  const { ask } = question;
  const sets = valueSet.map((canonical) => membership(board, canonical, { ask, depth: question.depth + 1 }));
  if (system === undefined) return every(sets);
  if (ask.system !== undefined && ask.system !== system) return 'out';
  if (concept) return every([concept.some(({ code }) => code === ask.code) ? 'in' : 'out', ...sets]);
  const codes = board.codes(system);
  if (!codes) return every(['unknown', ...sets]);
  const above = codes.get(ask.code);
  if (!above) return 'out';
  return every([...filter.map((one) => passes(one, ask.code, above)), ...sets]);
}

function passes({ property, op, value = '' }: Filter, code: string, above: ReadonlySet<string>): Membership {
  if (property !== 'concept') return 'unknown';
  switch (op) {
    case 'is-a':
      return code === value || above.has(value) ? 'in' : 'out';
    case 'descendent-of':
      return above.has(value) ? 'in' : 'out';
    case 'is-not-a':
      return code === value || above.has(value) ? 'out' : 'in';
    default:
      return 'unknown';
  }
}

/** An expansion that says how many codes it has and shows fewer is a page of it. */
function inExpansion(expansion: Expansion | undefined, { code, system }: Ask): Membership {
  if (!expansion?.contains) return 'unknown';
  let seen = 0;
  const holds = (list: readonly Expanded[]): boolean =>
    list.some((one) => {
      if (one.abstract !== true) seen++;
      if (one.abstract !== true && one.code === code && (system === undefined || one.system === system)) return true;
      return holds(one.contains ?? []);
    });
  if (holds(expansion.contains)) return 'in';
  return expansion.total !== undefined && expansion.total <= seen ? 'out' : 'unknown';
}
