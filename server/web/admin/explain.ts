/**
 * How a search runs, as a page: what was considered, what was walked, and how long it took.
 * Invariant: it shows names, numbers and times only; the search itself travels in form bodies, never in a URL.
 */
import type { Explanation } from '../../http/explain.ts';
import { explainWords, type Section } from '../../http/explain-words.ts';
import { type Html, html } from '../html.ts';
import type { Session } from './sessions.ts';

export type ExplainForm = { readonly search: string; readonly as: string };

export function explainForm({ formToken }: Session, { search, as }: ExplainForm = { search: '', as: '' }, problems: readonly string[] = []): Html {
  const described = problems.length === 0 ? undefined : html`aria-invalid="true" aria-describedby="search-problem"`;
  return html`<form method="post" action="/console/explain">
<label for="search">Search</label>
<input id="search" name="search" required placeholder="Observation?code=8867-4" value="${search}" autocomplete="off" autocapitalize="none" spellcheck="false" ${described}>
${problems.length === 0 ? undefined : html`<p class="bad" id="search-problem" role="alert">${problems.join(' ')}</p>`}
<label for="as">As client (empty: as yourself)</label>
<input id="as" name="as" value="${as}" autocomplete="off" autocapitalize="none" spellcheck="false">
<input type="hidden" name="token" value="${formToken}">
<button>Explain the search</button>
</form>
<p class="soft">It is run in that client’s view; nothing it finds is shown. Numbers under 50 are not told apart. Asking is itself recorded.</p>`;
}

export function explainPage(session: Session, form: ExplainForm, explanation: Explanation): Html {
  return html`${explainWords(explanation).map(section)}
<h2>Another search</h2>
${explainForm(session, form)}`;
}

function section({ title, lines }: Section): Html {
  return html`<h2>${title}</h2>
<dl>${lines.map(([name, value]) => html`<dt>${name}</dt><dd>${typeof value === 'string' ? value : html`<ul>${value.map((each) => html`<li>${each}</li>`)}</ul>`}</dd>`)}</dl>`;
}
