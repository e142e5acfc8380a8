/** A history page in the Gate over an engine that walks in steps: it asks on, is bounded, and gives links and totals of visible rows only. */
import { describe, expect, it } from 'vitest';
import type { Disclosure } from '../../../server/consent/enforce/disclose.ts';
import { history } from '../../../server/consent/enforce/versions.ts';
import type { HistoryRequest } from '../../../server/consent/gate.ts';
import { all } from '../../../server/search/expression.ts';
import type { HistoryQuery, HistoryResult, StoredResource } from '../../../server/store/port.ts';
import { callerNamed } from '../../support/http-app.ts';

const STEP = 1_000;

/** An engine that holds `size` versions, of which those at the places in `visible` may be seen, and walks 1,000 in one call. */
function over(
  size: number,
  visible: ReadonlySet<number>,
): { readonly deps: Disclosure; readonly asked: HistoryQuery[]; readonly recorded: string[][] } {
  const asked: HistoryQuery[] = [];
  const recorded: string[][] = [];
  const rowAt = (place: number): StoredResource => {
    const id = `o${place}`;
    return { type: 'Observation', id, version: 'v', lastUpdated: size - place, instant: 0, deleted: false, body: '{}', keys: ['@patient/p'] };
  };
  const walk = async (query: HistoryQuery): Promise<HistoryResult> => {
    asked.push(query);
    const start = query.after ? size - query.after.lastUpdated + 1 : 0;
    const rows: StoredResource[] = [];
    let place = start;
    for (; place < size && place - start < STEP && rows.length < query.limit; place++) if (visible.has(place)) rows.push(rowAt(place));
    const { type, id, version, lastUpdated } = rowAt(place - 1);
    return { kind: 'rows', rows, next: place < size ? { type, id, version, lastUpdated } : undefined, walked: place - start };
  };
  const view = { epoch: 1, scope: () => ({ epoch: 1, where: all }), basis: () => [], patients: [] };
  const deps = {
    caller: callerNamed('insurer'),
    resources: { history: walk, commit: async () => ({ kind: 'committed' }) },
    views: { current: async () => view, confirm: async () => true },
    record: ({ what }: { what: string[] }) => {
      recorded.push(what);
      return { id: 'event', resource: { type: 'AuditEvent', id: 'event', version: 'v' }, entry: {} };
    },
    logRow: () => ({ key: 'k', entry: 'e' }),
    untold: () => undefined,
    moment: async () => undefined,
  } as unknown as Disclosure;
  return { deps, asked, recorded };
}

const asking: HistoryRequest = { types: ['Observation'], count: 2, direction: 'newest-first', total: true, query: 'Observation/_history' };
const every = (size: number) => new Set(Array.from({ length: size }, (_, place) => place));

describe('a page of history', () => {
  it('asks on past what is hidden, and links only to what is visible', async () => {
    const { deps, recorded } = over(4_500, new Set([10, 2_100, 4_400]));
    const first = await history(deps, asking);
    if (first.kind !== 'found') throw new Error(first.kind);
    expect([first.rows.map(({ id }) => id), first.total, first.next?.id]).toEqual([['o10', 'o2100'], 3, 'o2100']);
    expect(recorded.flat().some((reference) => reference.includes('o4400'))).toBe(false);
    const second = await history(deps, { ...asking, total: false, ...(first.next ? { after: first.next } : {}) });
    expect(second).toMatchObject({ kind: 'found', rows: [{ id: 'o4400' }], next: undefined, total: undefined });
  });

  it('a full last page has no link, whatever is hidden behind it', async () => {
    const { deps } = over(3_000, new Set([0, 1]));
    expect(await history(deps, asking)).toMatchObject({ kind: 'found', total: 2, next: undefined });
  });

  it('ends early with what it found where much has to be passed, and goes on behind it', async () => {
    const { deps, recorded } = over(130_000, new Set([10, 60_000, 120_000]));
    const shown: string[] = [];
    let after: HistoryRequest['after'];
    let pages = 0;
    do {
      const page = await history(deps, { ...asking, count: 5, total: false, ...(after ? { after } : {}) });
      if (page.kind !== 'found') throw new Error(page.kind);
      shown.push(...page.rows.map(({ id }) => id));
      after = page.next;
      pages++;
    } while (after);
    expect([shown, pages]).toEqual([['o10', 'o60000', 'o120000'], 3]);
    // Each as what was disclosed to whom it is about, by an event that the one of the whole answer names.
    const each = (id: string) => [[expect.stringMatching(`^Observation/${id}/`)], [expect.stringMatching('^AuditEvent/event/')]];
    expect(recorded).toEqual([...each('o10'), ...each('o60000'), ...each('o120000')]);
  });

  it('costs as much as it shows, however far back it lies', async () => {
    const size = 300_000;
    const { deps, asked } = over(size, every(size));
    for (const place of [0, 60_000, 290_000]) {
      asked.length = 0;
      const after = { type: 'Observation', id: `o${place}`, version: 'v', lastUpdated: size - place };
      const page = await history(deps, { ...asking, count: 100, total: false, after });
      expect([page.kind === 'found' && page.rows.length, asked.map(({ limit }) => limit)]).toEqual([100, [101]]);
    }
  });

  it('is refused where too much would have to be passed', async () => {
    const { deps, asked } = over(1_000_000, new Set([999_999]));
    await expect(history(deps, asking)).rejects.toMatchObject({ code: 'too-costly' });
    expect(asked.length).toBeLessThanOrEqual(50);
  });

  it('has no total among very many', async () => {
    const few = over(15_000, every(15_000));
    expect(await history(few.deps, asking)).toMatchObject({ total: 15_000 });
    const many = over(100_000, every(100_000));
    const page = await history(many.deps, asking);
    expect([page.kind === 'found' && page.rows.length, page.kind === 'found' && page.total]).toEqual([2, undefined]);
    expect(many.asked.filter(({ bodies }) => bodies === false).length).toBeLessThanOrEqual(20);
  });

  it('counts without entries', async () => {
    const { deps, recorded } = over(2_500, every(2_500));
    expect(await history(deps, { ...asking, count: 0 })).toMatchObject({ kind: 'found', rows: [], total: 2_500, next: undefined });
    expect(recorded).toEqual([[]]);
  });
});
