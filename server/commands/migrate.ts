/** `npm run migrate`: brings the database to this version and says what it did. The server itself never changes an existing database. */
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { migrateEmbedded } from '../store/embedded/migrations.ts';

/** Throws AssentError('unavailable') with the remedy when the database cannot be migrated. */
export async function migrate(config: Config): Promise<number> {
  if (config.MONGODB_URI !== '') throw new AssentError('unavailable', 'This version stores in the embedded engine only; unset ASSENT_MONGODB_URI.');
  const ran = await migrateEmbedded(config.DATA_DIR);
  for (const name of ran) process.stdout.write(`migrated ${name}\n`);
  process.stdout.write(`The database in ${config.DATA_DIR} is ${ran.length === 0 ? 'already ' : 'now '}at this version.\n`);
  return 0;
}
