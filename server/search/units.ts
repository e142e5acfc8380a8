/**
 * Quantities in the base units of UCUM, so that 1 g is found as 1000 mg. https://ucum.org/ucum, https://hl7.org/fhir/R4/search.html#quantity
 *
 * The library is loaded with the first unit that needs it. Invariants: a unit always means the same number; only units that are
 * proportional to their base or shifted against it (temperatures) are converted, so order is kept; what cannot be converted stays as it is.
 */
import { createRequire } from 'node:module';

export const UCUM = 'http://unitsofmeasure.org';

export type Canonical = {
  /** Base units with their exponents, the same text for all units of one dimension. */
  readonly unit: string;
  readonly convert: (value: number) => number;
};

type Base = { readonly status: string; readonly magnitude: number; readonly unitToExp: Readonly<Record<string, number>> };
/** Powers of the mole and of the equivalent: UCUM says both are plain numbers, and that an equivalent is a mole. */
type Substance = { readonly moleExp_: number; readonly equivalentExp_: number };
type Utilities = {
  convertToBaseUnits(unit: string, value: number): Base;
  getSpecifiedUnit(unit: string, use: 'validate'): { readonly unit: Substance | null };
};
type Library = { readonly UcumLhcUtils: { getInstance(): Utilities } };

const require = createRequire(import.meta.url);
const LONGEST = 60;
const MOST_KNOWN = 10_000;
const known = new Map<string, Canonical | undefined>();
let library: Utilities | undefined;

/** Undefined: no UCUM unit, or one that is not converted (arbitrary units, logarithms). */
export function canonicalUnit(code: string): Canonical | undefined {
  if (known.has(code)) return known.get(code);
  const found = code.length > LONGEST ? undefined : derive(code);
  // Codes come from outside: what is remembered is bounded.
  if (known.size < MOST_KNOWN) known.set(code, found);
  return found;
}

function derive(code: string): Canonical | undefined {
  const zero = inBase(code, 0);
  const one = inBase(code, 1);
  const hundred = inBase(code, 100);
  if (!zero || !one || !hundred) return undefined;
  const offset = zero.magnitude;
  const factor = one.magnitude - offset;
  const isStraight = factor > 0 && Math.abs((hundred.magnitude - offset) / factor - 100) < 1e-9;
  if (!isStraight || !Number.isFinite(offset)) return undefined;
  const exponents = Object.entries({ ...one.unitToExp, ...substanceOf(code) }).sort(([a], [b]) => (a < b ? -1 : 1));
  const unit = exponents.map(([base, exponent]) => `${base}${exponent}`).join('.') || '1';
  return { unit, convert: (value) => rounded(value * factor + offset) };
}

/**
 * What no number of particles is compared with: millimoles in a litre are not cells in it, and how many equivalents there are to a mole depends
 * on the charge.
 */
function substanceOf(code: string): Readonly<Record<string, number>> {
  const { moleExp_: mol = 0, equivalentExp_: eq = 0 } = library?.getSpecifiedUnit(code, 'validate').unit ?? {};
  return { ...(mol !== 0 && { mol }), ...(eq !== 0 && { eq }) };
}

function inBase(code: string, value: number): Base | undefined {
  try {
    library ??= (require('@lhncbc/ucum-lhc') as Library).UcumLhcUtils.getInstance();
    const base = library.convertToBaseUnits(code, value);
    return base.status === 'succeeded' && Number.isFinite(base.magnitude) ? base : undefined;
  } catch {
    return undefined;
  }
}

/** Twelve digits: what the arithmetic of two ways to the same quantity may differ by is cut off. */
function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(12)) : value;
}

export type Bounds = { readonly exact: number; readonly low: number; readonly high: number };

/** `low` is within, `high` beyond. So many digits that none of a double lies between the two, or none that conversion keeps, still mean the number itself. */
export function withItself({ exact, low, high }: Bounds): Bounds {
  return { exact, low: Math.min(low, exact), high: Math.max(high, exact + Math.max(Math.abs(exact) * Number.EPSILON, Number.MIN_VALUE)) };
}

export function convertBounds({ exact, low, high }: Bounds, { convert }: Canonical): Bounds {
  return withItself({ exact: convert(exact), low: convert(low), high: convert(high) });
}
