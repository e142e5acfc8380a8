/** Several processes on one database: what one has been told is true for all. Real processes where one has to be stopped in the middle. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all, any } from '../../../server/search/expression.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine } from '../../../server/store/port.ts';
import { query, resource, store, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

describe.skipIf(!findMongod())('several processes on one database', () => {
  let set: ReplicaSet;
  let one: Engine;
  let other: Engine;
  let uri: string;
  beforeAll(async () => {
    set = await startReplicaSet();
    uri = set.uri(`processes-${process.pid}`);
    const open = () => createMongoEngine({ uri, clock: () => Date.UTC(2026, 0, 1) });
    // Both find the database empty and make it.
    [one, other] = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    await Promise.all([one, other].map(({ resources }) => resources.close()));
    await set.stop();
  });

  test('1,000 withdrawals accepted by one are effective on the next read of the other', async () => {
    await store({ engine: one }, resource('Race', 'a', { keys: ['@patient/1'] }));
    let permitted = 0;
    for (let i = 0; i < 1_000; i++) {
      const scope = { epoch: await other.resources.epoch(), where: any(['@patient/1']) };
      const before = other.resources.find(query('Race', { scope }));
      const withdrawal = i % 2 === 0 ? one : other;
      const reader = i % 2 === 0 ? other : one;
      expect(await withdrawal.resources.commit(writes([], { bumpEpoch: true }))).toEqual({ kind: 'committed' });
      expect(await reader.resources.find(query('Race', { scope }))).toEqual({ kind: 'stale' });
      if ((await before).kind === 'rows') permitted++;
    }
    // Readers that were under way before were answered, so the race was one.
    expect(permitted).toBeGreaterThan(0);
  });

  test('guards hold between processes: versions, conditional creates, records, once-only codes', async () => {
    const engines = Array.from({ length: 20 }, (_, i) => (i % 2 ? one : other));
    await store({ engine: one }, resource('Guarded', 'a', { version: 'first' }));
    const guard = { kind: 'version' as const, type: 'Guarded', id: 'a', version: 'first' };
    const updates = await Promise.all(engines.map((engine) => engine.resources.commit(writes([resource('Guarded', 'a')], { guards: [guard] }))));
    expect(updates.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
    const noMatch = { kind: 'no-match' as const, type: 'Created', where: any(['identifier']), scope: 'internal' as const };
    const creates = await Promise.all(
      engines.map((engine, i) => engine.resources.commit(writes([resource('Created', `r${i}`, { keys: ['identifier'] })], { guards: [noMatch] }))),
    );
    expect(creates.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
    await one.records.put('code', 'x', 1);
    const uses = await Promise.all(engines.map((engine) => engine.records.delete('code', 'x')));
    expect(uses.filter(Boolean)).toHaveLength(1);
  });

  test('of two that each rely on what the other changes, one is refused', async () => {
    let refused = 0;
    for (let i = 0; i < 20; i++) {
      const [a, b] = [`a${i}`, `b${i}`];
      await store({ engine: one }, resource('Skew', a, { version: 'first' }), resource('Skew', b, { version: 'first' }));
      const relying = (on: string) => [{ kind: 'version' as const, type: 'Skew', id: on, version: 'first' }];
      const results = await Promise.all([
        one.resources.commit(writes([resource('Skew', a)], { guards: relying(b) })),
        other.resources.commit(writes([resource('Skew', b)], { guards: relying(a) })),
      ]);
      refused += results.filter(({ kind }) => kind === 'conflict').length;
    }
    expect(refused).toBe(20);
  });

  test('the log is numbered once and without gaps by processes that number at once, one of them stopped again and again', async () => {
    const numberers = [startNumberer('left', uri), startNumberer('right', uri)];
    await Promise.all(numberers.map(({ ready }) => ready));
    const [left] = numberers;
    for (let round = 0; round < 12; round++) {
      // Anywhere: before its reading, between reading and writing, before its answer.
      left?.child.kill('SIGSTOP');
      await sleep(40 + 17 * (round % 5));
      const before = (await one.resources.readLog(0, 100_000)).length;
      await one.resources.commit(writes([], { log: [{ key: `round-${round}`, entry: '' }] }));
      expect((await other.resources.readLog(before, 100_000)).map(({ key }) => key)).toContain(`round-${round}`);
      left?.child.kill('SIGCONT');
      await sleep(30);
    }
    const written = await Promise.all(numberers.map(({ stop }) => stop()));
    const rows = await one.resources.readLog(0, 1_000_000);
    expect(rows.map(({ index }) => index)).toEqual(rows.map((_, i) => i));
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
    expect(rows.length).toBe(12 + written.reduce((sum, count) => sum + count, 0));
    for (const [i, name] of ['left', 'right'].entries()) {
      const own = rows.filter(({ key }) => key.startsWith(name)).map(({ key }) => Number(key.split('-')[1]));
      expect(own).toEqual(Array.from({ length: written[i] ?? -1 }, (_, n) => n));
    }
    expect(await other.resources.readLog(0, 1_000_000)).toEqual(rows);
  });

  test('a server killed in the middle leaves nothing that holds up the others', async () => {
    const numberer = startNumberer('killed', uri);
    await numberer.ready;
    numberer.child.kill('SIGKILL');
    await once(numberer.child, 'exit');
    await one.resources.commit(writes([resource('After', 'a')], { log: [{ key: 'after the kill', entry: '' }], bumpEpoch: true }));
    const rows = await other.resources.readLog(0, 1_000_000);
    expect(rows.at(-1)?.key).toBe('after the kill');
    expect(rows.map(({ index }) => index)).toEqual(rows.map((_, i) => i));
    expect(await other.resources.count({ type: 'After', where: all, scope: 'internal' })).toEqual({ kind: 'count', total: 1 });
  });
});

/** A process that writes log rows, ten at a time, and has them numbered; `stop` resolves with how many were acknowledged. */
function startNumberer(name: string, uri: string): { child: ChildProcess; ready: Promise<unknown>; stop: () => Promise<number> } {
  const script = new URL('./numberer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, uri, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ready = once(child.stdout as NodeJS.ReadableStream, 'data');
  const stop = async (): Promise<number> => {
    const ended = once(child, 'exit');
    child.stdin?.end();
    await ended;
    return Number(output.trim().split('\n').at(-1));
  };
  return { child, ready, stop };
}
