/**
 * DATA_DIR/bootstrap.json: where the server is and its first administrator, made at the first start. interface.md §1
 *
 * Invariants: the file is readable by its owner only (0600) and is complete or absent, never half written; an administrator who was
 * removed through the admin API does not come back with a restart.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clients } from './clients.ts';
import type { Endpoints } from './endpoints.ts';
import { newSecret } from './secret.ts';

export type Bootstrap = {
  readonly fhirBaseUrl: string;
  readonly tokenUrl: string;
  readonly consoleUrl: string;
  readonly admin: { readonly client_id: string; readonly client_secret: string };
};

export type BootstrapDeps = { readonly dataDir: string; readonly endpoints: Endpoints; readonly clients: Clients };

/** Resolves with the path of the file. */
export async function ensureBootstrap({ dataDir, endpoints, clients }: BootstrapDeps): Promise<string> {
  const path = bootstrapPath(dataDir);
  const addresses = { fhirBaseUrl: endpoints.fhir, tokenUrl: endpoints.token, consoleUrl: endpoints.console };
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // The file first: a crash before the registration is made good by the next start, a secret nobody wrote down would not be.
  const before = (await readIfThere(path)) ?? (await make(path, addresses));
  const bootstrap: Bootstrap = { ...addresses, admin: before.admin };
  if (JSON.stringify(before) !== JSON.stringify(bootstrap)) await writeWhole(path, bootstrap, rename);
  await registerAdmin(clients, before.admin);
  return path;
}

/** Of several servers that start for the first time at once, one makes the file and the others take what is in it. */
async function make(path: string, addresses: Omit<Bootstrap, 'admin'>): Promise<Bootstrap> {
  const made: Bootstrap = { ...addresses, admin: { client_id: `admin-${randomUUID()}`, client_secret: newSecret() } };
  try {
    // A link never replaces what is there.
    await writeWhole(path, made, link);
    return made;
  } catch (error) {
    const theirs = (error as NodeJS.ErrnoException).code === 'EEXIST' ? await readIfThere(path) : undefined;
    if (!theirs) throw error;
    return theirs;
  }
}

export function bootstrapPath(dataDir: string): string {
  return join(dataDir, 'bootstrap.json');
}

/** Throws Error with a sentence when the server was never started here. */
export async function readBootstrap(dataDir: string): Promise<Bootstrap> {
  const found = await readIfThere(bootstrapPath(dataDir));
  if (!found) throw new Error(`There is no ${bootstrapPath(dataDir)}: start the server once, or set ASSENT_DATA_DIR to its folder.`);
  return found;
}

async function registerAdmin(clients: Clients, admin: Bootstrap['admin']): Promise<void> {
  const isKnown = async () => (await clients.find(admin.client_id)) !== undefined || (await clients.isRetired(admin.client_id));
  if (await isKnown()) return;
  const registration = {
    ...admin,
    client_name: 'First administrator',
    scope: 'system/*.cruds admin',
    actor: 'Device/assent-administrator',
    purposes: ['HOPERAT'],
  };
  await clients.add(registration, 'first-start').catch(async (error: unknown) => {
    // Another server that starts at the same time was first.
    if (!(await isKnown())) throw error;
  });
}

async function readIfThere(path: string): Promise<Bootstrap | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Bootstrap;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${path} cannot be read: ${error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message}.`, { cause: error });
  }
}

async function writeWhole(path: string, bootstrap: Bootstrap, place: (from: string, to: string) => Promise<void>): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, `${JSON.stringify(bootstrap, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await place(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
