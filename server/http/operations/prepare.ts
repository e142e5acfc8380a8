/** POST Consent/$prepare: wanted terms in, the final Consent and the statement to sign out. interface.md §3 */
import { AssentError } from '../../errors.ts';
import { elementTexts, memberText } from '../../fhir/json-text.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { type Parameter, parametersOf, referenceOf, single, stringOf } from './parameters.ts';

export async function prepare(request: FhirRequest, { validate }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  const list = parametersOf(request, ['consent', 'language', 'supersedes']);
  const consent = consentOf(request, list);
  const [issues = []] = await validate([consent]);
  if (issues.length > 0) throw new AssentError('invalid-resource', issues);
  const prepared = await request.gate.prepareConsent({
    consent,
    language: stringOf(list, 'language', ['valueCode', 'valueString']),
    ...(single(list, 'supersedes') ? { supersedes: referenceOf(list, 'supersedes') } : {}),
  });
  const { statement, digest, expires } = prepared;
  // The Consent goes out as the exact text that was hashed: it is not parsed and written again.
  const parts = [
    `{"name":"consent","resource":${prepared.consent}}`,
    JSON.stringify({ name: 'statement', valueString: statement }),
    JSON.stringify({ name: 'digest', valueString: digest }),
    JSON.stringify({ name: 'expires', valueInstant: new Date(expires).toISOString() }),
  ];
  return { status: 200, headers: {}, body: `{"resourceType":"Parameters","parameter":[${parts.join(',')}]}` };
}

/** The Consent with the digits and order its sender wrote. */
function consentOf(request: FhirRequest, list: readonly Parameter[]): ResourceDocument {
  const value = single(list, 'consent')?.['resource'] as ResourceValue | undefined;
  const body = request.body.kind === 'resource' ? request.body.document.text : '';
  const texts = elementTexts(memberText(body, 'parameter') ?? '[]');
  const text = memberText(texts[list.findIndex(({ name }) => name === 'consent')] ?? '{}', 'resource');
  if (value?.resourceType !== 'Consent' || text === undefined)
    throw new AssentError('invalid-request', 'The parameter consent is needed, as a Consent resource.');
  return { value, text };
}
