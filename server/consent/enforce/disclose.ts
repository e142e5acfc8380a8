/**
 * The reading half of the Gate: read, vread, history and search. A read by id is a search by id through the same query, so one path
 * decides. consent.md §3
 *
 * Invariant: the AuditEvents of a disclosure and their log rows are durable before the caller of these functions has a body to send.
 */
import type { Act } from '../../audit/event.ts';
import type { Recorder } from '../../audit/record.ts';
import { opensByScopeAlone } from '../../fhir/resource-types.ts';
import type { HistoryQuery, NewLogRow, ResourceStore, StoredResource } from '../../store/port.ts';
import type { HistoryRequest, HistoryResult, ReadResult, Row, SearchRequest, SearchResult } from '../gate.ts';
import type { Caller } from '../model.ts';
import { inView, patientsOf, type View, type Views } from './view.ts';

export type Disclosure = {
  readonly caller: Caller;
  readonly resources: ResourceStore;
  readonly views: Views;
  readonly record: Recorder;
  readonly logRow: (entry: ReturnType<Recorder>['entry']) => NewLogRow;
};

const byId = { by: 'instant', direction: 'newest-first' } as const;

export async function read(deps: Disclosure, type: string, id: string): Promise<ReadResult> {
  const { answer, view } = await inView(
    deps.views,
    (v) => deps.resources.find({ type, where: { kind: 'id', ids: new Set([id]) }, scope: v.scope(type), order: byId, limit: 1, deleted: true }),
    (found) => patientsOf(found.rows),
  );
  return answerOne(deps, { interaction: 'read', type, id }, { row: answer.rows[0], view });
}

export async function readVersion(deps: Disclosure, type: string, id: string, version: string): Promise<ReadResult> {
  const { answer, view } = await inView(
    deps.views,
    (v) => deps.resources.history({ type, id, version, scope: historyScope(v), limit: 1 }),
    (found) => patientsOf(found.rows),
  );
  return answerOne(deps, { interaction: 'vread', type, id }, { row: answer.rows[0], view });
}

export async function history(deps: Disclosure, request: HistoryRequest): Promise<HistoryResult> {
  const { type, id, count, since, before } = request;
  const query = { type, id, ...(since === undefined ? {} : { since }) };
  const { answer, view } = await inView(
    deps.views,
    async (v) => {
      // One snapshot would be enough for both; two reads under one epoch say the same, because the epoch is checked in each.
      const page = await deps.resources.history({ ...query, scope: historyScope(v), limit: Math.max(count, 1), ...(before ? { before } : {}) });
      if (page.kind !== 'rows') return page;
      const all = await deps.resources.history({ ...query, scope: historyScope(v), limit: MOST_VERSIONS });
      return all.kind === 'rows' ? { kind: 'page' as const, page, total: all.rows.length } : all;
    },
    (found) => patientsOf(found.page.rows),
  );
  const rows = answer.page.rows;
  if (answer.total === 0) {
    await recordMiss(deps, { interaction: 'history-instance', type, id });
    return { kind: 'absent' };
  }
  const receipt = await recordDisclosure(deps, { interaction: 'history-instance', rows, view });
  return { kind: 'found', rows: count === 0 ? [] : rows.map(rowOf), more: answer.page.next !== undefined, total: answer.total, receipt };
}

/** Versions of one resource are counted one by one; a resource with more is not a patient record any more. */
const MOST_VERSIONS = 100_000;

function historyScope(view: View): HistoryQuery['scope'] {
  return { epoch: view.epoch, where: (type) => view.scope(type).where };
}

export async function search(deps: Disclosure, request: SearchRequest): Promise<SearchResult> {
  const { type, where, order, after, count } = request;
  const { answer, view } = await inView(
    deps.views,
    async (v) => {
      const scope = v.scope(type);
      const page = count === 0 ? noRows : await deps.resources.find({ type, where, scope, order, limit: count, ...(after ? { after } : {}) });
      if (page.kind !== 'rows' || !request.total) return page.kind === 'rows' ? { kind: 'page' as const, page, total: undefined } : page;
      const total = await deps.resources.count({ type, where, scope });
      return total.kind === 'count' ? { kind: 'page' as const, page, total: total.total } : total;
    },
    // A total tells of every patient who permits, also of those on no page.
    (found, v) => (request.total ? [...v.patients, ...patientsOf(found.page.rows)] : patientsOf(found.page.rows)),
  );
  const receipt = opensByScopeAlone(type)
    ? undefined
    : await recordDisclosure(deps, { interaction: 'search-type', rows: answer.page.rows, view, query: request.query });
  return { rows: answer.page.rows.map(rowOf), next: answer.page.next, total: answer.total, receipt };
}

const noRows = { kind: 'rows' as const, rows: [] as readonly StoredResource[], next: undefined, walked: 0 };

async function answerOne(
  deps: Disclosure,
  asked: { readonly interaction: 'read' | 'vread'; readonly type: string; readonly id: string },
  found: { readonly row: StoredResource | undefined; readonly view: View },
): Promise<ReadResult> {
  const { row, view } = found;
  if (!row) {
    await recordMiss(deps, asked);
    return { kind: 'absent' };
  }
  const receipt = opensByScopeAlone(row.type) ? undefined : await recordDisclosure(deps, { interaction: asked.interaction, rows: [row], view });
  return { kind: row.deleted ? 'gone' : 'found', row: rowOf(row), receipt };
}

export function rowOf({ type, id, version, lastUpdated, deleted, body }: StoredResource): Row {
  return { type, id, version, lastUpdated, deleted, body };
}

type Disclosed = { readonly interaction: Act['interaction']; readonly rows: readonly StoredResource[]; readonly view: View; readonly query?: string };

/**
 * One event per patient, so that each can be shown theirs. A search adds one that holds the query and the whole answer, for the
 * requester and the auditor: the query may name people other than those in the answer. Resolves with the event whose receipt tells most.
 */
async function recordDisclosure(deps: Disclosure, { interaction, rows, view, query }: Disclosed): Promise<string> {
  const patients = patientsOf(rows);
  const acts: Act[] = patients.map((patient) => {
    const theirs = rows.filter((row) => row.keys.includes(`@patient/${patient}`));
    return { ...actBase(deps.caller, interaction), patient, what: theirs.map(versionReference), basis: view.basis([patient]) };
  });
  if (query !== undefined || acts.length === 0) {
    const whole = patients.length === 1 ? [] : view.basis(patients);
    acts.push({
      ...actBase(deps.caller, interaction),
      patient: undefined,
      what: rows.map(versionReference),
      basis: whole,
      ...(query === undefined ? {} : { query }),
    });
  }
  const ids = await commitActs(
    deps,
    acts.map((act) => ({ act, own: true })),
  );
  return (patients.length === 1 ? ids[0] : ids.at(-1)) as string;
}

/**
 * A read that found nothing visible: the same two events whether the resource is hidden or absent. The requester's holds only what it
 * sent; the other, for the patient and the auditor, says whom it concerned (rule 17).
 */
async function recordMiss(
  deps: Disclosure,
  asked: { readonly interaction: Act['interaction']; readonly type: string; readonly id: string },
): Promise<void> {
  const hidden = await deps.resources.find({
    type: asked.type,
    where: { kind: 'id', ids: new Set([asked.id]) },
    scope: 'internal',
    order: byId,
    limit: 1,
    deleted: true,
  });
  if (opensByScopeAlone(asked.type)) return;
  const patients = hidden.kind === 'rows' ? patientsOf(hidden.rows) : [];
  const sent: Act = {
    ...actBase(deps.caller, asked.interaction),
    outcome: 'refused',
    patient: undefined,
    what: [`${asked.type}/${asked.id}`],
    basis: [],
  };
  const concerned = patients.length === 0 ? [undefined] : patients;
  await commitActs(deps, [{ act: sent, own: true }, ...concerned.map((patient) => ({ act: { ...sent, patient }, own: false }))]);
}

async function commitActs(deps: Disclosure, acts: readonly { readonly act: Act; readonly own: boolean }[]): Promise<string[]> {
  const recorded = acts.map(({ act, own }) => deps.record(act, { own }));
  await deps.resources.commit({
    guards: [],
    resources: recorded.map(({ resource }) => resource),
    records: [],
    log: recorded.map(({ entry }) => deps.logRow(entry)),
    bumpEpoch: false,
  });
  return recorded.map(({ id }) => id);
}

export function actBase(caller: Caller, interaction: Act['interaction']): Pick<Act, 'interaction' | 'outcome' | 'client' | 'actor' | 'purpose'> {
  return { interaction, outcome: 'done', client: caller.client, actor: caller.actor, purpose: caller.purpose };
}

export function versionReference({ type, id, version }: Pick<StoredResource, 'type' | 'id' | 'version'>): string {
  return `${type}/${id}/_history/${version}`;
}
