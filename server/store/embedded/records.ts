/** RecordStore over the embedded database. Values are kept as JSON text or bytes; the column's own type tells which. */
import type { Clock } from '../../clock.ts';
import { packKeys } from '../packed-keys.ts';
import type { RecordStore, RecordValue, RecordWrite, StoredRecord } from '../port.ts';
import { type Database, many, one } from './database.ts';
import type { RecordDelete, RecordPut } from './jobs.ts';
import type { Writer } from './writer.ts';

type Dependencies = { readonly database: Database; readonly writer: Writer; readonly clock: Clock };
type Row = readonly [id: string, value: string | Uint8Array, revision: number, expires: number | null];

const COLUMNS = 'r.id, r.value, r.revision, r.expires';
const LIVE = '(r.expires IS NULL OR r.expires > ?)';

export function createRecordStore({ database, writer, clock }: Dependencies): RecordStore {
  const { statement } = database;
  return {
    get: async (recordKind, id) => {
      const sql = `SELECT ${COLUMNS} FROM records r WHERE r.kind = ? AND r.id = ? AND ${LIVE}`;
      const row = one<Row>(statement(sql), recordKind, id, clock());
      return row && toRecord(row);
    },
    put: async (recordKind, id, value, { revision, ...options } = {}) => {
      const put = toPut({ kind: 'put', recordKind, id, value, ...options });
      const written = await writer.submit<number | null>({ kind: 'put', put, revision });
      return written === null ? { kind: 'conflict' } : { kind: 'written', revision: written };
    },
    delete: (recordKind, id) => writer.submit<boolean>({ kind: 'delete', recordKind, id }),
    list: async (recordKind, { lookup, after = '', limit = -1 } = {}) => {
      const rows =
        lookup === undefined
          ? many<Row>(
              statement(`SELECT ${COLUMNS} FROM records r WHERE r.kind = ? AND r.id > ? AND ${LIVE} ORDER BY r.id LIMIT ?`),
              recordKind,
              after,
              clock(),
              limit,
            )
          : many<Row>(
              statement(`SELECT ${COLUMNS} FROM record_lookup l CROSS JOIN records r ON r.kind = l.kind AND r.id = l.id
                WHERE l.kind = ? AND l.lookup = ? AND l.id > ? AND ${LIVE} ORDER BY l.id LIMIT ?`),
              recordKind,
              lookup,
              after,
              clock(),
              limit,
            );
      return rows.map(toRecord);
    },
  };
}

export function toPut({ recordKind, id, value, lookup = [], expires }: RecordWrite & { kind: 'put' }): RecordPut {
  const stored = value instanceof Uint8Array ? value : JSON.stringify(value);
  return { recordKind, id, value: stored, lookup: packKeys(lookup), expires: expires ?? null };
}

export function toDelete({ recordKind, id }: RecordWrite): RecordDelete {
  return { recordKind, id };
}

function toRecord([id, value, revision, expires]: Row): StoredRecord {
  return { id, value: typeof value === 'string' ? (JSON.parse(value) as RecordValue) : value, revision, expires: expires ?? undefined };
}
