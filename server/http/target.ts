/** What a path or a body names, checked before it is used. https://hl7.org/fhir/R4/datatypes.html#id */
import { AssentError } from '../errors.ts';
import { isId } from '../fhir/ids.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { notFound } from './answer.ts';
import type { FhirRequest } from './interaction.ts';

/** What cannot be an id names nothing that exists; a `$` or `_` word is something the server does not offer. */
export function checkId(id: string): void {
  if (id === '' || /^[$_]/.test(id)) throw new AssentError('not-supported');
  if (!isId(id)) throw notFound();
}

/** The resource in the body, of the type in the path. */
export function resourceOf(request: FhirRequest): ResourceDocument {
  if (request.body.kind !== 'resource') throw new AssentError('invalid-request', 'A resource is expected in the body.');
  const { document } = request.body;
  if (document.value.resourceType !== request.type)
    throw new AssentError('invalid-request', [{ diagnostics: 'resourceType is not the type in the URL.', expression: ['resourceType'] }]);
  return document;
}
