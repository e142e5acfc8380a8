/** RecordStore, commit and epoch over a Map: for tests of rooms that need records but no engine. */
import type { Clock } from '../../server/clock.ts';
import type { RecordCommit } from '../../server/authz/commit.ts';
import type { NewLogRow, RecordStore, RecordValue } from '../../server/store/port.ts';

type Kept = { readonly value: RecordValue; readonly revision: number; readonly expires: number | undefined; readonly lookup: readonly string[] };

export type MemoryRecords = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly epoch: () => Promise<number>;
  readonly log: NewLogRow[];
};

export function createMemoryRecords(clock: Clock): MemoryRecords {
  const kept = new Map<string, Map<string, Kept>>();
  const log: NewLogRow[] = [];
  let epoch = 1;
  const kindOf = (kind: string) => kept.get(kind) ?? kept.set(kind, new Map()).get(kind) ?? new Map<string, Kept>();
  const alive = (kind: string, id: string) => {
    const found = kindOf(kind).get(id);
    return found && (found.expires === undefined || found.expires > clock()) ? found : undefined;
  };
  const records: RecordStore = {
    async get(kind, id) {
      const found = alive(kind, id);
      return found && { id, value: found.value, revision: found.revision, expires: found.expires };
    },
    async put(kind, id, value, { revision, lookup = [], expires } = {}) {
      const found = alive(kind, id);
      if (revision !== undefined && revision !== (found?.revision ?? null)) return { kind: 'conflict' };
      const next = (found?.revision ?? 0) + 1;
      kindOf(kind).set(id, { value: structuredClone(value), revision: next, expires, lookup });
      return { kind: 'written', revision: next };
    },
    async delete(kind, id) {
      const found = alive(kind, id) !== undefined;
      kindOf(kind).delete(id);
      return found;
    },
    async list(kind, { lookup, after = '', limit = 1000 } = {}) {
      return [...kindOf(kind)]
        .filter(([id, { lookup: keys }]) => id > after && alive(kind, id) && (lookup === undefined || keys.includes(lookup)))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([id, { value, revision, expires }]) => ({ id, value, revision, expires }));
    },
  };
  const commit: RecordCommit = async ({ guards, records: writes, log: rows }) => {
    if (guards.some(({ recordKind, id, revision }) => (alive(recordKind, id)?.revision ?? null) !== revision)) return { kind: 'conflict' };
    for (const write of writes) {
      if (write.kind === 'delete') await records.delete(write.recordKind, write.id);
      else await records.put(write.recordKind, write.id, write.value, write);
    }
    log.push(...rows);
    epoch++;
    return { kind: 'committed' };
  };
  return { records, commit, epoch: async () => epoch, log };
}
