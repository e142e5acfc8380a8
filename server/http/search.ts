/**
 * GET /fhir/{type}?… and POST /fhir/{type}/_search. https://hl7.org/fhir/R4/http.html#search
 * Invariant: the Gate searches the caller's view only, totals and page links included; a parameter that was not used is named in the
 * answer, never passed over.
 */
import type { Row, SearchResult, SortPosition } from '../consent/gate.ts';
import { AssentError, type OperationOutcome } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import { CURSOR_PARAMETER } from '../search/parse.ts';
import type { SearchPlan } from '../search/plan.ts';
import { receiptHeaders } from './answer.ts';
import { cursorBinding } from './cursor-binding.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import type { AnswerEntry } from './entry-call.ts';
import { preferenceOf } from './prefer.ts';
import type { Services } from './services.ts';

export async function search(request: FhirRequest, services: Services): Promise<Answer> {
  const { type, gate } = request;
  const parameters = parametersOf(request);
  const plan = services.search.plan(type, parameters, preferenceOf(request.header('prefer')).handling);
  const binding = cursorBinding(request, `${type}?${plan.used}`);
  const after = plan.cursor === undefined ? undefined : (services.cursors.open(plan.cursor, binding) as SortPosition);
  const { where, order, count, total } = plan;
  const query = `${type}?${parameters.toString()}`;
  const result = await gate.search({ type, where, order, count, total, query, ...(after ? { after } : {}) });
  const links = linksOf(`${services.base}/${type}`, plan.used, result.next && services.cursors.seal(result.next, binding));
  return { status: 200, headers: receiptHeaders(services.base, result.receipt), body: searchset(result, plan, { links, base: services.base }) };
}

/** Of both places a _search may carry them; those about the form of the answer are content.ts's. */
function parametersOf({ query, body }: FhirRequest): URLSearchParams {
  const all = new URLSearchParams([...query, ...(body.kind === 'form' ? body.parameters : [])]);
  for (const name of ['_format', '_pretty']) all.delete(name);
  return all;
}

function linksOf(path: string, used: string, cursor: string | undefined): { readonly relation: string; readonly url: string }[] {
  const self = { relation: 'self', url: used === '' ? path : `${path}?${used}` };
  if (cursor === undefined) return [self];
  return [self, { relation: 'next', url: `${path}?${used === '' ? '' : `${used}&`}${CURSOR_PARAMETER}=${cursor}` }];
}

function searchset(
  result: SearchResult,
  { warnings }: SearchPlan,
  { links, base }: { readonly links: readonly { readonly relation: string; readonly url: string }[]; readonly base: string },
): string {
  const entries = result.rows.map((row) => matchEntry(row, base));
  if (warnings.length > 0) entries.push({ resourceText: JSON.stringify(warned(warnings)), search: { mode: 'outcome' } });
  return bundleText({ type: 'searchset', ...(result.total === undefined ? {} : { total: result.total }), links, entries });
}

function matchEntry(row: Row, base: string): AnswerEntry {
  if (row.deleted) throw new AssentError('internal');
  return { fullUrl: `${base}/${row.type}/${row.id}`, resourceText: row.body, search: { mode: 'match' } };
}

function warned(warnings: readonly string[]): OperationOutcome {
  return { resourceType: 'OperationOutcome', issue: warnings.map((diagnostics) => ({ severity: 'warning', code: 'not-supported', diagnostics })) };
}
