/**
 * Recorded acts, newest first, as somebody asked for them. https://hl7.org/fhir/R4/auditevent.html
 * Invariants: the events come from the Gate made for the signed-in caller; what was asked for travels in form bodies, never in a URL; what who acted wrote
 * themselves (a query, a reason) is not shown.
 */
import type { RecordedEntry, Row } from '../../consent/gate.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import type { Session } from './sessions.ts';

/** As typed; '' where nothing was. `from`, `to`: days, in UTC. */
export type TrailFields = Readonly<Record<'patient' | 'actor' | 'purpose' | 'consent' | 'from' | 'to', string>>;
export const noFields: TrailFields = { patient: '', actor: '', purpose: '', consent: '', from: '', to: '' };

/** The parts of an AuditEvent that the page shows, all optional: it shows what it finds. */
type Event = {
  readonly recorded?: string;
  readonly subtype?: readonly { readonly code?: string }[];
  readonly outcome?: string;
  readonly purposeOfEvent?: readonly { readonly coding?: readonly { readonly code?: string }[] }[];
  readonly agent?: readonly { readonly who?: { readonly reference?: string }; readonly altId?: string }[];
  readonly entity?: readonly Entity[];
};
type Entity = {
  readonly what?: { readonly reference?: string };
  readonly role?: { readonly code?: string };
  readonly detail?: readonly { readonly valueString?: string }[];
};

const acts: Readonly<Record<string, string>> = {
  read: 'Read',
  vread: 'Read of a version',
  'search-type': 'Search',
  'search-system': 'Search of several types',
  'history-instance': 'History',
  'history-type': 'History of a type',
  'history-system': 'History of everything',
  create: 'Create',
  update: 'Update',
  patch: 'Patch',
  delete: 'Delete',
  transaction: 'Transaction',
  operation: 'Operation',
};

/** object-role codes: 1 patient, 4 domain resource, 13 security resource (here: the Consent relied on). */
const PATIENT = '1';
const DISCLOSED = '4';
const BASIS = '13';
/** More is told by its number: the proof lists all, and a page stays small. */
const MOST_NAMED = 15;

export function trailForm({ formToken }: Session, fields: TrailFields = noFields, problem?: string): Html {
  const described = problem === undefined ? undefined : html`aria-invalid="true" aria-describedby="trail-problem"`;
  const typed = html`autocomplete="off" autocapitalize="none" spellcheck="false"`;
  return html`<form method="post" action="/console/trail">
${problem === undefined ? undefined : html`<p class="bad" id="trail-problem" role="alert">${problem}</p>`}
<div class="fields">
<div><label for="patient">Patient</label><input id="patient" name="patient" placeholder="Patient/123" value="${fields.patient}" ${typed} ${described}></div>
<div><label for="actor">Who acted</label><input id="actor" name="actor" placeholder="Organization/123" value="${fields.actor}" ${typed} ${described}></div>
<div><label for="purpose">Purpose</label><input id="purpose" name="purpose" placeholder="TREAT" value="${fields.purpose}" ${typed} ${described}></div>
<div><label for="consent">Consent relied on</label><input id="consent" name="consent" placeholder="Consent/123" value="${fields.consent}" ${typed} ${described}></div>
<div><label for="from">From (UTC)</label><input id="from" name="from" type="date" value="${fields.from}" ${described}></div>
<div><label for="to">To (UTC)</label><input id="to" name="to" type="date" value="${fields.to}" ${described}></div>
</div>
<input type="hidden" name="token" value="${formToken}">
<button>Show the trail</button> <button class="plain" formaction="/console/trail/file">Save it as a signed file</button>
</form>
<p class="soft">Looking at a trail is itself recorded. Of one patient the file proves that no act is missing; <a href="/ledger/verify.html">the verifier</a> and <code>assent verify</code> check it.</p>`;
}

export type Trail = {
  readonly fields: TrailFields;
  readonly rows: readonly Row[];
  readonly total: number | undefined;
  /** Sealed, for the form that asks for older acts. */
  readonly next: string | undefined;
  /** Of a version of a Consent that an act relied on. */
  readonly isErased: (version: string) => boolean;
};

export function trailPage(session: Session, trail: Trail): Html {
  const { fields, rows, next, total } = trail;
  const count = total === undefined ? '' : `${total} recorded ${total === 1 ? 'act' : 'acts'}`;
  return html`<h2>${headingOf(fields)}</h2>
<p role="status">${rows.length === 0 ? 'Nothing is recorded of that.' : count}</p>
<ol>${rows.map((row) => eventCard(session, row, trail))}</ol>
${next === undefined ? undefined : html`<form method="post" action="/console/trail">${hidden(session, { ...fields, page: next })}<button class="plain">Older</button></form>`}
<h2>Another trail</h2>
${trailForm(session, fields)}`;
}

function headingOf({ patient, actor, purpose, consent, from, to }: TrailFields): string {
  const named = { 'acts of': actor, for: purpose, under: consent, from, to };
  const rest = Object.entries(named).flatMap(([word, value]) => (value === '' ? [] : [`${word} ${value}`]));
  return [...(patient === '' ? [] : [patient]), ...rest].join(', ');
}

function hidden({ formToken }: Session, fields: Readonly<Record<string, string>>): readonly Html[] {
  return Object.entries({ ...fields, token: formToken })
    .filter(([, value]) => value !== '')
    .map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`);
}

function eventCard(session: Session, row: Row, { fields, isErased }: Trail): Html {
  const event = JSON.parse(row.body) as Event;
  const refused = event.outcome !== '0';
  const act = event.subtype?.[0]?.code ?? '';
  const agent = event.agent?.[0];
  const [patient] = references(event, PATIENT);
  return html`<li class="card${refused ? ' refused' : ''}">
<h3>${acts[act] ?? act} ${refused ? html`<span class="bad">refused</span>` : html`<span class="good">done</span>`}</h3>
<dl>
<dt>When</dt><dd>${time(row.lastUpdated)}</dd>
${fields.patient === '' ? html`<dt>Patient</dt><dd>${patient ?? 'names none'}</dd>` : undefined}
<dt>Who</dt><dd>${agent?.who?.reference}${agent?.altId === undefined ? undefined : html` <span class="soft">by client ${agent.altId}</span>`}</dd>
<dt>Purpose</dt><dd>${event.purposeOfEvent?.[0]?.coding?.[0]?.code}</dd>
<dt>Consent</dt><dd>${list(references(event, BASIS), isErased) ?? 'none relied on'}</dd>
</dl>
${whatSection(event)}
${patient === undefined ? undefined : html`<form method="post" action="/console/proof">${hidden(session, { patient, event: row.id })}<button class="plain">Proof</button></form>`}
</li>`;
}

function whatSection(event: Event): Html | undefined {
  const counted = (event.entity ?? []).flatMap(({ role, detail }) => (role?.code === DISCLOSED ? (detail?.[0]?.valueString ?? []) : []))[0];
  const what = references(event, DISCLOSED);
  if (counted !== undefined) return html`<p>${counted} resources</p>`;
  if (what.length === 0) return undefined;
  const more = what.length > MOST_NAMED ? html`<p>The proof names all of them.</p>` : undefined;
  return html`<details><summary>${what.length} ${what.length === 1 ? 'resource' : 'resources'}</summary>${list(what.slice(0, MOST_NAMED))}${more}</details>`;
}

function references(event: Event, role: string): string[] {
  return (event.entity ?? []).flatMap((entity) =>
    entity.role?.code === role && entity.what?.reference !== undefined ? [entity.what.reference] : [],
  );
}

function list(items: readonly string[], isErased: Trail['isErased'] = () => false): Html | undefined {
  if (items.length === 0) return undefined;
  const note = (item: string) => (isErased(item) ? html` <span class="soft">erased; the log says so</span>` : undefined);
  return html`<ul>${items.map((item) => html`<li><code>${item}</code>${note(item)}</li>`)}</ul>`;
}

export type Proof = { readonly patient: string; readonly event: string; readonly entry: RecordedEntry; readonly size: number };

/** Where one act stands in the log. */
export function proofPage(session: Session, { patient, event, entry, size }: Proof): Html {
  return html`<h2>AuditEvent/${event}</h2>
<dl>
<dt>Patient</dt><dd>${patient}</dd>
<dt>Kind</dt><dd>${entry.kind}</dd>
<dt>Recorded</dt><dd>${entry.occurredAt === undefined ? 'erased' : time(Date.parse(entry.occurredAt))}</dd>
<dt>In the log</dt><dd>entry ${entry.index} of ${size} under the signed checkpoint</dd>
<dt>Of this patient</dt><dd>entry ${entry.number}</dd>
</dl>
<form method="post" action="/console/proof/file">${hidden(session, { patient, event })}<button>Save the proof</button></form>
<p><a href="/ledger/verify.html">Check it in the verifier</a>, which asks nobody, or with <code>assent verify</code>.</p>`;
}
