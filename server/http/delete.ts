/** DELETE /fhir/{type}/{id}. Earlier versions stay in the history. https://hl7.org/fhir/R4/http.html#delete */
import { informed, json, notFound, versionHeaders } from './answer.ts';
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
  const headers = versionHeaders(result.row);
  if (preferenceOf(request.header('prefer')).return === 'OperationOutcome') return json(200, informed('Deleted.'), headers);
  return { status: 204, headers, body: undefined };
}
