/**
 * A hand in the database beside the running server, the same for both engines: what somebody with the file, or the password of the replica set,
 * can do past every rule of the store.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Collection, type Document, MongoClient, Timestamp } from 'mongodb';
import { bucketOf } from '../../server/fhir/ids.ts';

export type Edit = (text: string) => string;

export type Hand = {
  /** The text of a resource. */
  body(type: string, id: string): Promise<string>;
  setBody(type: string, id: string, body: string): Promise<void>;
  remove(type: string, id: string): Promise<void>;
  markDeleted(type: string, id: string): Promise<void>;
  /** Takes a key away from the index keys kept beside the body. */
  dropKey(type: string, id: string, key: string): Promise<void>;
  /** The packed keys beside the body; `setKeys` leaves the index as it is. */
  keys(type: string, id: string): Promise<string>;
  setKeys(type: string, id: string, keys: string): Promise<void>;
  /** In the index alone, what decides included: the second key in the place of the first. */
  reindexAs(type: string, id: string, keys: readonly [string, string]): Promise<void>;
  /** The same resource once more, under another id and with another text. */
  copyResource(type: string, id: string, to: { readonly id: string; readonly body: string }): Promise<void>;
  /** Of every record of this kind whose id starts so; resolves with how many there were. */
  editRecords(kind: string, idStart: string, edit: Edit): Promise<number>;
  removeRecord(kind: string, id: string): Promise<number>;
  copyRecord(kind: string, id: string, to: string): Promise<void>;
  /** The newest numbered log row that contains a text. */
  newestRow(text: string): Promise<{ readonly index: number; readonly entry: string }>;
  /** Of a numbered log row. */
  editRow(index: number, edit: Edit): Promise<void>;
  appendRow(key: string, entry: string): Promise<void>;
  close(): Promise<void>;
};

export function handOnFile(dataDir: string): Hand {
  const database = new DatabaseSync(join(dataDir, 'assent.sqlite'), { timeout: 60_000 });
  const run = (sql: string, ...values: readonly (string | number)[]) => Number(database.prepare(sql).run(...values).changes);
  const get = (sql: string, ...values: readonly (string | number)[]) => database.prepare(sql).get(...values) ?? {};
  const only = 'WHERE type = ? AND id = ?';
  return {
    body: async (type, id) => String(get(`SELECT body FROM resources ${only}`, type, id)['body']),
    setBody: async (type, id, body) => void run(`UPDATE resources SET body = ? ${only}`, body, type, id),
    remove: async (type, id) => void run(`DELETE FROM resources ${only}`, type, id),
    markDeleted: async (type, id) => void run(`UPDATE resources SET deleted = 1 ${only}`, type, id),
    dropKey: async (type, id, key) => void run(`UPDATE resources SET keys = replace(keys, ? || char(10), '') ${only}`, key, type, id),
    keys: async (type, id) => String(get(`SELECT keys FROM resources ${only}`, type, id)['keys']),
    setKeys: async (type, id, keys) => void run(`UPDATE resources SET keys = ? ${only}`, keys, type, id),
    reindexAs: async (type, id, [from, to]) => {
      run(`UPDATE keys SET key = ? ${only} AND key = ?`, to, type, id, from);
      run(`UPDATE deciding SET keys = replace(keys, ?, ?) WHERE rid = (SELECT rid FROM resources ${only})`, from, to, type, id);
    },
    copyResource: async (type, id, to) => {
      const columns = "SELECT type, ?, 'forged', updated, sort, 0, keys, ?";
      run(
        `INSERT INTO resources (type, id, version, updated, sort, deleted, keys, body) ${columns} FROM resources ${only}`,
        to.id,
        to.body,
        type,
        id,
      );
    },
    editRecords: async (kind, idStart, edit) => {
      const rows = database.prepare('SELECT id, value FROM records WHERE kind = ? AND id LIKE ?').all(kind, `${idStart}%`);
      for (const { id, value } of rows) run('UPDATE records SET value = ? WHERE kind = ? AND id = ?', edit(String(value)), kind, String(id));
      return rows.length;
    },
    removeRecord: async (kind, id) => run('DELETE FROM records WHERE kind = ? AND id = ?', kind, id),
    copyRecord: async (kind, id, to) => {
      const columns = 'SELECT kind, ?, 1, lookup, value';
      run(`INSERT INTO records (kind, id, revision, lookup, value) ${columns} FROM records WHERE kind = ? AND id = ?`, to, kind, id);
    },
    newestRow: async (text) => {
      const { idx, entry } = get('SELECT idx, entry FROM log WHERE entry LIKE ? ORDER BY idx DESC LIMIT 1', `%${text}%`);
      return { index: Number(idx), entry: String(entry) };
    },
    editRow: async (index, edit) => {
      const { entry } = get('SELECT entry FROM log WHERE idx = ?', index);
      run('UPDATE log SET entry = ? WHERE idx = ?', edit(String(entry)), index);
    },
    appendRow: async (key, entry) => void run('INSERT INTO log (idx, key, entry) SELECT max(idx) + 1, ?, ? FROM log', key, entry),
    close: async () => database.close(),
  };
}

type Named = Document & { readonly _id: string };

/** Schema validation is no obstacle to whoever may write: it is bypassed. */
export async function handOnReplicaSet(uri: string): Promise<Hand> {
  const client = await MongoClient.connect(uri);
  const database = client.db();
  const [resources, records, log] = ['resources', 'records', 'log'].map((name) => database.collection<Named>(name)) as [Rows, Rows, Rows];
  const past = { bypassDocumentValidation: true } as const;
  const found = async (type: string, id: string): Promise<Named> => (await resources.findOne({ _id: `${type}/${id}` })) ?? { _id: '' };
  const set = async (type: string, id: string, fields: Document) =>
    void (await resources.updateOne({ _id: `${type}/${id}` }, { $set: fields }, past));
  return {
    body: async (type, id) => String((await found(type, id))['b']),
    setBody: (type, id, body) => set(type, id, { b: body }),
    remove: async (type, id) => void (await resources.deleteOne({ _id: `${type}/${id}` })),
    markDeleted: (type, id) => set(type, id, { del: true }),
    dropKey: async (type, id, key) => {
      const { f, k } = await found(type, id);
      await set(type, id, { f: String(f).replace(`${key}\n`, ''), k: (k as string[]).filter((one) => one !== `${type}/${key}`) });
    },
    keys: async (type, id) => String((await found(type, id))['f']),
    setKeys: (type, id, keys) => set(type, id, { f: keys }),
    reindexAs: async (type, id, [from, to]) => {
      const { k, c } = await found(type, id);
      const exchanged = (k as string[]).map((one) => (one === `${type}/${from}` ? `${type}/${to}` : one));
      await set(type, id, { k: exchanged, c: String(c).replace(from, to) });
    },
    copyResource: async (type, id, to) => {
      const original = await found(type, id);
      await resources.insertOne(
        { ...original, _id: `${type}/${to.id}`, s: bucketOf(type, to.id), i: to.id, v: 'forged', del: false, b: to.body },
        past,
      );
    },
    editRecords: async (kind, idStart, edit) => {
      const all = (await records.find({ kind }).toArray()).filter(({ id }) => String(id).startsWith(idStart));
      for (const { _id, value } of all) await records.updateOne({ _id }, { $set: { value: edit(String(value)) } }, past);
      return all.length;
    },
    removeRecord: async (kind, id) => (await records.deleteOne({ kind, id })).deletedCount,
    copyRecord: async (kind, id, to) => {
      const original = await records.findOne({ kind, id });
      await records.insertOne({ ...original, _id: `${kind}\n${to}`, id: to, rev: 1 }, past);
    },
    newestRow: (text) => newestNumbered(log, text),
    editRow: async (index, edit) => {
      const row = await log.findOne({ n: index });
      await log.updateOne({ n: index }, { $set: { entry: edit(String(row?.['entry'])) } }, past);
    },
    appendRow: async (key, entry) => {
      const { index } = await newestNumbered(log, '');
      await log.insertOne({ _id: key, entry, o: new Timestamp({ t: 0, i: 0 }), n: index + 1 }, past);
    },
    close: () => client.close(),
  };
}

type Rows = Collection<Named>;

/** The sealer numbers what is waiting within a moment. */
async function newestNumbered(log: Rows, text: string): Promise<{ readonly index: number; readonly entry: string }> {
  while ((await log.countDocuments({ p: true })) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const rows = await log
    .find({ n: { $gte: 0 } })
    .sort({ n: -1 })
    .toArray();
  const row = rows.find(({ entry }) => String(entry).includes(text));
  return { index: Number(row?.['n']), entry: String(row?.['entry']) };
}
