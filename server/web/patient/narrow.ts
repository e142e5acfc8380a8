/**
 * Less than what somebody asks for, as the patient chooses it: a form of what is asked for, and what it says when it is sent. consent.md §5
 * Invariant: what is no less than what was asked for the Gate refuses; here it is only offered.
 */
import type { Form } from '../forms.ts';
import { type Html, html } from '../html.ts';
import type { Reader } from './frame.ts';
import type { Asked } from './inbox.ts';
import { kinds, typeName } from './record.ts';
import type { ConsentTerms } from './terms.ts';

/** Where all is asked for, what there is to choose from. */
const everything = ['Patient', ...Object.values(kinds).map(({ type }) => type)];

function offered({ provision }: ConsentTerms): readonly string[] {
  return provision?.class?.map(({ code = '' }) => code) ?? everything;
}

function lastDay({ provision }: ConsentTerms): string {
  return /^\d{4}-\d\d-\d\d/.exec(provision?.period?.end ?? '')?.[0] ?? '';
}

/** `now`: ms since 1970. */
export function narrowForm({ session, words }: Reader, { id, terms }: Asked, now: number): Html | undefined {
  if (terms.provision?.type !== 'permit') return undefined;
  const { narrow } = words;
  const last = lastDay(terms);
  return html`<details><summary>${narrow.title}</summary>
<form method="post" action="/patient/consents/narrow">
<input type="hidden" name="id" value="${id}">
<input type="hidden" name="token" value="${session.formToken}">
<fieldset><legend>${narrow.types}</legend>
${offered(terms).map((type) => html`<label class="choice"><input type="checkbox" name="type" value="${type}" checked> ${typeName(words, type)}</label>`)}
</fieldset>
<label for="until">${narrow.until}</label>
<input type="date" id="until" name="until" min="${new Date(now).toISOString().slice(0, 'YYYY-MM-DD'.length)}" value="${last}"${last === '' ? undefined : html` max="${last}"`}>
<button class="plain">${narrow.show}</button>
</form></details>`;
}

/** Only what differs from what is asked for. */
export function narrowingIn(form: Form, terms: ConsentTerms): { readonly types?: readonly string[]; readonly until?: string } {
  const [types, until] = [form.getAll('type'), form.get('until') ?? ''];
  const all = offered(terms).every((type) => types.includes(type));
  return { ...(all ? {} : { types }), ...(until === '' || until === lastDay(terms) ? {} : { until }) };
}
