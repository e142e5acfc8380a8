/**
 * GET [/{type}[/{id}]]/_history: the versions the caller may see, of one resource, of a type or of everything the token may search, newest
 * first or oldest first. https://hl7.org/fhir/R4/http.html#history
 * Invariant: an entry says PUT and 200 (DELETE and 204 for a deletion) whatever came before, so that nothing tells of versions that are
 * not shown. consent.md §2 rule 20.
 */
import type { HistoryRequest, Row, VersionPlace } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import { type DateRange, parseDate } from '../fhir/dates.ts';
import { resourceTypes } from '../fhir/resource-types.ts';
import { etag, notFound, receiptHeaders } from './answer.ts';
import { cursorBinding } from './cursor-binding.ts';
import { type AnswerEntry, statusLine } from './entry-call.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { countOf, refuseUnknownQuery, zoned } from './parameters.ts';
import type { Services } from './services.ts';
import { type Part, readPart, SUBSET_PARAMETERS, warningHeaders } from './subset.ts';
import { checkId } from './target.ts';

const DEFAULT_COUNT = 100;
const MOST_COUNT = 1000;
/** ms by which what is stored already may seem to be of the future: another process wrote it. */
const CLOCKS_DIFFER = 1_000;
const KEPT = ['_count', '_since', '_at', '_sort', ...SUBSET_PARAMETERS] as const;

/** Where the page before ended, when the first one was asked for, and what was counted then. */
type Resume = { readonly place: VersionPlace; readonly asOf: number; readonly total?: number };

export async function history(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, [...KEPT, '_cursor']);
  const part = readPart(request);
  if (request.id !== '') checkId(request.id);
  const resume = resumeOf(request, services);
  const asOf = resume?.asOf ?? services.clock() + CLOCKS_DIFFER;
  const found = await request.gate.history({
    ...ending(spanOf(request.query), asOf),
    ...whoseOf(request, services),
    ...(resume ? { after: resume.place } : {}),
    total: !resume,
  });
  if (found.kind === 'absent') throw notFound();
  const total = found.total ?? resume?.total;
  const body = bundleText({
    type: 'history',
    ...(total === undefined ? {} : { total }),
    links: linksOf(request, services, found.next && { place: found.next, asOf, ...(total === undefined ? {} : { total }) }),
    entries: found.rows.map((row) => historyEntry(row, part, services.base)),
  });
  return { status: 200, headers: { ...receiptHeaders(services.base, found.receipt), ...warningHeaders(part.warnings) }, body };
}

function historyEntry(row: Row, part: Part, base: string): AnswerEntry {
  return {
    fullUrl: `${base}/${row.type}/${row.id}`,
    ...(row.deleted ? {} : { resourceText: part.of(row.body) }),
    request: { method: row.deleted ? 'DELETE' : 'PUT', url: `${row.type}/${row.id}` },
    response: { status: statusLine(row.deleted ? 204 : 200), etag: etag(row.version), lastModified: new Date(row.lastUpdated).toISOString() },
  };
}

/** SMART App Launch 2.2: the history of a type or of the system is a search, of each type it shows. */
function whoseOf({ type, id, gate, url }: FhirRequest, { allows }: Services): Pick<HistoryRequest, 'types' | 'id' | 'query'> {
  if (id !== '') return { types: [type], id, query: url };
  if (type !== '') return { types: [type], query: url };
  const types = resourceTypes.filter((of) => allows(gate.caller, 's', of));
  if (types.length === 0) throw new AssentError('forbidden', 'The token holds no scope to search any type.');
  return { types, query: url };
}

function spanOf(query: URLSearchParams): Pick<HistoryRequest, 'count' | 'since' | 'at' | 'direction'> {
  for (const name of KEPT) if (query.getAll(name).length > 1) throw new AssentError('invalid-request', `${name} may be given once.`);
  const since = instantOf(query.get('_since'));
  const at = periodOf(query.get('_at'));
  return {
    count: countOf(query, '_count', MOST_COUNT) ?? DEFAULT_COUNT,
    ...(since === undefined ? {} : { since }),
    ...(at ? { at: { from: at.low, to: at.high } } : {}),
    direction: directionOf(query.get('_sort')),
  };
}

type Span = ReturnType<typeof spanOf>;

/** Every page leaves AuditEvents: oldest first, those of the pages themselves would follow without end. */
function ending(span: Span, asOf: number): Span {
  if (span.direction === 'newest-first') return span;
  const { from, to } = span.at ?? { from: Number.NEGATIVE_INFINITY, to: asOf };
  return { ...span, at: { from, to: Math.min(to, asOf) } };
}

function directionOf(sort: string | null): HistoryRequest['direction'] {
  if (sort === null || sort === '-_lastUpdated') return 'newest-first';
  if (sort === '_lastUpdated') return 'oldest-first';
  throw new AssentError('invalid-request', 'A history is sorted by -_lastUpdated (newest first) or _lastUpdated.');
}

function instantOf(text: string | null): number | undefined {
  if (text === null) return undefined;
  const range = /T\d\d:\d\d/.test(text) ? parseDate(zoned(text)) : undefined;
  if (!range) throw new AssentError('invalid-request', '_since must be an instant, like 2024-05-01T00:00:00Z.');
  return range.low;
}

function periodOf(text: string | null): DateRange | undefined {
  if (text === null) return undefined;
  const range = parseDate(zoned(text));
  if (!range) throw new AssentError('invalid-request', '_at must be a date or an instant, like 2024-05 or 2024-05-01T00:00:00Z.');
  return range;
}

function historyPath({ type, id }: FhirRequest): string {
  return [type, id, '_history'].filter((part) => part !== '').join('/');
}

/** The page link is bound to the span and the order as well: it continues this history and no other. */
function question(request: FhirRequest): string {
  const used = usedOf(request);
  return used === '' ? historyPath(request) : `${historyPath(request)}?${used}`;
}

function usedOf({ query }: FhirRequest): string {
  return new URLSearchParams([...query].filter(([name]) => (KEPT as readonly string[]).includes(name))).toString();
}

function resumeOf(request: FhirRequest, { cursors }: Services): Resume | undefined {
  const cursor = request.query.get('_cursor');
  return cursor === null ? undefined : (cursors.open(cursor, cursorBinding(request, question(request))) as Resume);
}

function linksOf(request: FhirRequest, { base, cursors }: Services, next: Resume | undefined): { readonly relation: string; readonly url: string }[] {
  const self = { relation: 'self', url: `${base}/${question(request)}` };
  if (!next) return [self];
  const cursor = cursors.seal(next, cursorBinding(request, question(request)));
  return [self, { relation: 'next', url: `${self.url}${self.url.includes('?') ? '&' : '?'}_cursor=${cursor}` }];
}
