/**
 * The reading half of the Gate: read, vread and search; versions.ts and gather.ts for more than one. A read by id is a search by id through the same query, so one path
 * decides. consent.md §3
 *
 * Invariant: the AuditEvents of a disclosure and their log rows are durable before the caller of these functions has a body to send.
 */
import type { Act } from '../../audit/event.ts';
import type { Recorded, Recorder } from '../../audit/record.ts';
import { opensByScopeAlone } from '../../fhir/resource-types.ts';
import type { CountResult, FindResult, Guard, NewLogRow, ResourceStore, StoredResource } from '../../store/port.ts';
import type { ReadResult, Row, SearchRequest, SearchResult } from '../gate.ts';
import type { Caller } from '../model.ts';
import type { Expression } from '../../search/expression.ts';
import { COUNTED, countingOf, isWhole, withOwnTotal } from './counting.ts';
import { includeAll } from './includes.ts';
import { resolveJoins } from './joins.ts';
import { historyScope, inView, newestFirst, patientsOf, type RestsOn, type View, type Views } from './view.ts';

export type Disclosure = {
  readonly caller: Caller;
  readonly resources: ResourceStore;
  readonly views: Views;
  readonly record: Recorder;
  readonly logRow: (entry: ReturnType<Recorder>['entry']) => NewLogRow;
  /** Part of what an answer would show is not there for its caller: its time is not to tell why (untold.ts). */
  readonly untold: () => void;
  /** Resolves when what shows nothing may be recorded: whoever made the request can read when that was (server/http/held.ts). */
  readonly moment: () => Promise<void>;
};

export function read(deps: Disclosure, type: string, id: string): Promise<ReadResult> {
  return inView(deps.views, {
    read: (v) =>
      deps.resources.find({ type, where: { kind: 'id', ids: new Set([id]) }, scope: v.scope(type), order: newestFirst, limit: 1, deleted: true }),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: ({ rows }, view) => answerOne(deps, { interaction: 'read', type, id }, { row: rows[0], view }),
  });
}

export function readVersion(deps: Disclosure, type: string, id: string, version: string): Promise<ReadResult> {
  return inView(deps.views, {
    read: (v) => deps.resources.history({ type, id, version, scope: historyScope(v), limit: 1 }),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: ({ rows }, view) => answerOne(deps, { interaction: 'vread', type, id }, { row: rows[0], view }),
  });
}

type Matches = FindResult & { readonly kind: 'rows' };
export type Page = Matches & { readonly included: readonly StoredResource[]; readonly cut: boolean; readonly through: readonly string[] };
export type Unread = Exclude<FindResult, { readonly kind: 'rows' }>;

export function search(deps: Disclosure & { readonly base: string }, request: SearchRequest): Promise<SearchResult> {
  return inView<Page | Unread, SearchResult>(deps.views, {
    read: (view) => readPage(deps, request, view),
    restsOn: (page) => pageRestsOn(page, request),
    conclude: async (page, view) => {
      const { type, query, total } = request;
      // Of a type that is open by scope alone nothing is recorded, unless the answer tells of patients in another way. What a join went through
      // is not disclosed and named in no event; the event of the search holds the query that asked about it.
      const about = page.through.length > 0 || page.included.some((row) => !opensByScopeAlone(row.type)) ? undefined : type;
      const sent = { type: about, rows: [...page.rows, ...page.included], counted: page.total?.count };
      const recorded = await recordDisclosure(deps, { interaction: 'search-type', ...sent, view, query });
      const known = page.total && (page.total.exact || total === 'at-least') ? page.total.count : undefined;
      const included = page.included.map(rowOf);
      return recorded && { rows: shown(page, request), included, cut: page.cut, ...placesOf(page, request), total: known, receipt: recorded.receipt };
    },
  });
}

/**
 * A total tells of every patient whose rows it counts, also of those on no page, unless all that it counts is on this one; a join of those whose
 * rows it went through. Where the store was not asked whose they are: of all.
 */
export function pageRestsOn(page: Page, request: Pick<SearchRequest, 'count' | 'after' | 'back'>): RestsOn {
  const { rows, included, through, total } = page;
  const patients = [...through, ...patientsOf([...rows, ...included])];
  if (!total || isWhole(page, request)) return patients;
  return total.named ? [...total.named, ...patients] : { patients, others: true };
}

/** Joins and includes are read under the one view of the page: a withdrawal between them makes all of it stale. */
export async function readPage(deps: Disclosure & { readonly base: string }, request: SearchRequest, view: View): Promise<Page | Unread> {
  const joined = await resolveJoins(deps, view, request);
  if (joined.kind === 'stale') return joined;
  const matches = await readMatches(deps, { ...request, where: joined.where }, view);
  if (matches.kind !== 'rows') return matches;
  const { includes = [] } = request;
  const added = await includeAll(deps, view, { matches: matches.rows, includes });
  return added.kind === 'included' ? { ...matches, included: added.rows, cut: added.cut, through: [...joined.through] } : added;
}

/** Page and total of one snapshot. */
async function readMatches(
  { resources }: Disclosure,
  request: Omit<SearchRequest, 'where'> & { readonly where: Expression },
  view: View,
): Promise<FindResult> {
  const { type, where, order, after, back, count, total } = request;
  const scope = view.scope(type);
  const counting = await countingOf(resources, view, { total, count, parts: [{ type, where, scope }] });
  if (count === 0) return totalAlone(await resources.count({ type, where, scope, ...counting }), total);
  const place = { ...(after ? { after } : {}), ...(back ? { reversed: true } : {}), ...(counting ? { total: counting } : {}) };
  const page = await resources.find({ type, where, scope, order, limit: count, ...place });
  if (page.kind !== 'rows') return page;
  return total === true && page.total?.exact === false ? { kind: 'budget', walked: COUNTED, by: [] } : withOwnTotal(page, request);
}

function totalAlone(counted: CountResult, total: SearchRequest['total']): FindResult {
  if (counted.kind === 'stale' || (counted.kind === 'budget' && total !== 'at-least')) return counted;
  const exact = counted.kind === 'count';
  return {
    kind: 'rows',
    rows: [],
    first: undefined,
    next: undefined,
    walked: 0,
    total: { count: counted.total, exact, ...(counted.named && { named: counted.named }) },
  };
}

export function shown({ rows }: Matches, { back }: Pick<SearchRequest, 'back'>): Row[] {
  return (back ? rows.toReversed() : rows).map(rowOf);
}

/** A page that was reached by a link has one before it, even if what was there is gone by now. */
export function placesOf(
  { rows, first, next }: Matches,
  { after, back, count }: Pick<SearchRequest, 'after' | 'back' | 'count'>,
): Pick<SearchResult, 'next' | 'previous'> {
  if (count === 0) return { next: undefined, previous: undefined };
  if (back) return { next: after && first, previous: next && { after: next } };
  if (!after) return { next, previous: undefined };
  return { next, previous: rows.length > 0 && first ? { after: first } : {} };
}

async function answerOne(
  deps: Disclosure,
  asked: { readonly interaction: 'read' | 'vread'; readonly type: string; readonly id: string },
  { row, view }: { readonly row: StoredResource | undefined; readonly view: View },
): Promise<ReadResult | undefined> {
  if (!row) {
    await recordMiss(deps, asked);
    return { kind: 'absent' };
  }
  const recorded = await recordDisclosure(deps, { interaction: asked.interaction, type: row.type, rows: [row], view });
  return recorded && { kind: row.deleted ? 'gone' : 'found', row: rowOf(row), receipt: recorded.receipt };
}

export function rowOf({ type, id, version, lastUpdated, deleted, body }: StoredResource): Row {
  return { type, id, version, lastUpdated, deleted, body };
}

type Disclosed = {
  readonly interaction: Act['interaction'];
  /** Undefined: of several types, which is recorded whatever they are. */
  readonly type: string | undefined;
  readonly rows: readonly StoredResource[];
  readonly view: View;
  readonly query?: string;
  /** How many the answer says there are, of rows it does not hold as well. */
  readonly counted?: number | undefined;
};

/**
 * One event per patient, so that each can be shown theirs. A search adds one that holds the query and the whole answer, for the
 * requester and the auditor: the query may name people other than those in the answer. Where the answer is about one patient, it names their event
 * in the place of what that one lists. Resolves with the event whose receipt tells most (none for what is open by scope alone), or undefined when the
 * epoch moved and nothing may be disclosed under this view any more.
 */
export async function recordDisclosure(
  deps: Disclosure,
  { interaction, type, rows, view, query, counted = 0 }: Disclosed,
): Promise<{ readonly receipt: string | undefined } | undefined> {
  if (type !== undefined && opensByScopeAlone(type)) return { receipt: undefined };
  if (rows.length === 0 && counted === 0) deps.untold();
  await deps.moment();
  const patients = patientsOf(rows);
  const told = rows.map((row) => ({ reference: versionReference(row), patients: patientsOf([row]) }));
  const base = actBase(deps.caller, interaction);
  const recorded = patients.map((patient) => {
    const theirs = told.filter((row) => row.patients.includes(patient));
    return deps.record({ ...base, patient, what: theirs.map(({ reference }) => reference), basis: view.basis([patient]) }, { own: true });
  });
  const alone = recorded.length === 1 ? recorded[0] : undefined;
  if (query !== undefined || recorded.length === 0) {
    const listed = alone ? told.filter((row) => row.patients.length === 0) : told;
    const what = [...(alone ? [versionReference(alone.resource)] : []), ...listed.map(({ reference }) => reference)];
    const basis = alone ? [] : view.basis(patients);
    recorded.push(deps.record({ ...base, patient: undefined, what, basis, ...(query === undefined ? {} : { query }) }, { own: true }));
  }
  const committed = await commitRecorded(deps, recorded, [{ kind: 'epoch', epoch: view.epoch }]);
  return committed ? { receipt: (alone ?? recorded.at(-1))?.id } : undefined;
}

/**
 * A read that found nothing visible: the same two events whether the resource is hidden or absent, and whomever it concerns: the log is public, and
 * so is how much it grows. The requester's holds only what it sent; the other is for the patients and the auditor (rule 17).
 */
export async function recordMiss(
  deps: Disclosure,
  asked: { readonly interaction: Act['interaction']; readonly type: string; readonly id: string },
): Promise<void> {
  const hidden = await deps.resources.find({
    type: asked.type,
    where: { kind: 'id', ids: new Set([asked.id]) },
    scope: 'internal',
    order: newestFirst,
    limit: 1,
    deleted: true,
    // How much there is to read would tell that something is there.
    bodies: false,
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
  deps.untold();
  await deps.moment();
  await commitActs(deps, twofold(sent, patients), []);
}

/** Told to whoever acted as far as they know of it, and in one more event to those it concerned, however many they are. */
export function twofold(sent: Act, concerned: readonly string[]): { readonly act: Act; readonly own: boolean }[] {
  const [patient, second] = concerned;
  return [
    { act: sent, own: true },
    { act: { ...sent, patient: second === undefined ? patient : undefined, concerned }, own: false },
  ];
}

/** Resolves with the ids of the events, or undefined when a guard did not hold and nothing was recorded. */
export async function commitActs(
  deps: Pick<Disclosure, 'record' | 'resources' | 'logRow'>,
  acts: readonly { readonly act: Act; readonly own: boolean }[],
  guards: readonly Guard[],
): Promise<string[] | undefined> {
  const recorded = acts.map(({ act, own }) => deps.record(act, { own }));
  return (await commitRecorded(deps, recorded, guards)) ? recorded.map(({ id }) => id) : undefined;
}

/** Whether the guards held, and the events are durable. */
async function commitRecorded(
  { resources, logRow }: Pick<Disclosure, 'resources' | 'logRow'>,
  recorded: readonly Recorded[],
  guards: readonly Guard[],
): Promise<boolean> {
  const { kind } = await resources.commit({
    guards,
    resources: recorded.map(({ resource }) => resource),
    records: [],
    log: recorded.map(({ entry }) => logRow(entry)),
    bumpEpoch: false,
  });
  return kind === 'committed';
}

export function actBase(caller: Caller, interaction: Act['interaction']): Pick<Act, 'interaction' | 'outcome' | 'client' | 'actor' | 'purpose'> {
  return { interaction, outcome: 'done', client: caller.client, actor: caller.actor, purpose: caller.purpose };
}

export function versionReference({ type, id, version }: Pick<StoredResource, 'type' | 'id' | 'version'>): string {
  return `${type}/${id}/_history/${version}`;
}
