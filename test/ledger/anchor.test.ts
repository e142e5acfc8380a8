/** The anchor file only grows, whatever happens to its last line, and knows its newest checkpoint after a restart. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createEmbeddedAnchor, readAnchorFile } from '../../ledger/anchor/embedded.ts';

const folder = mkdtempSync(join(tmpdir(), 'assent-anchor-'));
const file = join(folder, 'anchors', 'checkpoints.jsonl');
afterAll(() => rmSync(folder, { recursive: true }));

let now = 1000;
const open = () => createEmbeddedAnchor({ file, clock: () => now });

it('takes larger trees only, and is safe to be told twice', async () => {
  const anchor = open();
  expect(await anchor.latest()).toBeUndefined();
  await anchor.anchor({ size: 5, note: 'five' });
  now = 2000;
  await anchor.anchor({ size: 5, note: 'five again' });
  await anchor.anchor({ size: 3, note: 'three' });
  await anchor.anchor({ size: 8, note: 'eight' });
  expect((await readAnchorFile(file)).map(({ size, at, note }) => [size, at, note])).toEqual([
    [5, 1000, 'five'],
    [8, 2000, 'eight'],
  ]);
  expect(await open().latest()).toMatchObject({ size: 8, at: 2000 });
});

it('passes over a line that a crash tore, and keeps what follows apart from it', async () => {
  appendFileSync(file, '\n{"size":9,"at":3000,"no');
  const before = readFileSync(file, 'utf8');
  expect(await open().latest()).toMatchObject({ size: 8 });
  await open().anchor({ size: 10, note: 'ten' });
  expect(readFileSync(file, 'utf8').startsWith(before)).toBe(true);
  expect((await readAnchorFile(file)).map(({ size }) => size)).toEqual([5, 8, 10]);
});
