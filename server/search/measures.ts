/**
 * The numbers an element says, with the units it says them in: a number is a range whose ends are equal. https://hl7.org/fhir/R4/search.html#quantity
 *
 * Invariant: an element that says no number gives undefined, never a range that everything is in.
 */
import { canonicalUnit, UCUM } from './units.ts';
import { isObject } from '../fhir/resource.ts';

/** Infinite where a Range is open. */
export type Span = { readonly low: number; readonly high: number };
export type Unit = { readonly system: string | undefined; readonly code: string | undefined; readonly printed: string | undefined };
export type Measure = Span & { readonly unit: Unit };

export const CURRENCIES = 'urn:iso:std:iso:4217';
const NO_UNIT: Unit = { system: undefined, code: undefined, printed: undefined };

type Element = Readonly<Record<string, unknown>>;

/** Of a number, Quantity (Age, Duration, …), Money, Range or SampledData. */
export function measureOf(element: unknown): Measure | undefined {
  if (typeof element === 'number') return { low: element, high: element, unit: NO_UNIT };
  if (!isObject(element)) return undefined;
  if (isObject(element['origin'])) return sampled(element, element['origin']);
  if (isObject(element['low']) || isObject(element['high'])) return ranged(element['low'], element['high']);
  const value = element['value'];
  return typeof value === 'number' ? { low: value, high: value, unit: unitOf(element) } : undefined;
}

function unitOf(element: Element): Unit {
  const currency = text(element['currency']);
  if (currency !== undefined) return { system: CURRENCIES, code: currency, printed: undefined };
  return { system: text(element['system']), code: text(element['code']), printed: text(element['unit']) };
}

/** Ends in different units: no comparison is made of them. */
function ranged(low: unknown, high: unknown): Measure | undefined {
  const [from, to] = [low, high].map((end) => (isObject(end) && typeof end['value'] === 'number' ? measureOf(end) : undefined));
  if (!from || !to) {
    const one = from ?? to;
    return one && { low: from ? one.low : Number.NEGATIVE_INFINITY, high: to ? one.high : Number.POSITIVE_INFINITY, unit: one.unit };
  }
  const isSame = from.unit.system === to.unit.system && from.unit.code === to.unit.code && from.unit.printed === to.unit.printed;
  return isSame ? { low: from.low, high: to.high, unit: from.unit } : undefined;
}

const MOST_SAMPLES = 100_000;

/** Least and greatest of the samples; E is an error, L and U are beyond the limits. https://hl7.org/fhir/R4/datatypes.html#SampledData */
function sampled(data: Element, origin: Element): Measure | undefined {
  if (typeof data['data'] !== 'string' || typeof origin['value'] !== 'number') return undefined;
  const factor = typeof data['factor'] === 'number' ? data['factor'] : 1;
  const limits: Readonly<Record<string, unknown>> = { L: data['lowerLimit'], U: data['upperLimit'] };
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const word of data['data'].trim().split(/\s+/, MOST_SAMPLES)) {
    const sample = Object.hasOwn(limits, word) ? limits[word] : Number(word);
    if (typeof sample !== 'number' || !Number.isFinite(sample)) continue;
    const value = origin['value'] + sample * factor;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? { low, high, unit: unitOf(origin) } : undefined;
}

/** In base units; undefined for what is in no unit of UCUM that can be converted. */
export function canonicalOf({ low, high, unit }: Measure): (Span & { readonly unit: string }) | undefined {
  const canonical = unit.system === UCUM && unit.code !== undefined ? canonicalUnit(unit.code) : undefined;
  return canonical && { low: canonical.convert(low), high: canonical.convert(high), unit: canonical.unit };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
