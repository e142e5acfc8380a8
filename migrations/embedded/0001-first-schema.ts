/**
 * The first schema of the embedded engine. `sort` and `updated` are the negated sort instant and last update, so that a forward walk of any
 * index is newest first with ids ascending. Large columns come last: a check of the keys does not read past them.
 */
import type { DatabaseSync } from 'node:sqlite';

export function up(database: DatabaseSync): void {
  database.exec(schema);
}

const schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 1);

CREATE TABLE resources (
  rid INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  updated INTEGER NOT NULL,
  sort INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  keys TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX resources_id ON resources (type, id);
CREATE INDEX resources_live ON resources (type, sort, id) WHERE deleted = 0;
CREATE INDEX resources_updated ON resources (type, updated, id, version);

CREATE TABLE keys (
  type TEXT NOT NULL,
  key TEXT NOT NULL,
  sort INTEGER NOT NULL,
  id TEXT NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (type, key, sort, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
  hid INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  updated INTEGER NOT NULL,
  sort INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  keys TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX history_id ON history (type, id, updated, version);
CREATE INDEX history_updated ON history (type, updated, id, version);

CREATE TABLE log (idx INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, entry TEXT NOT NULL) STRICT;

CREATE TABLE records (
  rid INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  expires INTEGER,
  lookup TEXT NOT NULL,
  value ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX records_id ON records (kind, id);
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;
CREATE TABLE record_lookup (
  kind TEXT NOT NULL,
  lookup TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (kind, lookup, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  expires INTEGER NOT NULL,
  fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;
