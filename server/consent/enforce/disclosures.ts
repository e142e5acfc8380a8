/**
 * Everything that was recorded about one patient, told to the patient and to administrators: the patient's chain of log entries, with those AuditEvents
 * that this caller may see. ledger.md §4, consent.md §3
 *
 * Invariants: for everybody else the patient is as one that is not there; an event that names another person is told by its entry alone; the
 * asking is the next entry of the chain, and durable before the answer.
 */
import type { StoredResource } from '../../store/port.ts';
import type { DisclosuresRequest, DisclosuresResult, RecordedEntry } from '../gate.ts';
import { holdsRole } from '../model.ts';
import { actBase, commitActs, type Disclosure, recordMiss, versionReference } from './disclose.ts';
import { inView, newestFirst, patientsOf, type View } from './view.ts';

/** An entry as the log has it; undefined where it was erased. */
type Open = { readonly kind: string; readonly occurredAt: string; readonly reference: string };
type Entry = { readonly index: number; readonly subjectSeq: number; readonly open: Open | undefined };
type Page = {
  readonly entries: readonly Entry[];
  readonly next: number | null;
  /** Of the log. */
  readonly size: number;
  /** Of the first so many entries. `events`: texts by reference. */
  statement(count: number, events: ReadonlyMap<string, string>): Promise<string>;
};

/** The chains of the log, as far as the Gate has to know them. */
export type ChainReader = {
  read(subject: string, page: { readonly from?: number | undefined; readonly limit: number }): Promise<Page | undefined>;
  /** Where an AuditEvent of this text stands; undefined: not under a signed checkpoint yet. */
  indexOf(event: string): Promise<number | undefined>;
};

/** Characters of AuditEvents in one answer: what is behind them is on the next page. */
const MOST_CHARACTERS = 500_000;

export async function disclosures(
  deps: Disclosure & { readonly chains: ChainReader },
  { id, count, from, event, wordless = false }: DisclosuresRequest,
): Promise<DisclosuresResult> {
  const { caller, chains } = deps;
  const patient = `Patient/${id}`;
  if (!holdsRole(caller, 'auditor') && caller.actor !== patient) {
    await recordMiss(deps, { interaction: 'operation', type: 'Patient', id });
    return { kind: 'absent' };
  }
  const begin = event === undefined ? from : await indexOfEvent(deps, { id, event });
  if (begin === 'absent') return { kind: 'absent' };
  const page = begin === 'pending' ? undefined : await chains.read(patient, { from: begin, limit: count });
  if (!page) return { kind: 'pending' };
  return inView(deps.views, {
    read: (view) => eventsOf(deps, page.entries, view),
    // What is shown of a record's trail rests on built-in policies.
    restsOn: () => [],
    async conclude({ rows }, view): Promise<DisclosuresResult | undefined> {
      const entries = page.entries.slice(0, fitting(page.entries, rows));
      const shown = entries.flatMap(({ open }) => rows.filter(({ id: event }) => open?.reference === `AuditEvent/${event}`));
      const events = new Map(shown.map((row) => [`AuditEvent/${row.id}`, row.body]));
      const receipt = await record(deps, { id, shown, view });
      if (receipt === undefined) return undefined;
      return {
        kind: 'found',
        entries: entries.map((entry) => entryOf(entry, events)),
        size: page.size,
        next: page.entries[entries.length]?.index ?? page.next ?? undefined,
        statement: await page.statement(entries.length, wordless ? withoutWords(events) : events),
        receipt,
      };
    },
  });
}

/** Only what the caller may see, and is about this patient, has a place there. */
async function indexOfEvent(deps: Disclosure & { readonly chains: ChainReader }, { id, event }: { readonly id: string; readonly event: string }) {
  const [row] = await inView(deps.views, {
    read: (view) => rowsOf(deps, view, [event]),
    restsOn: () => [],
    conclude: async ({ rows }) => rows,
  });
  if (!row || !patientsOf([row]).includes(id)) return 'absent';
  return (await deps.chains.indexOf(row.body)) ?? 'pending';
}

/** Why somebody broke the glass, and what they searched for, are their own words. What an operation records is the server's. */
function withoutWords(events: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...events].filter(([, text]) => !hasWords(JSON.parse(text) as Told)));
}

type Told = {
  readonly subtype?: readonly { readonly code?: string }[];
  readonly purposeOfEvent?: readonly { readonly text?: string }[];
  readonly entity?: readonly { readonly query?: string }[];
};

function hasWords({ subtype, purposeOfEvent = [], entity = [] }: Told): boolean {
  const searched = subtype?.[0]?.code !== 'operation' && entity.some(({ query }) => query !== undefined);
  return searched || purposeOfEvent.some(({ text }) => text !== undefined);
}

function eventsOf(deps: Disclosure, entries: readonly Entry[], view: View) {
  const references = entries.flatMap(({ open }) => (open?.reference.startsWith('AuditEvent/') ? [open.reference] : []));
  return rowsOf(
    deps,
    view,
    references.map((reference) => reference.slice('AuditEvent/'.length)),
  );
}

function rowsOf({ resources }: Disclosure, view: View, events: readonly string[]) {
  const ids = new Set(events);
  return resources.find({
    type: 'AuditEvent',
    where: { kind: 'id', ids },
    scope: view.scope('AuditEvent'),
    order: newestFirst,
    limit: Math.max(1, ids.size),
  });
}

/** How many entries one answer holds: at least one. */
function fitting(entries: readonly Entry[], rows: readonly StoredResource[]): number {
  const lengths = new Map(rows.map(({ id, body }) => [`AuditEvent/${id}`, body.length]));
  let characters = 0;
  const end = entries.findIndex(({ open }, i) => (characters += lengths.get(open?.reference ?? '') ?? 0) > MOST_CHARACTERS && i > 0);
  return end < 0 ? entries.length : end;
}

type Recording = { readonly id: string; readonly shown: readonly StoredResource[]; readonly view: View };

/** One event about the patient, and one about each other who is named in what is shown to an administrator. */
async function record(deps: Disclosure, { id, shown, view }: Recording): Promise<string | undefined> {
  const patients = new Set([id, ...patientsOf(shown)]);
  const acts = [...patients].map((patient) => {
    const theirs = patient === id ? shown : shown.filter((row) => patientsOf([row]).includes(patient));
    return { own: true, act: { ...actBase(deps.caller, 'operation'), patient, what: theirs.map(versionReference), basis: [] } };
  });
  return (await commitActs(deps, acts, [{ kind: 'epoch', epoch: view.epoch }]))?.[0];
}

function entryOf({ subjectSeq, index, open }: Entry, events: ReadonlyMap<string, string>): RecordedEntry {
  const place = { number: subjectSeq, index };
  if (!open) return { ...place, kind: 'erased', occurredAt: undefined, reference: undefined, event: undefined };
  const { kind, occurredAt, reference } = open;
  return { ...place, kind, occurredAt, reference, event: events.get(reference) };
}
