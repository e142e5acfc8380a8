/**
 * A primary that hangs, or whose answers are lost: whoever asks is told within seconds that it is unavailable, and what becomes of a commit with an
 * unknown outcome is all or nothing, once, and not undone by asking again.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all } from '../../../server/search/expression.ts';
import { ANSWER_MS } from '../../../server/store/mongo/faults.ts';
import { connect } from '../../../server/store/mongo/connection.ts';
import { createCommitter } from '../../../server/store/mongo/group-commit.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine, WriteSet } from '../../../server/store/port.ts';
import { query, resource, writes } from '../../contract/subject.ts';
import { freeze, until, wake } from '../../faults/members.ts';
import { createNetwork, ISLANDER, type Network } from '../../faults/network.ts';
import { findMongod, type Member, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const found = findMongod();
/** What a busy machine adds: the suites of other threads run at the same time. Without the limit it would be the driver's thirty seconds. */
const SLACK_MS = 5_000;
const unavailable = { status: 'rejected', reason: { code: 'unavailable', retryAfter: 2 } };

describe.skipIf(!found || 'uri' in found)('a primary that does not answer', () => {
  let heard: (request: Buffer) => void = () => undefined;
  const network: Network = createNetwork((request) => heard(request));
  let set: ReplicaSet;
  let member: Member;
  let engine: Engine;
  beforeAll(async () => {
    set = await startReplicaSet(1, network.front);
    member = set.members[0] ?? expect.fail();
    engine = await createMongoEngine({ uri: set.uri('late'), clock: () => 1_000 });
  });
  afterAll(async () => {
    await engine.resources.close();
    await set.stop();
    await network.close();
  });

  const versionOf = async (id: string) => {
    const answer = await engine.resources.find(query('Late', { where: { kind: 'id', ids: new Set([id]) } }));
    return answer.kind === 'rows' ? answer.rows[0]?.version : expect.fail();
  };
  /** The first version of a resource, with its row. */
  const first = (id: string): WriteSet =>
    writes([resource('Late', id)], { guards: [{ kind: 'version', type: 'Late', id, version: null }], log: [{ key: id, entry: id }] });
  let checks = 0;
  const recovered = () =>
    until('it writes again', () =>
      engine.resources.commit(first(`check ${checks++}`)).then(
        () => true,
        () => false,
      ),
    );
  const rowsOf = async (id: string) => (await engine.resources.readLog(0, 1_000)).filter(({ key }) => key === id).length;

  async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly outcome: T }> {
    const begun = performance.now();
    const outcome = await work();
    return { ms: performance.now() - begun, outcome };
  }

  test('is unavailable within the time that is promised, to whoever asks then at once', async () => {
    const epoch = await engine.resources.epoch();
    try {
      await freeze(member);
      const { ms, outcome } = await timed(() =>
        Promise.allSettled([
          engine.resources.commit(first('frozen')),
          engine.resources.commit(first('waiting')),
          engine.resources.epoch(),
          engine.resources.find(query('Late', { scope: { epoch, where: all } })),
          engine.resources.find(query('Late', { where: { kind: 'id', ids: new Set(['x']) } })),
          engine.records.get('kind', 'id'),
          engine.records.put('kind', 'id', 1),
          engine.resources.lease('lease', 'me', 1_000),
        ]),
      );
      for (const one of outcome) expect(one).toMatchObject(unavailable);
      expect(ms).toBeLessThan(ANSWER_MS + SLACK_MS);
      const next = await timed(() => Promise.allSettled([engine.resources.commit(first('next'))]));
      expect(next.outcome).toMatchObject([unavailable]);
      expect(next.ms).toBeLessThan(ANSWER_MS + SLACK_MS);
    } finally {
      wake(member);
    }
    await recovered();
    expect(await engine.resources.commit(first('after'))).toEqual({ kind: 'committed' });
    // Whatever became of them: all or nothing, and asking again does not write twice.
    for (const id of ['frozen', 'waiting', 'next']) {
      const there = (await versionOf(id)) !== undefined;
      expect([id, await rowsOf(id)]).toEqual([id, there ? 1 : 0]);
      expect((await engine.resources.commit(first(id))).kind).toBe(there ? 'conflict' : 'committed');
      expect([id, await rowsOf(id)]).toEqual([id, 1]);
    }
  });

  test('that commits, its answer lost: unavailable in time, there once, and asking again changes nothing', async () => {
    const set = first('unheard');
    let commits = 0;
    heard = (request) => {
      if (!request.includes('commitTransaction')) return;
      commits++;
      network.cut('deaf', ({ from }) => from === 'mainland');
    };
    const { ms, outcome } = await timed(() => Promise.allSettled([engine.resources.commit(set)]));
    heard = () => undefined;
    network.heal();
    expect(outcome).toMatchObject([unavailable]);
    expect(commits).toBeGreaterThan(0);
    expect(ms).toBeLessThan(ANSWER_MS + SLACK_MS);
    await recovered();
    expect(await versionOf('unheard')).toBe(set.resources[0]?.version);
    expect((await engine.resources.commit(first('unheard'))).kind).toBe('conflict');
    expect([await versionOf('unheard'), await rowsOf('unheard')]).toEqual([set.resources[0]?.version, 1]);
  });

  test('while a large commit that moves the epoch hangs, withdrawals do not, nor is it begun again for them', async () => {
    const other = await createMongoEngine({ uri: set.uri('late') + ISLANDER, clock: () => 1_000 });
    try {
      let begun = 0;
      const hanging = Promise.withResolvers<void>();
      heard = (request) => {
        if (!request.includes('insert') || !request.includes('Bulk/59')) return;
        begun++;
        network.cut('silent', ({ from }) => from === 'mainland');
        hanging.resolve();
      };
      const before = await other.resources.epoch();
      const bulk = Array.from({ length: 60 }, (_, i) => resource('Bulk', `${i}`));
      const large = engine.resources.commit(writes(bulk, { bumpEpoch: true }));
      await hanging.promise;
      for (let i = 0; i < 5; i++) {
        const { ms, outcome } = await timed(() => other.resources.commit(writes([], { bumpEpoch: true })));
        expect(outcome).toEqual({ kind: 'committed' });
        expect(ms).toBeLessThan(SLACK_MS);
      }
      network.heal();
      expect(await large).toEqual({ kind: 'committed' });
      expect([begun, await other.resources.epoch()]).toEqual([1, before + 6]);
      expect(await engine.resources.epoch()).toBe(before + 6);
    } finally {
      heard = () => undefined;
      network.heal();
      await other.resources.close();
    }
  });

  /** As the driver does for good where a connection is destroyed between its check and its write: what it waits for is never said. */
  test('of which nothing is ever heard holds up those after it for a while, not for good', async () => {
    const connection = await connect(set.uri('late'));
    let isHanging = true;
    const { resources } = connection.inSession;
    const hanging = new Proxy(resources, {
      get: (target, name) => {
        if (name === 'insertMany' && isHanging) return () => new Promise(() => undefined);
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    const committer = createCommitter({
      connection: { ...connection, inSession: { ...connection.inSession, resources: hanging } },
      clock: () => 1_000,
      overMs: 1_000,
    });
    expect(await Promise.allSettled([committer.commit(first('never'))])).toMatchObject([unavailable]);
    isHanging = false;
    expect(await Promise.allSettled([committer.commit(first('too early'))])).toMatchObject([unavailable]);
    await until('it writes again', () =>
      committer.commit(first(`after ${checks++}`)).then(
        () => true,
        () => false,
      ),
    );
    expect(await committer.commit(first('never'))).toEqual({ kind: 'committed' });
    await committer.close();
    await connection.close();
  });
});
