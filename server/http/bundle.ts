/** POST /fhir: a batch or a transaction, told apart by Bundle.type. https://hl7.org/fhir/R4/http.html#transaction */
import { AssentError } from '../errors.ts';
import { readBundle } from '../fhir/bundle.ts';
import { batch } from './batch.ts';
import { refuseInlineSignature } from './inline-signature.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { refuseConditions } from './preconditions.ts';
import type { Services } from './services.ts';
import { transaction } from './transaction.ts';

export async function bundle(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-match', 'if-none-match', 'if-none-exist']);
  refuseInlineSignature(request);
  if (request.body.kind !== 'resource') throw new AssentError('invalid-request', 'A Bundle is expected in the body.');
  const entries = readBundle(request.body.document, { maxEntries: services.limits.bundleEntries });
  return request.body.document.value['type'] === 'batch' ? batch(request, entries, services) : transaction(request, entries, services);
}
