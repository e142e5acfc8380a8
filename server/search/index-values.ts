/**
 * The index keys of a resource: every search parameter of its type, encoded. storage.md §3
 *
 * Runs on every write. Invariants: no resource, however odd, makes it throw or write an unbounded key; what plan.ts asks of these keys
 * is what match.ts says of the resource (a property test); keys begin with a parameter code, never with `@` or `~`.
 */
import { parseReference } from '../fhir/references.ts';
import { type SearchParameter, searchParameters, type SearchParameters } from '../fhir/search-parameters.ts';
import { instantOf, isOnMainDate } from './clinical-date.ts';
import { rangeOf } from '../fhir/dates.ts';
import { type Composite, componentsOf } from './composite.ts';
import { packPlace, packTuple } from './expression.ts';
import { compileExpression, type Extract } from './extract.ts';
import {
  canonicalPrefix,
  codedPrefix,
  dateEndKey,
  dateKey,
  encodeNumber,
  exactKey,
  foldedKey,
  longDateKey,
  longKey,
  numberPrefix,
  oddDateKey,
  oddKey,
  ofTypeKey,
  placePrefix,
  presentKey,
  rangeEndPrefix,
  rangePrefix,
  referenceKey,
  runsPrefix,
  stringKey,
  systemKey,
  termKey,
  type TokenKind,
  tokenKey,
  tuplePrefix,
  unitPrefix,
  uriKey,
  versionedKey,
  wordsKey,
} from './keys.ts';
import { canonicalOf, measureOf, type Span } from './measures.ts';
import { CONTENT_CODE, NARRATIVE_CODE, paramCode } from './param-codes.ts';
import { textsOf } from './resource-text.ts';
import { CONTACTS, hasCase, ignoresCase, wordsOf } from './text.ts';
import { isObject } from '../fhir/resource.ts';
import { pairKeysOf } from './pairs.ts';
import { hasWindows } from './windows.ts';
import { packRuns, runsOf, termsOf } from './words.ts';

type Element = Readonly<Record<string, unknown>>;
/** `aside`: keys that are kept with the resource only. */
type Context = {
  readonly code: string;
  readonly keys: Set<string>;
  readonly aside: Set<string>;
  readonly base: string;
  readonly system: string | undefined;
  /** Whether the element occurs once: what is otherwise is told by a key of its own (windows.ts). */
  readonly once: boolean;
};
type Encode = (value: unknown, context: Context) => void;
type Row = {
  readonly code: string;
  readonly extract: Extract;
  readonly encode: Encode;
  readonly system: string | undefined;
  readonly once: boolean;
  /** Whether it is the date that the resource is sorted by, where it has it: what is otherwise is told by the same key. */
  readonly main: boolean;
  /** Of a composite, in place of values of its own. */
  readonly composite: Composite | undefined;
};

export type IndexKeys = {
  readonly keys: string[];
  /** Low bound of the main clinical date, ms since 1970; undefined: sort by lastUpdated. */
  readonly instant: number | undefined;
};

type Resource = { readonly resourceType: string; readonly [element: string]: unknown };
const rowsOf = new WeakMap<SearchParameters, Map<string, readonly Row[]>>();

/** `base`: our own FHIR base URL, so that absolute references to it are found as relative ones. `parameters`: R4's own unless said. */
export function indexKeys(resource: Resource, base = '', parameters: SearchParameters = searchParameters): IndexKeys {
  const keys = new Set<string>();
  const aside = new Set<string>();
  const instant = instantOf(resource);
  for (const row of rows(resource.resourceType, parameters)) {
    const { code, extract, encode, system, once, main, composite } = row;
    const values = extract(resource);
    if (values.length === 0) continue;
    if (composite) addTuples({ resource, values, composite }, { code, aside, base });
    else {
      const before = keys.size;
      const context = { code, keys, aside, base, system, once };
      for (const value of values) encode(value, context);
      if (keys.size === before) keys.add(presentKey(code));
      else if (once && values.length > 1) keys.add(encode === addDate ? oddDateKey(code) : oddKey(code));
      else if (main && rangeOf(values[0])?.low !== instant) keys.add(oddDateKey(code));
    }
  }
  for (const key of pairKeysOf(resource.resourceType, keys)) keys.add(key);
  if (parameters(resource.resourceType).has('_content')) addWords(resource, { keys, aside });
  return { keys: aside.size === 0 ? [...keys] : [...keys, ...aside], instant };
}

/** Each word once, whatever says it: where it stands is told by what is kept aside, because an index entry costs more. */
function addWords(resource: Resource, { keys, aside }: Pick<Context, 'keys' | 'aside'>): void {
  const { narrative, rest } = textsOf(resource);
  for (const [code, texts] of [
    [NARRATIVE_CODE, narrative],
    [CONTENT_CODE, rest],
  ] as const) {
    const runs = texts.map(runsOf);
    for (const run of runs.flat()) for (const term of termsOf(run)) keys.add(termKey(CONTENT_CODE, term));
    const packed = packRuns(runs);
    if (packed !== '') aside.add(runsPrefix(code) + packed);
  }
}

function rows(type: string, parameters: SearchParameters): readonly Row[] {
  let byType = rowsOf.get(parameters);
  if (!byType) rowsOf.set(parameters, (byType = new Map()));
  let known = byType.get(type);
  if (!known) {
    known = [...parameters(type).values()].flatMap((parameter) => row(parameter, type));
    if (searchParameters(type).has('_id')) byType.set(type, known);
  }
  return known;
}

function row(parameter: SearchParameter, type: string): Row[] {
  const code = paramCode(parameter);
  // The id is a column of its own in every engine.
  if (code === undefined || parameter.name === '_id' || parameter.type === 'text') return [];
  const { system } = parameter;
  const composite = parameter.components && componentsOf(parameter, type);
  const extract = compileExpression(parameter.expression, type);
  const once = hasWindows(parameter, type);
  const main = once && parameter.type === 'date' && isOnMainDate(type, parameter.expression);
  return [{ code, extract, encode: encoders[parameter.type], system, once, main, composite }];
}

const encoders: Readonly<Record<SearchParameter['type'], Encode>> = {
  token: addToken,
  string: addString,
  reference: addReference,
  date: addDate,
  number: addMeasure,
  quantity: addMeasure,
  uri: addUri,
  special: addPlace,
  text: () => undefined,
  composite: () => undefined,
};

type Whole = { readonly resource: Element; readonly values: readonly unknown[]; readonly composite: Composite };

/** One key for each element that has all the parts: the keys of each part, without a code. */
function addTuples({ resource, values, composite }: Whole, { code, aside, base }: Pick<Context, 'code' | 'aside' | 'base'>): void {
  for (const value of values) {
    const parts = composite.partsOf(value, resource);
    if (parts.some((part) => part.length === 0)) continue;
    const lists = composite.components.map(({ type, system }, i) => {
      const keys = new Set<string>();
      const context = { code: '', keys, aside: new Set<string>(), base, system, once: false };
      for (const part of parts[i] ?? []) encoders[type](part, context);
      return [...keys];
    });
    aside.add(tuplePrefix(code) + packTuple(lists));
  }
}

function addToken(value: unknown, context: Context): void {
  if (isPrimitive(value)) return addPair(context, 'token', { value: String(value), system: context.system ?? '' });
  if (!isObject(value) || context.system !== undefined) return;
  for (const words of wordsOf(value)) if (words.trim() !== '') context.aside.add(wordsKey(context.code, words));
  if (Array.isArray(value['coding'])) for (const coding of value['coding']) addCoded(coding, context, 'token');
  else addCoded(value, context, 'token');
}

/** Coding has `code`; Identifier and ContactPoint have `value`. */
function addCoded(element: unknown, context: Context, as: TokenKind): void {
  if (!isObject(element)) return;
  const code = text(element['code']);
  const value = code ?? text(element['value']) ?? '';
  const system = text(element['system']) ?? '';
  addPair(context, as, { value, system });
  if (as !== 'token') return;
  if (hasCase(value) && (code === undefined ? CONTACTS.has(system) : ignoresCase(system))) context.keys.add(foldedKey(context.code, value, system));
  if (isObject(element['type']) && text(element['value']) !== undefined) addTypes(element['type'], value, context);
}

function addTypes(type: Element, value: string, { code, aside }: Context): void {
  if (!Array.isArray(type['coding'])) return;
  for (const coding of type['coding']) {
    const named = isObject(coding) ? text(coding['code']) : undefined;
    if (named !== undefined) aside.add(ofTypeKey(code, { system: text((coding as Element)['system']) ?? '', type: named, value }));
  }
}

function addPair({ code, keys, system: bare }: Context, as: TokenKind, { value, system }: { readonly value: string; readonly system: string }): void {
  if (value === '' && system === '') return;
  keys.add(tokenKey(code, as, value, system));
  // Bare codes all have one system: the token keys answer `system|` themselves.
  if (system !== '' && bare === undefined) keys.add(systemKey(code, as, system));
}

/** HumanName and Address are found by any of their parts. */
const PARTS = ['text', 'family', 'given', 'prefix', 'suffix', 'line', 'city', 'district', 'state', 'postalCode', 'country'];

function addString(value: unknown, { code, keys, aside }: Context): void {
  for (const part of stringsOf(value)) {
    if (part.trim() === '') continue;
    keys.add(stringKey(code, part));
    keys.add(exactKey(code, part));
    const long = longKey(code, part);
    if (long !== undefined) aside.add(long);
  }
}

function stringsOf(value: unknown): readonly string[] {
  if (isPrimitive(value)) return [String(value)];
  if (!isObject(value)) return [];
  return PARTS.flatMap((name) => value[name]).filter((part) => typeof part === 'string');
}

function addReference(value: unknown, context: Context): void {
  const { code, keys } = context;
  if (typeof value === 'string') return addCanonical(value, context);
  if (!isObject(value)) return;
  const { reference, identifier, resourceType, id } = value;
  if (typeof resourceType === 'string' && typeof id === 'string') keys.add(referenceKey(code, `${resourceType}/${id}`));
  const target = typeof reference === 'string' ? referenceText(reference, context.base) : undefined;
  if (target !== undefined) keys.add(referenceKey(code, target));
  if (identifier !== undefined) addCoded(identifier, context, 'identifier');
}

/** Type/id for our own, the URL or URN for others; undefined for what no search can name. */
export function referenceText(reference: string, base: string): string | undefined {
  const parsed = parseReference(reference, base);
  if (parsed.kind === 'local') return `${parsed.type}/${parsed.id}`;
  return parsed.kind === 'absolute' ? parsed.url : parsed.kind === 'urn' ? parsed.urn : undefined;
}

function addCanonical(canonical: string, { code, keys, base }: Context): void {
  const bar = canonical.indexOf('|');
  const url = bar < 0 ? canonical : canonical.slice(0, bar);
  keys.add(referenceKey(code, referenceText(url, base) ?? url));
  if (bar >= 0) keys.add(versionedKey(code, canonical));
}

function addDate(value: unknown, { code, keys, once }: Context): void {
  const range = rangeOf(value);
  if (!range) return;
  const { low, high } = range;
  keys.add(dateKey(code, low, high));
  keys.add(dateEndKey(code, high));
  const long = once ? (high < low ? oddDateKey(code) : longDateKey(code, low, high)) : undefined;
  if (long !== undefined) keys.add(long);
}

/** The number, or the ends of a range of them, under each unit it can be asked in. */
function addMeasure(value: unknown, { code, keys }: Context): void {
  const measure = measureOf(value);
  if (!measure) return;
  const add = (prefix: string, [low, high]: Digits): void => {
    if (low === high) return void keys.add(prefix + low);
    keys.add(rangePrefix(code, prefix) + low + high);
    keys.add(rangeEndPrefix(code, prefix) + high);
  };
  const { unit } = measure;
  const digits = digitsOf(measure);
  add(numberPrefix(code), digits);
  const canonical = canonicalOf(measure);
  if (canonical) add(canonicalPrefix(code, canonical.unit), digitsOf(canonical));
  else if (unit.code !== undefined) add(codedPrefix(code, unit.system ?? '', unit.code), digits);
  for (const name of [unit.code, unit.printed]) if (name !== undefined) add(unitPrefix(code, name), digits);
}

type Digits = readonly [low: string, high: string];

function digitsOf({ low, high }: Span): Digits {
  const digits = encodeNumber(low);
  return [digits, low === high ? digits : encodeNumber(high)];
}

function addPlace(value: unknown, { code, keys }: Context): void {
  if (!isObject(value)) return;
  const { latitude, longitude } = value;
  if (typeof latitude !== 'number' || typeof longitude !== 'number') return;
  keys.add(placePrefix(code) + encodeNumber(latitude) + packPlace({ latitude, longitude }));
}

function addUri(value: unknown, { code, keys }: Context): void {
  if (typeof value !== 'string') return;
  keys.add(uriKey(code, value));
  const bar = value.indexOf('|');
  if (bar > 0) keys.add(uriKey(code, value.slice(0, bar)));
}

function text(value: unknown): string | undefined {
  return isPrimitive(value) && value !== '' ? String(value) : undefined;
}

function isPrimitive(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
