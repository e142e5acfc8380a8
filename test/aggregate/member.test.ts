/** A log in an aggregate: what it takes from it, what it notices, and what its receipts prove then, in a real EVM node and by openssl’s time-stamps. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { proofName, readAggregateProof, writeAggregateProof } from '../../ledger/aggregate.ts';
import { accountOf, newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { parsePolicy } from '../../ledger/policy.ts';
import { readReceipt, writeReceipt } from '../../ledger/receipt-format.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import type { AssentError } from '../../server/errors.ts';
import { runAggregate } from '../support/aggregate-process.ts';
import { type Anvil, startAnvil } from '../support/anvil.ts';
import { backUp, disclosureStory, party } from '../support/log-fixture.ts';
import { type ServedLog, serveLog } from '../support/served-log.ts';
import { type Authority, startAuthority } from '../support/time-stamp-authority.ts';

let anvil: Anvil;
let authority: Authority;
beforeAll(async () => {
  [anvil, authority] = await Promise.all([startAnvil(), startAuthority()]);
});
afterAll(() => Promise.all([anvil.stop(), authority.stop()]));

let folder: string;
const logs: ServedLog[] = [];
const ends: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-member-'));
  logs.push(...(await Promise.all([serveLog(), serveLog(), serveLog()])));
  // openssl stamps with the machine’s time.
  for (const { log } of logs) log.time.now = Date.now();
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await Promise.all(logs.splice(0).map((log) => log.dispose()));
  rmSync(folder, { recursive: true, force: true });
});

const at = (i: number): ServedLog => logs[i] ?? expect.fail('There is no such log.');
const run = promisify(execFile);
const within = { timeout: 120_000, interval: 100 };
const data = () => join(folder, 'aggregate');

async function startAggregate(settings: Readonly<Record<string, string>> = {}) {
  const policy = join(folder, 'logs.txt');
  writeFileSync(policy, logs.map(({ line }) => line).join(''));
  const { stop, ...aggregate } = await runAggregate({ folder: data(), logs: policy, settings });
  let stopped: Promise<void> | undefined;
  const once = () => (stopped ??= stop());
  ends.push(once);
  return { ...aggregate, stop: once };
}

/** As an operator does it: an aggregate, then a contract for it, then its settings. */
async function anchoredAggregate() {
  const first = await startAggregate();
  await first.stop();
  const key = newAccountKey();
  writeFileSync(join(folder, 'admin'), `${key}\n`);
  await anvil.fund(accountOf(key).address);
  const deploy = ['server/main.ts', 'anchor', 'deploy', '--rpc', anvil.url, '--admin-key', join(folder, 'admin')];
  const { stdout, stderr } = await run(process.execPath, deploy, { env: { ...process.env, ASSENT_DATA_DIR: data() } });
  await anvil.fund(/0x[0-9a-f]{40}/.exec(stderr)?.[0] ?? '');
  const chain = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=') as [string, string]),
  );
  const stamps = { ASSENT_TSA_URL: authority.url, ASSENT_TSA_CERTIFICATES: authority.certificates, ASSENT_TSA_INTERVAL_MINUTES: '0' };
  return startAggregate({ ...chain, ASSENT_EVM_INTERVAL_MINUTES: '0', ASSENT_EVM_CONFIRMATIONS: '0', ...stamps });
}

/** The log is opened anew as a member; returns what it is reached by. */
async function join_(log: ServedLog, { url, key }: { readonly url: string; readonly key: string }, more: object = {}) {
  await log.log.anchoring.sealer.stop();
  log.log.settings = {
    AGGREGATE_URL: url,
    AGGREGATE_KEY: key,
    AGGREGATE_EVM_RPC: [anvil.url],
    AGGREGATE_TSA_CERTIFICATES: authority.certificates,
    ...more,
  };
  await log.log.reopen();
  await log.log.anchoring.sealer.start();
}

const patient = party('Patient/q3v5k2m8x1', 'patient');

/** A disclosure in the log, and how its receipt is had. */
async function disclosed(log: ServedLog) {
  const story = disclosureStory([patient], log.log.time.now);
  await log.log.append(...story.entries);
  await log.log.anchoring.sealer.flush();
  return async (): Promise<string> => {
    const result = await log.log.anchoring.receipts.receiptFor('AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5', story.evidence);
    return result.kind === 'ready' ? result.receipt : expect.fail(result.kind);
  };
}

/** Rings until it holds. */
async function rung(log: ServedLog, until: () => Promise<unknown>): Promise<void> {
  await vi.waitFor(async () => {
    log.log.time.now += 60_000;
    await log.log.ring();
    expect(await until()).toBeTruthy();
  }, within);
}

/** Without what is late by the test’s clock alone, which a minute of goes by at each ring, whatever the real work takes. */
const messages = ({ log }: ServedLog) =>
  log.faults
    .map((fault) => (fault as AssentError).message)
    .filter((message) => !message.startsWith('What the log has grown by is under no signed checkpoint'));
const alarmsOf = ({ log }: ServedLog) =>
  log.anchoring.alarms
    .counts()
    .filter(({ raised }) => raised > 0)
    .map(({ kind }) => kind);
const placesOf = async ({ log }: ServedLog) => (await log.anchoring.status()).anchors.map(({ name }) => name);
const placesIn = (receipt: string) => {
  const read = readReceipt(receipt);
  return typeof read === 'string'
    ? expect.fail(read)
    : (read.anchors ?? []).map((piece) => /\n(evm|rfc3161) /.exec('anchor' in piece ? piece.anchor : piece.checkpoint)?.[1] ?? 'none');
};

async function verify(receipt: string, ...args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  const file = join(folder, 'receipt.json');
  writeFileSync(file, receipt);
  return run(process.execPath, ['server/main.ts', 'verify', file, ...args]).then(
    ({ stdout }) => ({ code: 0, said: stdout }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, said: stdout + stderr }),
  );
}

describe('a log in an aggregate', () => {
  it('is anchored with all others by one transaction and one stamp, and each one’s receipt proves it', async () => {
    const receipts = await Promise.all(logs.map(disclosed));
    const aggregate = await anchoredAggregate();
    for (const log of logs) await join_(log, aggregate);
    for (const log of logs) await rung(log, async () => (await placesOf(log)).filter((name) => name.startsWith('aggregate-')).length === 2);
    for (const [i, receiptOf] of receipts.entries()) {
      const receipt = await receiptOf();
      expect(placesIn(receipt).sort()).toEqual(['evm', 'rfc3161']);
      const verdict = verifyReceipt(receipt, { aggregate: aggregate.key });
      expect(verdict).toMatchObject({ kind: 'proven', anchors: [{ aggregate: { key: aggregate.key } }, { aggregate: { key: aggregate.key } }] });
      for (const [j, { key }] of logs.entries()) if (j !== i) expect(receipt).not.toContain(key.name);
      expect(messages(at(i))).toEqual([]);
      expect(alarmsOf(at(i))).toEqual([]);
    }
    const receipt = (await receipts[0]?.()) ?? '';
    const offline = await verify(receipt, '--aggregate', aggregate.key);
    expect(offline.code).toBe(0);
    expect(offline.said).toMatch(
      /The first \d entries of the log, .* are entry \d of the aggregate aggregate\.test[\s\S]*Not proven:[\s\S]*\(--rpc\)[\s\S]*\(--authority\)/,
    );
    const checked = await verify(receipt, '--aggregate', aggregate.key, '--rpc', anvil.url, '--authority', authority.certificates);
    expect(checked.code).toBe(0);
    expect(checked.said).toMatch(/Proven:[\s\S]*is in EVM chain 31337[\s\S]*existed at .* says the time-stamp of Its time-stamps[\s\S]*Not proven:/);
    expect(checked.said).not.toMatch(/--rpc|--authority/);
    // What the chain has not, and what another authority leads to.
    await anvil.rpc('anvil_reset');
    expect(await verify(receipt, '--rpc', anvil.url)).toMatchObject({ code: 1, said: expect.stringMatching(/REFUTED\. The chain does not hold/) });
    expect(await verify(receipt, '--aggregate', at(1).key.text)).toMatchObject({ code: 1 });
  });

  it('with a receipt whose anchor is changed, cut or older proves nothing', async () => {
    const receiptOf = await disclosed(at(0));
    await at(1).grow(3);
    const aggregate = await startAggregate();
    // Both are in: with one entry alone there would be no path to cut.
    for (const { key } of [at(0), at(1)])
      await vi.waitFor(() => expect(readFileSync(join(data(), proofName(key.name)), 'utf8')).toContain(String.raw`\n2\n`), within);
    await join_(at(0), aggregate, { AGGREGATE_PLACES: [] });
    await rung(at(0), async () => placesIn(await receiptOf()).length === 1);
    const text = await receiptOf();
    const policy = parsePolicy(`log ${at(0).key.text}`);
    expect(typeof policy === 'string' ? policy : verifyReceipt(text, { policy, aggregate: aggregate.key }).kind).toBe('proven');
    const read = readReceipt(text);
    const receipt = typeof read === 'string' ? expect.fail(read) : read;
    const [piece] = receipt.anchors ?? [];
    if (!piece || 'anchor' in piece) expect.fail();
    const foreign = readAggregateProof(await (await fetch(`${aggregate.url}/${proofName(at(1).key.name)}`)).text());
    const other = typeof foreign === 'string' ? expect.fail(foreign) : (foreign.pieces[0] ?? expect.fail());
    const changes: readonly Partial<typeof piece>[] = [
      { index: piece.index + 1 },
      { inclusion: [] },
      { inclusion: [...piece.inclusion, ...piece.inclusion] },
      { consistency: ['AAAA'] },
      { member: other.member, index: other.index, inclusion: other.inclusion },
      { member: piece.member.replace('\n3\n', '\n2\n') },
      { aggregate: at(1).key.text },
      { stamp: 'AAAA' },
      { checkpoint: other.checkpoint.replace('\n2\n', '\n1\n') },
    ];
    for (const change of changes) {
      const changed = verifyReceipt(writeReceipt({ ...receipt, anchors: [{ ...piece, ...change }] }));
      expect({ change, kind: changed.kind }).toEqual({ change, kind: 'refuted' });
    }
  });

  it('notices an aggregate that drops it, changes it, or tells two histories, and raises an alarm', async () => {
    await at(0).grow(3);
    await at(1).grow(3);
    const aggregate = await startAggregate();
    const file = join(data(), proofName(at(0).key.name));
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toContain(aggregate.key), within);
    await join_(at(0), aggregate, { AGGREGATE_PLACES: [] });
    await rung(at(0), async () => (await kept(at(0)))?.size);
    const early = readFileSync(file, 'utf8');
    await at(0).grow(3);
    await vi.waitFor(() => expect(readFileSync(file, 'utf8')).not.toBe(early), within);
    await rung(at(0), async () => ((await kept(at(0)))?.index ?? 0) > 1);
    expect(messages(at(0))).toEqual([]);
    const late = readFileSync(file, 'utf8');
    const told = (sentence: RegExp) => rung(at(0), async () => messages(at(0)).some((message) => sentence.test(message)));
    await aggregate.stop();
    const hostile = await serveProof(aggregate.url);

    hostile.answer = early;
    await told(/The aggregate has dropped this log: what it proves is older/);
    expect(alarmsOf(at(0))).toEqual(['aggregate']);
    hostile.answer = undefined;
    await told(/The aggregate has dropped this log: it proves nothing of it any more/);
    const proof = readAggregateProof(late);
    const [piece] = typeof proof === 'string' ? expect.fail(proof) : proof.pieces;
    const member = (piece ?? expect.fail()).member.replace('\n6\n', '\n7\n');
    hostile.answer = writeAggregateProof({ log: aggregate.key, pieces: [{ ...(piece ?? expect.fail()), member }] });
    await told(/What is in the aggregate is no checkpoint that this log signed/);
    hostile.answer = 'nonsense';
    await told(/no proof by its key/);
    // The same key, another history.
    await hostile.stop();
    for (const name of ['aggregate.sqlite', 'aggregate.sqlite-wal', 'aggregate.sqlite-shm', 'anchors'])
      rmSync(join(data(), name), { recursive: true, force: true });
    await at(1).grow(2);
    await at(2).grow(2);
    const again = await startAggregate();
    await vi.waitFor(async () => expect(await again.piecesOf(at(0).key.name)).toBeDefined(), within);
    for (let i = 0; i < 4; i++) {
      await at(0).grow(1);
      const pieces = JSON.stringify(await again.piecesOf(at(0).key.name));
      await vi.waitFor(async () => expect(JSON.stringify(await again.piecesOf(at(0).key.name))).not.toBe(pieces), within);
    }
    const moved = await serveProof(aggregate.url, again.url);
    await told(/The aggregate has changed what it held: its checkpoints are of two histories/);
    await moved.stop();
    // None of it stops anything.
    await at(0).log.anchoring.check();
  });

  // The folder is the whole of it on the embedded engine alone.
  it.runIf(process.env['ASSENT_TEST_ENGINE'] !== 'mongodb')(
    'that was set back as a whole is refused by what the aggregate holds of it',
    { timeout: 120_000 },
    async () => {
      await at(0).grow(3);
      const aggregate = await startAggregate();
      await join_(at(0), aggregate, { AGGREGATE_PLACES: [] });
      const { log } = at(0);
      const setBack = await backUp(log, join(folder, 'old'));
      await at(0).grow(4);
      await rung(at(0), async () => (await placesIn_(at(0)))?.at(0)?.size === 7);
      await setBack();
      await expect(log.anchoring.check()).rejects.toThrow('The aggregate holds a checkpoint of 7 entries signed by this log: the database is older.');
    },
  );

  it('is late where the aggregate is not anchored as it must be', async () => {
    await at(0).grow(3);
    const aggregate = await startAggregate();
    await join_(at(0), aggregate, { ANCHOR_MAX_AGE_HOURS: 1 });
    await rung(at(0), async () => (await kept(at(0)))?.size);
    await vi.waitFor(async () => {
      at(0).log.time.now += 3_600_000;
      await at(0).log.ring();
      await expect(at(0).log.anchoring.checkAnchors()).rejects.toThrow(/aggregate-evm for \d+ hours, aggregate-rfc3161 for/);
    }, within);
    await at(0).log.anchoring.check();
  });
});

type Kept = { readonly size: number; readonly index: number; readonly places: readonly { readonly size: number }[] };
const kept = async ({ log }: ServedLog) => (await log.engine.records.get('log-aggregate', 'log-aggregate'))?.value as Kept | undefined;
const placesIn_ = async (log: ServedLog) => (await kept(log))?.places;

/** Whoever has taken the aggregate’s address: answers what is wished, or what stands elsewhere, or that there is nothing. */
async function serveProof(at_: string, elsewhere?: string) {
  const hostile: { answer: string | undefined } = { answer: undefined };
  const server = createServer((request, response) => {
    const body = hostile.answer;
    if (body !== undefined) return void response.end(body);
    if (elsewhere === undefined) return void response.writeHead(404).end();
    void fetch(`${elsewhere}${request.url}`).then(async (answer) => response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer())));
  });
  await new Promise<void>((done) => server.listen(Number(new URL(at_).port), '127.0.0.1', done));
  let stopped: Promise<void> | undefined;
  const stop = () =>
    (stopped ??= new Promise<void>((done) => {
      server.close(() => done());
      server.closeAllConnections();
    }));
  ends.push(stop);
  return Object.assign(hostile, { stop });
}
