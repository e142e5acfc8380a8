/** What `fsck` says of the lines under stored checkpoints that are not by the log's first key: its second key's, and those of witnesses. ADR 50 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { readSigned } from '../../server/anchoring/log-signer.ts';
import type { CheckpointRecord } from '../../server/anchoring/log-records.ts';
import { createLogFixture, type LogFixture, noChain, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
afterEach(() => log.dispose());

async function signedLog(mlDsa: 'on' | 'off'): Promise<CheckpointRecord> {
  log = await createLogFixture({ chain: { LOG_MLDSA: mlDsa } });
  await grow();
  return (await log.engine.records.get('log-checkpoint', 'log-checkpoint'))?.value as CheckpointRecord;
}

async function grow(): Promise<void> {
  await log.anchoring.sealer.start();
  await log.append(...Array.from({ length: 20 }, (_, i) => someEntry(i, log.time.now)));
  await log.anchoring.sealer.flush();
  await log.anchoring.sealer.stop();
}

const fsck = async (mlDsa: 'on' | 'off'): Promise<readonly string[]> =>
  (
    await checkStoredLog({
      log: log.engine.resources,
      records: log.engine.records,
      dataDir: log.dataDir,
      texts: async (references) => new Map(references.map((reference) => [reference, [reference]])),
      signedBy: () => readSigned({ ...noChain, DATA_DIR: log.dataDir, LOG_MLDSA: mlDsa }),
    })
  ).problems;

const edit = (value: object) => log.edit({ record: 'log-checkpoint', id: 'log-checkpoint' }, JSON.stringify(value));

/** The last characters of a line before its padding, one bit of them turned. */
const turned = (line: string): string =>
  line.replace(/(.{100})A|(.{100})[^A]/, (_all, before?: string, other = '') => (before === undefined ? `${other}A` : `${before}B`));

it('the second line of the checkpoint is held against the key that made it, and must be there while that key is asked for', async () => {
  const whole = await signedLog('on');
  const lines = whole.note.split('\n');
  expect([lines.length, whole.witnesses?.length]).toEqual([7, 1]);
  expect(await fsck('on')).toEqual([]);
  const [second = ''] = lines.slice(5);
  const without = { ...whole, note: whole.note.replace(`${second}\n`, '') };
  await edit({ ...whole, note: whole.note.replace(second, turned(second)) });
  expect(await fsck('on')).toEqual(['The checkpoint is forged.']);
  expect(await fsck('off')).toEqual(['The checkpoint is forged.']);
  await edit(without);
  expect(await fsck('on')).toEqual(['The checkpoint is not signed by all whom its record names.']);
  const { witnesses: _second, ...alone } = without;
  await edit(alone);
  expect(await fsck('on')).toEqual(['The checkpoint is not signed with the log’s second key.']);
  expect(await fsck('off')).toEqual([]);
  await edit({ ...whole, note: whole.note.replace(`${lines[4] ?? ''}\n`, '') });
  expect(await fsck('on')).toEqual(['The checkpoint is unsigned.']);
  await edit(whole);
  expect(await fsck('on')).toEqual([]);
});

it('so is that of each checkpoint in the anchors’ file', async () => {
  const { note } = await signedLog('on');
  const file = join(log.dataDir, 'anchors', 'checkpoints.jsonl');
  const kept = readFileSync(file, 'utf8');
  const [, , , , , second = ''] = note.split('\n');
  expect(kept).toContain(JSON.stringify(second).slice(1, -1));
  writeFileSync(file, kept.replace(second, turned(second)));
  expect(await fsck('on')).toEqual([expect.stringMatching(/^The anchor at \d+ is forged\.$/)]);
  writeFileSync(file, kept);
  expect(await fsck('on')).toEqual([]);
});

it('a log that never had a second key lacks none, nor does one that no longer signs with it', async () => {
  await signedLog('off');
  expect(await fsck('off')).toEqual([]);
  await log.dispose();
  await signedLog('on');
  log.settings = { LOG_MLDSA: 'off' };
  await log.reopen();
  await grow();
  expect(await fsck('off')).toEqual([]);
});
