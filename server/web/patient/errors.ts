/**
 * What went wrong, in the language of whoever reads it: as a page, or for the script as an OperationOutcome.
 * Invariant: in English what was said stays word for word; a language that lacks the sentence has one for its kind of failure.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AssentError, outcomeOf } from '../../errors.ts';
import { faultOf, knownError, sendError } from '../../http/error-handler.ts';
import { html } from '../html.ts';
import { type Language, languageOf } from '../language.ts';
import { HOME, showTo, visitorOf } from './frame.ts';
import { type PatientWords, patientWords } from './words.ts';

/** The same failure, said in words for the patient. */
export function inWords(error: unknown, language: Language): AssentError {
  const known = knownError(error);
  const { codes, sentences } = patientWords[language].errors;
  const say = (sentence: string) => sentences[sentence] ?? (language === 'en' ? sentence : codes[known.code]);
  const issues =
    known.issues.length === 0 ? [{ diagnostics: codes[known.code] }] : known.issues.map((each) => ({ ...each, diagnostics: say(each.diagnostics) }));
  const { retryAfter, cause } = known;
  return new AssentError(known.code, issues, { ...(retryAfter === undefined ? {} : { retryAfter }), cause });
}

export type WayBack = { readonly href: string; readonly text: (words: PatientWords) => string };

/** Errors as pages, with a way back. */
export function showErrorsTo(app: FastifyInstance, { href, text }: WayBack): void {
  app.setErrorHandler((error, request, reply) => {
    const visitor = visitorOf(request);
    const known = inWords(error, visitor.language);
    if (known.status >= 500) request.log.error({ fault: faultOf(known.cause ?? error) }, 'page failed');
    const { status, outcome } = outcomeOf(known);
    if (known.retryAfter !== undefined) void reply.header('retry-after', String(known.retryAfter));
    const sentences = [...new Set(outcome.issue.map(({ diagnostics }) => diagnostics))];
    const content = html`${sentences.map((sentence) => html`<p class="bad" role="alert">${sentence}</p>`)}<p class="way"><a href="${href}">${text(visitor.words)}</a></p>`;
    return showTo(visitor, reply.code(status), { title: visitor.words.errors.title, content, here: href });
  });
}

/** At an address where nothing is: so, and the way to the pages. */
export function showMissing(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const visitor = visitorOf(request);
  const { errors, console, home } = visitor.words;
  const content = html`<p class="bad" role="alert">${errors.codes['not-supported']}</p>
<p class="way"><a href="${HOME}">${home}</a></p><p class="way"><a href="/">${console}</a></p>`;
  return showTo(visitor, reply.code(404), { title: errors.title, content, here: HOME });
}

/** For the script of our pages. */
export function tellErrorsTo(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendError(inWords(error, languageOf(request.headers)), request, reply));
}
