/**
 * A batch: each entry is a request of its own, with its own outcome. https://hl7.org/fhir/R4/http.html#brules
 * Invariant: an entry goes through the same table, scope check and Gate as a request over the wire.
 */
import { setImmediate } from 'node:timers/promises';
import { type BundleEntry, bundleText } from '../fhir/bundle.ts';
import { type AnswerEntry, answerEntry, entryCall, failedEntry } from './entry-call.ts';
import { knownError } from './error-handler.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import type { Services } from './services.ts';

export async function batch(request: FhirRequest, entries: readonly BundleEntry[], services: Services): Promise<Answer> {
  const answers: AnswerEntry[] = [];
  for (const entry of entries) {
    answers.push(await runEntry(request, entry, services));
    // Other callers get their turn between entries.
    await setImmediate();
  }
  return { status: 200, headers: {}, body: bundleText({ type: 'batch-response', entries: answers }) };
}

/** One entry; its failure is its own answer. Also used for the reads of a transaction, which come after its writes. */
export async function runEntry(request: FhirRequest, entry: BundleEntry, services: Services): Promise<AnswerEntry> {
  try {
    return answerEntry(entry, await services.dispatch(entryCall(request, entry)));
  } catch (error) {
    const known = knownError(error);
    if (known.status >= 500) services.report(known.cause ?? known);
    return failedEntry(known);
  }
}
