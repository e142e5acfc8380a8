/**
 * Who saw what of a record and when, in its patient's words. https://hl7.org/fhir/R4/auditevent.html
 * Invariant: a view: it shows the events it is given, newest first, and leaves none out; the patient's own looks in a row are one line.
 */
import type { Row } from '../../consent/gate.ts';
import { displayOf } from '../../consent/workflow.ts';
import { type Html, html } from '../html.ts';
import { moment } from './dates.ts';
import { olderForm, type Reader } from './frame.ts';
import { typeName } from './record.ts';
import { patientWords } from './words.ts';

/** The parts of an AuditEvent that the page shows, all optional: it shows what it finds. */
type Event = {
  readonly subtype?: readonly { readonly code?: string }[];
  readonly outcome?: string;
  readonly purposeOfEvent?: readonly { readonly text?: string; readonly coding?: readonly { readonly code?: string }[] }[];
  readonly agent?: readonly { readonly who?: { readonly reference?: string }; readonly altId?: string }[];
  readonly entity?: readonly Entity[];
};
type Entity = {
  readonly what?: { readonly reference?: string };
  readonly role?: { readonly code?: string };
  readonly query?: string;
  readonly detail?: readonly { readonly valueString?: string }[];
};

/** object-role codes: 4 domain resource, 13 security resource (here: the Consent relied on), 24 query (here also: what an act without resources was). */
const DISCLOSED = '4';
const BASIS = '13';
const SAID = '24';
/** More is told by its number: the receipt lists all, and a page stays small. */
const MOST_NAMED = 15;

export type Trail = {
  readonly rows: readonly Row[];
  /** Sealed, for the form that asks for older acts. */
  readonly next: string | undefined;
  /** Of those who acted, by reference. */
  readonly names: ReadonlyMap<string, string>;
};

const eventOf = ({ body }: Row): Event => JSON.parse(body) as Event;

/** References of those who acted, each once. */
export function actorsOf(rows: readonly Row[]): readonly string[] {
  return [...new Set(rows.flatMap((row) => eventOf(row).agent?.[0]?.who?.reference ?? []))];
}

export function trailPage(reader: Reader, { rows, next, names }: Trail): Html {
  const { words, session } = reader;
  return html`<p class="soft">${words.trail.intro}</p>
<p class="way"><a href="/ledger/verify.html">${words.trail.verify}</a></p>
${rows.length === 0 ? html`<p role="status">${words.none}</p>` : undefined}
<ol>${inRuns(rows, session.patient).map((run) => (Array.isArray(run) ? ownLooks(reader, run) : card(reader, run, names)))}</ol>
${next === undefined ? undefined : olderForm(reader, '/patient/trail', next)}`;
}

/** Looks of the patient in a row are one item. What was refused, and what changed anything, stands alone. */
function inRuns(rows: readonly Row[], patient: string): readonly (Row | Row[])[] {
  const items: (Row | Row[])[] = [];
  for (const row of rows) {
    const last = items.at(-1);
    if (!isOwnLook(row, patient)) items.push(row);
    else if (Array.isArray(last)) last.push(row);
    else items.push([row]);
  }
  return items;
}

const looks = new Set(['read', 'vread', 'search-type', 'search-system', 'history-instance', 'operation']);

/** An operation that asked for something says what; one that changed something, or a sign-in, is no look. */
function isOwnLook(row: Row, patient: string): boolean {
  const event = eventOf(row);
  const { agent, outcome, subtype } = event;
  const [act, said] = [subtype?.[0]?.code ?? '', saidIn(event)];
  const looked = looks.has(act) && (act !== 'operation' || (said !== '' && !Object.hasOwn(patientWords.en.acts, said)));
  return agent?.[0]?.who?.reference === patient && outcome === '0' && looked;
}

function ownLooks(reader: Reader, rows: readonly Row[]): Html {
  const { words } = reader;
  return html`<li class="card"><details><summary>${words.trail.yourLooks} ${rows.length}</summary>
<ul>${rows.map((row) => html`<li>${moment(row.lastUpdated, reader.language)} ${receiptForm(reader, row)}</li>`)}</ul></details></li>`;
}

function card(reader: Reader, row: Row, names: ReadonlyMap<string, string>): Html {
  const { words, session, language } = reader;
  const event = eventOf(row);
  const refused = event.outcome !== '0';
  const act = actOf(event, words.acts);
  const agent = event.agent?.[0];
  const who = agent?.who?.reference ?? '';
  const name = who === session.patient ? words.trail.you : (names.get(who) ?? words.trail.actors[who] ?? who);
  const purpose = event.purposeOfEvent?.[0];
  const code = purpose?.coding?.[0]?.code ?? '';
  return html`<li class="card${refused ? ' refused' : ''}">
<h2>${name}: ${act} ${refused ? html`<span class="bad">${words.trail.refused}</span>` : html`<span class="good">${words.trail.done}</span>`}</h2>
<dl>
<dt>${words.trail.when}</dt><dd>${moment(row.lastUpdated, language)}</dd>
<dt>${words.trail.why}</dt><dd>${words.purposes[code] ?? displayOf('purposes', code, language)} ${purpose?.text}</dd>
<dt>${words.trail.what}</dt><dd>${what(reader, event)}</dd>
</dl>
<details><summary>${words.trail.details}</summary>
<dl>
<dt>${words.trail.client}</dt><dd>${agent?.altId} <span class="soft">${who}</span></dd>
<dt>${words.trail.consent}</dt><dd>${basis(event) ?? words.trail.noConsent}</dd>
</dl>
${named(reader, event)}
${receiptForm(reader, row)}
</details>
</li>`;
}

/** What it says itself, where there is a word for that; else the interaction. */
function actOf(event: Event, acts: Readonly<Record<string, string>>): string {
  const [said, code] = [saidIn(event), event.subtype?.[0]?.code ?? ''];
  return (Object.hasOwn(acts, said) ? acts[said] : acts[code]) ?? code;
}

function saidIn({ entity = [] }: Event): string {
  return Buffer.from(entity.find(({ role }) => role?.code === SAID)?.query ?? '', 'base64').toString('utf8');
}

function what({ words }: Reader, event: Event): Html {
  const entities = disclosedIn(event);
  const counted = entities.flatMap(({ detail }) => detail?.[0]?.valueString ?? [])[0];
  if (counted !== undefined) return html`${words.trail.records} ${counted}`;
  const references = entities.flatMap((entity) => entity.what?.reference ?? []);
  if (references.length === 0) return html`${words.trail.nothing}`;
  const byType = Map.groupBy(references, (reference) => reference.split('/')[0] ?? '');
  const counts = [...byType].map(([type, of]) => `${typeName(words, type)} × ${of.length}`);
  return html`${counts.join(words.comma)}`;
}

function disclosedIn({ entity = [] }: Event): readonly Entity[] {
  return entity.filter(({ role }) => role?.code === DISCLOSED);
}

/** What it was about, one by one. */
function named({ words }: Reader, event: Event): Html {
  const references = disclosedIn(event).flatMap((entity) => entity.what?.reference ?? []);
  return html`${codes(references.slice(0, MOST_NAMED))}${references.length > MOST_NAMED ? html`<p>${words.trail.more}</p>` : undefined}`;
}

function basis(event: Event): Html | undefined {
  const references = (event.entity ?? []).flatMap(({ role, what: of }) =>
    role?.code === BASIS && of?.reference !== undefined ? [of.reference] : [],
  );
  return references.length === 0 ? undefined : codes(references);
}

function codes(items: readonly string[]): Html {
  return html`<ul>${items.map((item) => html`<li><code>${item}</code></li>`)}</ul>`;
}

function receiptForm({ session, words }: Reader, { id }: Row): Html {
  return html`<form method="post" action="/patient/receipt">
<input type="hidden" name="id" value="${id}">
<input type="hidden" name="token" value="${session.formToken}">
<button class="plain">${words.trail.receipt}</button>
<button class="plain" name="as" value="small">${words.trail.smallFile}</button>
</form>`;
}
