/** Many logs under one root: an aggregate as a process of its own, over logs that grow, die, lie and fork. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Aggregated, aggregateKey, openPiece } from '../../ledger/aggregate.ts';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import type { Checkpoint } from '../../ledger/checkpoint-text.ts';
import { newSignerKey, parseSignerKey, type VerifierKey } from '../../ledger/note.ts';
import { verifyConsistency } from '../../ledger/proof.ts';
import { createRemoteLog } from '../../ledger/remote-log.ts';
import { consistencyProof } from '../../ledger/tree.ts';
import { type AggregateProcess, launchAggregate, runAggregate, type RunningAggregate } from '../support/aggregate-process.ts';
import { type ServedLog, serveLog } from '../support/served-log.ts';

let folder: string;
const logs: ServedLog[] = [];
const ends: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-aggregate-'));
  logs.push(...(await Promise.all([serveLog(), serveLog(), serveLog()])));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await Promise.all(logs.splice(0).map((log) => log.dispose()));
  rmSync(folder, { recursive: true, force: true });
});

const at = (i: number): ServedLog => logs[i] ?? expect.fail('There is no such log.');

function place(): { readonly folder: string; readonly logs: string } {
  const policy = join(folder, 'logs.txt');
  writeFileSync(policy, logs.map(({ line }) => line).join(''));
  return { folder: join(folder, 'aggregate'), logs: policy };
}

async function launch(port: number): Promise<AggregateProcess> {
  const started = await launchAggregate({ ...place(), port });
  ends.push(() => started.end('SIGKILL'));
  return started;
}

/** Stopped by the test, or after it. */
async function run(more: Partial<Parameters<typeof runAggregate>[0]> = {}) {
  const { stop, ...started } = await runAggregate({ ...place(), ...more });
  let stopped: Promise<void> | undefined;
  const once = () => (stopped ??= stop());
  ends.push(once);
  return { ...started, stop: once };
}

const keyOf = ({ key }: RunningAggregate): VerifierKey => aggregateKey(key) ?? expect.fail('It has no key.');

/** What is proven of a log under the newest checkpoint. */
async function proven(aggregate: RunningAggregate, { key }: ServedLog): Promise<Aggregated | undefined> {
  const [piece] = (await aggregate.piecesOf(key.name)) ?? [];
  const opened = piece && openPiece(piece, keyOf(aggregate), [key]);
  return typeof opened === 'string' ? expect.fail(opened) : opened;
}

const sizes = (aggregate: RunningAggregate) => Promise.all(logs.map(async (log) => (await proven(aggregate, log))?.member.size));
const within = { timeout: 120_000, interval: 50 };

async function checkpointOf(aggregate: RunningAggregate): Promise<Checkpoint> {
  const opened = openCheckpoint(await createRemoteLog(aggregate.url, fetch).checkpoint(), [keyOf(aggregate)]);
  return opened.kind === 'signed' ? opened.checkpoint : expect.fail(opened.kind);
}

describe('an aggregate', () => {
  it('proves of each log what it signed, and nothing of the others', async () => {
    for (const [i, count] of [5, 300, 1].entries()) await at(i).grow(count);
    const aggregate = await run();
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual([5, 300, 1]), within);
    await at(0).grow(600);
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual([605, 300, 1]), within);
    expect((await checkpointOf(aggregate)).size).toBe(4);
    for (const { key } of logs) {
      const text = JSON.stringify(await aggregate.piecesOf(key.name));
      for (const other of logs) if (other.key !== key) expect(text).not.toContain(other.key.name);
    }
    // Without a log’s name nothing tells which logs there are.
    expect((await fetch(`${aggregate.url}/tile/entries/000.p/4`)).status).toBe(404);
    expect((await fetch(`${aggregate.url}/proof/${'0'.repeat(64)}`)).status).toBe(404);
  });

  it('leaves a log that is dead, lies, went back or forked where it was, says so, and goes on with the others', async () => {
    for (const log of logs) await log.grow(10);
    const aggregate = await run();
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual([10, 10, 10]), within);
    const told = (sentence: RegExp) => vi.waitFor(() => expect(aggregate.said()).toMatch(sentence), within);
    const shownBefore = await at(1).log.anchoring.publicLog.checkpoint();

    await at(0).close();
    await at(1).grow(5);
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual([10, 15, 10]), within);
    await told(/is left where it was: it cannot be read at the moment/);
    await at(0).open();

    at(1).shown = { checkpoint: async () => shownBefore };
    await at(0).grow(1);
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual([11, 15, 10]), within);
    await told(/WENT BACK: it shows 10 entries, but signed 15 before/);

    const stranger = parseSignerKey(newSignerKey(at(1).key.name)) ?? expect.fail();
    const [text = ''] = (shownBefore ?? '').split('\n\n');
    at(1).shown = { checkpoint: async () => `${text}\n\n${stranger.line(`${text}\n`)}` };
    await told(/BAD SIGNATURE: its checkpoint is unsigned/);
    at(1).shown = { checkpoint: async () => (shownBefore ?? '').replace(/.{6}\n$/, 'AAAA==\n') };
    await told(/BAD SIGNATURE: its checkpoint is (forged|malformed)/);

    // Whoever has the key of the log, another history under it.
    const forked = await serveLog();
    logs.push(forked);
    copyFileSync(join(at(1).log.dataDir, 'signer', 'key'), join(forked.log.dataDir, 'signer', 'key'));
    await forked.log.anchoring.sealer.stop();
    await forked.log.reopen();
    await forked.log.anchoring.sealer.start();
    forked.log.time.now += 5000;
    await forked.grow(40);
    at(1).shown = forked.log.anchoring.publicLog;
    await told(/FORKED: its 40 entries do not begin with the 15 taken before/);
    await at(2).grow(2);
    await vi.waitFor(async () => expect(await sizes(aggregate).then((all) => all.slice(0, 3))).toEqual([11, 15, 12]), within);
    at(1).shown = undefined;
    await at(1).grow(5);
    await vi.waitFor(async () => expect((await sizes(aggregate))[1]).toBe(20), within);
  });

  it('that is killed at any moment goes on with the one history it has shown', async () => {
    for (const log of logs) await log.grow(3);
    const shown: Checkpoint[] = [];
    let port = 0;
    for (let life = 0; life < 3; life++) {
      const aggregate = await launch(port);
      port = Number(new URL(aggregate.url).port);
      await Promise.all(logs.map((log) => log.grow(1)));
      // Some die before their round, some in it, some after.
      if (life % 3 > 0)
        await vi.waitFor(async () => expect((await checkpointOf(aggregate)).size).toBeGreaterThan(shown.at(-1)?.size ?? 0), {
          ...within,
          interval: 5,
        });
      const seen = await checkpointOf(aggregate).catch(() => undefined);
      if (seen) shown.push(seen);
      await aggregate.end('SIGKILL');
    }
    const aggregate = await launch(port);
    const counts = logs.map(() => 6);
    await vi.waitFor(async () => expect(await sizes(aggregate)).toEqual(counts), within);
    const last = await checkpointOf(aggregate);
    expect(shown.length).toBeGreaterThan(1);
    for (const { size, root } of shown) {
      const proof = await consistencyProof(size, last.size, createRemoteLog(aggregate.url, fetch).tile);
      expect(verifyConsistency({ oldSize: size, oldRoot: root, size: last.size, root: last.root }, proof)).toBe(true);
    }
    expect(await aggregate.end('SIGTERM')).toBe(0);
  });

  it('has its folder to itself, and none that is a server’s or another’s', async () => {
    await at(0).grow(1);
    const aggregate = await run();
    await vi.waitFor(async () => expect(await proven(aggregate, at(0))).toBeDefined(), within);
    await expect(run()).rejects.toThrow(/another process has it/);
    await aggregate.stop();
    await expect(run({ name: 'another.test' })).rejects.toThrow(/is not a key of another\.test/);
    await expect(run({ folder: at(0).log.dataDir })).rejects.toThrow(/is a server’s/);
    // Of a state that was set back nothing is signed: the file of its checkpoints knows better.
    const file = join(folder, 'aggregate', 'anchors', 'checkpoints.jsonl');
    expect(readFileSync(file, 'utf8')).toContain('aggregate.test');
    for (const name of ['aggregate.sqlite', 'aggregate.sqlite-wal', 'aggregate.sqlite-shm']) rmSync(join(folder, 'aggregate', name), { force: true });
    await expect(run()).rejects.toThrow(/The anchor embedded holds 1 entries of this aggregate, whose state has 0: it is older/);
  });
});
