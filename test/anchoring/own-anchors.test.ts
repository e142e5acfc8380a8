/** A log's own anchors in its receipts: a real EVM node and openssl's time-stamps, and a stranger who has the file, a node and the certificates. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { type OwnAnchorPiece, readReceipt, writeReceipt } from '../../ledger/receipt-format.ts';
import { type Verdict, verifyReceipt } from '../../ledger/receipt.ts';
import { type Anvil, deploy, startAnvil } from '../support/anvil.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { createLogFixture, disclosureStory, type LogFixture, party, someEntry, type Story } from '../support/log-fixture.ts';
import { type Authority, startAuthority } from '../support/time-stamp-authority.ts';

let anvil: Anvil;
let authority: Authority;
let foreign: Authority;
beforeAll(async () => {
  [anvil, authority, foreign] = await Promise.all([startAnvil(), startAuthority(), startAuthority()]);
});
afterAll(() => Promise.all([anvil.stop(), authority.stop(), foreign.stop()]));

let folder: string;
let log: LogFixture;
let story: Story;
let pin: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'assent-own-'));
});
afterEach(async () => {
  await log.anchoring.sealer.stop();
  await log.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const EVENT = 'AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5';

/** A disclosure in a log that is anchored in both places, by itself. */
async function start(): Promise<void> {
  const key = newAccountKey();
  writeFileSync(join(folder, 'key'), key);
  const { contract, logId } = await deploy(anvil, 'a log', 3600, key);
  pin = `anchor evm 31337 ${contract} ${logId}`;
  const chain = { EVM_RPC: [anvil.url], EVM_CONTRACT: contract, EVM_LOG_ID: logId, EVM_KEY_PATH: join(folder, 'key') };
  log = await createLogFixture({
    chain: { ...chain, TSA_URL: authority.url, TSA_CERTIFICATES: authority.certificates, TSA_INTERVAL_MINUTES: 0 },
  });
  // openssl stamps with the machine’s time.
  log.time.now = Date.now();
  story = disclosureStory([party('Patient/q3v5k2m8x1', 'patient')], log.time.now);
  await log.anchoring.sealer.start();
  await log.append(...story.entries);
  await log.anchoring.sealer.flush();
}

async function receipt(): Promise<string> {
  const result = await log.anchoring.receipts.receiptFor(EVENT, story.evidence);
  return result.kind === 'ready' ? result.receipt : expect.fail(result.kind);
}

const opened = (text: string) => {
  const read = readReceipt(text);
  return typeof read === 'string' ? expect.fail(read) : read;
};
const piecesIn = (text: string) => (opened(text).anchors ?? []) as readonly OwnAnchorPiece[];
const anchoredSizes = (text: string) => piecesIn(text).map(({ anchor }) => Number(anchor.split('\n')[1]));

/** Rings until it holds; the chain grows meanwhile. Not faster than openssl stamps: ten minutes ahead of it, this clock would be the wrong one of the two. */
const rung = (until: () => Promise<unknown>): Promise<void> =>
  vi.waitFor(
    async () => {
      await anvil.mine(1);
      log.time.now += 15_000;
      await log.ring();
      expect(await until()).toBeTruthy();
    },
    { timeout: 120_000, interval: 500 },
  );

async function verify(text: string, ...args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  const file = join(folder, 'receipt.json');
  writeFileSync(file, text);
  return promisify(execFile)(process.execPath, ['server/main.ts', 'verify', file, ...args]).then(
    ({ stdout }) => ({ code: 0, said: stdout }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, said: stdout + stderr }),
  );
}

function policyFile(...lines: readonly string[]): string {
  const file = join(folder, 'policy.txt');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

const fsck = async (): Promise<readonly string[]> =>
  (
    await checkStoredLog({
      log: log.engine.resources,
      records: log.engine.records,
      dataDir: log.dataDir,
      texts: async (references) => new Map(references.map((reference) => [reference, textsOf(reference)])),
    })
  ).problems;

const textsOf = (reference: string): string[] => {
  const { consents, keys, disclosure = '' } = story.evidence;
  if (reference.startsWith('Consent/')) return consents.map(({ consent }) => consent);
  return reference.startsWith('Key/') ? keys.filter(({ kid }) => reference === `Key/${kid}`).map(({ key }) => key) : [disclosure];
};

const refused = (verdict: Verdict): boolean => verdict.kind === 'refuted' || verdict.kind === 'unreadable';

describe('a log that is anchored by itself', () => {
  it('says so in its receipts, as far as anybody can check it with the file, a node and the certificates', async () => {
    await start();
    expect(piecesIn(await receipt())).toEqual([]);
    await rung(async () => piecesIn(await receipt()).length === 2);
    const text = await receipt();
    const { log: key } = opened(text);
    const offline = await verify(text, '--trust', policyFile(`log ${key}`));
    expect(offline.code).toBe(0);
    expect(offline.said).toMatch(
      /Not proven:[^]*as the log says: transaction 0x[^]*\(--rpc\)[^]*time-stamp[^]*\(--authority\)[^]*not one you pinned/,
    );
    const asked = ['--trust', policyFile(`log ${key}`, pin, 'anchor rfc3161'), '--rpc', anvil.url, '--authority', authority.certificates];
    const checked = await verify(text, ...asked);
    expect(checked.code).toBe(0);
    expect(checked.said).toMatch(
      /Proven:[^]*The root over the log’s first \d+ entries is in EVM chain 31337: number 1 of 0x\w{64} in contract 0x\w{40}, transaction 0x\w{64}, block \d+ of 20[^]*first \d+ entries existed at 20[^]*says the time-stamp of Its time-stamps[^]*Not proven:/,
    );
    expect(checked.said).not.toMatch(/--rpc|--authority|shown another log/);
    // Another contract, another authority, another chain: each is refuted where the reader says whom they mean.
    const elsewhere = policyFile(
      `log ${key}`,
      pin.replace(/0x\w/, (start) => (start === '0xa' ? '0xb' : '0xa')),
    );
    expect(await verify(text, '--trust', elsewhere)).toMatchObject({ code: 1, said: expect.stringContaining('not anchored in each place') });
    expect(await verify(text, '--authority', foreign.certificates)).toMatchObject({ code: 1 });
    await anvil.rpc('anvil_reset');
    expect(await verify(text, '--rpc', anvil.url)).toMatchObject({
      code: 1,
      said: expect.stringContaining('The chain does not hold what the log says'),
    });
  });

  it('with a byte of what it says of that changed proves nothing', async () => {
    await start();
    await rung(async () => piecesIn(await receipt()).length === 2);
    const text = await receipt();
    expect(verifyReceipt(text).kind).toBe('proven');
    const whole = opened(text);
    const from = text.indexOf('"anchors":');
    const until = text.lastIndexOf('"proof":');
    expect(until - from).toBeGreaterThan(500);
    let bit = 0;
    for (let at = from; at < until; at++) {
      const bytes = Buffer.from(text.slice(at, at + 1));
      bytes[0] = (bytes[0] as number) ^ (1 << (bit++ % 7));
      expect([at, refused(verifyReceipt(text.slice(0, at) + bytes.toString() + text.slice(at + 1)))]).toEqual([at, true]);
    }
    // The anchors of one place under the other’s stamp, and of a receipt that is about less.
    const [chain, stamped] = piecesIn(text);
    const changed = [
      { ...stamped, anchor: chain?.anchor },
      { ...chain, stamp: stamped?.stamp },
    ] as OwnAnchorPiece[];
    for (const piece of changed) expect(verifyReceipt(writeReceipt({ ...whole, anchors: [piece] })).kind).toBe('refuted');
  });

  it('covers what came later only once that is anchored too, in one history, and goes on after a start', async () => {
    await start();
    await rung(async () => piecesIn(await receipt()).length === 2);
    const before = await receipt();
    await log.append(...Array.from({ length: 40 }, (_, i) => someEntry(i, log.time.now)));
    await log.anchoring.sealer.flush();
    const between = await receipt();
    expect([anchoredSizes(between), verifyReceipt(between).kind]).toEqual([anchoredSizes(before), 'proven']);
    await log.anchoring.sealer.stop();
    await log.reopen();
    await log.anchoring.sealer.start();
    await rung(async () => anchoredSizes(await receipt()).every((size) => size >= 40));
    expect(verifyReceipt(await receipt()).kind).toBe('proven');
    // What is old is not new: the anchors of before under the receipt of an event of after.
    const late = { ...opened(before), anchors: piecesIn(await receipt()) };
    expect(verifyReceipt(writeReceipt(late)).kind).toBe('refuted');
  });

  it('is not said to be where its record was edited, until the record is written anew', async () => {
    await start();
    await rung(async () => piecesIn(await receipt()).length === 2);
    const genuine = (await log.engine.records.get('log-anchor-note', 'evm'))?.value as { readonly note: string };
    const edits = [{ note: genuine.note.replace(/\n(\d+)\n/, '\n1\n') }, { note: genuine.note.replace('evm 31337', 'evm 1') }, { note: 7 }];
    for (const value of edits) {
      // A look that is under way would write it anew at once.
      await log.anchoring.sealer.stop();
      await log.edit({ record: 'log-anchor-note', id: 'evm' }, JSON.stringify(value));
      const text = await receipt();
      expect([piecesIn(text).length, verifyReceipt(text).kind]).toEqual([1, 'proven']);
      expect(await fsck()).toEqual([expect.stringMatching(/^The (note of|record of the note of) the anchor \(evm\)/)]);
      await log.reopen();
      await log.anchoring.sealer.start();
      await rung(async () => piecesIn(await receipt()).length === 2);
      expect(await fsck()).toEqual([]);
    }
  });
});
