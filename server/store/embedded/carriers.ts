/** Which types have a live resource with a key: one seek for each type. */
import { type Database, many } from './database.ts';

export function carriers({ statement }: Database, key: string, types: readonly string[]): string[] {
  const sql = 'SELECT t.value FROM json_each(?) AS t WHERE EXISTS (SELECT 1 FROM keys WHERE keys.type = t.value AND keys.key = ?)';
  return many<[string]>(statement(sql), JSON.stringify(types), key).map(([type]) => type);
}
