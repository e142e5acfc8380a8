/** PUT /fhir/{type}/{id}: a new version; whether it may be the first is the Gate's decision. https://hl7.org/fhir/R4/http.html#update */
import { AssentError } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { notFound } from './answer.ts';
import { refuseInlineSignature } from './inline-signature.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { expectedVersion, refuseConditions } from './preconditions.ts';
import { writeAnswer } from './prefer.ts';
import type { Services } from './services.ts';
import { checkId, resourceOf } from './target.ts';
import { refuseInvalid } from './validity.ts';

export async function update(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-none-match', 'if-none-exist']);
  refuseInlineSignature(request);
  checkId(request.id);
  const resource = resourceOf(request);
  refuseOtherId(resource, request.id);
  const condition = expectedVersion(request);
  await refuseInvalid(services, resource);
  const [result] = await request.gate.write([{ kind: 'update', id: request.id, resource, ...condition }]);
  if (!result) throw notFound();
  return writeAnswer(request, services.base, { status: result.kind === 'created' ? 201 : 200, row: result.row });
}

export function refuseOtherId(resource: ResourceDocument, id: string): void {
  if (resource.value.id !== id)
    throw new AssentError('invalid-request', [{ diagnostics: 'The id in the body must be the id in the URL.', expression: ['id'] }]);
}
