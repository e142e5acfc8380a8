/**
 * GET /fhir/{type}?… and POST /fhir/{type}/_search. https://hl7.org/fhir/R4/http.html#search
 * Invariant: the Gate searches the caller's view only, totals and page links included; a parameter that was not used is named in the
 * answer, never passed over.
 */
import type { Row, SearchResult, SortPosition } from '../consent/gate.ts';
import { AssentError, type OperationOutcome } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import { all, type Expression } from '../search/expression.ts';
import { allOf } from '../search/join.ts';
import { CURSOR_PARAMETER } from '../search/parse.ts';
import { receiptHeaders } from './answer.ts';
import { cursorBinding } from './cursor-binding.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import type { AnswerEntry } from './entry-call.ts';
import { parametersOf } from './parameters.ts';
import { appliedHeaders, preferenceOf } from './prefer.ts';
import type { Services } from './services.ts';
import { type Part, partOf } from './subset.ts';

export function search(request: FhirRequest, services: Services): Promise<Answer> {
  return searchIn(request, services, { type: request.type, path: request.type, within: all });
}

/** Where a search looks: at what path, for which type, among what. */
export type Place = { readonly path: string; readonly type: string; readonly within: Expression };

/** Also for a compartment. */
export async function searchIn(request: FhirRequest, services: Services, { type, path, within }: Place): Promise<Answer> {
  const { gate } = request;
  const parameters = searched(request);
  const { handling } = preferenceOf(request.header('prefer'));
  const reach = (of: string, letter: 's' | 'r') => services.allows(gate.caller, letter, of);
  const plan = services.search.planJoined(type, parameters, { handling, reach });
  const binding = cursorBinding(request, `${path}?${plan.used}`);
  const place = plan.cursor === undefined ? {} : (services.cursors.open(plan.cursor, binding) as Resume);
  const part = partOf({ type, parameters, handling: preferenceOf(request.header('prefer')).handling });
  const { order, count, total, includes } = plan;
  const where = allOf([plan.where, within]);
  const query = `${path}?${parameters.toString()}`;
  const result = await gate.search({
    type,
    where,
    includes,
    order,
    count,
    total,
    query,
    ...place,
  });
  const seal = (to: Resume) => services.cursors.seal(to, binding);
  return pageAnswer(request, services, { path, used: plan.used, result, seal, part: { ...part, warnings: [...plan.warnings, ...part.warnings] } });
}

/** `used`: as it stands in the link to self. `seal`: makes a cursor. */
type FoundPage = {
  readonly path: string;
  readonly used: string;
  readonly result: SearchResult;
  readonly seal: (to: Resume) => string;
  readonly part: Part;
};

export function pageAnswer(request: FhirRequest, { base }: Services, { path, used, result, seal, part }: FoundPage): Answer {
  const { next, previous, receipt } = result;
  const cursors = { next: next && seal({ after: next }), previous: previous && seal({ ...previous, back: true }) };
  const links = linksOf(path === '' ? base : `${base}/${path}`, used, cursors);
  return {
    status: 200,
    headers: { ...receiptHeaders(base, receipt), ...appliedHeaders(request, 'handling') },
    body: searchset(result, part, { links, base }),
  };
}

/** Those about the form of the answer are content.ts's. */
export function searched(request: FhirRequest): URLSearchParams {
  const all = new URLSearchParams(parametersOf(request));
  for (const name of ['_format', '_pretty']) all.delete(name);
  return all;
}

/** What a page link holds: where to go on, forwards or back. */
export type Resume = { readonly after?: SortPosition; readonly back?: true };

type PageCursors = { readonly next?: string | undefined; readonly previous?: string | undefined };

function linksOf(path: string, used: string, cursors: PageCursors): { readonly relation: string; readonly url: string }[] {
  const self = { relation: 'self', url: used === '' ? path : `${path}?${used}` };
  const links = Object.entries(cursors).flatMap(([relation, cursor]: [string, string | undefined]) =>
    cursor === undefined ? [] : [{ relation, url: `${path}?${used === '' ? '' : `${used}&`}${CURSOR_PARAMETER}=${cursor}` }],
  );
  // To the first page where there are more than this one.
  return links.length === 0 ? [self] : [self, ...links, { relation: 'first', url: self.url }];
}

function searchset(
  result: SearchResult,
  part: Part,
  { links, base }: { readonly links: readonly { readonly relation: string; readonly url: string }[]; readonly base: string },
): string {
  const entries = result.rows.map((row) => matchEntry(row, part, base));
  entries.push(...result.included.map((row): AnswerEntry => ({ ...matchEntry(row, part, base), search: { mode: 'include' } })));
  const warnings = result.cut ? [...part.warnings, CUT] : part.warnings;
  if (warnings.length > 0) entries.push({ resourceText: JSON.stringify(warned(warnings)), search: { mode: 'outcome' } });
  return bundleText({ type: 'searchset', ...(result.total === undefined ? {} : { total: result.total }), links, entries });
}

const CUT = 'More resources were to be included than one page takes: ask for fewer matches a page (_count), or search for them.';

export function matchEntry(row: Row, part: Part, base: string): AnswerEntry {
  if (row.deleted) throw new AssentError('internal');
  return { fullUrl: `${base}/${row.type}/${row.id}`, resourceText: part.of(row.body), search: { mode: 'match' } };
}

function warned(warnings: readonly string[]): OperationOutcome {
  return { resourceType: 'OperationOutcome', issue: warnings.map((diagnostics) => ({ severity: 'warning', code: 'not-supported', diagnostics })) };
}
