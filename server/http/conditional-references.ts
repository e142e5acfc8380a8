/**
 * What a transaction leaves for the server to find: creates with ifNoneExist, and references like `Practitioner?identifier=…`.
 * https://hl7.org/fhir/R4/http.html#trules
 * Invariant: matches are looked for in the caller's view only, under the caller's search scope.
 */
import { AssentError } from '../errors.ts';
import { type BundleEntry, conditionalReferences, entryPath } from '../fhir/bundle.ts';
import type { Expression } from '../search/expression.ts';
import { conditionOf, expressionOf } from './condition.ts';
import { entryCall } from './entry-call.ts';
import { atEntry } from './entry-error.ts';
import type { FhirRequest } from './interaction.ts';
import type { Services } from './services.ts';

/** Ids that creates with ifNoneExist match already, by entry: references to the entry must name them. */
export async function conditionalIds(
  request: FhirRequest,
  entries: readonly BundleEntry[],
  services: Services,
): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>();
  for (const entry of entries) {
    if (entry.method !== 'POST' || entry.ifNoneExist === undefined) continue;
    const type = entry.url.split('?')[0] ?? '';
    const { ifNoneExist } = atEntry(entry.index, () => conditionOf({ type, header: entryCall(request, entry).header, gate: request.gate }, services));
    if (!ifNoneExist) continue;
    const ids = await matches(request, { type, where: ifNoneExist, query: `${type}?${entry.ifNoneExist}` });
    if (ids.length > 1)
      throw new AssentError('multiple-matches', [{ diagnostics: 'ifNoneExist matches several resources.', expression: [entryPath(entry.index)] }]);
    if (ids[0] !== undefined) found.set(entry.index, ids[0]);
  }
  return found;
}

/** Conditional references and the one resource each names. */
export async function linkedReferences(
  request: FhirRequest,
  entries: readonly BundleEntry[],
  services: Services,
): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>();
  for (const [text, users] of conditionalReferences(entries)) {
    const index = users[0] ?? 0;
    const { type, where } = atEntry(index, () => targetOf(text, request, services));
    const [id, second] = await matches(request, { type, where, query: text });
    const wrong = id === undefined ? 'nothing' : second === undefined ? undefined : 'several resources';
    if (wrong !== undefined)
      throw new AssentError('multiple-matches', [
        { diagnostics: `A conditional reference must name one resource; this one names ${wrong}.`, expression: users.map((user) => entryPath(user)) },
      ]);
    known.set(text, `${type}/${id}`);
  }
  return known;
}

function targetOf(text: string, { gate }: FhirRequest, services: Services): { readonly type: string; readonly where: Expression } {
  const at = text.indexOf('?');
  const type = text.slice(0, at);
  if (!services.allows(gate.caller, 's', type)) throw new AssentError('forbidden', 'A conditional reference needs the scope to search its type.');
  return { type, where: expressionOf(type, text.slice(at + 1), services) };
}

async function matches(
  { gate }: FhirRequest,
  { type, where, query }: { readonly type: string; readonly where: Expression; readonly query: string },
): Promise<string[]> {
  const { rows } = await gate.search({ type, where, order: { by: 'instant', direction: 'newest-first' }, count: 2, total: false, query });
  return rows.map(({ id }) => id);
}
