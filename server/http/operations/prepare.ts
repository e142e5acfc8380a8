/** POST Consent/$prepare: wanted terms in, the final Consent and the statement to sign out. interface.md §3 */
import { AssentError } from '../../errors.ts';
import type { ResourceDocument } from '../../fhir/resource.ts';
import { versionHeaders, versionUrl } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { refuseInvalid } from '../validity.ts';
import { type Parameter, parametersOf, referenceOf, single, stringOf } from './parameters.ts';
import { resourceParameter } from './resource-parameter.ts';

export async function prepare(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  const list = parametersOf(request, ['consent', 'language', 'supersedes']);
  const consent = consentOf(request, list);
  await refuseInvalid(services, consent);
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

/** POST Consent/$request: the terms that a requester wants for itself; its Task out. The same whether or not there is such a patient. */
export async function requestConsent(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  const list = parametersOf(request, ['consent', 'deadline', 'language']);
  const consent = consentOf(request, list);
  await refuseInvalid(services, consent);
  const text = stringOf(list, 'deadline', ['valueInstant', 'valueDateTime']);
  const deadline = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(deadline)) throw new AssentError('invalid-request', 'The parameter deadline is needed as an instant.');
  const language = single(list, 'language') ? stringOf(list, 'language', ['valueCode', 'valueString']) : 'en';
  const row = await request.gate.requestConsent({ consent, language, deadline });
  return { status: 202, headers: { ...versionHeaders(row), 'content-location': versionUrl(services.base, row) }, body: row.body };
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

function consentOf(request: FhirRequest, list: readonly Parameter[]): ResourceDocument {
  const consent = resourceParameter(request, list, 'consent');
  if (consent?.value.resourceType !== 'Consent') throw new AssentError('invalid-request', 'The parameter consent is needed, as a Consent resource.');
  return consent;
}
