/**
 * Stored search parameters with two server processes on one database: one learns of what the other was told, writes by both have the keys, and a
 * $reindex whose process is killed in the middle is ended by the other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSession, type Json, type Session } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { ADMIN_SCOPE } from '../support/real-server.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';

const STORED = 1_000;
const EACH = 500;

describe.skipIf(!findMongod())('two servers on one database', () => {
  let set: ReplicaSet;
  let dataDir: string;
  let servers: LaunchedServer[];
  let sessions: [Session, Session];

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'assent-parameters-'));
    set = await startReplicaSet();
    const ports = [await freePort(), await freePort()];
    const launch = (port: number) =>
      launchServer(dataDir, {
        ASSENT_PORT: String(port),
        ASSENT_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
        ASSENT_MONGODB_URI: set.uri('parameters'),
      });
    servers = await Promise.all(ports.map(launch));
    const session = async (i: number): Promise<Session> => {
      const { bootstrap } = servers[i] ?? expect.fail();
      const here = (url: string) => url.replace(/^http:\/\/[^/]+/, `http://127.0.0.1:${ports[i]}`);
      const there = {
        ...bootstrap,
        fhirBaseUrl: here(bootstrap.fhirBaseUrl),
        tokenUrl: here(bootstrap.tokenUrl),
        consoleUrl: here(bootstrap.consoleUrl),
      };
      return createSession(there, bootstrap.admin, ADMIN_SCOPE);
    };
    sessions = [await session(0), await session(1)];
  });
  afterAll(async () => {
    for (const server of servers ?? []) await server.end('SIGKILL');
    await set?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const organization = (id: string): Json => ({ resourceType: 'Organization', id, name: id, alias: [`alias ${id}`] });
  const load = async (session: Session, ids: readonly string[]) => {
    const entry = ids.map((id) => ({ request: { method: 'PUT', url: `Organization/${id}` }, resource: organization(id) }));
    const { status, text } = await session.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
    expect(status, text).toBe(200);
  };
  const total = async (session: Session, query: string) => {
    const { status, json, text } = await session.call('GET', `Organization?${query}&_summary=count`, undefined, { prefer: 'handling=strict' });
    return status === 200 ? json['total'] : text;
  };

  test('what is written by either while one reindexes and dies is found by the other', async () => {
    const [dying, living] = sessions;
    for (let at = 0; at < STORED; at += EACH)
      await load(
        dying,
        Array.from({ length: EACH }, (_, i) => `o${at + i}`),
      );
    // Both have made keys by now, neither knows of the parameter.
    await load(living, ['early']);
    const parameter = {
      resourceType: 'SearchParameter',
      url: 'http://example.org/SearchParameter/known-as',
      name: 'KnownAs',
      description: 'Other names',
      status: 'active',
      code: 'known-as',
      base: ['Organization'],
      type: 'string',
      expression: 'Organization.alias',
    };
    // The other writes all the time, from before it can know of it until it is ready.
    const written: string[] = [];
    let over = false;
    const writing = (async () => {
      for (let i = 0; !over; i++) {
        await load(living, [`w${i}`]);
        written.push(`w${i}`);
      }
    })();
    await expect.poll(() => written.length).toBeGreaterThan(2);
    expect((await dying.call('POST', 'SearchParameter', parameter)).status).toBe(201);
    for (const session of sessions) expect(await total(session, 'known-as=alias')).toContain('Organization/$reindex');
    const started = await dying.call('POST', 'Organization/$reindex');
    const job = (started.headers.get('content-location') ?? '').replace(/^.*\/fhir\//, '');
    await expect.poll(async () => (await living.call('GET', job)).headers.get('x-progress') ?? '', { interval: 10 }).toMatch(/[1-9]/);
    await servers[0]?.end('SIGKILL');
    expect(await total(living, 'known-as=alias')).toContain('Organization/$reindex');
    await expect.poll(async () => (await living.call('GET', job)).status, { interval: 200 }).toBe(200);
    over = true;
    await writing;
    const all = await total(living, 'name:missing=false');
    expect(all).toBe(STORED + 1 + written.length);
    expect(await total(living, 'known-as=alias')).toBe(all);
    expect(written.length).toBeGreaterThan(10);
  });
});
