/**
 * What is written about a patient, to read: by kind, in words, with units and dates as they were written.
 * Invariants: a view: it shows what it is given; a number keeps the digits it was written with (https://hl7.org/fhir/R4/datatypes.html#decimal).
 */
import type { Row } from '../../consent/gate.ts';
import { type Html, html } from '../html.ts';
import type { Language } from '../language.ts';
import { dateWords } from './dates.ts';
import { olderForm, type Reader } from './frame.ts';
import type { PatientWords } from './words.ts';

export type Kind = keyof PatientWords['kinds'];

/** `sort`: by the date that such a record is about, newest first. */
export const kinds: Readonly<Record<Kind, { readonly type: string; readonly sort: string }>> = {
  conditions: { type: 'Condition', sort: '-recorded-date' },
  allergies: { type: 'AllergyIntolerance', sort: '-date' },
  prescriptions: { type: 'MedicationRequest', sort: '-authoredon' },
  medicines: { type: 'MedicationStatement', sort: '-effective' },
  results: { type: 'Observation', sort: '-date' },
  reports: { type: 'DiagnosticReport', sort: '-date' },
  immunizations: { type: 'Immunization', sort: '-date' },
  procedures: { type: 'Procedure', sort: '-date' },
  visits: { type: 'Encounter', sort: '-date' },
  documents: { type: 'DocumentReference', sort: '-date' },
};

const kindNames = Object.keys(kinds) as readonly Kind[];

export const isKind = (name: string): name is Kind => Object.hasOwn(kinds, name);

export function kindOfType(type: string): Kind | undefined {
  return kindNames.find((kind) => kinds[kind].type === type);
}

/** What a kind of resource is called; one without a name is called by its own. */
export function typeName(words: PatientWords, type: string): string {
  const kind = kindOfType(type);
  return kind === undefined ? (words.types[type] ?? type) : words.kinds[kind];
}

export function recordPage({ words }: Reader): Html {
  return html`<p>${words.record.intro}</p>
<ul>${kindNames.map((kind) => html`<li class="card"><h2><a href="/patient/record/${kind}">${words.kinds[kind]}</a></h2></li>`)}</ul>`;
}

export function kindPage(reader: Reader, kind: Kind, { rows, next }: { readonly rows: readonly Row[]; readonly next: string | undefined }): Html {
  const { words } = reader;
  return html`<p class="way"><a href="/patient/record">${words.record.all}</a></p>
${rows.length === 0 ? html`<p role="status">${words.none}</p>` : undefined}
<ol>${rows.map((row) => card(reader, elementsOf(row)))}</ol>
${next === undefined ? undefined : olderForm(reader, `/patient/record/${kind}`, next)}`;
}

type Elements = Readonly<Record<string, unknown>>;

/** Numbers as the text they were written as. */
function elementsOf({ body }: Row): Elements {
  const asWritten = (_name: string, value: unknown, { source }: { source?: string } = {}) => (typeof value === 'number' ? source : value);
  return JSON.parse(body, asWritten as (this: unknown, key: string, value: unknown) => unknown) as Elements;
}

function card({ words, language }: Reader, elements: Elements): Html {
  const [value, parts, date, status] = [valueOf(elements), list(elements['component']), dateOf(elements, language), statusOf(elements)];
  const lines: readonly (readonly [string, string | undefined])[] = [
    [words.record.value, value],
    ...parts.map((part) => [titleOf(part) ?? words.record.unnamed, valueOf(part)] as const),
    [words.record.detail, detailOf(elements)],
    [words.record.date, date],
    [words.record.status, status && (words.statuses[status] ?? status)],
  ];
  const shown = lines.filter(([, text]) => text !== undefined && text !== '');
  return html`<li class="card"><h2>${titleOf(elements) ?? words.record.unnamed}</h2>
<dl>${shown.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl></li>`;
}

const titles = ['code', 'medicationCodeableConcept', 'vaccineCode', 'type', 'medicationReference', 'serviceType', 'class'];
const values = [
  'valueQuantity',
  'valueCodeableConcept',
  'valueString',
  'valueInteger',
  'valueBoolean',
  'valueDateTime',
  'valueRatio',
  'valueRange',
  'dataAbsentReason',
];
const dates = ['effective', 'onset', 'performed', 'occurrence'].flatMap((name) => [`${name}DateTime`, `${name}Period`]);
const otherDates = ['period', 'authoredOn', 'recordedDate', 'date', 'issued'];
const details = ['dosageInstruction', 'dosage', 'conclusion', 'description', 'note', 'reaction'];

function titleOf(elements: Elements): string | undefined {
  return first(titles, elements, (element) => concept(list(element)[0] ?? element));
}

function valueOf(elements: Elements): string | undefined {
  return first(values, elements, (element) => (isElements(element) ? (quantity(element) ?? ratio(element) ?? concept(element)) : String(element)));
}

function dateOf(elements: Elements, language: Language): string | undefined {
  return first([...dates, ...otherDates], elements, (element) => {
    if (!isElements(element)) return dateWords(String(element), language);
    return [element['start'], element['end']].map((end) => dateWords(textOf(end) ?? '', language)).join(' – ');
  });
}

function statusOf(elements: Elements): string | undefined {
  const coded = elements['clinicalStatus'];
  const status = isElements(coded) ? list(coded['coding'])[0]?.['code'] : elements['status'];
  return typeof status === 'string' ? status : undefined;
}

function detailOf(elements: Elements): string | undefined {
  return first(details, elements, (element) => {
    if (typeof element === 'string') return element;
    return list(element)
      .map(({ text, description, manifestation }) => textOf(text) ?? textOf(description) ?? list(manifestation).map(concept).join(', '))
      .join('; ');
  });
}

/** The first of these elements that there is and of which there is something to say. */
function first(names: readonly string[], elements: Elements, say: (element: unknown) => string | undefined): string | undefined {
  for (const name of names) {
    const said = elements[name] === undefined ? undefined : say(elements[name]);
    if (said !== undefined && said !== '') return said;
  }
  return undefined;
}

/** Of a CodeableConcept, Coding or Reference. */
function concept(element: unknown): string | undefined {
  if (!isElements(element)) return undefined;
  const codings = [...list(element['coding']), element];
  const display = codings.map((coding) => textOf(coding['display'])).find((text) => text !== undefined);
  return textOf(element['text']) ?? display ?? codings.map(({ code }) => textOf(code)).find((code) => code !== undefined);
}

function quantity({ comparator, value, unit, code }: Elements): string | undefined {
  const number = textOf(value);
  return number && `${textOf(comparator) ?? ''}${number} ${textOf(unit) ?? textOf(code) ?? ''}`.trim();
}

/** Of a Ratio or a Range. */
function ratio({ numerator, denominator, low, high }: Elements): string | undefined {
  const [from, to, between] = numerator === undefined ? [low, high, '–'] : [numerator, denominator, '/'];
  const ends = [from, to].map((end) => (isElements(end) ? quantity(end) : undefined));
  return ends.every((end) => end === undefined) ? undefined : ends.map((end) => end ?? '').join(` ${between} `);
}

const isElements = (value: unknown): value is Elements => typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value: unknown): readonly Elements[] => (Array.isArray(value) ? value.filter(isElements) : []);
const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
