/**
 * PATCH /fhir/{type}/{id} and /fhir/{type}?{criteria}: JSON Patch or FHIRPath Patch. https://hl7.org/fhir/R4/http.html#patch
 *
 * Invariants: a patch tells what it finds (its tests and paths fail or not), so it is a read as well: it needs the scope letter `r` besides `u`,
 * reads through the Gate, and is audited as a disclosure whether or not it can be applied. It never undoes what it has not seen: the
 * write rests on the version that was read, and without If-Match it is made again from the newer one.
 */
import type { ReadResult, WriteOperation } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { parseDocument, parseJson } from '../fhir/json.ts';
import { applyFhirPathPatch } from '../fhir/patch/fhirpath-patch.ts';
import { applyJsonPatch, type PatchLimits } from '../fhir/patch/json-patch.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { notFound, receiptHeaders } from './answer.ts';
import { lookAgain, matchesOf, urlConditionOf } from './condition.ts';
import { JSON_PATCH } from './content.ts';
import { refuseConsentProvenance, refuseInlineSignature } from './inline-signature.ts';
import type { Answer, Body, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { expectedVersion, refuseConditions } from './preconditions.ts';
import { writeAnswer } from './prefer.ts';
import { writeWithProvenance } from './provenance.ts';
import type { Limits, Services } from './services.ts';
import { checkId } from './target.ts';
import { refuseInvalid } from './validity.ts';

export async function patch(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  checkId(request.id);
  return patchWith(request, services, async () => ({ id: request.id }));
}

export async function conditionalPatch(request: FhirRequest, services: Services): Promise<Answer> {
  const where = urlConditionOf(request, services);
  return patchWith(request, services, async () => {
    const [match] = await matchesOf(request, { type: request.type, where, query: request.url }, { most: 1 });
    if (!match) throw notFound();
    return match;
  });
}

/** `version`: the one that matched the criteria. */
type Target = { readonly id: string; readonly version?: string };

async function patchWith(request: FhirRequest, services: Services, target: () => Promise<Target>): Promise<Answer> {
  refuseConditions(request, ['if-none-match', 'if-none-exist']);
  refuseInlineSignature(request);
  refuseUnreadable(request, services);
  const change = patchOf(request.body, services.limits);
  const condition = expectedVersion(request);
  return lookAgain(async () => {
    const { id, version } = await target();
    const found = await request.gate.read(request.type, id);
    const resource = patched(found, { patch: change, version, ...condition }, services.limits);
    await refuseInvalid(services, resource);
    const result = await writeWithProvenance(request, services, patchOperation(found, resource, condition));
    if (!result) throw notFound();
    const answer = writeAnswer(request, services.base, { status: 200, row: result.row });
    return { ...answer, headers: { ...answer.headers, ...receiptHeaders(services.base, found.kind === 'absent' ? undefined : found.receipt) } };
  });
}

/** Throws forbidden unless the caller may read the type: a patch can be made to tell what is in a resource. */
export function refuseUnreadable({ gate, type }: Pick<FhirRequest, 'gate' | 'type'>, { allows }: Services): void {
  if (!allows(gate.caller, 'r', type)) throw new AssentError('forbidden', 'A patch needs the scope to read its type as well.');
}

export type Patch = { readonly kind: 'json'; readonly text: string } | { readonly kind: 'fhirpath'; readonly document: ResourceDocument };

/** The patch in a body. Throws invalid-request when there is none. */
export function patchOf(body: Body, limits: Limits): Patch {
  if (body.kind === 'json-patch') return { kind: 'json', text: body.text };
  if (body.kind !== 'resource') throw new AssentError('invalid-request', 'A patch is expected in the body.');
  const { document } = body;
  return document.value.resourceType === 'Binary' ? { kind: 'json', text: jsonPatchIn(document, limits) } : { kind: 'fhirpath', document };
}

/** A bundle holds resources only: there a JSON Patch comes in a Binary. https://hl7.org/fhir/R4/http.html#patch */
function jsonPatchIn({ value }: ResourceDocument, limits: Limits): string {
  const { contentType, data } = value;
  const [mediaType = ''] = typeof contentType === 'string' ? contentType.split(';') : [];
  if (mediaType.trim().toLowerCase() !== JSON_PATCH || typeof data !== 'string')
    throw new AssentError('invalid-request', [
      { diagnostics: `A patch in a Binary has contentType ${JSON_PATCH} and data.`, expression: ['Binary'] },
    ]);
  return parseJson(Buffer.from(data, 'base64'), boundsOf(limits)).text;
}

function boundsOf({ jsonDepth, bodyBytes }: Limits): PatchLimits {
  return { maxDepth: jsonDepth, maxBytes: bodyBytes };
}

type Expected = { readonly patch: Patch; readonly version: string | undefined; readonly ifMatch?: string };

/** The resource as the patch leaves it, not yet validated. Throws not-found, gone, version-mismatch, conflict, patch-failed. */
export function patched(found: ReadResult, { patch: change, version, ifMatch }: Expected, limits: Limits): ResourceDocument {
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'gone') throw new AssentError('gone');
  const { row } = found;
  if (ifMatch !== undefined && ifMatch !== row.version) throw new AssentError('version-mismatch');
  if (version !== undefined && version !== row.version) throw new AssentError('conflict');
  const bounds = boundsOf(limits);
  const text = change.kind === 'json' ? applyJsonPatch(row.body, change.text, bounds) : applyFhirPathPatch(row.body, change.document, bounds);
  const document = resourceIn(text, bounds);
  if (document.value.resourceType !== row.type) throw changes('resourceType');
  if (document.value.id !== row.id) throw changes('id');
  refuseConsentProvenance(document.value);
  return document;
}

function resourceIn(text: string, bounds: PatchLimits): ResourceDocument {
  try {
    return parseDocument(text, bounds);
  } catch (error) {
    if (error instanceof AssentError && error.code === 'too-large') throw error;
    throw new AssentError('patch-failed', 'What the patch leaves is no resource.');
  }
}

function changes(expression: string): AssentError {
  return new AssentError('patch-failed', [{ diagnostics: `A patch cannot change the ${expression} of a resource.`, expression: [expression] }]);
}

export function patchOperation(
  found: ReadResult,
  resource: ResourceDocument,
  { ifMatch }: { readonly ifMatch?: string },
): Extract<WriteOperation, { kind: 'update' }> {
  if (found.kind === 'absent') throw notFound();
  const { id, version } = found.row;
  return { kind: 'update', id, resource, madeFrom: version, byPatch: true, ...(ifMatch === undefined ? {} : { ifMatch }) };
}
