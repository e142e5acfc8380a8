/**
 * DELETE /fhir/{type}/{id}. Earlier versions stay in the history. DELETE /fhir/{type}?{criteria}: all that match, up to a limit, or none.
 * https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/http.html#3.1.0.7.1
 */
import { AssentError } from '../errors.ts';
import { informed, json, notFound, versionHeaders } from './answer.ts';
import { lookAgain, matchesOf, urlConditionOf } from './condition.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { expectedVersion, refuseConditions } from './preconditions.ts';
import { preferenceOf } from './prefer.ts';
import type { Services } from './services.ts';
import { checkId } from './target.ts';

export async function remove(request: FhirRequest, _services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-none-match', 'if-none-exist']);
  checkId(request.id);
  const [result] = await request.gate.write([{ kind: 'delete', type: request.type, id: request.id, ...expectedVersion(request) }]);
  if (!result) throw notFound();
  return deleted(request, 'Deleted.', versionHeaders(result.row));
}

/** Nothing that matches is nothing left to do. */
export async function conditionalDelete(request: FhirRequest, services: Services): Promise<Answer> {
  refuseConditions(request, ['if-none-match', 'if-none-exist']);
  const { type } = request;
  const where = urlConditionOf(request, services);
  const condition = expectedVersion(request);
  return lookAgain(async () => {
    const found = await matchesOf(request, { type, where, query: request.url }, { most: services.limits.conditionalDeletes });
    refuseVagueMatch(found, condition);
    if (found.length > 0) await request.gate.write(found.map(({ id, version }) => ({ kind: 'delete', type, id, madeFrom: version, ...condition })));
    return deleted(request, `Deleted: ${found.length}.`);
  });
}

/** One entity tag is about one resource. */
export function refuseVagueMatch(found: readonly unknown[], { ifMatch }: { readonly ifMatch?: string }): void {
  if (ifMatch === undefined || found.length === 1) return;
  throw found.length === 0
    ? new AssentError('version-mismatch', 'No resource matches the criteria.')
    : new AssentError('multiple-matches', 'If-Match is about one resource; the criteria match several.');
}

function deleted(request: FhirRequest, words: string, headers: Readonly<Record<string, string>> = {}): Answer {
  if (preferenceOf(request.header('prefer')).return === 'OperationOutcome') return json(200, informed(words), headers);
  return { status: 204, headers, body: undefined };
}
