import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Guard, RecordWrite } from '../../server/store/port.ts';
import { freshType, idsFound, type OpenSubject, query, resource, type Subject, store, writes } from './subject.ts';

/** A record that nearly every commit relies on, and that hardly ever changes. */
export function sharedContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  const put = (id: string, value: number): RecordWrite => ({ kind: 'put', recordKind: 'rules', id, value, shared: true });
  const at = (id: string, revision: number | null): Guard & { kind: 'record' } => ({
    kind: 'record',
    recordKind: 'rules',
    id,
    revision,
    shared: true,
  });
  const revisionOf = async (id: string) => (await subject.engine.records.get('rules', id))?.revision ?? null;
  const change = async (id: string, value: number, revision?: number | null) => {
    const guards = [at(id, revision ?? (await revisionOf(id)))];
    expect(await subject.engine.resources.commit(writes([], { guards, records: [put(id, value)] }))).toEqual({ kind: 'committed' });
  };

  test('a guard that shares a record is met at its revision only, and by its absence', async () => {
    const [type, id] = [freshType(), 'plain'];
    const tries = async (revision: number | null, name: string) =>
      (await subject.engine.resources.commit(writes([resource(type, name)], { guards: [at(id, revision)] }))).kind;
    expect(await tries(null, 'a')).toBe('committed');
    await change(id, 1);
    const first = await revisionOf(id);
    expect([await tries(null, 'b'), await tries(first, 'c')]).toEqual(['conflict', 'committed']);
    await change(id, 2);
    expect([await tries(first, 'd'), await tries(await revisionOf(id), 'e')]).toEqual(['conflict', 'committed']);
    expect((await idsFound(subject, query(type))).sort()).toEqual(['a', 'c', 'e']);
  });

  test('what relied on the record as it was is there once it has changed, or never: small commits and large ones', async () => {
    const [type, id] = [freshType(), 'raced'];
    const counts = { committed: 0, refused: 0 };
    await change(id, 0);
    for (let round = 0; round < 15; round++) {
      const revision = await revisionOf(id);
      const guards = [at(id, revision)];
      const write = (name: string, many: number) =>
        subject.engine.resources
          .commit(
            writes(
              Array.from({ length: many }, (_, i) => resource(type, `${name}-${i}`)),
              { guards },
            ),
          )
          .then(({ kind }) => ({ name, kind }));
      const early = [60, 1].map((many) => write(`early-${round}-${many}`, many));
      const changed = change(id, round + 1, revision);
      const late = [60, 1].map((many) => write(`late-${round}-${many}`, many));
      await changed;
      const seen = new Set(await idsFound(subject, query(type, { limit: 10_000 })));
      for (const { name, kind } of await Promise.all([...early, ...late])) {
        if (kind === 'committed') expect(seen.has(`${name}-0`), name).toBe(true);
        counts[kind === 'committed' ? 'committed' : 'refused']++;
      }
    }
    expect(Math.min(counts.committed, counts.refused)).toBeGreaterThan(0);
  });

  test('keys are made again only while the record is as they were made by', async () => {
    const [type, id] = [freshType(), 'reindexed'];
    await store(subject, resource(type, 'a', { keys: ['old'] }));
    await change(id, 1);
    const known = await revisionOf(id);
    await change(id, 2);
    const again = (revision: number | null, key: string) =>
      subject.engine.resources.reindex({ type, guard: at(id, revision) }, ({ instant }) => ({ keys: [key], instant }));
    for (const revision of [known, null]) await expect(again(revision, 'stale')).rejects.toMatchObject({ code: 'conflict' });
    const found = (key: string) => idsFound(subject, query(type, { where: { kind: 'any', keys: new Set([key]) } }));
    expect([await found('old'), await found('stale')]).toEqual([['a'], []]);
    expect(await again(await revisionOf(id), 'new')).toMatchObject({ read: 1, written: 1, next: undefined });
    expect([await found('old'), await found('new')]).toEqual([[], ['a']]);
  });
}
