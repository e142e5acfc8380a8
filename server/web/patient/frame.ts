/**
 * What surrounds the patient's pages: the way to the others, the other language, and the way out.
 * Invariant: all of it works without a script; a link names a page of ours and nothing about who reads it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from '../html.ts';
import { type Language, languageOf, languages } from '../language.ts';
import { page, pageHeaders, scriptedHeaders } from '../layout.ts';
import type { PatientSession } from './sessions.ts';
import { type PatientWords, patientWords } from './words.ts';

/** Whoever looks at a page, and in which words. */
export type Visitor = { readonly session?: PatientSession | undefined; readonly language: Language; readonly words: PatientWords };

/** One who is signed in. */
export type Reader = Visitor & { readonly session: PatientSession };

export const HOME = '/patient';
export const paths = ['/patient/consents', '/patient/trail', '/patient/record', '/patient/data', '/patient/passkeys'] as const;

type Request = Pick<FastifyRequest, 'headers'>;

export function visitorOf({ headers }: Request): Visitor {
  const language = languageOf(headers);
  return { language, words: patientWords[language] };
}

export function readerOf(session: PatientSession, request: Request): Reader {
  return { ...visitorOf(request), session };
}

export type Shown = {
  /** It also heads the page. */
  readonly title: string;
  readonly content: Html;
  /** The absolute URL of the one script that it runs. */
  readonly script?: string;
  /** Where the other language leads, from a page that answers a form. */
  readonly here?: string;
};

export function showTo(visitor: Visitor, reply: FastifyReply, { title, content, script, here }: Shown): FastifyReply {
  const { session, language, words } = visitor;
  const { method, url } = reply.request;
  const path = here ?? (method === 'GET' ? url : HOME);
  const beside = otherLanguages(visitor, path);
  const around = session ? { before: path === HOME ? undefined : menu(words), after: foot(session, words) } : {};
  const headers = script === undefined ? pageHeaders : scriptedHeaders(script);
  return reply.headers({ ...headers, vary: 'Accept-Language, Cookie' }).send(page(title, content, { language, words, beside, ...around }));
}

function menu(words: PatientWords): Html {
  const items = [HOME, ...paths] as const;
  return html`<nav aria-label="${words.menu}"><ul class="menu">${items.map((path) => html`<li><a href="${path}">${path === HOME ? words.start : words.pages[path].title}</a></li>`)}</ul></nav>`;
}

/** Whoever cannot read the page has to find it: it heads the page, each language by its own name. */
function otherLanguages({ language, words }: Visitor, path: string): Html {
  const others = Object.entries(languages).filter(([code]) => code !== language);
  return html`<form method="post" action="/patient/language" aria-label="${words.languages}">
<input type="hidden" name="here" value="${path}">
${others.map(([code, name]) => html`<button class="plain" name="language" value="${code}" lang="${code}">${name}</button>`)}
</form>`;
}

function foot({ patient, formToken }: PatientSession, words: PatientWords): Html {
  return html`<form method="post" action="/patient/sign-out">
<p class="soft">${words.signedInAs} <code>${patient.slice('Patient/'.length)}</code></p>
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
