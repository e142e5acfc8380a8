/** Reads and writes Parameters resources. https://hl7.org/fhir/R4/parameters.html */
import { AssentError } from '../../errors.ts';
import type { FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';

export type Parameter = { readonly name: string; readonly part: readonly Parameter[]; readonly [element: string]: unknown };

/** The parameters of the body, in order. `known`: anything else is refused, because it was meant to change something. */
export function parametersOf(request: FhirRequest, known: readonly string[]): readonly Parameter[] {
  const value = request.body.kind === 'resource' ? request.body.document.value : undefined;
  if (value?.resourceType !== 'Parameters') throw new AssentError('invalid-request', 'A Parameters resource is expected in the body.');
  const list = partsOf(value['parameter'], 'Parameters.parameter');
  for (const { name } of list) {
    if (!known.includes(name)) throw new AssentError('invalid-request', `This operation takes the parameters ${known.join(', ')}.`);
  }
  return list;
}

/** The one parameter of this name, or undefined. Throws when there are several. */
export function single(list: readonly Parameter[], name: string): Parameter | undefined {
  const found = list.filter((parameter) => parameter.name === name);
  if (found.length > 1) throw new AssentError('invalid-request', `The parameter ${name} may be given once.`);
  return found[0];
}

/** The string value of a parameter, under any of these value[x] names. Throws when it is missing. */
export function stringOf(list: readonly Parameter[], name: string, elements: readonly string[]): string {
  const found = single(list, name);
  const value = elements.map((element) => found?.[element]).find((candidate) => candidate !== undefined);
  if (typeof value !== 'string' || value === '')
    throw new AssentError('invalid-request', `The parameter ${name} is needed, as ${elements.join(' or ')}.`);
  return value;
}

/** The literal reference of a parameter. */
export function referenceOf(list: readonly Parameter[], name: string): string {
  const value = single(list, name)?.['valueReference'] as { readonly reference?: unknown } | undefined | null;
  if (typeof value?.reference !== 'string' || value.reference === '')
    throw new AssentError('invalid-request', `The parameter ${name} is needed, as valueReference with a reference.`);
  return value.reference;
}

function partsOf(value: unknown, path: string): readonly Parameter[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new AssentError('invalid-request', `${path} must be an array.`);
  return value.map((entry: unknown, i) => {
    if (typeof entry !== 'object' || entry === null || typeof (entry as Parameter).name !== 'string')
      throw new AssentError('invalid-request', `${path}[${i}] needs a name.`);
    const parameter = entry as Parameter;
    return { ...parameter, part: partsOf(parameter['part'], `${path}[${i}].part`) };
  });
}

/**
 * What an operation was given, in the URL and as simple values in a Parameters body alike, by name. `known`: anything else is refused, because
 * it was meant to change something.
 */
export function inputsOf(request: FhirRequest, known: readonly string[]): URLSearchParams {
  refuseUnknownQuery(request, known);
  const inputs = new URLSearchParams([...request.query].filter(([name]) => known.includes(name)));
  if (request.body.kind === 'none') return inputs;
  for (const parameter of parametersOf(request, known)) inputs.append(parameter.name, primitiveOf(parameter));
  return inputs;
}

/** A Reference is its literal, a Coding its search token. */
function primitiveOf(parameter: Parameter): string {
  const values = Object.entries(parameter).flatMap(([name, value]) => (name.startsWith('value') ? [value] : []));
  const [value] = values;
  if (values.length === 1 && (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')) return String(value);
  const { reference, system, code } = (values.length === 1 && typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof reference === 'string') return reference;
  if (typeof code === 'string') return typeof system === 'string' ? `${system}|${code}` : code;
  throw new AssentError('invalid-request', `The parameter ${parameter.name} is needed as one simple value.`);
}

/** The one value of an input, or undefined. Throws when it is given more than once. */
export function onlyInput(inputs: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = inputs.getAll(name);
  if (more.length > 0) throw new AssentError('invalid-request', `The parameter ${name} may be given once.`);
  return value;
}
