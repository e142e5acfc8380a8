/** `npm run migrate`: brings the database to this version and says what it did. The server itself never changes an existing database. */
import type { Config } from '../config.ts';
import { migrateEmbedded } from '../store/embedded/migrations.ts';
import { migrateMongo } from '../store/mongo/migrations.ts';

/** Throws AssentError('unavailable') with the remedy when the database cannot be migrated. */
export async function migrate(config: Config): Promise<number> {
  const embedded = config.MONGODB_URI === '';
  const ran = embedded ? await migrateEmbedded(config.DATA_DIR) : await migrateMongo(config.MONGODB_URI);
  for (const name of ran) process.stdout.write(`migrated ${name}\n`);
  process.stdout.write(`The database ${embedded ? `in ${config.DATA_DIR} ` : ''}is ${ran.length === 0 ? 'already ' : 'now '}at this version.\n`);
  return 0;
}
