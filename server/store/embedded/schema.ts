/** What the database must look like after all migrations, stated apart from them so that a wrong migration or a meddled database shows. */
import type { DatabaseSync } from 'node:sqlite';

const tables: Readonly<Record<string, string>> = {
  meta: 'name,value',
  migrations: 'name',
  resources: 'rid,type,id,version,updated,sort,deleted,keys,body',
  keys: 'type,key,sort,id,rid',
  deciding: 'rid,keys',
  history: 'hid,type,id,version,updated,sort,deleted,keys,body',
  log: 'idx,key,entry',
  records: 'rid,kind,id,revision,expires,lookup,value',
  record_lookup: 'kind,lookup,id',
  lease: 'name,holder,expires,fence',
};

const indexes: Readonly<Record<string, string>> = {
  resources_id: 'unique type,id',
  resources_live: 'type,sort,id',
  resources_updated: 'type,updated,id,version',
  history_id: 'type,id,updated,version',
  history_updated: 'type,updated,id,version',
  records_id: 'unique kind,id',
  records_expires: 'expires',
};

/** One sentence per difference; empty when the schema is as expected. */
export function schemaProblems(connection: DatabaseSync): string[] {
  const found = (kind: string): string[] =>
    connection
      .prepare("SELECT name FROM sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite_%' ORDER BY name")
      .all(kind)
      .map(({ name }) => String(name));
  const columns = (sql: string, name: string): string =>
    connection
      .prepare(sql)
      .all(name)
      .map((row) => String(row['name']))
      .join(',');
  const tableColumns = (name: string) => columns('SELECT name FROM pragma_table_info(?) ORDER BY cid', name);
  const unique = (name: string) =>
    connection.prepare('SELECT 1 FROM sqlite_schema s, pragma_index_list(s.tbl_name) l WHERE s.name = ?1 AND l.name = ?1 AND l."unique"').get(name);
  const indexColumns = (name: string) => (unique(name) ? 'unique ' : '') + columns('SELECT name FROM pragma_index_info(?) ORDER BY seqno', name);
  return [
    ...differences('table', tables, new Map(found('table').map((name) => [name, tableColumns(name)]))),
    ...differences('index', indexes, new Map(found('index').map((name) => [name, indexColumns(name)]))),
    ...[...found('trigger'), ...found('view')].map((name) => `unexpected ${name}`),
  ];
}

function differences(kind: string, expected: Readonly<Record<string, string>>, found: ReadonlyMap<string, string>): string[] {
  const wrong = Object.entries(expected).filter(([name, shape]) => found.get(name) !== shape);
  const extra = [...found.keys()].filter((name) => !(name in expected));
  return [...wrong.map(([name]) => `${kind} ${name} is missing or different`), ...extra.map((name) => `unexpected ${kind} ${name}`)];
}
