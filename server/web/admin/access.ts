/**
 * Who may see a record and why, as a page: the same answer as $explain-access gives over FHIR.
 * Invariant: it comes from the Gate made for the signed-in caller; what was asked travels in form bodies, never in a URL.
 */
import type { Access, AccessGround, AccessResult } from '../../consent/gate.ts';
import { decisionCode } from '../../http/operations/explain-access.ts';
import { type Html, html } from '../html.ts';
import type { Session } from './sessions.ts';

export type AccessForm = { readonly resource: string; readonly actor: string; readonly purpose: string };

export function accessForm(
  { formToken }: Session,
  { resource, actor, purpose }: AccessForm = { resource: '', actor: '', purpose: '' },
  problems: readonly string[] = [],
): Html {
  const described = problems.length === 0 ? undefined : html`aria-invalid="true" aria-describedby="access-problem"`;
  const field = html`autocomplete="off" autocapitalize="none" spellcheck="false"`;
  return html`<form method="post" action="/console/access">
<label for="resource">Record</label>
<input id="resource" name="resource" required placeholder="Observation/123" value="${resource}" ${field} ${described}>
${problems.length === 0 ? undefined : html`<p class="bad" id="access-problem" role="alert">${problems.join(' ')}</p>`}
<label for="actor">Asked for by (empty: everyone the Consents name)</label>
<input id="actor" name="actor" placeholder="Organization/123" value="${actor}" ${field}>
<label for="purpose">Purpose (empty: those the Consents name)</label>
<input id="purpose" name="purpose" placeholder="TREAT" value="${purpose}" ${field}>
<input type="hidden" name="token" value="${formToken}">
<button>Show who may see it</button>
</form>
<p class="soft">What depends on what the record holds is not told here: the patient can ask. Asking is itself recorded.</p>`;
}

export function accessPage(session: Session, form: AccessForm, found: AccessResult): Html {
  return html`<h2>${form.resource}</h2>
${found.kind === 'absent' ? html`<p role="status">There is no such record.</p>` : answer(found)}
<h2>Another record</h2>
${accessForm(session, form)}`;
}

function answer({ accesses, cut }: AccessResult & { readonly kind: 'explained' }): Html {
  return html`<ol>${accesses.map(card)}</ol>
${cut ? html`<p>The Consents name more than is shown: ask about one actor and purpose.</p>` : undefined}`;
}

function card({ actor, purpose, permitted, text, grounds }: Access): Html {
  const tone = permitted === undefined ? 'soft' : permitted ? 'good' : 'bad';
  return html`<li class="card${permitted === false ? ' refused' : ''}">
<h3>${actor ?? 'Anyone else'}, ${purpose} <span class="${tone}">${decisionCode(permitted)}</span></h3>
<p>${text}</p>
<dl>${grounds.map(ground)}</dl>
</li>`;
}

function ground({ patient, text, clauses, silent }: AccessGround): Html {
  return html`<dt>${patient === undefined ? 'Why' : `Patient/${patient}`}</dt><dd>${text}
${lines(clauses.map(({ consent, path, text: words }) => html`<code>${consent}</code> ${path}: ${words}`))}
${lines(silent.map(({ consent, text: words }) => html`<code>${consent}</code>: ${words}`))}</dd>`;
}

function lines(items: readonly Html[]): Html | undefined {
  return items.length === 0 ? undefined : html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;
}
