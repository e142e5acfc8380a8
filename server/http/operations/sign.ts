/**
 * POST Consent/$sign: the statement and its signatures in; the Consent in force (201), the same again (200), or waiting for the other
 * signature (202) out. The signatures authorise, not the caller. interface.md §3
 */
import { AssentError } from '../../errors.ts';
import { signedAnswer } from '../inline-signature.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { parametersOf, referenceOf, stringOf } from './parameters.ts';

/** A Consent has a handful of signers; each signature costs a verification. */
const MOST_SIGNATURES = 10;

export async function sign(request: FhirRequest, { base }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  const list = parametersOf(request, ['statement', 'signature']);
  const signatures = list
    .filter(({ name }) => name === 'signature')
    .map(({ part }) => ({ who: referenceOf(part, 'who'), jws: stringOf(part, 'jws', ['valueString']) }));
  if (signatures.length === 0 || signatures.length > MOST_SIGNATURES)
    throw new AssentError('invalid-request', `From 1 to ${MOST_SIGNATURES} signatures are needed.`);
  return signedAnswer(await request.gate.signConsent({ statement: stringOf(list, 'statement', ['valueString']), signatures }), base);
}
