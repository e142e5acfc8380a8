/** The first of the patient's pages: who waits for an answer, and what else there is, each in a sentence. And the page that offers the file of all data. */
import { type Html, html } from '../html.ts';
import { paths, type Reader } from './frame.ts';
import { type Waiting, waitingCard } from './inbox.ts';
import { type ListedRecovery, recoveryNotice } from './recovery.ts';

export type Home = { readonly name: string | undefined; readonly waiting: Waiting; readonly recovery: ListedRecovery | undefined };

export function homePage(reader: Reader, { name, waiting, recovery }: Home): Html {
  const { inbox, pages, yours } = reader.words;
  const { asked } = waiting;
  return html`${name && html`<p>${yours} <strong>${name}</strong></p>`}${recovery && recoveryNotice(reader, recovery)}<h2>${inbox.title}${asked.length === 0 ? undefined : html` <span class="count">${asked.length}</span>`}</h2>
${asked.length === 0 ? html`<p role="status">${inbox.none}</p>` : html`<ol>${asked.map((each) => waitingCard(reader, each, waiting.names))}</ol>`}
<ul class="ways">${paths.map((path) => html`<li><h2><a href="${path}">${pages[path].title}</a></h2><p class="soft">${pages[path].says}</p></li>`)}</ul>`;
}

export function dataPage({ session, words }: Reader): Html {
  return html`<p>${words.data.intro}</p>
<form method="post" action="/patient/data">
<input type="hidden" name="token" value="${session.formToken}">
<button>${words.data.button}</button>
</form>`;
}
