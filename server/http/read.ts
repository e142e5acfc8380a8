/** GET /fhir/{type}/{id}: the newest version. https://hl7.org/fhir/R4/http.html#read */
import type { ReadResult } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { notFound, receiptHeaders, versionHeaders } from './answer.ts';
import { bytesAnswer } from './binary.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import { isUnchanged } from './preconditions.ts';
import type { Services } from './services.ts';
import { type Part, readPart, SUBSET_PARAMETERS, warningHeaders, WHOLE } from './subset.ts';
import { checkId } from './target.ts';

export async function read(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, SUBSET_PARAMETERS);
  checkId(request.id);
  const part = readPart(request);
  return answerRead(request, services, await request.gate.read(request.type, request.id), part);
}

/** Shared with vread: one answer for what was found, gone or absent. */
export function answerRead(request: FhirRequest, { base }: Services, found: ReadResult, part: Part = WHOLE): Answer {
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'gone') throw new AssentError('gone');
  const headers = { ...versionHeaders(found.row), ...receiptHeaders(base, found.receipt) };
  if (isUnchanged(request, found.row)) return { status: 304, headers, body: undefined };
  const bytes = bytesAnswer(request, found.row);
  if (bytes) return { ...bytes, status: 200, headers: { ...headers, ...bytes.headers }, body: undefined };
  return { status: 200, headers: { ...headers, ...warningHeaders(part.warnings) }, body: part.of(found.row.body) };
}
