/**
 * GET /fhir/{type}/{id}/_history: the versions the caller may see, newest first. https://hl7.org/fhir/R4/http.html#history
 * Invariant: an entry says PUT and 200 (DELETE and 204 for a deletion) whatever came before, so that nothing tells of versions that are
 * not shown. consent.md §2 rule 20.
 */
import type { HistoryRequest, Row } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import { etag, notFound, receiptHeaders } from './answer.ts';
import { cursorBinding } from './cursor-binding.ts';
import { type AnswerEntry, statusLine } from './entry-call.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { countOf, refuseUnknownQuery } from './parameters.ts';
import type { Services } from './services.ts';
import { checkId } from './target.ts';

const DEFAULT_COUNT = 100;
const MOST_COUNT = 1000;

export async function history(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, ['_count', '_since', '_cursor']);
  checkId(request.id);
  const count = countOf(request.query, '_count', MOST_COUNT) ?? DEFAULT_COUNT;
  const since = instantOf(request.query.get('_since'));
  const before = beforeOf(request, services);
  const found = await request.gate.history({
    type: request.type,
    id: request.id,
    count,
    ...(since === undefined ? {} : { since }),
    ...(before ? { before } : {}),
  });
  if (found.kind === 'absent') throw notFound();
  const body = bundleText({
    type: 'history',
    total: found.total,
    links: linksOf(request, services, found.more ? found.rows.at(-1) : undefined),
    entries: found.rows.map((row) => historyEntry(row, services.base)),
  });
  return { status: 200, headers: receiptHeaders(services.base, found.receipt), body };
}

function historyEntry(row: Row, base: string): AnswerEntry {
  return {
    fullUrl: `${base}/${row.type}/${row.id}`,
    ...(row.deleted ? {} : { resourceText: row.body }),
    request: { method: row.deleted ? 'DELETE' : 'PUT', url: `${row.type}/${row.id}` },
    response: { status: statusLine(row.deleted ? 204 : 200), etag: etag(row.version), lastModified: new Date(row.lastUpdated).toISOString() },
  };
}

function instantOf(text: string | null): number | undefined {
  if (text === null) return undefined;
  // A plus sign before the zone is a space by the time it gets here.
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? Date.parse(text.replace(' ', '+')) : Number.NaN;
  if (Number.isNaN(time)) throw new AssentError('invalid-request', '_since must be an instant, like 2024-05-01T00:00:00Z.');
  return time;
}

type Before = NonNullable<HistoryRequest['before']>;

function historyPath({ type, id }: FhirRequest): string {
  return `${type}/${id}/_history`;
}

function beforeOf(request: FhirRequest, { cursors }: Services): Before | undefined {
  const cursor = request.query.get('_cursor');
  return cursor === null ? undefined : (cursors.open(cursor, cursorBinding(request, historyPath(request))) as Before);
}

/** `last`: the last row of a page that has more after it. */
function linksOf(request: FhirRequest, { base, cursors }: Services, last: Row | undefined): { readonly relation: string; readonly url: string }[] {
  const used = new URLSearchParams([...request.query].filter(([name]) => name === '_count' || name === '_since'));
  const path = `${base}/${historyPath(request)}`;
  const self = { relation: 'self', url: used.size === 0 ? path : `${path}?${used.toString()}` };
  if (!last) return [self];
  const { lastUpdated, type, id, version } = last;
  const next = new URLSearchParams(used);
  next.set('_cursor', cursors.seal({ lastUpdated, type, id, version } satisfies Before, cursorBinding(request, historyPath(request))));
  return [self, { relation: 'next', url: `${path}?${next.toString()}` }];
}
