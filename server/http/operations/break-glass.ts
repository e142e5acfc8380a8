/**
 * POST Patient/{id}/$break-glass: a reason in, a token for this one patient and some minutes out. consent.md §7
 * Invariant: the Gate has recorded the act and told the patient before there is a token; the answer does not depend on whether there is such a patient.
 */
import { json } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { parametersOf, stringOf } from './parameters.ts';

export async function breakGlass(request: FhirRequest, { breakGlassToken }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  const { gate } = request;
  const opened = await gate.breakGlass({ patient: request.id, reason: stringOf(parametersOf(request, ['reason']), 'reason', ['valueString']) });
  return json(200, {
    resourceType: 'Parameters',
    parameter: [
      { name: 'token', valueString: await breakGlassToken(gate.caller, opened) },
      { name: 'expires', valueInstant: new Date(opened.until).toISOString() },
    ],
  });
}
