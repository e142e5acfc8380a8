/**
 * POST /fhir/{type}: a new resource under an id of the server's choosing; with If-None-Exist only where nothing the caller may see
 * matches. https://hl7.org/fhir/R4/http.html#create
 */
import { newIdFor } from '../fhir/new-ids.ts';
import { notFound, versionUrl } from './answer.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { conditionOf } from './condition.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { refuseConditions } from './preconditions.ts';
import { writeAnswer } from './prefer.ts';
import { writeWithProvenance } from './provenance.ts';
import { answerRead } from './read.ts';
import type { Services } from './services.ts';
import { resourceOf } from './target.ts';
import { refuseInvalid } from './validity.ts';
import { refuseConsentProvenance, signedCreate } from './inline-signature.ts';

export async function create(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-match', 'if-none-match']);
  const resource = resourceOf(request);
  const signed = await signedCreate(request, resource, services);
  if (signed) return signed;
  refuseConsentProvenance(resource.value);
  const condition = conditionOf(request, services);
  await refuseInvalid(services, resource);
  const operation = { kind: 'create', id: newIdFor(resource.value, services.base), resource, ...condition } as const;
  const result = await writeWithProvenance(request, services, operation);
  if (!result) throw notFound();
  if (result.kind !== 'unchanged') return writeAnswer(request, services.base, { status: 201, row: result.row });
  // What was there already is disclosed like any read: under its scope, decided, audited, with its receipt.
  if (!services.allows(request.gate.caller, 'r', request.type))
    return { status: 200, headers: { location: versionUrl(services.base, result.row) }, body: undefined };
  return answerRead(request, services, await request.gate.read(result.row.type, result.row.id));
}
