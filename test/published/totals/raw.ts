/**
 * A small program that reads published bundles as plain JSON and says what holds of a resource, by the words of the specification alone.
 * https://hl7.org/fhir/R4/search.html
 * Invariant: it imports nothing of the server, so what both get wrong alike would have to be got wrong twice.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** JSON of any shape. */
export type Raw = ReturnType<typeof JSON.parse>;
export type Entry = { readonly fullUrl?: string; readonly resource: Raw; readonly request: { readonly url: string; readonly ifNoneExist?: string } };
export type Bundle = { readonly resourceType: string; readonly type: string; readonly entry: readonly Entry[] };

export const list = (value: Raw): Raw[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

/** Folder by folder; in each, what others refer to comes first. */
export function bundlesOf(folders: readonly string[]): Bundle[] {
  const first = (name: string): number => (name.includes('hospitalInformation') ? 0 : name.includes('practitionerInformation') ? 1 : 2);
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort((a, b) => first(a) - first(b) || (a < b ? -1 : 1))
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Bundle),
  );
}

export type World = {
  of(type: string): readonly Raw[];
  /** What references of this resource lead to. */
  follow(from: Raw, references: Raw): Raw[];
  /** Of this type, those with a reference in `path` to it. */
  referring(type: string, path: (resource: Raw) => Raw, to: Raw): Raw[];
};

/** What is there once all bundles are stored: every entry anew, but for those that are created once by their condition. */
export function worldOf(bundles: readonly Bundle[]): World {
  const once = new Map<string, Raw>();
  const all = new Set<Raw>();
  /** Of each resource, what the URLs of its bundle's entries stand for. */
  const beside = new Map<Raw, ReadonlyMap<string, Raw>>();
  for (const { entry } of bundles) {
    const byUrl = new Map<string, Raw>();
    for (const { fullUrl, resource, request } of entry) {
      const key = request.ifNoneExist && `${request.url}?${request.ifNoneExist}`;
      const stored = (key !== undefined && once.get(key)) || resource;
      if (key !== undefined) once.set(key, stored);
      if (fullUrl !== undefined) byUrl.set(fullUrl, stored);
      if (!all.has(stored)) beside.set(stored, byUrl);
      all.add(stored);
    }
  }
  const types = new Map<string, Raw[]>();
  for (const resource of all) types.set(resource.resourceType, [...(types.get(resource.resourceType) ?? []), resource]);
  const follow: World['follow'] = (from, references) =>
    list(references).flatMap(({ reference }) =>
      list(reference === undefined ? undefined : (beside.get(from)?.get(reference) ?? once.get(reference))),
    );
  const backwards = new Map<string, Map<Raw, Raw[]>>();
  const referring: World['referring'] = (type, path, to) => {
    const name = `${type} ${path.toString()}`;
    let index = backwards.get(name);
    if (!index) {
      index = new Map();
      for (const resource of types.get(type) ?? [])
        for (const each of follow(resource, path(resource))) index.set(each, [...(index.get(each) ?? []), resource]);
      backwards.set(name, index);
    }
    return index.get(to) ?? [];
  };
  return { of: (type) => types.get(type) ?? [], follow, referring };
}

/** CodeableConcepts, Codings and plain codes. */
export function coded(concepts: Raw, code: string, system?: string): boolean {
  return list(concepts).some((concept) => {
    if (typeof concept === 'string') return concept.toLowerCase() === code.toLowerCase();
    const codings = concept.coding ?? (concept.code === undefined ? [] : [concept]);
    return codings.some((coding: Raw) => coding.code === code && (system === undefined || coding.system === system));
  });
}

export function inSystem(concepts: Raw, system: string): boolean {
  return list(concepts).some((concept) => list(concept.coding ?? concept).some((coding) => coding.system === system));
}

export function identified(resource: Raw, value: string, system?: string): boolean {
  return list(resource.identifier).some((each) => each.value === value && (system === undefined || each.system === system));
}

const plain = (text: string): string => text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().replaceAll(/\s+/g, ' ').trim();

/** Every text of a HumanName or an Address, or the text itself. */
export function texts(value: Raw): string[] {
  return list(value).flatMap((each) => {
    if (typeof each === 'string') return [each];
    const { family, given, prefix, suffix, text, line, city, district, state, postalCode, country } = each;
    return [family, ...list(given), ...list(prefix), ...list(suffix), text, ...list(line), city, district, state, postalCode, country].filter(
      (part) => typeof part === 'string',
    );
  });
}

export const begins = (value: Raw, wanted: string): boolean => texts(value).some((text) => plain(text).startsWith(plain(wanted)));
export const holdsText = (value: Raw, wanted: string): boolean => texts(value).some((text) => plain(text).includes(plain(wanted)));
export const isText = (value: Raw, wanted: string): boolean => texts(value).includes(wanted);

export type Span = { readonly low: number; readonly high: number };
const WIDTHS: Readonly<Record<number, (year: number, month: number, day: number) => number>> = {
  4: (year) => Date.UTC(year + 1, 0, 1),
  7: (year, month) => Date.UTC(year, month, 1),
  10: (year, month, day) => Date.UTC(year, month - 1, day + 1),
};

/** From its first to its last millisecond; dates without a zone are in UTC. */
export function spanOf(text: string): Span {
  const end = WIDTHS[text.length];
  if (!end) {
    const low = Date.parse(text);
    return { low, high: low + (/\.\d+/.test(text) ? 0 : 999) };
  }
  const [year = 0, month = 1, day = 1] = text.split('-').map(Number);
  return { low: Date.UTC(year, month - 1, day), high: end(year, month, day) - 1 };
}

export function spansOf(value: Raw): Span[] {
  return list(value).flatMap((each) => {
    if (typeof each === 'string') return [spanOf(each)];
    const low = each.start === undefined ? Number.NEGATIVE_INFINITY : spanOf(each.start).low;
    const high = each.end === undefined ? Number.POSITIVE_INFINITY : spanOf(each.end).high;
    return [{ low, high }];
  });
}

/** `wanted` with its prefix, as in the search. */
export function dated(value: Raw, wanted: string): boolean {
  const [, prefix = 'eq', text = ''] = /^(eq|ne|gt|lt|ge|le|sa|eb)?(.*)$/.exec(wanted) ?? [];
  const asked = spanOf(text);
  const inside = ({ low, high }: Span): boolean => low >= asked.low && high <= asked.high;
  const tests: Readonly<Record<string, (span: Span) => boolean>> = {
    eq: inside,
    ne: (span) => !inside(span),
    gt: ({ high }) => high > asked.high,
    lt: ({ low }) => low < asked.low,
    ge: (span) => span.high > asked.high || inside(span),
    le: (span) => span.low < asked.low || inside(span),
    sa: ({ low }) => low > asked.high,
    eb: ({ high }) => high < asked.low,
  };
  return spansOf(value).some((span) => tests[prefix]?.(span));
}

/** Dimension and factor of the units of this data that are asked for by another unit. */
const UNITS: Readonly<Record<string, readonly [dimension: string, factor: number]>> = {
  cm: ['m', 0.01],
  m: ['m', 1],
  mm: ['m', 0.001],
  kg: ['g', 1000],
  g: ['g', 1],
  pg: ['g', 1e-12],
  'mg/dL': ['g/L', 0.01],
  'g/dL': ['g/L', 10],
  'g/L': ['g/L', 1],
  'mg/L': ['g/L', 0.001],
  'ng/mL': ['g/L', 1e-6],
  'pg/mL': ['g/L', 1e-9],
  'mmol/L': ['mol/L', 0.001],
  'mol/L': ['mol/L', 1],
};

/** `wanted`: prefix and number; `unit`: a code of UCUM, converted where it is another. */
export function measured(quantities: Raw, wanted: string, unit?: string): boolean {
  const [, prefix = 'eq', text = ''] = /^([a-z]{2})?(.*)$/.exec(wanted) ?? [];
  const digits = /\.(\d+)/.exec(text)?.[1]?.length ?? 0;
  const exact = Number(text);
  const half = 0.5 * 10 ** -digits;
  return list(quantities).some((quantity) => {
    const value = inUnit(quantity, unit);
    if (value === undefined) return false;
    const inside = value >= exact - half && value < exact + half;
    const tests: Readonly<Record<string, boolean>> = {
      eq: inside,
      ne: !inside,
      gt: value > exact,
      lt: value < exact,
      ge: value >= exact,
      le: value <= exact,
      sa: value > exact,
      eb: value < exact,
      ap: Math.abs(value - exact) <= Math.abs(exact) / 10,
    };
    return tests[prefix] ?? false;
  });
}

function inUnit({ value, code, system }: Raw, unit: string | undefined): number | undefined {
  if (unit === undefined || code === unit) return value;
  const [from, to] = [UNITS[code], UNITS[unit]];
  return system === 'http://unitsofmeasure.org' && from && to && from[0] === to[0] ? (value * from[1]) / to[1] : undefined;
}

/** Metres on a sphere. */
export function metres(position: Raw, latitude: number, longitude: number): number {
  const rad = (degrees: number): number => (degrees * Math.PI) / 180;
  const [a, b] = [rad(latitude), rad(position.latitude)];
  const h = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(rad(position.longitude - longitude) / 2) ** 2;
  return 2 * 6_371_000 * Math.asin(Math.sqrt(h));
}
