/**
 * $purge of a patient or of one resource: erasure, as a job. ledger.md §1
 * Invariant: the answer is the same whether there is such a resource or not; whoever asks is an administrator with the letter `d`.
 */
import { AssentError } from '../../errors.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { acceptJob, inputOf, refuseWithoutAdmin } from '../job.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { parametersOf } from './parameters.ts';

/** The trail is what proves that an erasure was one; a Consent may be what denies access to the rest. */
const EVIDENCE = new Set(['AuditEvent', 'Consent']);

export async function purge(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseWithoutAdmin(request);
  checkId(request.id);
  if (request.body.kind !== 'none') parametersOf(request, []);
  const { type, id, gate } = request;
  if (EVIDENCE.has(type))
    throw new AssentError('sealed-resource', `${type} is not erased by itself: a Consent goes with its patient, the trail stays.`);
  const registration = await services.registrationOf(gate.caller.client);
  return acceptJob(request, services, { kind: 'purge', input: inputOf({ caller: gate.caller, registration, type, id }) });
}
