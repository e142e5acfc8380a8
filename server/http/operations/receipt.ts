/** GET {Consent|AuditEvent}/{id}/$receipt and Consent/{id}/$ledger-proof: the proof, as JSON or compressed, 202 until it is in a signed checkpoint, 410 with the tombstone’s proof where its ground was erased. interface.md §4 */
import type { ReceiptResult } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { informed, json, notFound } from '../answer.ts';
import { receiptAnswer } from '../compressed.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';

/** Checkpoints come about every second. */
const RETRY_SECONDS = '1';

export async function receipt(request: FhirRequest, _services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  if (request.type !== 'Consent' && request.type !== 'AuditEvent') throw new AssentError('not-supported');
  return answered(request, await request.gate.receipt(request.type, request.id));
}

export async function ledgerProof(request: FhirRequest, _services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  return answered(request, await request.gate.ledgerProof(request.id));
}

async function answered(request: FhirRequest, found: ReceiptResult): Promise<Answer> {
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'erased') throw erased(found.proofs);
  if (found.kind === 'pending')
    return json(202, informed('The entry is not yet in a signed checkpoint; ask again.'), { 'retry-after': RETRY_SECONDS });
  return receiptAnswer(found.receipt, request);
}

/** Each proof is a file for `assent verify`, as it stands in the diagnostics of an issue of its own. */
function erased(proofs: readonly string[]): AssentError {
  const sentence = 'A Consent this rests on was erased with its patient; a receipt made before still proves it. The log says so.';
  return new AssentError('gone', [{ diagnostics: sentence }, ...proofs.map((diagnostics) => ({ severity: 'information' as const, diagnostics }))]);
}
