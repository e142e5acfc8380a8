/**
 * Brings an embedded database to this version: `umzug` runs the files of migrations/embedded in order, each in one transaction with its own
 * record. https://github.com/sequelize/umzug
 *
 * Invariant: the engine works only on a database whose recorded migrations are exactly those of this version and whose schema is as expected.
 */
import { readdirSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { Umzug } from 'umzug';
import { AssentError } from '../../errors.ts';
import { openDatabase } from './database.ts';
import { lockFolder } from './lock.ts';
import { schemaProblems } from './schema.ts';

type Migration = { readonly up: (connection: DatabaseSync) => void };

const folder = new URL('../../../migrations/embedded/', import.meta.url);

/** For `npm run migrate`: resolves with the names of the migrations it ran. Needs the folder to itself. */
export async function migrateEmbedded(dataDir: string): Promise<readonly string[]> {
  const release = lockFolder(dataDir);
  try {
    const database = openDatabase(dataDir, 'read-write');
    try {
      return await runMigrations(database.connection);
    } finally {
      database.close();
    }
  } finally {
    release();
  }
}

/** Creates what is not there yet; on an existing database only checks. Throws AssentError('unavailable') with the remedy. */
export async function prepareDatabase(connection: DatabaseSync): Promise<void> {
  if (isEmpty(connection)) await runMigrations(connection);
  requireCurrent(connection);
}

/** Throws AssentError('unavailable') unless this version of the server can use the database as it is. */
export function requireCurrent(connection: DatabaseSync): void {
  const done = executed(connection);
  const known = migrationNames();
  requireKnown(done, known);
  if (known.some((name) => !done.includes(name)))
    throw new AssentError('unavailable', 'The database is older than this server. Back it up, then run `npm run migrate`.');
  requireSchema(connection);
}

async function runMigrations(connection: DatabaseSync): Promise<readonly string[]> {
  connection.exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID');
  requireKnown(executed(connection), migrationNames());
  const umzug = new Umzug({
    context: connection,
    logger: undefined,
    migrations: migrationNames().map((name) => ({ name, up: () => runOne(connection, name) })),
    // runOne records a migration in the transaction that makes the change: a crash leaves both or neither.
    storage: {
      logMigration: () => Promise.resolve(),
      unlogMigration: () => Promise.reject(new Error('Migrations only go forward; restore a backup instead.')),
      executed: () => Promise.resolve(executed(connection)),
    },
  });
  const ran = await umzug.up();
  requireSchema(connection);
  return ran.map(({ name }) => name);
}

async function runOne(connection: DatabaseSync, name: string): Promise<void> {
  const migration = (await import(new URL(`${name}.ts`, folder).href)) as Migration;
  connection.exec('BEGIN IMMEDIATE');
  try {
    migration.up(connection);
    connection.prepare('INSERT INTO migrations VALUES (?)').run(name);
    connection.exec('COMMIT');
  } catch (error) {
    if (connection.isTransaction) connection.exec('ROLLBACK');
    throw error;
  }
}

function requireKnown(done: readonly string[], known: readonly string[]): void {
  const newer = done.filter((name) => !known.includes(name));
  if (newer.length > 0)
    throw new AssentError('unavailable', `The database was migrated by a newer server (${newer.join(', ')}). Run that version or a later one.`);
}

function requireSchema(connection: DatabaseSync): void {
  const problems = schemaProblems(connection);
  if (problems.length > 0) throw new AssentError('unavailable', `The database is not as this server left it: ${problems.join('; ')}.`);
}

function isEmpty(connection: DatabaseSync): boolean {
  return connection.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
}

function executed(connection: DatabaseSync): string[] {
  if (!connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").get()) return [];
  return connection
    .prepare('SELECT name FROM migrations ORDER BY name')
    .all()
    .map(({ name }) => String(name));
}

function migrationNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .sort();
}
