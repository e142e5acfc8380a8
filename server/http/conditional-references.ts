/**
 * What a transaction leaves for the server to find: entries with criteria (ifNoneExist, `PUT Patient?identifier=…`), and references like
 * `Practitioner?identifier=…`. https://hl7.org/fhir/R4/http.html#trules
 *
 * Invariant: matches are looked for in the caller's view only, under the caller's search scope, and as they will be once the transaction's
 * deletions are done.
 */
import type { Row } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { type BundleEntry, conditionalReferences, entryPath } from '../fhir/bundle.ts';
import { not } from '../search/expression.ts';
import { allOf, type Condition } from '../search/join.ts';
import { conditionOf, criteriaFor, matchesOf, urlConditionOf } from './condition.ts';
import { refuseVagueMatch } from './delete.ts';
import { locate } from './dispatch.ts';
import { entryCall } from './entry-call.ts';
import { atEntry, atEntryAsync } from './entry-error.ts';
import { inTurns } from './in-turns.ts';
import type { FhirRequest } from './interaction.ts';
import { expectedVersion } from './preconditions.ts';
import type { Services } from './services.ts';

/** What an entry's criteria ask for, and the one resource they match. */
export type Found = { readonly where: Condition; readonly match: Row | undefined };

export type Settled = {
  /** A conditional delete has become one delete for each match. */
  readonly entries: readonly BundleEntry[];
  /** Entries with criteria, by index: all but deletes. */
  readonly found: ReadonlyMap<number, Found>;
  /** Versions that conditional deletes matched, by `Type/id`. */
  readonly matched: ReadonlyMap<string, string>;
};

export function isConditional({ method, url, ifNoneExist }: BundleEntry): boolean {
  return method === 'POST' ? ifNoneExist !== undefined : method !== 'GET' && method !== 'HEAD' && url.includes('?');
}

/** Looks up what every entry with criteria is about. Throws AssentError naming the entry: multiple-matches, forbidden, invalid-search. */
export async function settle(request: FhirRequest, entries: readonly BundleEntry[], services: Services): Promise<Settled> {
  const { deletes, matched } = await settleDeletes(request, entries, services);
  const gone = goneIds([...entries.filter(({ method }) => method === 'DELETE'), ...deletes.values()].flat());
  const found = new Map<number, Found>();
  const asked = new Map<string, number>();
  for (const entry of entries) {
    if (!isConditional(entry) || entry.method === 'DELETE') continue;
    const { type, where, query } = atEntry(entry.index, () => criteriaOf(request, entry, services));
    const without = gone.get(type);
    const open = without ? allOf([where, not({ kind: 'id', ids: without })]) : where;
    const [match] = await atEntryAsync(entry.index, () => matchesOf(request, { type, where: open, query }, { most: 1 }));
    if (!match) refuseSameCriteria(asked, entry.index, query);
    found.set(entry.index, { where: open, match });
  }
  return { entries: entries.flatMap((entry) => deletes.get(entry.index) ?? [entry]), found, matched };
}

async function settleDeletes(request: FhirRequest, entries: readonly BundleEntry[], services: Services) {
  const deletes = new Map<number, BundleEntry[]>();
  const matched = new Map<string, string>();
  for (const entry of entries) {
    if (entry.method !== 'DELETE' || !isConditional(entry)) continue;
    const criteria = atEntry(entry.index, () => criteriaOf(request, entry, services));
    const rows = await atEntryAsync(entry.index, async () => {
      const found = await matchesOf(request, criteria, { most: services.limits.conditionalDeletes });
      refuseVagueMatch(found, expectedVersion(entryCall(request, entry)));
      return found;
    });
    for (const { type, id, version } of rows) matched.set(`${type}/${id}`, version);
    deletes.set(
      entry.index,
      rows.map(({ type, id }) => ({ ...entry, url: `${type}/${id}` })),
    );
  }
  return { deletes, matched };
}

function criteriaOf(request: FhirRequest, entry: BundleEntry, services: Services) {
  const call = entryCall(request, entry);
  const { target, query } = locate(entry.method, entry.url, services);
  const inner = { ...request, ...target, query, header: call.header };
  const where = entry.method === 'POST' ? conditionOf(inner, services).ifNoneExist : urlConditionOf(inner, services);
  if (!where) throw new AssentError('invalid-search', 'The condition names no criterion.');
  return { type: target.type, where, query: entry.method === 'POST' ? `${target.type}?${entry.ifNoneExist}` : entry.url };
}

function goneIds(deletes: readonly BundleEntry[]): ReadonlyMap<string, ReadonlySet<string>> {
  const ids = new Map<string, Set<string>>();
  for (const { url } of deletes) {
    const [, type, id] = /^([A-Za-z]+)\/([^/?]+)$/.exec(url) ?? [];
    if (type !== undefined && id !== undefined) ids.set(type, (ids.get(type) ?? new Set()).add(id));
  }
  return ids;
}

/** Two entries that would each make the one resource their common criteria are about. */
function refuseSameCriteria(asked: Map<string, number>, index: number, query: string): void {
  const other = asked.get(query);
  asked.set(query, index);
  if (other === undefined) return;
  const words = `Entries ${other} and ${index} have the same criteria: they are about one resource, which a transaction may name once.`;
  throw new AssentError('invalid-request', [{ diagnostics: words, expression: [entryPath(other), entryPath(index)] }]);
}

/** Conditional references and the one resource each names. */
export async function linkedReferences(
  request: FhirRequest,
  entries: readonly BundleEntry[],
  services: Services,
): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>();
  for (const [text, users] of await usersOf(entries)) {
    const index = users[0] ?? 0;
    const { type, where } = atEntry(index, () => targetOf(text, request, services));
    const { rows } = await request.gate.search({
      type,
      where,
      order: { by: 'instant', direction: 'newest-first' },
      count: 2,
      total: false,
      query: text,
    });
    const [row, second] = rows;
    const wrong = row === undefined ? 'nothing' : second === undefined ? undefined : 'several resources';
    if (wrong !== undefined)
      throw new AssentError('multiple-matches', [
        { diagnostics: `A conditional reference must name one resource; this one names ${wrong}.`, expression: users.map((user) => entryPath(user)) },
      ]);
    known.set(text, `${type}/${row?.id}`);
  }
  return known;
}

/** The entries that use each conditional reference. */
async function usersOf(entries: readonly BundleEntry[]): Promise<ReadonlyMap<string, readonly number[]>> {
  const users = new Map<string, number[]>();
  await inTurns(entries, (entry) => {
    for (const text of conditionalReferences(entry)) users.set(text, [...(users.get(text) ?? []), entry.index]);
  });
  return users;
}

function targetOf(text: string, { gate }: FhirRequest, services: Services): { readonly type: string; readonly where: Condition } {
  const at = text.indexOf('?');
  const type = text.slice(0, at);
  if (!services.allows(gate.caller, 's', type)) throw new AssentError('forbidden', 'A conditional reference needs the scope to search its type.');
  return { type, where: criteriaFor({ type, gate }, new URLSearchParams(text.slice(at + 1)), services) };
}
