/**
 * $convert: a resource in one format in, the same resource in the format the caller accepts out. https://hl7.org/fhir/R4/resource-operation-convert.html
 * Invariant: nothing stored is read and nothing is stored; the digits of decimals and every character of strings are kept.
 */
import { AssentError } from '../../errors.ts';
import { elementTexts, memberText } from '../../fhir/json-text.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';

export async function convert(request: FhirRequest, _services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  if (request.body.kind !== 'resource') throw new AssentError('invalid-request', 'A resource is expected in the body.');
  const { text, value } = request.body.document;
  return { status: 200, headers: {}, body: (value.resourceType === 'Parameters' ? inputIn(text) : undefined) ?? text };
}

/** The resource of a parameter `input`, where the body is the operation's Parameters and not itself what is to be converted. */
function inputIn(text: string): string | undefined {
  const [only, second] = elementTexts(memberText(text, 'parameter') ?? '[]');
  if (only === undefined || second !== undefined || memberText(only, 'name') !== '"input"') return undefined;
  return memberText(only, 'resource');
}
