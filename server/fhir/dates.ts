/**
 * FHIR dates as ranges of milliseconds: a partial date covers its whole unit, UTC where it has no zone.
 * https://hl7.org/fhir/R4/search.html#date
 */

/** Both ends included; infinite where a Period is open. */
export type DateRange = { readonly low: number; readonly high: number };

const DATE = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;

/** What the text covers; undefined for what is no FHIR date. A time with seconds covers its second. */
export function parseDate(text: string): DateRange | undefined {
  const [, year, month, day, hour, minute, second, fraction, zone] = DATE.exec(text) ?? [];
  if (year === undefined || Number(year) < 1) return undefined;
  const fields = [month ?? '01', day ?? '01', hour ?? '00', minute ?? '00', second ?? '00'].map(Number) as [number, number, number, number, number];
  const offset = zone === undefined || zone === 'Z' ? 0 : zoneMinutes(zone);
  if (!inBounds(Number(year), fields) || Math.abs(offset) > 14 * 60) return undefined;
  const ms = fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, '0'));
  const low = utc(Number(year), fields) + ms - offset * 60_000;
  if (month === undefined) return { low, high: utc(Number(year) + 1, [1, 1, 0, 0, 0]) - 1 };
  if (day === undefined) return { low, high: utc(Number(year), [fields[0] + 1, 1, 0, 0, 0]) - 1 };
  const unit = hour === undefined ? 86_400_000 : second === undefined ? 60_000 : fraction === undefined ? 1000 : 1;
  return { low, high: low + unit - 1 };
}

/** As stored in a resource: a time with seconds is a point, so that it equals itself written with milliseconds. */
export function parseStoredDate(text: string): DateRange | undefined {
  const range = parseDate(text);
  return range && range.high - range.low < 1000 ? { low: range.low, high: range.low } : range;
}

type Fields = readonly [month: number, day: number, hour: number, minute: number, second: number];

/** Date.UTC reads the years 0 to 99 as 1900 to 1999. */
function utc(year: number, [month, day, hour, minute, second]: Fields): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.setUTCHours(hour, minute, second, 0);
}

function inBounds(year: number, [month, day, hour, minute, second]: Fields): boolean {
  const days = month === 2 ? (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
  return month >= 1 && month <= 12 && day >= 1 && day <= days && hour <= 23 && minute <= 59 && second <= 60;
}

function zoneMinutes(zone: string): number {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith('-') ? -minutes : minutes;
}

/** What a date, dateTime, instant, Period or Timing of a resource covers; a Timing counts by its outer limits. */
export function rangeOf(value: unknown): DateRange | undefined {
  if (typeof value === 'string') return parseStoredDate(value);
  if (typeof value !== 'object' || value === null) return undefined;
  const { start, end, event, repeat } = value as Readonly<Record<string, unknown>>;
  if (start !== undefined || end !== undefined) return periodRange(start, end);
  const bounds = (repeat as { readonly boundsPeriod?: unknown } | null | undefined)?.boundsPeriod;
  const ranges = [...(Array.isArray(event) ? event : []), ...(bounds === undefined ? [] : [bounds])].flatMap((item: unknown) => rangeOf(item) ?? []);
  if (ranges.length === 0) return undefined;
  return { low: Math.min(...ranges.map(({ low }) => low)), high: Math.max(...ranges.map(({ high }) => high)) };
}

function periodRange(start: unknown, end: unknown): DateRange | undefined {
  const from = typeof start === 'string' ? parseStoredDate(start) : undefined;
  const to = typeof end === 'string' ? parseStoredDate(end) : undefined;
  return from || to ? { low: from?.low ?? Number.NEGATIVE_INFINITY, high: to?.high ?? Number.POSITIVE_INFINITY } : undefined;
}
