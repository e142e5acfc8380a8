/** GET /fhir/{type}/{id}/_history/{version}: one version. https://hl7.org/fhir/R4/http.html#vread */
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { answerRead } from './read.ts';
import type { Services } from './services.ts';
import { readPart, SUBSET_PARAMETERS } from './subset.ts';
import { checkId } from './target.ts';

export async function vread(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, SUBSET_PARAMETERS);
  checkId(request.id);
  checkId(request.version);
  const part = readPart(request);
  return answerRead(request, services, await request.gate.readVersion(request.type, request.id, request.version), part);
}
