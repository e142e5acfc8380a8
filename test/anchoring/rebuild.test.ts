/** Tiles and entry bundles made anew from what is whole, on either engine; and nothing that was not signed. ledger.md §8 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { type BatchRecord, kinds, numberId, tileId, withoutSalts } from '../../server/anchoring/log-records.ts';
import { rebuildLog } from '../../server/anchoring/rebuild.ts';
import type { RecordWrite } from '../../server/store/port.ts';
import { createLogFixture, type LogFixture, someEntry } from '../support/log-fixture.ts';

const SIZE = 300;

let log: LogFixture;
beforeEach(async () => {
  log = await createLogFixture();
  await log.anchoring.sealer.start();
  await log.append(...Array.from({ length: SIZE }, (_, i) => someEntry(i, log.time.now)));
  await log.anchoring.sealer.flush();
  await log.anchoring.sealer.stop();
});
afterEach(() => log.dispose());

const fsck = async () => {
  const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
  const { engine, dataDir } = log;
  return (await checkStoredLog({ log: engine.resources, records: engine.records, dataDir, texts })).problems;
};
const rebuild = () => rebuildLog({ log: log.engine.resources, records: log.engine.records, dataDir: log.dataDir });

type Name = readonly [kind: string, id: string];
const [bundle0, bundle1, tile0, tile1, top]: readonly Name[] = [
  [kinds.bundle, numberId(0)],
  [kinds.bundle, numberId(1)],
  [kinds.tile, tileId(0, 0)],
  [kinds.tile, tileId(0, 1)],
  [kinds.tile, tileId(1, 0)],
] as const;

async function damage(how: 'lost' | 'flipped', ...names: readonly (Name | undefined)[]): Promise<void> {
  const writes = await Promise.all(
    names.map(async (name): Promise<RecordWrite> => {
      const [recordKind, id] = name ?? expect.fail();
      if (how === 'lost') return { kind: 'delete', recordKind, id };
      const value = Buffer.from((await log.engine.records.get(recordKind, id))?.value as Uint8Array);
      value[9] = (value[9] ?? 0) ^ 1;
      return { kind: 'put', recordKind, id, value };
    }),
  );
  await log.engine.resources.commit({ guards: [], resources: [], records: writes, log: [], bumpEpoch: false });
}

describe('what is damaged of the log', () => {
  it.each([
    ['a tile', 'lost', [tile0], 0, 1],
    ['a tile that is not full', 'flipped', [tile1], 0, 1],
    ['a tile of tiles', 'flipped', [top], 0, 1],
    ['an entry bundle', 'lost', [bundle0], 1, 0],
    ['an entry bundle', 'flipped', [bundle1], 1, 0],
    ['everything', 'lost', [bundle0, bundle1, tile0, tile1, top], 2, 3],
    ['everything', 'flipped', [bundle0, bundle1, tile0, tile1, top], 2, 3],
  ] as const)('%s %s, is made anew', async (_what, how, names, bundles, tiles) => {
    expect(await rebuild()).toEqual({ kind: 'rebuilt', size: SIZE, bundles: 0, tiles: 0 });
    await damage(how, ...names);
    expect(await fsck()).not.toEqual([]);
    expect(await rebuild()).toEqual({ kind: 'rebuilt', size: SIZE, bundles, tiles });
    expect(await fsck()).toEqual([]);
  });

  it('is left as it is when what is nearer to the truth is damaged too', async () => {
    const [batch] = await log.engine.records.list(kinds.batch, { limit: 1 });
    await damage('lost', bundle0 ?? expect.fail(), [kinds.batch, batch?.id ?? '']);
    expect(await rebuild()).toMatchObject({ kind: 'refused', reason: expect.stringContaining('cannot give it') as string });
    expect(await fsck()).not.toEqual([]);
  });

  it('is left as it is when a salt is gone that no tombstone accounts for', async () => {
    const [batch] = await log.engine.records.list(kinds.batch, { limit: 1 });
    const value = withoutSalts(batch?.value as BatchRecord, [3]);
    const writes: RecordWrite[] = [{ kind: 'put', recordKind: kinds.batch, id: batch?.id ?? '', value }];
    await log.engine.resources.commit({ guards: [], resources: [], records: writes, log: [], bumpEpoch: false });
    await damage('lost', bundle0 ?? expect.fail());
    expect(await rebuild()).toMatchObject({ kind: 'refused', reason: expect.stringContaining('cannot give it') as string });
  });
});
