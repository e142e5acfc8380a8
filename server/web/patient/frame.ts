/**
 * What surrounds the pages that a signed-in patient reads: the way to the others, the languages, and the way out.
 * Invariant: all of it works without a script; a link names a page of ours and nothing about who reads it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from '../html.ts';
import { type Language, languageOf, languages } from '../language.ts';
import { page, pageHeaders } from '../layout.ts';
import type { PatientSession } from './sessions.ts';
import { type PatientWords, patientWords } from './words.ts';

/** Who reads a page, and in which words. */
export type Reader = { readonly session: PatientSession; readonly language: Language; readonly words: PatientWords };

export const paths = ['/patient/consents', '/patient/trail', '/patient/record', '/patient/data', '/patient/passkeys'] as const;

export function readerOf(session: PatientSession, { headers }: Pick<FastifyRequest, 'headers'>): Reader {
  const language = languageOf(headers);
  return { session, language, words: patientWords[language] };
}

/** A page of `content` under `title`. */
export function showTo(reader: Reader, reply: FastifyReply, title: string, content: Html): FastifyReply {
  return reply.headers({ ...pageHeaders, vary: 'Accept-Language, Cookie' }).send(pageFor(reader, title, content));
}

export function pageFor({ session, language, words }: Reader, title: string, content: Html): string {
  return page(title, content, { language, words, before: menu(words), after: foot(session, words) });
}

function menu(words: PatientWords): Html {
  return html`<nav aria-label="${words.menu}"><ul class="menu">${paths.map((path) => html`<li><a href="${path}">${words.pages[path].title}</a></li>`)}</ul></nav>`;
}

function foot({ patient, formToken }: PatientSession, words: PatientWords): Html {
  return html`<form method="post" action="/patient/language">
<input type="hidden" name="token" value="${formToken}">
<fieldset><legend>${words.languages}</legend>
${Object.entries(languages).map(([code, name]) => html`<button class="plain" name="language" value="${code}" lang="${code}">${name}</button> `)}
</fieldset></form>
<form method="post" action="/patient/sign-out">
<p class="soft">${words.signedInAs} <code>${patient}</code></p>
<input type="hidden" name="token" value="${formToken}">
<button class="plain">${words.signOut}</button>
</form>`;
}

/** Asks for what comes after; `next`: sealed. */
export function olderForm({ session, words }: Reader, action: string, next: string): Html {
  return html`<form method="post" action="${action}">
<input type="hidden" name="page" value="${next}">
<input type="hidden" name="token" value="${session.formToken}">
<button class="plain">${words.older}</button>
</form>`;
}
