/** A log with witnesses: what a quorum cosigns is shown and handed out; nothing waits for them; a log that was set back is found out. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { newSignerKey, parseCosignerKey, parseVerifierKey } from '../../ledger/note.ts';
import { parsePolicy } from '../../ledger/policy.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import type { AssentError } from '../../server/errors.ts';
import { itOnEmbedded } from '../support/on-embedded.ts';
import { createLogFixture, type LogFixture, disclosureStory, party, someEntry } from '../support/log-fixture.ts';
import { startWitness, type WitnessServer } from '../support/witness-server.ts';

const some = (from: number, count: number, log: LogFixture) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));

const cleanup: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanup.splice(0).reverse()) await clean();
});

/** A log whose policy names these witnesses, which know the log. */
async function witnessedLog(names: readonly string[], quorum: string) {
  const folder = mkdtempSync(join(tmpdir(), 'assent-policy-'));
  const file = join(folder, 'policy');
  writeFileSync(file, 'quorum none\n');
  const log = await createLogFixture({ witnessPolicy: file });
  cleanup.push(
    async () => rmSync(folder, { recursive: true, force: true }),
    () => log.dispose(),
  );
  const key = parseVerifierKey(log.anchoring.publicLog.verifierKey()) ?? expect.fail();
  const witnesses: WitnessServer[] = [];
  for (const name of names) witnesses.push(await startWitness({ name: `${name}.example`, logs: [key] }));
  for (const witness of witnesses) cleanup.push(() => witness.dispose());
  const lines = witnesses.map(({ cosigner, url }, i) => `witness ${names[i]} ${cosigner.verifierKey.text} ${url}/`);
  const policy = `log ${key.text}\n${[...lines, quorum].join('\n')}\n`;
  writeFileSync(file, policy);
  await log.reopen();
  await log.anchoring.sealer.start();
  return { log, key, witnesses, policy, file };
}

const messages = (log: LogFixture) => log.faults.map((fault) => (fault as AssentError).message);
/** Ends sealing, and with it waits for the witnesses. */
const grow = async (log: LogFixture, from: number, count: number) => {
  await log.append(...some(from, count, log));
  await log.anchoring.sealer.stop();
};
const cosigners = (note: string | undefined, witnesses: readonly WitnessServer[]) => {
  const opened = openCheckpoint(
    note ?? '',
    witnesses.map(({ cosigner }) => cosigner.verifierKey),
  );
  return opened.kind === 'signed' ? [opened.checkpoint.size, opened.by.map(({ key }) => key.name)] : opened.kind;
};

describe('a log with witnesses', () => {
  it('shows the checkpoint with the cosignatures of all', async () => {
    const { log, witnesses } = await witnessedLog(['a', 'b'], 'group both all a b\nquorum both');
    await grow(log, 0, 300);
    const { publicLog } = log.anchoring;
    const witnessed = await publicLog.witnessed();
    expect(cosigners(witnessed, witnesses)).toEqual([300, ['a.example', 'b.example']]);
    expect(await publicLog.checkpoint()).toBe(witnessed);
    expect((await log.anchoring.status()).witnessed).toMatchObject({ size: 300, by: 2 });
    expect(log.faults).toEqual([]);
  });

  it('goes on where a witness is away, says so once, and takes it in again when it is back', async () => {
    const { log, witnesses } = await witnessedLog(['a', 'b'], 'group one any a b\nquorum one');
    await witnesses[1]?.stop();
    for (let i = 0; i < 3; i++) {
      await log.append(...some(i * 10, 10, log));
      await log.anchoring.sealer.flush();
    }
    await log.anchoring.sealer.stop();
    expect(cosigners(await log.anchoring.publicLog.witnessed(), witnesses)).toEqual([30, ['a.example']]);
    expect(messages(log)).toEqual(['The witness b could not be asked.']);
    await witnesses[1]?.restart();
    await log.reopen();
    await log.anchoring.sealer.start();
    await grow(log, 30, 5);
    expect(cosigners(await log.anchoring.publicLog.witnessed(), witnesses)).toEqual([35, ['a.example', 'b.example']]);
  });

  it('is not called witnessed before the quorum is there, and is written to all the same', async () => {
    const { log, key, witnesses } = await witnessedLog(['a', 'b'], 'group both all a b\nquorum both');
    await witnesses[0]?.stop();
    await grow(log, 0, 20);
    expect(await log.anchoring.publicLog.witnessed()).toBeUndefined();
    expect(openCheckpoint((await log.anchoring.publicLog.checkpoint()) ?? '', [key])).toMatchObject({
      checkpoint: { size: 20 },
    });
    await log.anchoring.check();
  });

  it('does not take another’s signature for a cosignature', async () => {
    const { log, witnesses, file, policy } = await witnessedLog(['a'], 'quorum a');
    const impostor = parseCosignerKey(newSignerKey('a.example', 'cosignature'))?.verifierKey.text ?? expect.fail();
    writeFileSync(file, policy.replace(witnesses[0]?.cosigner.verifierKey.text ?? '', impostor));
    // Its lease would run on: only another process that ends it may be followed at once.
    await log.anchoring.sealer.stop();
    await log.reopen();
    await log.anchoring.sealer.start();
    await grow(log, 0, 5);
    expect(await log.anchoring.publicLog.witnessed()).toBeUndefined();
    expect(messages(log)).toEqual(['The witness a answered no cosignature of its own.']);
  });

  // The folder is the whole of it on the embedded engine alone.
  itOnEmbedded('that was set back as a whole, with its signer, is refused by what a witness holds, and signs nothing', async () => {
    const { log } = await witnessedLog(['a'], 'quorum a');
    await grow(log, 0, 10);
    const size = async () => (await log.anchoring.status()).checkpoint?.size;
    expect(await size()).toBe(10);
    const old = mkdtempSync(join(tmpdir(), 'assent-old-'));
    cleanup.push(async () => rmSync(old, { recursive: true, force: true }));
    await log.engine.resources.close();
    cpSync(log.dataDir, old, { recursive: true });
    await log.reopen();
    await log.anchoring.sealer.start();
    await grow(log, 10, 10);
    await log.engine.resources.close();
    rmSync(log.dataDir, { recursive: true });
    cpSync(old, log.dataDir, { recursive: true });
    await log.reopen();
    await log.anchoring.sealer.start();
    await log.append(...some(50, 10, log));
    await log.anchoring.sealer.stop();
    expect(await size()).toBe(10);
    await expect(log.anchoring.check()).rejects.toThrow('The witness a holds a checkpoint of 20 entries signed by this log: the database is older.');
  });

  it('hands out receipts that prove by whom they were cosigned, and are refuted where the reader demands more', async () => {
    const { log, key, witnesses, policy } = await witnessedLog(['a', 'b'], 'group both all a b\nquorum both');
    const story = disclosureStory([party('Patient/q3v5k2m8x1', 'patient'), party('Organization/hospital', 'custodian')], log.time.now);
    await log.append(...story.entries);
    await log.anchoring.sealer.stop();
    const result = await log.anchoring.receipts.receiptFor(story.entries.at(-1)?.reference ?? '', story.evidence);
    const receipt = result.kind === 'ready' ? result.receipt : expect.fail(result.kind);
    const trusted = (text: string) => ({ policy: parsePolicy(text) as Exclude<ReturnType<typeof parsePolicy>, string> });
    const verdict = verifyReceipt(receipt, trusted(policy));
    expect(JSON.stringify(verdict)).toContain('cosigned by a.example (2024-06-01T00:00:00.000Z), b.example');
    expect(JSON.stringify(verdict)).not.toContain('another log');
    expect(JSON.stringify(verifyReceipt(receipt, trusted(`log ${key.text}`)))).toContain('none of the witnesses is one you pinned');
    const third = parseCosignerKey(newSignerKey('c.example', 'cosignature'))?.verifierKey.text;
    const more = `${policy.replace(/group[^]*/, '')}witness c ${third}\ngroup all all a b c\nquorum all\n`;
    expect(verifyReceipt(receipt, trusted(more))).toMatchObject({
      kind: 'refuted',
      reason: expect.stringContaining('not all whom the policy demands'),
    });
    const [from, to] = [receipt.indexOf('"checkpoint"'), receipt.indexOf('"event"')];
    expect(to - from).toBeGreaterThan(400);
    for (let i = from; i < to; i++) {
      const changed = receipt.slice(0, i) + (receipt[i] === 'A' ? 'B' : 'A') + receipt.slice(i + 1);
      expect(['refuted', 'unreadable']).toContain(verifyReceipt(changed).kind);
    }
    const { witnesses: names, ...rest } = JSON.parse(receipt) as { witnesses: string[]; log: string };
    expect(names).toEqual(witnesses.map(({ cosigner }) => cosigner.verifierKey.text));
    for (const changed of [
      { ...rest, checkpoint: (rest as unknown as { checkpoint: string }).checkpoint },
      { ...rest, witnesses: names.slice(1) },
      { ...rest, witnesses: [...names, third] },
      { ...rest, witnesses: [...names, names[0]] },
    ]) {
      const { format, log: of, checkpoint, witnesses: by, ...others } = changed as Record<string, unknown>;
      expect(verifyReceipt(JSON.stringify({ format, log: of, checkpoint, ...(by ? { witnesses: by } : {}), ...others }))).toMatchObject({
        kind: 'refuted',
      });
    }
  });

  it('does not start with a policy it cannot read', async () => {
    await expect(createLogFixture({ witnessPolicy: '/nowhere/policy' })).rejects.toThrow('The witness policy cannot be used.');
  });
});
