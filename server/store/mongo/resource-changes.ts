/** The resources of one transaction: as it read them, changed by the write sets before, and the writes that wait. */
import type { ClientSession } from 'mongodb';
import type { StoredResource } from '../port.ts';
import type { Collections } from './connection.ts';
import { type KnownMarks, mark, marksOf } from './astray.ts';
import { byId, type HistoryDocument, type Mark, type ResourceDocument, toDocument, toHistory } from './documents.ts';

/** All but the index keys, which are never read back. */
export type KnownResource = Omit<ResourceDocument, 'k'>;

export type ResourceChanges = {
  versionOf(id: string): string | null;
  write(resource: StoredResource): void;
  /** Makes sure that this document is changed, so that whoever changes it meanwhile is in conflict. */
  rely(id: string): void;
  /** Every version. */
  erase(id: string): void;
  flush(): Promise<void>;
};

type Inside = { readonly inSession: Collections; readonly session: ClientSession; readonly marks: KnownMarks };

export function createResourceChanges({ inSession, session, marks }: Inside, loaded: ReadonlyMap<string, KnownResource>): ResourceChanges {
  /** As the database has them inside this transaction, and as they shall be. */
  const stored = new Map(loaded);
  const fresh = new Map<string, ResourceDocument>();
  const relied = new Set<string>();
  let superseded: HistoryDocument[] = [];
  let unmarked: Mark[] = [];
  let erased: string[] = [];

  async function flush(): Promise<void> {
    const added = [...fresh.values()].filter(({ _id }) => !stored.has(_id));
    const changed = [...fresh.values()].filter(({ _id }) => stored.has(_id));
    const touched = [...relied].filter((id) => stored.has(id) && !fresh.has(id));
    const writes = [
      ...changed.map(({ _id, ...replacement }) => ({ replaceOne: { filter: byId(_id), replacement, hint: '_id_' } })),
      ...touched.map((_id) => ({ updateOne: { filter: byId(_id), update: { $inc: { g: 1 } }, hint: '_id_' } })),
    ];
    await mark(inSession, unmarked, session);
    if (added.length > 0) await inSession.resources.insertMany(added, { session });
    if (writes.length > 0) await inSession.resources.bulkWrite(writes, { session });
    if (superseded.length > 0) await inSession.history.insertMany(superseded, { session });
    for (const document of fresh.values()) stored.set(document._id, document);
    for (const _id of erased) {
      await inSession.resources.deleteOne(byId(_id), { session, hint: '_id_' });
      const [t = '', i = ''] = _id.split('/');
      await inSession.history.deleteMany({ t, i }, { session, hint: 't_i_u_v' });
      stored.delete(_id);
    }
    erased = [];
    fresh.clear();
    relied.clear();
    unmarked = [];
    superseded = [];
  }

  return {
    versionOf: (id) => (fresh.get(id) ?? stored.get(id))?.v ?? null,
    write: (resource) => {
      const document = toDocument(resource);
      const old = fresh.get(document._id) ?? stored.get(document._id);
      if (old) superseded.push(toHistory(old));
      fresh.set(document._id, document);
      for (const one of marksOf(resource)) if (!marks.has(one)) unmarked.push(one);
    },
    erase: (id) => void erased.push(id),
    rely: (id) => void relied.add(id),
    flush,
  };
}
