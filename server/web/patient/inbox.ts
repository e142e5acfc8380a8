/**
 * What waits for the patient's answer: Consents that somebody asks for, or that the custodian prepared, and that the patient has not signed.
 * consent.md §5
 *
 * Invariant: shown is what would be signed: the Consent is the one of the statement, never the one that is stored beside it.
 */
import type { ConsentStatement } from '../../consent/gate.ts';
import { type Html, html } from '../html.ts';
import type { ConsentPages } from './consents.ts';
import { moment } from './dates.ts';
import type { Reader } from './frame.ts';
import { namesOf } from './names.ts';
import { type ConsentTerms, type Names, partiesOf, readersOf, termsList } from './terms.ts';

/** `until`: ms since 1970, when it can be answered no more. */
export type Asked = { readonly id: string; readonly known: ConsentStatement; readonly terms: ConsentTerms; readonly until: number };
export type Waiting = { readonly asked: readonly Asked[]; readonly names: Names };

const MOST = 20;

export type InboxParts = Pick<ConsentPages, 'gateFor' | 'clock' | 'search' | 'clientName'>;

/** Newest first. */
export async function waitingFor({ gateFor, clock, ...naming }: InboxParts, { session }: Reader): Promise<Waiting> {
  const gate = gateFor(session.caller);
  const query = `patient=${session.patient}&status=proposed&_sort=-_lastUpdated&_count=${MOST}&_total=none`;
  const { where, order, count, total } = naming.search.plan('Consent', new URLSearchParams(query), 'strict');
  const { rows } = await gate.search({ type: 'Consent', where, order, count, total, query: `Consent?${query}` });
  const found = await Promise.all(rows.map(async ({ id }) => ({ id, known: await gate.statementOf(id) })));
  const asked = found
    .flatMap(({ id, known }) => (known ? [askedOf(id, known)] : []))
    .filter(({ known, until }) => isWaiting(known, { until, now: clock() }));
  return {
    asked,
    names: await namesOf(
      gate,
      naming,
      asked.flatMap(({ known, terms }) => [...partiesOf(terms), ...(known.asked ? [known.asked.by] : [])]),
    ),
  };
}

export function askedOf(id: string, known: ConsentStatement): Asked {
  const { consent, expires } = JSON.parse(known.statement) as { readonly consent: ConsentTerms; readonly expires: string };
  return { id, known, terms: consent, until: known.asked?.deadline ?? Date.parse(expires) };
}

export function isWaiting({ state, signed }: ConsentStatement, { until, now }: { readonly until: number; readonly now: number }): boolean {
  return state === 'proposed' && !signed && until > now;
}

/** Who wants it: whoever asks, or those who would read by it. */
export function askerOf(reader: Reader, { known, terms }: Asked, names: Names): string {
  return known.asked ? (names.get(known.asked.by) ?? known.asked.by) : readersOf(reader, terms, names);
}

export function waitingCard(reader: Reader, asked: Asked, names: Names): Html {
  const { words, session } = reader;
  const more = html`<dt>${words.inbox.until}</dt><dd>${moment(asked.until, reader.language)}</dd>`;
  return html`<li class="card waits"><h3>${askerOf(reader, asked, names)}</h3>
<p>${asked.known.asked ? words.inbox.asks : words.inbox.prepared}</p>
${termsList(reader, asked.terms, { names, more })}
<form method="post" action="/patient/consents/review">
<input type="hidden" name="id" value="${asked.id}">
<input type="hidden" name="token" value="${session.formToken}">
<button>${words.consents.read}</button>
</form></li>`;
}
