/**
 * Days and moments as people say them, in the language of the page: as precise as they were written, each moment with its zone.
 * https://hl7.org/fhir/R4/datatypes.html#dateTime
 */
import { type Html, html } from '../html.ts';
import type { Language } from '../language.ts';

const locales: Readonly<Record<Language, string>> = { en: 'en-GB', zh: 'zh-CN' };
const precisions = {
  year: { year: 'numeric' },
  month: { year: 'numeric', month: 'long' },
  day: { year: 'numeric', month: 'long', day: 'numeric' },
} as const;
const formats = Object.fromEntries(
  Object.entries(locales).map(([language, locale]) => [
    language,
    Object.fromEntries(
      Object.entries(precisions).map(([precision, parts]) => [precision, new Intl.DateTimeFormat(locale, { ...parts, timeZone: 'UTC' })]),
    ),
  ]),
) as Readonly<Record<Language, Readonly<Record<keyof typeof precisions, Intl.DateTimeFormat>>>>;

const between: Readonly<Record<Language, string>> = { en: ', ', zh: ' ' };

/** `ms`: since 1970. "1 May 2024, 08:00 UTC" */
export function moment(ms: number, language: Language): Html {
  const iso = new Date(ms).toISOString();
  return html`<time class="said" datetime="${iso}">${dateWords(iso, language)}</time>`;
}

/** A day as it was written, without the time. */
export function day(written: string, language: Language): Html {
  const date = written.slice(0, 'YYYY-MM-DD'.length);
  return html`<time class="said" datetime="${date}">${dateWords(date, language)}</time>`;
}

/** Of a FHIR date, dateTime or instant; in its own zone, without seconds. What is none is shown as it was written. */
export function dateWords(written: string, language: Language): string {
  const [, date, clock, zone] = /^(\d{4}(?:-\d\d(?:-\d\d)?)?)(?:T(\d\d:\d\d)[\d:.]*(Z|[+-]\d\d:\d\d))?$/.exec(written) ?? [];
  const ms = Date.parse(date ?? '');
  if (date === undefined || Number.isNaN(ms)) return written;
  const precision = date.length === 4 ? 'year' : date.length === 7 ? 'month' : 'day';
  const words = formats[language][precision].format(ms);
  return clock === undefined ? words : `${words}${between[language]}${clock} ${zone === 'Z' ? 'UTC' : `UTC${zone}`}`;
}
