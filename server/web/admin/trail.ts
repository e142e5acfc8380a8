/**
 * Every recorded act on one patient's record, newest first. https://hl7.org/fhir/R4/auditevent.html
 * Invariant: the events come from the Gate made for the signed-in caller, and a patient's id travels in form bodies, never in a URL.
 */
import type { Row } from '../../consent/gate.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import type { Session } from './sessions.ts';

/** The parts of an AuditEvent that the page shows, all optional: it shows what it finds. */
type Event = {
  readonly recorded?: string;
  readonly subtype?: readonly { readonly code?: string }[];
  readonly outcome?: string;
  readonly purposeOfEvent?: readonly { readonly coding?: readonly { readonly code?: string }[] }[];
  readonly agent?: readonly { readonly who?: { readonly reference?: string }; readonly altId?: string }[];
  readonly entity?: readonly { readonly what?: { readonly reference?: string }; readonly role?: { readonly code?: string } }[];
};

const acts: Readonly<Record<string, string>> = {
  read: 'Read',
  vread: 'Read of a version',
  'search-type': 'Search',
  'search-system': 'Search of several types',
  'history-instance': 'History',
  create: 'Create',
  update: 'Update',
  delete: 'Delete',
  transaction: 'Transaction',
  operation: 'Operation',
};

/** object-role codes: 4 domain resource, 13 security resource (here: the Consent relied on). */
const DISCLOSED = '4';
const BASIS = '13';

export function trailForm({ formToken }: Session, patient = '', problem?: string): Html {
  const described = problem === undefined ? undefined : html`aria-invalid="true" aria-describedby="patient-problem"`;
  return html`<form method="post" action="/console/trail">
<label for="patient">Patient</label>
<input id="patient" name="patient" required placeholder="Patient/123" value="${patient}" autocomplete="off" autocapitalize="none" spellcheck="false" ${described}>
${problem === undefined ? undefined : html`<p class="bad" id="patient-problem" role="alert">${problem}</p>`}
<input type="hidden" name="token" value="${formToken}">
<button>Show the trail</button>
</form>
<p class="soft">Looking at a trail is itself recorded. That nothing is missing from it, <code>Patient/…/$disclosures</code> proves to whoever asks over FHIR.</p>`;
}

export type Trail = {
  readonly patient: string;
  readonly rows: readonly Row[];
  readonly total: number | undefined;
  /** Sealed, for the form that asks for older acts. */
  readonly next: string | undefined;
  /** Of a version of a Consent that an act relied on. */
  readonly isErased: (version: string) => boolean;
};

export function trailPage(session: Session, { patient, rows, next, total, isErased }: Trail): Html {
  const count = total === undefined ? '' : `${total} recorded ${total === 1 ? 'act' : 'acts'}`;
  return html`<p><a href="/">Back to the console</a></p>
<h2>Patient/${patient}</h2>
<p role="status">${rows.length === 0 ? 'Nothing is recorded under this id.' : count}</p>
<ol>${rows.map((row) => eventCard(row, isErased))}</ol>
${next === undefined ? undefined : olderForm(session, patient, next)}
<h2>Another patient</h2>
${trailForm(session)}`;
}

function olderForm({ formToken }: Session, patient: string, next: string): Html {
  return html`<form method="post" action="/console/trail">
<input type="hidden" name="patient" value="${patient}">
<input type="hidden" name="page" value="${next}">
<input type="hidden" name="token" value="${formToken}">
<button class="plain">Older</button>
</form>`;
}

function eventCard(row: Row, isErased: Trail['isErased']): Html {
  const event = JSON.parse(row.body) as Event;
  const refused = event.outcome !== '0';
  const act = event.subtype?.[0]?.code ?? '';
  const agent = event.agent?.[0];
  return html`<li class="card${refused ? ' refused' : ''}">
<h3>${acts[act] ?? act} ${refused ? html`<span class="bad">refused</span>` : html`<span class="good">done</span>`}</h3>
<dl>
<dt>When</dt><dd>${time(row.lastUpdated)}</dd>
<dt>Who</dt><dd>${agent?.who?.reference}${agent?.altId === undefined ? undefined : html` <span class="soft">by client ${agent.altId}</span>`}</dd>
<dt>Purpose</dt><dd>${event.purposeOfEvent?.[0]?.coding?.[0]?.code}</dd>
<dt>Consent</dt><dd>${list(references(event, BASIS), isErased) ?? 'none relied on'}</dd>
</dl>
${whatSection(references(event, DISCLOSED))}
</li>`;
}

function whatSection(what: readonly string[]): Html | undefined {
  if (what.length === 0) return undefined;
  return html`<details><summary>${what.length} ${what.length === 1 ? 'resource' : 'resources'}</summary>${list(what)}</details>`;
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
