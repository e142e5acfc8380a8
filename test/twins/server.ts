/**
 * A server whose every answer is determined by what it was asked: its clock stands where it is put, its ids are those of the step it is at, and
 * it is told a public address that does not hold its port. What is sealed with a random number (page links) is not.
 */
import crypto, { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { createApp } from '../../server/app.ts';
import type { Bootstrap, Key } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { readConfig } from '../../server/config.ts';
import type { Json } from '../support/reference-consent.ts';
import { createRandom } from './random.ts';

export const PUBLIC = 'https://records.example';

/** The program under test: `newVersion` is that of its own module of ids. */
export type Program = { readonly createApp: typeof createApp; readonly newVersion: () => string };

export type Answered = {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly text: string;
  /** Log rows that the request had committed when it was answered. */
  readonly logged: number;
};
export type Asked = { readonly method: string; readonly path: string; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };
/** `token` '': none. */
export type TwinServer = {
  ask(token: string, asked: Asked): Promise<Answered>;
  /** For a client of this actor; `id` is the client's. */
  tokenOf(client: {
    readonly id: string;
    readonly actor: string;
    readonly purpose: string;
    readonly purposes: readonly string[];
    readonly scope: string;
  }): Promise<string>;
  enrol(key: Owned): Promise<Key>;
  readonly admin: string;
  restart(changed: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
};

export type Owned = { readonly owner: string; readonly pair: ReturnType<typeof generateKeyPairSync> };
export function keyOf(owner: string): Owned {
  return { owner, pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
}

/** Roots of the map of Consents are logged by the clock on the wall (docs/adr/0049-the-root-of-the-map-is-an-entry.md), whoever asks what meanwhile. */
function isOfRequest({ entry }: { readonly entry: string }): boolean {
  return (JSON.parse(entry) as Json)['kind'] !== 'map-root';
}

export type Starting = {
  readonly program: Program;
  readonly clock: () => number;
  readonly settings: Readonly<Record<string, string>>;
  /** A database of its own in a running replica set; absent: the embedded engine. */
  readonly mongo?: string;
};

export async function startTwinServer({ program, clock, settings, mongo }: Starting): Promise<TwinServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-twin-'));
  const port = await freePort();
  const own = {
    ASSENT_PORT: String(port),
    ASSENT_PUBLIC_URL: PUBLIC,
    ASSENT_DATA_DIR: dataDir,
    ASSENT_LOG_LEVEL: 'silent',
    ASSENT_CHECKPOINT_INTERVAL_MS: '1000',
    // What the times of answers tell is looked at elsewhere: test/http/held.test.ts, test/timing/run.ts.
    ASSENT_MISS_QUANTUM_MS: '0',
    ASSENT_VALIDATION_WORKERS: '1',
    ...(mongo === undefined ? {} : { ASSENT_MONGODB_URI: mongo }),
    ...settings,
  };
  let logged = 0;
  const open = async (changed: Readonly<Record<string, string>>) => {
    const opened = await program.createApp(readConfig({ ...own, ...changed }), {
      clock,
      through: (engine) => ({
        ...engine,
        resources: {
          ...engine.resources,
          commit: (writes) => {
            logged += writes.log.filter(isOfRequest).length;
            return engine.resources.commit(writes);
          },
        },
      }),
    });
    await opened.listen();
    return opened;
  };
  let app = await open({});
  const here = `http://127.0.0.1:${port}`;
  const bootstrap = JSON.parse(readFileSync(app.bootstrap, 'utf8')) as Bootstrap;

  const ask: TwinServer['ask'] = async (token, { method, path, body, headers = {} }) => {
    const before = logged;
    const url = path.startsWith(PUBLIC)
      ? path.replace(PUBLIC, here)
      : path.startsWith('/')
        ? here + path
        : `${here}/fhir${path === '' || path.startsWith('?') ? path : `/${path}`}`;
    const isForm = typeof body === 'string';
    const type = path.startsWith('/admin') ? 'application/json' : 'application/fhir+json';
    const response = await fetch(url, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined || isForm ? {} : { 'content-type': type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
    });
    return { status: response.status, headers: [...response.headers], text: await response.text(), logged: logged - before };
  };
  const grant = async (client: string, secret: string, more: Readonly<Record<string, string>>): Promise<string> => {
    const response = await fetch(bootstrap.tokenUrl.replace(PUBLIC, here), {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...more }),
    });
    const granted = (await response.json()) as Json;
    if (typeof granted['access_token'] !== 'string') throw new Error(`No token: ${JSON.stringify(granted)}`);
    return granted['access_token'];
  };
  const admin = await grant(bootstrap.admin.client_id, bootstrap.admin.client_secret, { scope: 'system/*.cruds admin' });
  return {
    ask,
    admin,
    async tokenOf({ id, actor, purpose, purposes, scope }) {
      const secret = randomBytes(24).toString('base64url');
      const client = {
        client_id: id,
        client_name: id,
        client_secret: secret,
        scope,
        actor,
        purposes,
        grant_types: ['client_credentials'],
      };
      const made = await ask(admin, { method: 'POST', path: '/admin/clients', body: client });
      if (made.status !== 201) throw new Error(`No client: ${made.text}`);
      return grant(id, secret, { scope, purpose_of_use: purpose });
    },
    async enrol({ owner, pair }) {
      const made = await ask(admin, {
        method: 'POST',
        path: '/admin/keys',
        body: { owner, jwk: pair.publicKey.export({ format: 'jwk' }), proofing: 'in-person' },
      });
      if (made.status !== 201) throw new Error(`No key: ${made.text}`);
      return { owner, kid: String((JSON.parse(made.text) as Json)['kid']), privateKey: pair.privateKey };
    },
    async restart(changed) {
      await app.close();
      app = await open(changed);
    },
    async stop() {
      await app.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * Ids are drawn from a pool that is filled some hundred at a time (server/fhir/ids.ts). `at` empties it and has it filled with what follows from
 * the number of the step alone: what two servers make at the same step has the same ids. `end` puts chance back in its place.
 */
export function plannedIds({ newVersion }: Pick<Program, 'newVersion'>): { at(step: number): void; end(): void } {
  const real = crypto.randomFillSync;
  let step = 0;
  let filled = false;
  crypto.randomFillSync = ((buffer: NodeJS.ArrayBufferView, ...rest: number[]) => {
    if (!(buffer instanceof BigUint64Array)) return (real as (...all: unknown[]) => unknown)(buffer, ...rest);
    const random = createRandom(step);
    for (let i = 0; i < buffer.length; i++)
      buffer[i] = (BigInt(Math.floor(random.next() * 4_294_967_296)) << 32n) | BigInt(Math.floor(random.next() * 4_294_967_296));
    filled = true;
    return buffer;
  }) as typeof crypto.randomFillSync;
  syncBuiltinESMExports();
  return {
    at(number) {
      step = number;
      filled = false;
      for (let drawn = 0; !filled; drawn++) {
        if (drawn > 100_000) throw new Error('Ids are no longer drawn as this expects.');
        newVersion();
      }
    },
    end() {
      crypto.randomFillSync = real;
      syncBuiltinESMExports();
    },
  };
}
