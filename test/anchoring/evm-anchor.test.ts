/** A log anchored in a real EVM node: by the settings, without anything waiting for it, and found out when it was set back. */
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { headCall, readHead } from '../../ledger/anchor/evm/contract.ts';
import { newAccountKey, accountOf } from '../../ledger/anchor/evm/transaction.ts';
import type { AssentError } from '../../server/errors.ts';
import { type Anvil, startAnvil } from '../support/anvil.ts';
import { itOnEmbedded } from '../support/on-embedded.ts';
import { backUp, createLogFixture, type LogFixture, someEntry } from '../support/log-fixture.ts';

let anvil: Anvil;
beforeAll(async () => {
  anvil = await startAnvil();
});
afterAll(() => anvil.stop());

let folder: string;
let log: LogFixture;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'assent-chain-'));
});
afterEach(async () => {
  await log.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));

/** As an operator does it: a log, then the command, then its settings. */
async function anchoredLog() {
  log = await createLogFixture();
  const key = newAccountKey();
  writeFileSync(join(folder, 'admin'), `${key}\n`);
  await anvil.fund(accountOf(key).address);
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['server/main.ts', 'anchor', 'deploy', '--rpc', anvil.url, '--admin-key', join(folder, 'admin')],
    { env: { ...process.env, ASSENT_DATA_DIR: log.dataDir } },
  );
  const settings = Object.fromEntries(stdout.split('\n').map((line) => line.split('=') as [string, string]));
  const { ASSENT_EVM_CONTRACT: contract = '', ASSENT_EVM_LOG_ID: logId = '', ASSENT_EVM_KEY_PATH: keyFile = '' } = settings;
  expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  const writer = /0x[0-9a-f]{40}/.exec(stderr)?.[0] ?? '';
  expect(accountOf(readFileSync(keyFile, 'utf8').trim()).address).toBe(writer);
  const chain = { EVM_RPC: [anvil.url], EVM_CONTRACT: contract, EVM_LOG_ID: logId, EVM_KEY_PATH: join(folder, 'key') };
  cpSync(keyFile, chain.EVM_KEY_PATH);
  await log.dispose();
  log = await createLogFixture({ chain });
  const head = async () => readHead(await anvil.rpc('eth_call', { to: contract, data: headCall(logId) }, 'latest'));
  return { chain, writer, head };
}

/** Rings until the anchor is final, or says why not. */
async function anchored(size: number): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    const { anchors } = await log.anchoring.status();
    if (anchors.some((anchor) => anchor.name === 'evm' && anchor.size === size)) return;
    await anvil.mine(1);
    log.time.now += 15_000;
    await log.ring();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect.fail('It was not anchored.');
}

const messages = () => log.faults.map((fault) => (fault as AssentError).message);

describe('a log with a chain among its anchors', () => {
  it('is anchored there by what `anchor deploy` prints, and says how far', async () => {
    const { writer, head } = await anchoredLog();
    await log.anchoring.sealer.start();
    await log.append(...some(0, 20));
    await log.anchoring.sealer.flush();
    // Without money nothing is anchored, and nothing waits for it: it is said once.
    const tryAgain = async () => {
      log.time.now += 15_000;
      await log.ring();
    };
    await expect.poll(() => tryAgain().then(messages)).not.toEqual([]);
    for (let i = 0; i < 3; i++) await tryAgain().then(() => new Promise((resolve) => setTimeout(resolve, 100)));
    expect(messages()).toEqual([expect.stringMatching(/The chain cannot be used at the moment: .*funds/i)]);
    await log.anchoring.check();
    await anvil.fund(writer);
    await anchored(20);
    expect(await head()).toMatchObject({ seq: 1, size: 20, writer });
    await log.append(...some(20, 300));
    await log.anchoring.sealer.flush();
    await log.anchoring.sealer.stop();
    await log.reopen();
    await log.anchoring.sealer.start();
    await anchored(320);
    expect(await head()).toMatchObject({ seq: 2, size: 320 });
    await log.anchoring.sealer.stop();
  });

  // The folder is the whole of it on the embedded engine alone.
  itOnEmbedded('that was set back as a whole is refused by what the contract holds, and signs nothing', async () => {
    const { writer } = await anchoredLog();
    await anvil.fund(writer);
    await log.anchoring.sealer.start();
    await log.append(...some(0, 10));
    const setBack = await backUp(log, join(folder, 'old'));
    await log.append(...some(10, 10));
    await log.anchoring.sealer.flush();
    await anchored(20);
    await setBack();
    await log.append(...some(50, 30));
    await log.anchoring.sealer.stop();
    await expect(log.anchoring.check()).rejects.toThrow(
      'The contract holds a checkpoint of 20 entries of this log, which has 10: the database is older.',
    );
    expect((await log.anchoring.status()).checkpoint?.size).toBe(10);
  });

  it('starts where no node answers, and says so', async () => {
    const { chain } = await anchoredLog();
    await log.dispose();
    log = await createLogFixture({ chain: { ...chain, EVM_RPC: ['http://127.0.0.1:9'] } });
    await log.anchoring.sealer.start();
    await log.append(...some(0, 5));
    await log.anchoring.sealer.stop();
    await log.anchoring.check();
    expect(new Set(messages())).toEqual(new Set(['The chain cannot be used at the moment: A node does not answer.']));
  });
});
