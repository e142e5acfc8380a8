/**
 * The index keys of a resource: every search parameter of its type, encoded. storage.md §3
 *
 * Runs on every write. Invariants: no resource, however odd, makes it throw or write an unbounded key; what plan.ts asks of these keys
 * is what match.ts says of the resource (a property test); keys begin with a parameter code, never with `@` or `~`.
 */
import { parseReference } from '../fhir/references.ts';
import { type SearchParameter, searchParameters } from '../fhir/search-parameters.ts';
import { instantOf } from './clinical-date.ts';
import { rangeOf } from '../fhir/dates.ts';
import { compileExpression, type Extract } from './extract.ts';
import {
  codedPrefix,
  dateEndKey,
  dateKey,
  encodeNumber,
  exactKey,
  numberPrefix,
  presentKey,
  referenceKey,
  stringKey,
  systemKey,
  type TokenKind,
  tokenKey,
  unitPrefix,
  uriKey,
  versionedKey,
} from './keys.ts';
import { paramCode } from './param-codes.ts';

type Element = Readonly<Record<string, unknown>>;
type Context = { readonly code: string; readonly keys: Set<string>; readonly base: string; readonly system: string | undefined };
type Encode = (value: unknown, context: Context) => void;
type Row = { readonly code: string; readonly extract: Extract; readonly encode: Encode; readonly system: string | undefined };

export type IndexKeys = {
  readonly keys: string[];
  /** Low bound of the main clinical date, ms since 1970; undefined: sort by lastUpdated. */
  readonly instant: number | undefined;
};

const rowsOf = new Map<string, readonly Row[]>();

/** `base`: our own FHIR base URL, so that absolute references to it are found as relative ones. */
export function indexKeys(resource: { readonly resourceType: string; readonly [element: string]: unknown }, base = ''): IndexKeys {
  const keys = new Set<string>();
  for (const { code, extract, encode, system } of rows(resource.resourceType)) {
    const values = extract(resource);
    if (values.length === 0) continue;
    const before = keys.size;
    const context = { code, keys, base, system };
    for (const value of values) encode(value, context);
    if (keys.size === before) keys.add(presentKey(code));
  }
  return { keys: [...keys], instant: instantOf(resource) };
}

function rows(type: string): readonly Row[] {
  let known = rowsOf.get(type);
  if (!known) {
    known = [...searchParameters(type).values()].flatMap((parameter) => row(parameter, type));
    if (searchParameters(type).has('_id')) rowsOf.set(type, known);
  }
  return known;
}

function row(parameter: SearchParameter, type: string): Row[] {
  const code = paramCode(parameter);
  const encode = encoders[parameter.type];
  // The id is a column of its own in every engine.
  if (code === undefined || !encode || parameter.name === '_id') return [];
  return [{ code, extract: compileExpression(parameter.expression, type), encode, system: parameter.system }];
}

const encoders: Readonly<Partial<Record<SearchParameter['type'], Encode>>> = {
  token: addToken,
  string: addString,
  reference: addReference,
  date: addDate,
  number: addNumber,
  quantity: addQuantity,
  uri: addUri,
};

function addToken(value: unknown, context: Context): void {
  if (isPrimitive(value)) return addPair(context, 'token', { value: String(value), system: context.system ?? '' });
  if (!isElement(value) || context.system !== undefined) return;
  if (Array.isArray(value['coding'])) for (const coding of value['coding']) addCoded(coding, context, 'token');
  else addCoded(value, context, 'token');
}

/** Coding has `code`; Identifier and ContactPoint have `value`. */
function addCoded(element: unknown, context: Context, as: TokenKind): void {
  if (!isElement(element)) return;
  const value = text(element['code']) ?? text(element['value']) ?? '';
  addPair(context, as, { value, system: text(element['system']) ?? '' });
}

function addPair({ code, keys, system: bare }: Context, as: TokenKind, { value, system }: { readonly value: string; readonly system: string }): void {
  if (value === '' && system === '') return;
  keys.add(tokenKey(code, as, value, system));
  // Bare codes all have one system: the token keys answer `system|` themselves.
  if (system !== '' && bare === undefined) keys.add(systemKey(code, as, system));
}

/** HumanName and Address are found by any of their parts. */
const PARTS = ['text', 'family', 'given', 'prefix', 'suffix', 'line', 'city', 'district', 'state', 'postalCode', 'country'];

function addString(value: unknown, { code, keys }: Context): void {
  for (const part of stringsOf(value)) {
    if (part.trim() === '') continue;
    keys.add(stringKey(code, part));
    keys.add(exactKey(code, part));
  }
}

function stringsOf(value: unknown): readonly string[] {
  if (isPrimitive(value)) return [String(value)];
  if (!isElement(value)) return [];
  return PARTS.flatMap((name) => value[name]).filter((part) => typeof part === 'string');
}

function addReference(value: unknown, context: Context): void {
  const { code, keys } = context;
  if (typeof value === 'string') return addCanonical(value, context);
  if (!isElement(value)) return;
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

function addDate(value: unknown, { code, keys }: Context): void {
  const range = rangeOf(value);
  if (!range) return;
  keys.add(dateKey(code, range.low, range.high));
  keys.add(dateEndKey(code, range.high));
}

function addNumber(value: unknown, { code, keys }: Context): void {
  if (typeof value === 'number') keys.add(numberPrefix(code) + encodeNumber(value));
}

const CURRENCIES = 'urn:iso:std:iso:4217';

function addQuantity(quantity: unknown, { code, keys }: Context): void {
  if (!isElement(quantity) || typeof quantity['value'] !== 'number') return;
  const digits = encodeNumber(quantity['value']);
  const currency = text(quantity['currency']);
  const unitCode = currency ?? text(quantity['code']);
  const system = currency === undefined ? text(quantity['system']) : CURRENCIES;
  keys.add(numberPrefix(code) + digits);
  if (unitCode !== undefined) keys.add(codedPrefix(code, system ?? '', unitCode) + digits);
  for (const unit of [unitCode, text(quantity['unit'])]) if (unit !== undefined) keys.add(unitPrefix(code, unit) + digits);
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

function isElement(value: unknown): value is Element {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
