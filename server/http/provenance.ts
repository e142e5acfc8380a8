/**
 * X-Provenance: a Provenance sent in the header of a create, an update or a patch is stored in the same commit as what it is about.
 * https://hl7.org/fhir/R4/provenance.html#header
 *
 * Invariant: both are written or neither; the target is the very version that was written, said by the server and not by the caller. The
 * signed form for a Consent is inline-signature.ts's.
 */
import type { Gate, WriteOperation, WriteResult } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { newVersion } from '../fhir/ids.ts';
import { parseDocument } from '../fhir/json.ts';
import { memberTexts, objectText } from '../fhir/json-text.ts';
import { newIdFor } from '../fhir/new-ids.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { FhirRequest } from './interaction.ts';
import type { Services } from './services.ts';
import { refuseInvalid } from './validity.ts';

const HEADER = 'x-provenance';

type Written = Extract<WriteOperation, { readonly kind: 'create' | 'update' }>;

/** The write, with the Provenance of the header where there is one; undefined: the Gate wrote nothing. */
export async function writeWithProvenance(request: FhirRequest, services: Services, operation: Written): Promise<WriteResult | undefined> {
  const provenance = provenanceIn(request, services);
  if (!provenance) return (await request.gate.write([operation]))[0];
  // What stands in for a new resource was written before, by someone the Provenance does not speak of.
  if (operation.kind === 'create' && operation.ifNoneExist && operation.ifMatched === undefined)
    throw new AssentError('invalid-request', 'X-Provenance cannot be combined with If-None-Exist.');
  const version = newVersion();
  const resource = withTarget(provenance, `${operation.resource.value.resourceType}/${operation.id}/_history/${version}`);
  await refuseInvalid(services, resource);
  const about: Written = { kind: 'create', id: newIdFor(resource.value, services.base), resource };
  const [result] = await blaming(request.gate, [{ ...operation, version }, about]);
  return result;
}

function provenanceIn(request: FhirRequest, { allows, limits }: Services): ResourceDocument | undefined {
  const header = request.header(HEADER);
  if (header === undefined) return undefined;
  // Node gives the bytes of a header as Latin-1.
  const document = parseDocument(Buffer.from(header, 'latin1'), { maxDepth: limits.jsonDepth, maxBytes: limits.bodyBytes });
  if (document.value.resourceType !== 'Provenance') throw refuse('The header X-Provenance holds a Provenance as JSON.', 'resourceType');
  if (document.value['target'] !== undefined) throw refuse('A Provenance in X-Provenance has no target: the server says what was written.', 'target');
  if (document.value.id !== undefined) throw refuse('A Provenance in X-Provenance has no id: the server gives it one.', 'id');
  if (!allows(request.gate.caller, 'c', 'Provenance')) throw new AssentError('forbidden', 'X-Provenance needs the scope to create a Provenance.');
  return document;
}

function withTarget({ text }: ResourceDocument, reference: string): ResourceDocument {
  const members = memberTexts(text);
  members.set('target', JSON.stringify([{ reference }]));
  const targeted = objectText(members);
  return { text: targeted, value: JSON.parse(targeted) as ResourceDocument['value'] };
}

/** The Gate's word for what lies in the resource of the first operation. */
const RESOURCE = 'operation[0].resource';

/** The Gate blames one of several operations; the caller sent one resource and a header. */
async function blaming(gate: Gate, operations: readonly [Written, Written]): Promise<readonly WriteResult[]> {
  const type = operations[0].resource.value.resourceType;
  try {
    return await gate.write(operations);
  } catch (error) {
    if (!(error instanceof AssentError)) throw error;
    const issues = error.issues.map(({ expression = [], ...issue }) => {
      if (expression.some((text) => text.startsWith('operation[1]'))) return { ...issue, diagnostics: `X-Provenance: ${issue.diagnostics}` };
      const inside = expression.filter((text) => text.startsWith(RESOURCE)).map((text) => type + text.slice(RESOURCE.length));
      return inside.length > 0 ? { ...issue, expression: inside } : issue;
    });
    throw new AssentError(error.code, issues, { cause: error.cause, ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }) });
  }
}

function refuse(diagnostics: string, expression: string): AssentError {
  return new AssentError('invalid-request', [{ diagnostics, expression: [`Provenance.${expression}`] }]);
}
