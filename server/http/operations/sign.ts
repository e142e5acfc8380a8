/**
 * POST Consent/$sign: the statement and its signatures in; the Consent in force (201), the same again (200), or waiting for the other
 * signature (202) out. The signatures authorise, not the caller. interface.md §3
 */
import type { Signatures } from '../../consent/gate.ts';
import { webauthnSignature } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import { signedAnswer } from '../inline-signature.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { type Parameter, parametersOf, referenceOf, stringOf } from './parameters.ts';

/** A Consent has a handful of signers; each signature costs a verification. */
const MOST_SIGNATURES = 10;

export async function sign(request: FhirRequest, { base }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  return signedAnswer(await request.gate.signConsent(asSigner(() => readSigning(request))), base);
}

/** POST Consent/{id}/$approve: the same of a request, whose statement is known. */
export async function approve(request: FhirRequest, { base }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  const signatures = asSigner(() => signaturesIn(parametersOf(request, ['signature'])));
  return signedAnswer(await request.gate.approveConsent(request.id, signatures), base);
}

/** Anything wrong is 422, a form that is not filled in included: to a signer it is all the same. */
function asSigner<Read>(read: () => Read): Read {
  try {
    return read();
  } catch (error) {
    if (error instanceof AssentError && error.code === 'invalid-request') throw new AssentError('invalid-signature', error.issues);
    throw error;
  }
}

function readSigning(request: FhirRequest): Parameters<FhirRequest['gate']['signConsent']>[0] {
  const list = parametersOf(request, ['statement', 'signature']);
  return { statement: stringOf(list, 'statement', ['valueString']), signatures: signaturesIn(list) };
}

function signaturesIn(list: readonly Parameter[]): Signatures {
  const signatures = list.filter(({ name }) => name === 'signature').map(({ part }) => ({ who: referenceOf(part, 'who'), jws: signatureOf(part) }));
  if (signatures.length === 0 || signatures.length > MOST_SIGNATURES)
    throw new AssentError('invalid-signature', `From 1 to ${MOST_SIGNATURES} signatures are needed.`);
  return signatures;
}

/** One signature over the statement: `jws`, or of a passkey `webauthn` (JSON of an AuthenticationResponse). Throws AssentError: invalid-request, invalid-signature. */
export function signatureOf(part: readonly Parameter[]): string {
  if (!part.some(({ name }) => name === 'webauthn')) return stringOf(part, 'jws', ['valueString']);
  if (part.some(({ name }) => name === 'jws')) throw new AssentError('invalid-request', 'A signature is either jws or webauthn.');
  return webauthnSignature(stringOf(part, 'webauthn', ['valueString']));
}
