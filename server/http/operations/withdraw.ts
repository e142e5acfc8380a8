/** POST Consent/{id}/$withdraw: the patient's (or custodian's) signed withdrawal ends a Consent at once. interface.md §3 */
import { versionHeaders, versionUrl } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { parametersOf, stringOf } from './parameters.ts';

export async function withdraw(request: FhirRequest, { base }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  const jws = stringOf(parametersOf(request, ['jws']), 'jws', ['valueString']);
  const row = await request.gate.withdrawConsent(request.id, jws);
  return { status: 200, headers: { ...versionHeaders(row), 'content-location': versionUrl(base, row) }, body: row.body };
}
