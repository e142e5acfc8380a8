/** The server as a process of its own: what it acknowledged survives kill -9, one process owns a folder, a stop drains, a bad setting is a sentence. */
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import { createSession, enrolKey, type Json } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { systemClock } from '../../server/clock.ts';
import { ADMIN_SCOPE, agree, HOSPITAL, organization, put, register, termsOf } from '../support/real-server.ts';
import { type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';

const INSURER = 'Organization/insurer';
const ready = async ({ bootstrap }: LaunchedServer) => (await fetch(new URL('/readyz', bootstrap.fhirBaseUrl))).status;

let set: ReplicaSet | undefined;
let dataDir: string;
let port: string;
beforeAll(async () => {
  if (process.env['ASSENT_TEST_ENGINE'] === 'mongodb') set = await startReplicaSet();
  dataDir = await mkdtemp(join(tmpdir(), 'assent-process-'));
  port = String(await freePort());
});
afterAll(async () => {
  await set?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const launch = () => launchServer(dataDir, { ASSENT_PORT: port, ...(set ? { ASSENT_MONGODB_URI: set.uri('process') } : {}) });

async function adminOf(running: LaunchedServer) {
  return { bootstrap: running.bootstrap, admin: await createSession(running.bootstrap, running.bootstrap.admin, ADMIN_SCOPE), now: systemClock };
}

// Processes start slowly on a busy machine.

describe('a server process', () => {
  it('is killed in the middle of its work and has everything it acknowledged', async () => {
    const first = await launch();
    const before = await adminOf(first);
    for (const reference of [HOSPITAL, INSURER]) await put(before, organization(reference));
    const { client, session } = await register(before, { actor: INSURER });
    const custodian = await enrolKey(before.admin, HOSPITAL);
    const bundle = patientBundle(seededRandom(7), 1, HOSPITAL);
    const loaded = await before.admin.call('POST', '', bundle);
    expect(loaded.status).toBe(200);
    const [person] = loaded.json['entry'] as { response: { location: string } }[];
    const patient = /Patient\/[^/]+/.exec(person?.response.location ?? '')?.[0] ?? '';
    const key = await enrolKey(before.admin, patient);
    const { consent } = await agree(before, termsOf(before, { patient, grantee: INSURER }), [key, custodian]);
    // More is under way when the process dies: it may be there afterwards or not, but whole.
    const underWay = Array.from({ length: 8 }, () =>
      before.admin.call('POST', '', bundle).then(
        ({ status }) => status,
        () => 0,
      ),
    );
    expect((await session.call('GET', patient)).status).toBe(200);
    await first.end('SIGKILL');
    const acknowledged = (await Promise.all(underWay)).filter((status) => status === 200).length;

    const second = await launch();
    try {
      expect(await ready(second)).toBe(200);
      const insurer = await createSession(second.bootstrap, client, 'system/*.rs');
      expect((await insurer.call('GET', patient)).status).toBe(200);
      const found = await insurer.call('GET', `Observation?subject=${patient}&_summary=count`);
      expect(found.json['total']).toBe(bundle.entry.filter(({ resource }) => resource.resourceType === 'Observation').length);
      const { admin } = await adminOf(second);
      expect((await admin.call('GET', consent)).json['status']).toBe('active');
      const writes = await admin.call('GET', 'AuditEvent?_count=1000');
      const transactions = ((writes.json['entry'] ?? []) as { resource: Json }[]).filter(
        ({ resource }) => (resource['subtype'] as { code: string }[])[0]?.code === 'transaction',
      );
      expect(transactions.length).toBeGreaterThanOrEqual(1 + acknowledged);
    } finally {
      expect(await second.end('SIGTERM')).toBe(0);
    }
  });

  it('owns its folder, or shares a replica set', async () => {
    const owner = await launch();
    try {
      const second = launchServer(dataDir, set ? { ASSENT_MONGODB_URI: set.uri('process') } : {});
      if (set) expect([await ready(await second), await (await second).end('SIGTERM')]).toEqual([200, 0]);
      else await expect(second).rejects.toThrow(/^The server ended with 1: Another process is using the data folder .*; stop it first\.\s*$/);
      expect(await ready(owner)).toBe(200);
    } finally {
      expect(await owner.end('SIGTERM')).toBe(0);
    }
  });

  it('answers what is under way when it is told to stop, and ends with 0', async () => {
    const owner = await launch();
    try {
      expect(await ready(owner)).toBe(200);
    } finally {
      const { admin } = await adminOf(owner);
      const answer = admin.call('POST', '', patientBundle(seededRandom(8), 2, HOSPITAL));
      // Its request has been read once another one, sent later, is answered.
      await fetch(new URL('/healthz', owner.bootstrap.fhirBaseUrl));
      const [{ status }, code] = await Promise.all([answer, owner.end('SIGTERM')]);
      expect([status, code]).toEqual([200, 0]);
    }
  });

  it('waits for nobody who connected and said nothing', async () => {
    const running = await launch();
    const silent = connect(Number(port), '127.0.0.1');
    await once(silent, 'connect');
    // A second one that is answered: the server has met both by then.
    expect(await ready(running)).toBe(200);
    const gone = once(silent, 'close');
    const began = performance.now();
    expect(await running.end('SIGTERM')).toBe(0);
    await gone;
    // Node gives up on them after a minute.
    expect(performance.now() - began).toBeLessThan(55_000);
  });
});

describe('a bad setting stops the start with a sentence', () => {
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [
      { ASSENT_NO_SUCH: '1', ASSENT_PORT: 'many', ASSENT_IMPLICIT_POLICY: 'allow', ASSENT_APPROVALS: 'none' },
      /ASSENT_NO_SUCH is not a setting; .*config.* lists them all\.\nASSENT_PORT must be .*\nASSENT_APPROVALS must be .*\nASSENT_IMPLICIT_POLICY must be one of deny, /,
    ],
    [{ ASSENT_IMPLICIT_POLICY: 'break-glass' }, /ASSENT_IMPLICIT_POLICY=break-glass needs ASSENT_BREAK_GLASS_ACTORS\./],
    [{ ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_IMPLICIT_EXCEPT: 'SECRET' }, /ASSENT_IMPLICIT_EXCEPT: SECRET is neither /],
  ];

  it('and leaves the folder as it was', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'assent-process-'));
    try {
      await Promise.all(cases.map(([settings, sentence]) => expect(launchServer(folder, settings)).rejects.toThrow(sentence)));
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
