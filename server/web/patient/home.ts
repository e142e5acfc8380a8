/** The first of the patient's pages: what there is, each in a sentence. And the one that offers the file of all data. */
import { type Html, html } from '../html.ts';
import { paths, type Reader } from './frame.ts';

export function homePage({ words }: Reader): Html {
  return html`<ul>${paths.map((path) => html`<li class="card"><h2><a href="${path}">${words.pages[path].title}</a></h2><p>${words.pages[path].says}</p></li>`)}</ul>`;
}

export function dataPage({ session, words }: Reader): Html {
  return html`<p>${words.data.intro}</p>
<form method="post" action="/patient/data">
<input type="hidden" name="token" value="${session.formToken}">
<button>${words.data.button}</button>
</form>`;
}
