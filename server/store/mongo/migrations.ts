/**
 * Brings a MongoDB database to this version: `umzug` runs the files of migrations/mongo in order. https://github.com/sequelize/umzug
 * Indexes cannot be made in a transaction, so every step of a migration may be repeated: one that was cut off is run again as a whole.
 *
 * Invariant: the engine works only on a database whose recorded migrations are exactly those of this version and whose schema is as expected.
 */
import { readdirSync } from 'node:fs';
import type { Db } from 'mongodb';
import { MigrationError, Umzug } from 'umzug';
import { AssentError } from '../../errors.ts';
import { type Connection, connect, DURABLE } from './connection.ts';
import { translate } from './faults.ts';
import { schemaProblems } from './schema.ts';
import { requireFinished } from './unfinished.ts';

type Migration = { readonly up: (database: Db) => Promise<void> };
type Executed = { readonly _id: string };

const folder = new URL('../../../migrations/mongo/', import.meta.url);

/** For `npm run migrate`: resolves with the names of the migrations it ran. */
export async function migrateMongo(uri: string): Promise<readonly string[]> {
  const connection = await connect(uri);
  try {
    return await runMigrations(connection.database);
  } catch (error) {
    throw translate(error);
  } finally {
    await connection.close();
  }
}

/** For a copy: what prepareDatabase does for a server, which would refuse a database that is being copied into. */
export async function migrateFresh({ database }: Connection): Promise<void> {
  await runMigrations(database);
}

/** For a copy that begins again: everything but the counters, which hold its mark, is thrown away and made anew. */
export async function migrateAnew({ database, collections }: Connection): Promise<void> {
  const { counters: _kept, ...others } = collections;
  for (const { collectionName } of Object.values(others)) await database.dropCollection(collectionName);
  await database.dropCollection('migrations');
  await runMigrations(database);
}

/** Creates what is not there yet; on a database with data only checks. Throws AssentError('unavailable') with the remedy. */
export async function prepareDatabase({ database }: Connection): Promise<void> {
  await requireFinished(database);
  if (await isFresh(database)) await runMigrations(database);
  const done = await executed(database);
  const known = migrationNames();
  requireKnown(done, known);
  if (known.some((name) => !done.includes(name)))
    throw new AssentError('unavailable', 'The database is older than this server. Back it up, then run `npm run migrate`.');
  await requireSchema(database);
}

async function runMigrations(database: Db): Promise<readonly string[]> {
  requireKnown(await executed(database), migrationNames());
  const migrations = database.collection<Executed>('migrations', { writeConcern: DURABLE });
  const umzug = new Umzug({
    context: database,
    logger: undefined,
    migrations: migrationNames().map((name) => ({ name, up: () => runOne(database, name) })),
    storage: {
      logMigration: async ({ name }) => void (await migrations.updateOne({ _id: name }, { $setOnInsert: { _id: name } }, { upsert: true })),
      unlogMigration: () => Promise.reject(new Error('Migrations only go forward; restore a backup instead.')),
      executed: () => executed(database),
    },
  });
  const ran = await umzug.up().catch((error: unknown) => {
    // What it wraps says whether to wait and try again.
    throw error instanceof MigrationError && error.cause instanceof Error ? error.cause : error;
  });
  await requireSchema(database);
  return ran.map(({ name }) => name);
}

async function runOne(database: Db, name: string): Promise<void> {
  const migration = (await import(new URL(`${name}.ts`, folder).href)) as Migration;
  await migration.up(database);
}

function requireKnown(done: readonly string[], known: readonly string[]): void {
  const newer = done.filter((name) => !known.includes(name));
  if (newer.length > 0)
    throw new AssentError('unavailable', `The database was migrated by a newer server (${newer.join(', ')}). Run that version or a later one.`);
}

async function requireSchema(database: Db): Promise<void> {
  const problems = await schemaProblems(database);
  if (problems.length > 0) throw new AssentError('unavailable', `The database is not as this server left it: ${problems.join('; ')}.`);
}

/** Nothing stored: new, or cut off while being made, also between two migrations, or being made by another server at this moment. */
async function isFresh(database: Db): Promise<boolean> {
  for (const name of ['resources', 'records', 'log']) if (await database.collection(name).findOne({}, { projection: { _id: 1 } })) return false;
  return true;
}

async function executed(database: Db): Promise<string[]> {
  return (await database.collection<Executed>('migrations').find().sort({ _id: 1 }).toArray()).map(({ _id }) => _id);
}

function migrationNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .sort();
}
