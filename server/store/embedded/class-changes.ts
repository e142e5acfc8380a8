/**
 * Counts, of each type, the changes to what decides about rows that had been there before: whoever remembers it from one snapshot to the next
 * (row-classes.ts) forgets it all when the number is another. A new row has a number of its own that nobody remembers anything of.
 */
import { type Database, one } from './database.ts';

const nameOf = (type: string): string => `deciding ${type}`;

/** In the transaction of the change. */
export function noteDeciding({ statement }: Database, type: string): void {
  statement('INSERT INTO meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1').run(nameOf(type));
}

/** In the snapshot that is being read. */
export function decidingChanges({ statement }: Database, type: string): number {
  return one<[number]>(statement('SELECT value FROM meta WHERE name = ?'), nameOf(type))?.[0] ?? 0;
}
