/**
 * POST Consent/{id}/$withdraw: the patient's (or custodian's) signed withdrawal ends a Consent at once. `jws` holds what it signs; a passkey's assertion,
 * `webauthn`, has it beside it, in `statement`. POST Consent/{id}/$refuse: the same of a Consent that somebody asked for. interface.md §3
 */
import type { Row, SignedEnd } from '../../consent/gate.ts';
import { webauthnSignature } from '../../consent/workflow.ts';
import { AssentError } from '../../errors.ts';
import { versionHeaders, versionUrl } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { parametersOf, stringOf } from './parameters.ts';

export async function withdraw(request: FhirRequest, services: Services): Promise<Answer> {
  return ended(await request.gate.withdrawConsent(request.id, signedIn(request)), services);
}

export async function refuse(request: FhirRequest, services: Services): Promise<Answer> {
  return ended(await request.gate.refuseConsent(request.id, signedIn(request)), services);
}

function signedIn(request: FhirRequest): SignedEnd {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  const list = parametersOf(request, ['jws', 'statement', 'webauthn']);
  const text = (name: string) => stringOf(list, name, ['valueString']);
  const byPasskey = list.some(({ name }) => name !== 'jws');
  const signed = byPasskey ? { signature: webauthnSignature(text('webauthn')), statement: text('statement') } : { signature: text('jws') };
  if (byPasskey && list.length !== 2) throw new AssentError('invalid-request', 'Either jws, or webauthn and statement.');
  return signed;
}

function ended(row: Row, { base }: Services): Answer {
  return { status: 200, headers: { ...versionHeaders(row), 'content-location': versionUrl(base, row) }, body: row.body };
}
