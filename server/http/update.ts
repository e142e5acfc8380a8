/**
 * PUT /fhir/{type}/{id}: a new version; whether it may be the first is the Gate's decision. PUT /fhir/{type}?{criteria}: of the one resource that
 * matches, or a new one. https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#cond-update
 */
import type { WriteOperation } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { isId } from '../fhir/ids.ts';
import { newIdFor } from '../fhir/new-ids.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { Condition } from '../search/join.ts';
import { notFound } from './answer.ts';
import { lookAgain, matchesOf, urlConditionOf } from './condition.ts';
import { refuseConsentProvenance, refuseInlineSignature } from './inline-signature.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { createOnly, expectedVersion, refuseConditions } from './preconditions.ts';
import { writeAnswer } from './prefer.ts';
import { writeWithProvenance } from './provenance.ts';
import type { Services } from './services.ts';
import { refuseSubset } from './subset.ts';
import { checkId, resourceOf } from './target.ts';
import { refuseInvalid } from './validity.ts';

export async function update(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-none-exist']);
  refuseInlineSignature(request);
  checkId(request.id);
  const resource = resourceOf(request);
  refuseOtherId(resource, request.id);
  refuseSubset(resource.value);
  const conditions = { ...expectedVersion(request), ...createOnly(request) };
  await refuseInvalid(services, resource);
  return written(request, services, { kind: 'update', id: request.id, resource, ...conditions });
}

export function refuseOtherId(resource: ResourceDocument, id: string): void {
  if (resource.value.id !== id)
    throw new AssentError('invalid-request', [{ diagnostics: 'The id in the body must be the id in the URL.', expression: ['id'] }]);
}

export async function conditionalUpdate(request: FhirRequest, services: Services): Promise<Answer> {
  refuseConditions(request, ['if-none-exist']);
  refuseInlineSignature(request);
  const where = urlConditionOf(request, services);
  const resource = resourceOf(request);
  refuseConsentProvenance(resource.value);
  refuseSubset(resource.value);
  const conditions = { ...expectedVersion(request), ...createOnly(request) };
  await refuseInvalid(services, resource);
  return lookAgain(async () => {
    const [match] = await matchesOf(request, { type: request.type, where, query: request.url }, { most: 1 });
    return written(request, services, conditionalOperation(resource, { where, match, ...conditions }, newIdFor(resource.value, services.base)));
  });
}

type Found = {
  readonly where: Condition;
  readonly match: { readonly id: string; readonly version: string } | undefined;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
};

/** What a conditional update does, by what it found. Shared with transactions. */
export function conditionalOperation(resource: ResourceDocument, { where, match, ifMatch, ifNoneMatch }: Found, id: string): Written {
  const { id: chosen } = resource.value;
  if (match) {
    if (ifNoneMatch !== undefined) throw new AssentError('version-mismatch', 'A resource matches the criteria already.');
    if (chosen !== undefined && chosen !== match.id)
      throw new AssentError('invalid-request', [{ diagnostics: 'The id in the body is not that of the resource that matches.', expression: ['id'] }]);
    return { kind: 'update', id: match.id, resource, madeFrom: match.version, ...(ifMatch === undefined ? {} : { ifMatch }) };
  }
  if (ifMatch !== undefined) throw new AssentError('version-mismatch', 'No resource matches the criteria.');
  if (chosen === undefined) return { kind: 'create', id, resource, ifNoneExist: where, ifMatched: 'conflict' };
  if (typeof chosen !== 'string' || !isId(chosen)) throw new AssentError('invalid-request', [{ diagnostics: 'This is no id.', expression: ['id'] }]);
  // An id that is taken belongs to a resource the criteria do not match: it is not replaced.
  return { kind: 'update', id: chosen, resource, ifNoneExist: where, ifNoneMatch: '*' };
}

type Written = Extract<WriteOperation, { kind: 'create' | 'update' }>;

async function written(request: FhirRequest, services: Services, operation: Written): Promise<Answer> {
  const result = await writeWithProvenance(request, services, operation);
  if (!result) throw notFound();
  return writeAnswer(request, services.base, { status: result.kind === 'created' ? 201 : 200, row: result.row });
}
