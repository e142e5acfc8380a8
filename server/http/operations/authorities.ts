/**
 * POST $grant-authority and $end-authority: a statement about who acts for a patient, and the signature over it. The signature authorises, not the
 * caller; what an institution attests takes an administrator as well. consent.md §6
 */
import { json } from '../answer.ts';
import type { Answer, FhirRequest, Handler } from '../interaction.ts';
import { signedStatement } from './keys.ts';

export const grantAuthority: Handler = (request) => change(request, 'grantAuthority');
export const endAuthority: Handler = (request) => change(request, 'endAuthority');

async function change(request: FhirRequest, operation: 'grantAuthority' | 'endAuthority'): Promise<Answer> {
  const { kind, id } = await request.gate[operation](signedStatement(request));
  return json(200, {
    resourceType: 'Parameters',
    parameter: [
      { name: 'authority', valueString: id },
      { name: 'state', valueCode: kind },
    ],
  });
}
