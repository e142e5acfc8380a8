/** The keys that decide lie apart for each live resource (docs/adr/0051-deciding-keys.md). */
import type { DatabaseSync } from 'node:sqlite';
import { decidingPart } from '../../server/store/deciding-keys.ts';

export function up(database: DatabaseSync): void {
  database.exec('CREATE TABLE deciding (rid INTEGER PRIMARY KEY, keys TEXT NOT NULL) STRICT');
  const insert = database.prepare('INSERT INTO deciding VALUES (?, ?)');
  for (const { rid, keys } of database.prepare('SELECT rid, keys FROM resources WHERE deleted = 0').iterate())
    insert.run(Number(rid), decidingPart(String(keys)));
}
