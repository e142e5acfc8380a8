/** The root of the map of Consents as an entry of the log: when one is made, by whom, that it is right, and that nobody slips in another. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LogEntry, logRow, parseRow } from '../../ledger/entry.ts';
import { leafHash } from '../../ledger/hash.ts';
import { createMap, type VerifiableMap } from '../../ledger/map.ts';
import { mapRootEntry, mapRootOf } from '../../ledger/map-root.ts';
import { type Anchoring, createAnchoring } from '../../server/anchoring/anchoring.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { entriesOf } from '../../server/anchoring/log-records.ts';
import { createLogFixture, digestOf, type LogFixture, noChain, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
beforeEach(async () => {
  log = await createLogFixture();
});
afterEach(() => log.dispose());

const MINUTE_MS = 60_000;
const at = () => new Date(log.time.now).toISOString();
const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
const consent = (id: string, version: number, kind: LogEntry['kind'] = 'consent-active'): LogEntry => {
  const reference = `Consent/${id}`;
  return { kind, occurredAt: at(), subject: `Patient/${id}`, reference, version: String(version), digest: digestOf(`${reference} ${version}`) };
};
const texts = async (references: readonly string[]) => {
  const versions = (reference: string) => Array.from({ length: 9 }, (_, i) => `${reference} ${i}`);
  return new Map(references.map((reference) => [reference, reference.startsWith('Consent/') ? versions(reference) : [reference]]));
};
const fsck = () => checkStoredLog({ log: log.engine.resources, records: log.engine.records, dataDir: log.dataDir, texts });
const problems = async () => (await fsck()).problems.join('\n');
const rows = () => log.engine.resources.readLog(0, 10_000);
const roots = async () => (await rows()).filter(({ entry }) => entry.includes('map-root'));
const commit = (entry: LogEntry) => log.engine.resources.commit({ guards: [], resources: [], records: [], log: [logRow(entry)], bumpEpoch: false });
const seal = async (...entries: readonly LogEntry[]) => {
  await log.append(...entries);
  await log.anchoring.sealer.flush();
};

/** The map of the first `upTo` entries, from rows and public entries alone. */
async function mapOf(upTo: number): Promise<VerifiableMap> {
  const [map, newest] = [createMap(), new Map<string, Buffer>()];
  for (const [i, { entry }] of (await rows()).slice(0, upTo).entries()) {
    const { reference } = parseRow(entry);
    if (!reference.startsWith('Consent/')) continue;
    const bundle = (await log.anchoring.publicLog.entries(Math.floor(i / 256), (i % 256) + 1)) ?? expect.fail();
    const leaf = leafHash(entriesOf(bundle)[i % 256] ?? expect.fail());
    const before = newest.get(reference);
    if (before) map.set(before, leaf);
    newest.set(reference, leaf);
  }
  return map;
}

const rootOf = async (upTo: number) => mapRootEntry(mapRootOf(upTo, (await mapOf(upTo)).root()), at()).digest;

/** Another process: its own memory, the same database and folder. */
async function another(commitAs: LogFixture['engine']['resources']['commit'] = log.engine.resources.commit): Promise<Anchoring> {
  return createAnchoring({
    log: { ...log.engine.resources, commit: commitAs },
    records: log.engine.records,
    clock: () => log.time.now,
    schedule: () => () => undefined,
    config: { DATA_DIR: log.dataDir, CHECKPOINT_INTERVAL_MS: 1000, WITNESS_POLICY: '', ...noChain },
    report: (fault) => log.faults.push(fault),
  });
}

describe('a root of the map of Consents', () => {
  it('is logged when it is asked for, about every entry before, and not again within a minute', async () => {
    await seal(...some(0, 300), consent('a', 1), consent('b', 1), ...some(300, 300), consent('a', 2, 'consent-withdrawn'));
    await log.anchoring.mapRoots.ensure(602);
    const [root] = await roots();
    expect(JSON.parse(root?.entry ?? '')).toEqual({
      kind: 'map-root',
      occurredAt: at(),
      subject: null,
      reference: 'Map/consents',
      version: '603',
      digest: await rootOf(603),
    });
    expect(root?.index).toBe(603);
    await log.anchoring.mapRoots.ensure(602);
    log.time.now += MINUTE_MS - 1;
    await log.anchoring.mapRoots.ensure(602);
    expect(await roots()).toHaveLength(1);
    await seal(consent('b', 2));
    await log.anchoring.mapRoots.ensure(604);
    log.time.now += MINUTE_MS;
    await log.anchoring.mapRoots.ensure(604);
    expect((await roots()).map(({ entry }) => JSON.parse(entry).version)).toEqual(['603', '605', '606']);
    expect(await fsck()).toMatchObject({ size: 607, signed: 607, problems: [] });
    expect(log.faults).toEqual([]);
  });

  it('follows within a minute of what is logged, and only then', async () => {
    await log.anchoring.sealer.start();
    const pass = async (minutes: number) => {
      for (let i = 0; i < minutes; i++) {
        log.time.now += MINUTE_MS;
        await log.ring();
        // What was rung goes on in the background.
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
      }
    };
    await seal(...some(0, 5));
    await pass(2);
    expect(await roots()).toHaveLength(0);
    await seal(consent('a', 1));
    await pass(1);
    await expect.poll(roots).toHaveLength(1);
    await pass(12);
    expect(await roots()).toHaveLength(1);
    await seal(...some(10, 1));
    await pass(2);
    await expect.poll(roots).toHaveLength(2);
    await pass(12);
    expect(await roots()).toHaveLength(2);
    await log.anchoring.sealer.stop();
    expect(await problems()).toBe('');
    expect(log.faults).toEqual([]);
  });

  it.each(['before', 'after'] as const)('outlives a kill just %s its commit', async (when) => {
    await seal(consent('a', 1), ...some(0, 40), consent('a', 2));
    await log.anchoring.mapRoots.ensure(41);
    await seal(consent('a', 3, 'consent-withdrawn'));
    log.time.now += MINUTE_MS;
    const { commit: durable } = log.engine.resources;
    const killed = await another(async (writes) => {
      if (when === 'after') await durable(writes);
      throw new Error('killed');
    });
    await expect(killed.mapRoots.ensure(43)).rejects.toThrow('killed');
    await log.reopen();
    await log.anchoring.sealer.start();
    await log.anchoring.mapRoots.ensure(43);
    expect((await roots()).map(({ entry }) => JSON.parse(entry).version)).toEqual(['42', '44']);
    log.time.now += MINUTE_MS;
    await log.anchoring.mapRoots.ensure(43);
    expect((await roots()).map(({ entry }) => JSON.parse(entry).version)).toEqual(['42', '44', '45']);
    expect(await problems()).toBe('');
    expect(log.faults).toEqual([]);
  });

  it('is the same after an erasure, which is the next entry about its Consent', async () => {
    await seal(consent('a', 1), consent('a', 2), consent('b', 1), ...some(0, 300));
    await log.anchoring.mapRoots.ensure(2);
    const { tombstones, ...parts } = await log.anchoring.erasure.forget(['Consent/a']);
    const { erases, digest } = tombstones.get('Consent/a') ?? expect.fail();
    const tombstone: LogEntry = { kind: 'erasure', occurredAt: at(), subject: 'Patient/a', reference: 'Consent/a', digest, erases };
    await log.engine.resources.commit({ resources: [], bumpEpoch: false, ...parts, log: [logRow(tombstone)] });
    await log.anchoring.sealer.flush();
    log.time.now += MINUTE_MS;
    await log.anchoring.mapRoots.ensure(2);
    await log.reopen();
    await log.anchoring.sealer.start();
    await seal(consent('b', 2));
    log.time.now += MINUTE_MS;
    await log.anchoring.mapRoots.ensure(2);
    const versions = (await roots()).map(({ entry }) => [Number(JSON.parse(entry).version), JSON.parse(entry).digest]);
    expect(versions).toHaveLength(3);
    for (const [upTo, logged] of versions) expect(await rootOf(upTo)).toBe(logged);
    expect(await problems()).toBe('');
  });
});

describe('several processes', () => {
  it('log one root between them, each about more than the one before', async () => {
    const others = [await another(), await another()];
    const all = [log.anchoring, ...others];
    await seal(consent('a', 1), consent('b', 1));
    for (let round = 0; round < 5; round++) {
      await seal(consent('a', 2 + round), ...some(round * 10, 3));
      log.time.now += MINUTE_MS;
      await Promise.all(all.map(({ mapRoots }) => mapRoots.ensure(2)));
      await log.anchoring.sealer.flush();
    }
    const logged = (await roots()).map(({ entry }) => Number(JSON.parse(entry).version));
    expect(logged.length).toBeGreaterThanOrEqual(5);
    expect(new Set(logged).size).toBe(logged.length);
    expect(logged).toEqual(logged.toSorted((a, b) => a - b));
    expect(await problems()).toBe('');
    expect(log.faults).toEqual([]);
  });
});

describe('a root that somebody else put into the log', () => {
  beforeEach(() => seal(consent('a', 1), consent('b', 1), ...some(0, 10), consent('a', 2, 'consent-withdrawn')));

  it('and that leaves a withdrawal out is named by fsck, and nothing is built on it', async () => {
    await commit(mapRootEntry(mapRootOf(13, createMap().root()), at()));
    await log.anchoring.sealer.flush();
    expect(await problems()).toBe('Entry 13: the root of the map of Consents after 13 entries is another.');
    log.time.now += MINUTE_MS;
    await expect(log.anchoring.mapRoots.ensure(12)).rejects.toThrow('Entry 13 of the log is not the root');
    expect(log.anchoring.alarms.counts()).toContainEqual({ kind: 'log', raised: 1, undelivered: 0 });
    expect(await roots()).toHaveLength(1);
  });

  it('and that is an old one is named by fsck', async () => {
    await log.anchoring.mapRoots.ensure(12);
    log.time.now += MINUTE_MS;
    await commit(mapRootEntry(mapRootOf(12, createMap().root()), at()));
    await log.anchoring.sealer.flush();
    expect(await problems()).toContain('Entry 14: a root of the map of Consents must be about more entries than the one before');
  });

  it('and that is about entries to come is named by fsck', async () => {
    await commit(mapRootEntry(mapRootOf(14, createMap().root()), at()));
    await log.anchoring.sealer.flush();
    expect(await problems()).toContain('Entry 13: a root of the map of Consents must be');
    await expect(log.anchoring.mapRoots.ensure(13)).rejects.toThrow('Entry 13 of the log is not the root');
  });
});
