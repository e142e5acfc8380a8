/**
 * Requests for a Consent on two servers over one database, and a deadline that passes in the middle of an approval: one outcome, and no limit is
 * passed. consent.md §5
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type App, createApp } from '../../server/app.ts';
import { type Client, createSession, enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { readConfig } from '../../server/config.ts';
import type { Engine, WriteSet } from '../../server/store/port.ts';
import { approve, askFor, type Asked, refuse, type Task, toldOf } from '../support/consent-requests.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import {
  ADMIN_SCOPE,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const MINUTE = 60_000;
const SCOPE = 'system/*.cruds';

type Side = { readonly admin: Session; readonly insurer: Session };
type Made = Asked & { readonly key: Key; readonly patient: string };

/** Work that is held up on its way to the database, or told of it. */
type Watch = { beforeCommit: (writes: WriteSet) => Promise<void>; onLookUp: () => void };
const idle = (): Watch => ({ beforeCommit: async () => undefined, onLookUp: () => undefined });

function watched(watch: Watch): (engine: Engine) => Engine {
  return ({ resources, records, ...engine }) => ({
    ...engine,
    resources: {
      ...resources,
      commit: async (writes) => {
        await watch.beforeCommit(writes);
        return resources.commit(writes);
      },
    },
    records: {
      ...records,
      get: (kind, id) => {
        if (kind === 'consent-request') watch.onLookUp();
        return records.get(kind, id);
      },
    },
  });
}

async function prepared(server: RealServer): Promise<{ readonly client: Client; readonly custodian: Key }> {
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  return { client: (await register(server, { actor: INSURER })).client, custodian: await enrolKey(server.admin, HOSPITAL) };
}

async function person({ admin }: Side, id: string): Promise<Key> {
  await put({ admin }, patient(id));
  await put({ admin }, observation(`o-${id}`, `Patient/${id}`));
  return enrolKey(admin, `Patient/${id}`);
}

async function asked(server: RealServer, side: Side, { id, minutes }: { readonly id: string; readonly minutes: number }): Promise<Made> {
  const key = await person(side, id);
  const until = new Date(server.now() + minutes * MINUTE).toISOString();
  const { status, json } = await askFor(side.insurer, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), until);
  expect(status).toBe(202);
  return { ...(await toldOf(json as Task, side.admin)), key, patient: id };
}

async function outcome({ admin, insurer }: Side, { own, consent, patient: id }: Made): Promise<unknown> {
  const [task, resource] = [await insurer.call('GET', `Task/${own.id}`), await admin.call('GET', consent)];
  return [task.json['status'], resource.json['status'], (await insurer.call('GET', `Observation/o-${id}`)).status];
}

describe('a deadline that passes', () => {
  const watch = idle();
  let server: RealServer;
  let side: Side;
  let custodian: Key;
  beforeAll(async () => {
    server = await startRealServer({}, { through: watched(watch) });
    const made = await prepared(server);
    custodian = made.custodian;
    side = { admin: server.admin, insurer: await createSession(server.bootstrap, made.client, SCOPE) };
  });
  afterAll(() => server?.stop());

  it('between a signature and its commit leaves nothing in force', async () => {
    const made = await asked(server, side, { id: 'late', minutes: 2 });
    expect((await approve(side.admin, made, [custodian])).status).toBe(202);
    // The second look at the request is the one after the signature was verified.
    let looks = 0;
    watch.onLookUp = () => {
      if (++looks === 2) server.advance(3 * MINUTE);
    };
    expect((await approve(side.admin, made, [made.key])).status).toBe(422);
    Object.assign(watch, idle());
    expect(looks).toBeGreaterThanOrEqual(2);
    expect(await outcome(side, made)).toEqual(['requested', 'proposed', 404]);
    await server.restart();
    await expect.poll(() => outcome(side, made)).toEqual(['rejected', 'rejected', 404]);
  });
});

describe.skipIf(!findMongod())('two servers', () => {
  const watch = idle();
  let set: ReplicaSet;
  let server: RealServer;
  let other: App;
  let port: number;
  let sides: readonly [Side, Side];
  let custodian: Key;
  let client: Client;

  /** The sessions of both callers on a server of this origin. */
  const signedIn = async (origin: string): Promise<Side> => {
    const bootstrap = { ...server.bootstrap, fhirBaseUrl: `${origin}/fhir`, tokenUrl: `${origin}/auth/token` };
    return { admin: await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE), insurer: await createSession(bootstrap, client, SCOPE) };
  };
  const originOf = (at: number) => `http://127.0.0.1:${at}`;
  const openOther = async (): Promise<App> => {
    const { origin } = new URL(server.bootstrap.fhirBaseUrl);
    const environment = { ...server.environment, ASSENT_PORT: String(port), ASSENT_PUBLIC_URL: origin };
    const app = await createApp(readConfig(environment), { clock: server.now, logTo: { write: () => undefined } });
    await app.listen();
    return app;
  };

  beforeAll(async () => {
    set = await startReplicaSet(1);
    server = await startRealServer({ ASSENT_MONGODB_URI: set.uri(`requests-${process.pid}`) }, { through: watched(watch) });
    const made = await prepared(server);
    custodian = made.custodian;
    client = made.client;
    port = await freePort();
    other = await openOther();
    sides = [await signedIn(new URL(server.bootstrap.fhirBaseUrl).origin), await signedIn(originOf(port))];
  });
  afterAll(async () => {
    await other?.close();
    await server?.stop();
    await set?.stop();
  });

  it('take no more requests about one patient than one does', async () => {
    await person(sides[0], 'wanted');
    const until = new Date(server.now() + 60 * MINUTE).toISOString();
    const terms = termsOf(server, { patient: 'Patient/wanted', grantee: INSURER });
    const statuses = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => (await askFor((sides[i % 2] as Side).insurer, terms, until)).status),
    );
    expect(Object.groupBy(statuses, String)).toEqual({ 202: Array.from({ length: 5 }, () => 202), 429: Array.from({ length: 7 }, () => 429) });
  });

  it('bring a Consent into force once when each gets one of the signatures at the same moment', async () => {
    for (let i = 0; i < 5; i++) {
      const made = await asked(server, sides[0], { id: `both-${i}`, minutes: 60 });
      const answers = await Promise.all([approve(sides[0].admin, made, [made.key]), approve(sides[1].admin, made, [custodian])]);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 202]));
      expect(await outcome(sides[1], made)).toEqual(['completed', 'active', 200]);
    }
  });

  it('decide once when one is told yes and the other no', async () => {
    for (let i = 0; i < 5; i++) {
      const made = await asked(server, sides[0], { id: `either-${i}`, minutes: 60 });
      expect((await approve(sides[1].admin, made, [custodian])).status).toBe(202);
      const [yes, no] = await Promise.all([
        approve(sides[i % 2 === 0 ? 0 : 1].admin, made, [made.key]),
        refuse(sides[i % 2 === 0 ? 1 : 0].admin, made, { key: made.key, now: server.now() }),
      ]);
      expect([yes.status, no.status].filter((status) => status < 300)).toHaveLength(1);
      expect(await outcome(sides[0], made)).toEqual(yes.status < 300 ? ['completed', 'active', 200] : ['requested', 'rejected', 404]);
    }
  });

  it('end it once when the other ends it at its deadline while an approval is being committed', async () => {
    const made = await asked(server, sides[0], { id: 'overtaken', minutes: 2 });
    expect((await approve(sides[0].admin, made, [custodian])).status).toBe(202);
    await other.close();
    let held: (() => void) | undefined;
    const reached = new Promise<void>((resolve) => {
      watch.beforeCommit = async ({ resources }) => {
        // Not what the server commits by itself meanwhile.
        if (!resources.some(({ type }) => type === 'Consent')) return;
        await new Promise<void>((release) => {
          held = release;
          resolve();
        });
      };
    });
    const approving = approve(sides[0].admin, made, [made.key]);
    await reached;
    watch.beforeCommit = idle().beforeCommit;
    server.advance(3 * MINUTE);
    // It looks at deadlines as soon as it is up.
    other = await openOther();
    await expect.poll(() => outcome(sides[0], made)).toEqual(['rejected', 'rejected', 404]);
    held?.();
    expect((await approving).status).toBe(422);
    expect(await outcome(sides[1], made)).toEqual(['rejected', 'rejected', 404]);
  });
});
