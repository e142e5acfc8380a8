/**
 * $reindex of the system or of a type: the index keys of what is stored, made again, as a job. fhir.md §3
 * Invariant: it asks for the scope `admin`, and the answer is the same whatever is stored.
 */
import { AssentError } from '../../errors.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import { acceptJob, inputOf, refuseWithoutAdmin } from '../job.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { parametersOf } from './parameters.ts';

export async function reindex(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseWithoutAdmin(request);
  if (request.body.kind !== 'none') parametersOf(request, []);
  const types = request.type === '' ? resourceTypes : [request.type];
  if (types.length === 0) throw new AssentError('not-supported');
  const asked = { types, caller: request.gate.caller, request: request.type === '' ? '$reindex' : `${request.type}/$reindex` };
  return acceptJob(request, services, { kind: 'reindex', input: inputOf(asked) });
}
