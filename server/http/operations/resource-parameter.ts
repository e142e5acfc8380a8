/** A resource among the parameters of an operation, as the text its sender wrote. https://hl7.org/fhir/R4/parameters.html */
import { elementTexts, memberText } from '../../fhir/json-text.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import type { FhirRequest } from '../interaction.ts';
import { type Parameter, single } from './parameters.ts';

/** With the digits and order its sender wrote; undefined when the parameter holds no resource. Throws when there are several. */
export function resourceParameter(request: FhirRequest, list: readonly Parameter[], name: string): ResourceDocument | undefined {
  const value = single(list, name)?.['resource'] as ResourceValue | undefined;
  const body = request.body.kind === 'resource' ? request.body.document.text : '';
  const texts = elementTexts(memberText(body, 'parameter') ?? '[]');
  const text = memberText(texts[list.findIndex((parameter) => parameter.name === name)] ?? '{}', 'resource');
  return value === undefined || text === undefined ? undefined : { value, text };
}
