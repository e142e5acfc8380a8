/**
 * Reads chains (`subject:Patient.name=x`), reverse chains (`_has:Observation:patient:code=y`), each within the other, and which resources
 * to send along (`_include`, `_revinclude`). https://hl7.org/fhir/R4/search.html#chaining, #has, #revinclude
 *
 * Invariants: of a type the token may not search nothing is asked, and what is refused for it follows from the token alone; how far a join
 * fans out over types is bounded.
 */
import { AssentError } from '../errors.ts';
import { isId } from '../fhir/ids.ts';
import { isResourceType, resourceTypes } from '../fhir/resource-types.ts';
import { type SearchParameter, type SearchParameters, searchParameters } from '../fhir/search-parameters.ts';
import type { Include } from './join.ts';
import { hasCanonical, linkOf } from './links.ts';
import type { Criteria, JoinCriterion } from './query.ts';

/** Whether the token lets this type be searched, or its resources be read. By type alone. */
export type Reach = (type: string, letter: 's' | 'r') => boolean;

export type Why = { readonly why: string };
export type Given = { readonly name: string; readonly value: string; readonly type: string };
/** Reads one criterion of a type, a join as well. */
export type ReadInner = (given: Given) => Criteria | Why;

/** Joins inside joins, and types asked for all joins of a query. */
const MOST_LEVELS = 6;
const MOST_TYPES = 200;

export type JoinReader = {
  /** Undefined: this is no join. */
  readonly join: (given: Given, readInner: ReadInner) => JoinCriterion | Why | undefined;
  readonly include: (given: Given) => readonly Include[] | Why;
};

/** Of one query. `reach` undefined: where the criteria are for, joins have no meaning. */
export function createJoinReader(reach: Reach | undefined, parameters: SearchParameters = searchParameters): JoinReader {
  const room = { left: MOST_TYPES };
  return {
    join(given, readInner) {
      if (given.name === '_list') return readList(given, { reach, readInner, room, parameters });
      const has = given.name.startsWith('_has:') || given.name === '_has';
      const chain = has ? undefined : chainOf(given, parameters);
      if (!has && !chain) return undefined;
      if (!reach) return { why: 'is a chain, which has no meaning here: only a search takes one' };
      if ((given.name.match(/\.|_has:/g) ?? []).length > MOST_LEVELS) return { why: `leads over more than ${MOST_LEVELS} references` };
      return chain ? readChain(given, chain, { reach, readInner, room, parameters }) : readHas(given, { reach, readInner, room, parameters });
    },
    include: (given) => (reach ? readInclude(given, { reach, parameters }) : { why: 'has no meaning here: only a search takes it' }),
  };
}

/** `_list=id`: what the caller's view of that List refers to. https://hl7.org/fhir/R4/search.html#list */
function readList({ value, type }: Given, context: Omit<Context, 'reach'> & { readonly reach: Reach | undefined }): JoinCriterion | Why {
  const { reach } = context;
  if (!reach) return { why: 'has no meaning here: only a search takes it' };
  const ids = value.split(',').map((one) => one.replace(/^List\//, ''));
  if (ids.some((id) => id.startsWith('$'))) return { why: 'names a functional list, and this server keeps none: name a List by its id' };
  if (!ids.every(isId)) return { why: 'is not the id of a List' };
  return readHas({ name: '_has:List:item:_id', value: ids.join(','), type }, { ...context, reach });
}

/** What parse.ts tells apart by name. */
export function isInclude(name: string): boolean {
  return /^_(rev)?include(:|$)/.test(name);
}

type Chain = { readonly parameter: SearchParameter; readonly modifier: string | undefined; readonly rest: string };
type Known = { readonly reach: Reach; readonly parameters: SearchParameters };
type Context = Known & { readonly readInner: ReadInner; readonly room: { left: number } };

function chainOf({ name, type }: Given, parameters: SearchParameters): Chain | undefined {
  const [, plain = '', modifier, rest = ''] = /^([^.:]+)(?::([^.:]*))?\.(.*)$/s.exec(name) ?? [];
  const parameter = parameters(type).get(plain);
  return parameter?.type === 'reference' && linkOf(parameter, type) ? { parameter, modifier, rest } : undefined;
}

function readChain({ value }: Given, { parameter, modifier, rest }: Chain, { reach, readInner, room }: Context): JoinCriterion | Why {
  const possible = targetsOf(parameter);
  if (modifier !== undefined && !possible.includes(modifier)) return { why: 'is a chain over a type this parameter never refers to' };
  const types = modifier === undefined ? possible.filter((type) => reach(type, 's')) : [modifier];
  const [first] = types;
  if (first === undefined || !reach(first, 's')) throw outOfReach(modifier ?? possible[0] ?? 'the types it leads to');
  const to: Criteria[] = [];
  let problem: Why | undefined;
  for (const type of types) {
    if (--room.left < 0) return { why: 'is a chain over too many types: name them, as in subject:Patient.name' };
    const inner = readInner({ name: rest, value, type });
    if ('why' in inner) problem ??= inner;
    else to.push(inner);
  }
  if (to.length === 0) return { why: `is a chain whose end cannot be used: it ${problem?.why ?? 'names nothing'}` };
  return { kind: 'chain', parameter, to };
}

/** Types that references of this parameter can lead to. */
function targetsOf({ targets }: SearchParameter): readonly string[] {
  return (targets ?? resourceTypes).filter(isResourceType);
}

function readHas({ name, value, type }: Given, { reach, readInner, room, parameters }: Context): JoinCriterion | Why {
  const [, from = '', by = '', rest = ''] = /^_has:([^:]*):([^:]*):(.+)$/s.exec(name) ?? [];
  if (!isResourceType(from) || rest === '') return { why: 'is not of the form _has:Type:parameter:criterion' };
  const parameter = referring(parameters(from).get(by), from, type);
  if (!parameter) return { why: `names no parameter by which ${from} refers to ${type}` };
  if (!reach(from, 's')) throw outOfReach(from);
  if (--room.left < 0) return { why: 'asks about too many types' };
  const inner = readInner({ name: rest, value, type: from });
  return 'why' in inner ? { why: `has a criterion that cannot be used: it ${inner.why}` } : { kind: 'has', parameter, from: inner };
}

function referring(parameter: SearchParameter | undefined, source: string, target: string): SearchParameter | undefined {
  return parameter && linkOf(parameter, source) && targetsOf(parameter).includes(target) ? parameter : undefined;
}

function outOfReach(type: string): AssentError {
  return new AssentError('forbidden', `The token holds no scope to search ${type}.`);
}

function readInclude({ name, value, type }: Given, within: Known): readonly Include[] | Why {
  const [kind, modifier, ...more] = name.split(':');
  if (more.length > 0 || (modifier !== undefined && modifier !== 'iterate')) return { why: 'has a modifier other than :iterate' };
  const direction = kind === '_include' ? 'forward' : 'backward';
  const asked: Asked = { direction, iterate: modifier !== undefined, type };
  if (value === '*') return direction === 'forward' ? ofSource(type, '*', asked, within) : ofEverySource(asked, within);
  const [source = '', by = '', target, ...rest] = value.split(':');
  if (!isResourceType(source) || by === '' || rest.length > 0 || (target !== undefined && !isResourceType(target)))
    return { why: 'is not of the form Type:parameter or Type:parameter:TargetType' };
  if (direction === 'forward' && !asked.iterate && source !== type) return { why: `starts from another type than ${type}: use :iterate` };
  return ofSource(source, by, { ...asked, ...(target === undefined ? {} : { target }) }, within);
}

type Asked = { readonly direction: Include['direction']; readonly iterate: boolean; readonly type: string; readonly target?: string };

function ofSource(
  source: string,
  by: string,
  { direction, iterate, type, target }: Asked,
  { reach, parameters: registry }: Known,
): readonly Include[] | Why {
  const known = registry(source);
  const parameters = by === '*' ? [...known.values()] : [known.get(by)];
  const wanted = direction === 'backward' && !iterate ? (target ?? type) : target;
  const found = parameters.flatMap((parameter) => {
    const link = parameter && linkOf(parameter, source);
    if (!link) return [];
    const possible = targetsOf(parameter).filter((one) => (wanted === undefined || one === wanted) && (!link.canonical || hasCanonical(one)));
    // A canonical may be named by what has no url as well, but never leads there.
    return possible.length === 0 ? [] : [{ direction, source, link, targets: possible, iterate }];
  });
  if (direction === 'backward' && !iterate && target !== undefined && target !== type)
    return { why: `is about references to another type than ${type}` };
  if (found.length === 0) return { why: `names no parameter by which ${source} refers to ${wanted ?? 'a resource'}` };
  return withinReach(found, reach);
}

function ofEverySource(asked: Asked, within: Known): readonly Include[] {
  return resourceTypes.flatMap((source) => {
    const found = ofSource(source, '*', asked, within);
    return 'why' in found ? [] : found;
  });
}

/** Only what the token may read anyhow: the rest is silently absent, as a hidden resource is. */
function withinReach(includes: readonly Include[], reach: Reach): readonly Include[] {
  return includes.flatMap((include) => {
    if (include.direction === 'backward') return reach(include.source, 's') ? [include] : [];
    const targets = include.targets.filter((type) => reach(type, 'r') || reach(type, 's'));
    return targets.length === 0 ? [] : [{ ...include, targets }];
  });
}
