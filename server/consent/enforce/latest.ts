/**
 * The newest observations of each code, as one answer. https://hl7.org/fhir/R4/observation-operation-lastn.html
 * Invariant: all are looked at in the caller's view, and only those that are answered are disclosed and recorded.
 */
import { setImmediate } from 'node:timers/promises';
import { createCodeGroups } from '../../fhir/code-groups.ts';
import type { Position, StoredResource } from '../../store/port.ts';
import type { LatestRequest, LatestResult } from '../gate.ts';
import { type Disclosure, recordDisclosure, rowOf } from './disclose.ts';
import { inView, newestFirst, patientsOf, type View } from './view.ts';

const TYPE = 'Observation';
const PAGE = 200;
/** Observations looked at before the caller is asked to narrow the request. */
const MOST_ROWS = 20_000;

type Page = { readonly kind: 'page'; readonly rows: readonly StoredResource[] };
type Unread = { readonly kind: 'stale' } | { readonly kind: 'budget'; readonly walked: number };

export function latest(deps: Disclosure, request: LatestRequest): Promise<LatestResult> {
  return inView<Page | Unread, LatestResult>(deps.views, {
    read: (view) => readLatest(deps, request, view),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: async ({ rows }, view) => {
      const recorded = await recordDisclosure(deps, { interaction: 'operation', type: TYPE, rows, view, query: request.query });
      return recorded && { rows: rows.map(rowOf), receipt: recorded.receipt };
    },
  });
}

async function readLatest({ resources }: Disclosure, { where, perCode, most }: LatestRequest, view: View): Promise<Page | Unread> {
  const groups = createCodeGroups<StoredResource>(perCode);
  let after: Position | undefined;
  for (let walked = 0; walked < MOST_ROWS; walked += PAGE) {
    const found = await resources.find({ type: TYPE, where, scope: view.scope(TYPE), order: newestFirst, limit: PAGE, ...(after ? { after } : {}) });
    if (found.kind !== 'rows') return found;
    for (const row of found.rows) groups.offer((JSON.parse(row.body) as { readonly code?: unknown }).code, row);
    if (groups.size() > most) break;
    after = found.next;
    if (!after) return { kind: 'page', rows: groups.kept() };
    await setImmediate();
  }
  return { kind: 'budget', walked: MOST_ROWS };
}
