/** Entries that were erased: nothing confirms a guess of them any more, everything else is proven as before, and nothing goes without a tombstone. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LogEntry, logRow, parseRow } from '../../ledger/entry.ts';
import { sha256 } from '../../ledger/hash.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import {
  type BatchRecord,
  createLogRecords,
  entriesOf,
  kinds,
  numberId,
  saltAt,
  tailedRow,
  withoutSalts,
} from '../../server/anchoring/log-records.ts';
import type { WriteSet } from '../../server/store/port.ts';
import { createLogFixture, digestOf, disclosureStory, type LogFixture, party, someEntry, type Story } from '../support/log-fixture.ts';
import { trusting } from '../support/trusting.ts';

const PATIENT = 'Patient/q3v5k2m8x1';
const CONSENT = 'Consent/0c9x2m4k7q1v5b8n3j6h0f2d9';
const EVENT = 'AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5';
const OTHER = 'Consent/other';
const VERSION = '1a2b3c4d5e6f7g8h9i0j1k2l3';

let log: LogFixture;
let story: Story;
let texts: Map<string, string[]>;

beforeEach(async () => {
  log = await createLogFixture();
  story = disclosureStory([party(PATIENT, 'patient'), party('Organization/hospital', 'custodian')], log.time.now, PATIENT);
  await log.append(...many(0, 250), ...story.entries, consent(OTHER, 'one'), consent(OTHER, 'two'), ...many(1000, 20));
  await log.anchoring.sealer.flush();
  const { consents, keys, disclosure = '' } = story.evidence;
  texts = new Map([
    [CONSENT, consents.map((each) => each.consent)],
    [EVENT, [disclosure]],
    [OTHER, ['one', 'two']],
    ...keys.map(({ kid, key }): [string, string[]] => [`Key/${kid}`, [key]]),
  ]);
});
afterEach(() => log.dispose());

const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
const at = () => new Date(log.time.now).toISOString();
const consent = (reference: string, text: string): LogEntry => {
  return { kind: 'consent-active', occurredAt: at(), subject: 'Patient/3', reference, version: text, digest: digestOf(text) };
};
const stored = () => createLogRecords(log.engine.records);
const fsck = () =>
  checkStoredLog({
    log: log.engine.resources,
    records: log.engine.records,
    dataDir: log.dataDir,
    texts: async (references) => new Map(references.map((reference) => [reference, texts.get(reference) ?? [reference]])),
  });
const problems = async () => (await fsck()).problems.join('\n');
const rowsAbout = async (reference: string) => (await log.engine.resources.readLog(0, 10_000)).filter(({ key }) => key.startsWith(`${reference} `));
const indexOf = async (reference: string, nth = 0) => (await rowsAbout(reference))[nth]?.index ?? expect.fail();
const commit = (writes: Partial<WriteSet>) =>
  log.engine.resources.commit({ guards: [], resources: [], records: [], log: [], bumpEpoch: false, ...writes });
const tombstone = (reference: string, erases: readonly number[]) =>
  logRow({ kind: 'erasure', occurredAt: at(), subject: PATIENT, reference, digest: digestOf(JSON.stringify(erases)), erases });

/** What a purge commits, as far as the log goes. */
async function writesFor(...references: readonly string[]): Promise<Partial<WriteSet>> {
  const { tombstones, ...parts } = await log.anchoring.erasure.forget(references);
  return { ...parts, log: [...tombstones].map(([reference, { erases }]) => tombstone(reference, erases)) };
}

async function erase(...references: readonly string[]): Promise<void> {
  expect(await commit(await writesFor(...references))).toEqual({ kind: 'committed' });
  for (const reference of references) texts.set(reference, []);
}

async function batchOf(index: number): Promise<BatchRecord> {
  const batches = await stored().batchesAround(index);
  return batches.find(({ first, count }) => index >= first && index < first + count) ?? expect.fail();
}

async function stillThere(): Promise<string[]> {
  const found: string[] = [];
  for await (const reference of log.anchoring.erasure.consentsOf(PATIENT)) found.push(reference);
  return found;
}

async function restart(): Promise<void> {
  // The lease of the process before has run out.
  log.time.now += 20_000;
  await log.reopen();
  await log.anchoring.sealer.start();
}

const putBatch = (batch: BatchRecord) => log.engine.records.put(kinds.batch, numberId(batch.first), batch);
const bundles = async () => Promise.all([0, 1].map(async (i) => entriesOf((await stored().bundle(i, i === 0 ? 256 : 20)) ?? expect.fail())));

describe('after an erasure', () => {
  it('neither row nor salt is left of what confirms a guess, and every leaf is as it was', async () => {
    const before = await bundles();
    const index = await indexOf(CONSENT);
    const [row] = await rowsAbout(CONSENT);
    const salt = Buffer.from(saltAt(await batchOf(index), index) ?? expect.fail());
    await erase(CONSENT);
    expect(await bundles()).toEqual(before);
    const all = JSON.stringify([await log.engine.resources.readLog(0, 10_000), await stored().batchesAround(0), await stored().batchesAround(256)]);
    for (const secret of [digestOf(story.evidence.consents[0]?.consent ?? ''), digestOf(story.statement)]) expect(all).not.toContain(secret);
    expect(saltAt(await batchOf(index), index)).toBeUndefined();
    const left = (await log.engine.resources.readLog(index, 1))[0]?.entry ?? '';
    // Who knows the whole entry cannot tell that it was this one: only with the salt.
    expect(left).not.toContain(sha256(row?.entry ?? '').toString('base64url'));
    expect(left).toContain(sha256(Buffer.concat([salt, sha256(row?.entry ?? '')])).toString('base64url'));
    // Those beside it in the same batch keep theirs.
    expect(saltAt(await batchOf(index - 1), index - 1)).toBeDefined();
  });

  it.each(['at once', 'sealed'])('fsck finds the log whole, %s, and counts it', async (when) => {
    await erase(CONSENT, OTHER);
    if (when === 'sealed') await log.anchoring.sealer.flush();
    expect(await fsck()).toMatchObject({ erased: 3, problems: [] });
  });

  it('the server starts again, signs on and is not alarmed; the Consent is known to be erased', async () => {
    await erase(CONSENT);
    await log.anchoring.tail.catchUp();
    expect(log.anchoring.tail.isErased(`${CONSENT}/_history/${VERSION}`)).toBe(true);
    for (let i = 0; i < 2; i++) {
      await restart();
      await log.anchoring.tail.catchUp();
      expect(log.anchoring.tail.latest(CONSENT)?.kind).toBe('erasure');
      expect(log.anchoring.tail.isErased(`${CONSENT}/_history/${VERSION}`)).toBe(true);
      expect(log.anchoring.tail.isErased(`${OTHER}/_history/one`)).toBe(false);
      await log.append(...many(2000 + i * 100, 90));
      await log.anchoring.sealer.flush();
    }
    expect(log.faults).toEqual([]);
    expect(await fsck()).toMatchObject({ signed: 457, erased: 1, problems: [] });
  });

  it('receipts of before hold, and others are still made from the same batch', async () => {
    const receipt = async () => log.anchoring.receipts.receiptFor(EVENT, story.evidence);
    const before = await receipt();
    await erase(OTHER);
    const after = await receipt();
    for (const each of [before, after]) expect(each.kind === 'ready' && verifyReceipt(each.receipt).kind).toBe('proven');
    await erase(CONSENT);
    expect(before.kind === 'ready' && verifyReceipt(before.receipt).kind).toBe('proven');
    expect(await receipt()).toEqual({ kind: 'absent' });
  });

  it('in its place there is a proof of the tombstone, which any change refutes', async () => {
    await erase(OTHER);
    const find = (version: string) => log.anchoring.receipts.erasureOf({ reference: OTHER, version });
    expect(await find('two')).toEqual({ kind: 'pending' });
    await log.anchoring.sealer.flush();
    const found = await find('two');
    const proof = (found.kind === 'erased' && found.proof) || expect.fail();
    const verdict = verifyReceipt(proof, { policy: trusting(log.anchoring.publicLog.verifierKey()) });
    const [one, two] = [await indexOf(OTHER), await indexOf(OTHER, 1)];
    expect(verdict).toMatchObject({
      kind: 'erased',
      proven: [expect.stringContaining(`Entries ${one}, ${two} about ${OTHER} were erased`), expect.anything()],
    });
    expect(verifyReceipt(proof, { policy: trusting() }).kind).toBe('refuted');
    for (let i = 0; i < proof.length; i += 3) {
      const changed = proof.slice(0, i) + (proof[i] === '1' ? '2' : '1') + proof.slice(i + 1);
      expect([i, verifyReceipt(changed).kind]).not.toEqual([i, 'erased']);
    }
    expect(await find('never')).toEqual({ kind: 'erased', proof: undefined });
  });

  it('may come again for the same name, used once more', async () => {
    await erase(OTHER);
    await log.append(consent(OTHER, 'three'));
    texts.set(OTHER, ['three']);
    expect((await fsck()).problems).toEqual([]);
    await erase(OTHER);
    await log.anchoring.sealer.flush();
    expect(await fsck()).toMatchObject({ erased: 3, problems: [] });
    expect((await log.anchoring.erasure.forget([OTHER])).tombstones.size).toBe(0);
  });
});

describe('an erasure', () => {
  it('waits until what it erases is sealed: no salt is drawn afterwards', async () => {
    await log.append(consent(OTHER, 'three'));
    await erase(OTHER);
    await log.anchoring.sealer.flush();
    expect(await fsck()).toMatchObject({ erased: 3, problems: [] });
  });

  it('between sealing and signing changes nothing that is signed', async () => {
    await log.anchoring.sealer.start();
    await log.append(consent('Consent/quick', 'quick'), ...many(3000, 255));
    while ((await stored().head()) < 512) await new Promise((resolve) => setTimeout(resolve, 2));
    expect((await stored().checkpoint())?.size).toBe(276);
    const batch = await batchOf(276);
    expect(saltAt(batch, 276)).toBeDefined();
    const row = (await log.engine.resources.readLog(276, 1))[0] ?? expect.fail();
    expect(tailedRow(row)?.reference).toBe('Consent/quick');
    await erase('Consent/quick');
    await log.anchoring.sealer.flush();
    await restart();
    await log.anchoring.check();
    expect(await fsck()).toMatchObject({ erased: 1, problems: [] });
  });

  it('of two at once, one is refused: neither brings back what the other took', async () => {
    const [one, two] = [await writesFor(CONSENT), await writesFor(OTHER)];
    expect(await commit(one)).toEqual({ kind: 'committed' });
    expect((await commit(two)).kind).toBe('conflict');
    texts.set(CONSENT, []);
    await erase(OTHER);
    expect(await fsck()).toMatchObject({ erased: 3, problems: [] });
  });

  it('finds what an earlier server erased by its texts alone, and finishes it', async () => {
    const legacy: LogEntry = {
      kind: 'erasure',
      occurredAt: at(),
      subject: PATIENT,
      reference: CONSENT,
      digest: digestOf(story.evidence.consents[0]?.consent ?? ''),
    };
    await log.append(legacy);
    await log.anchoring.sealer.flush();
    texts.set(CONSENT, []);
    expect((await fsck()).problems).toEqual([]);
    expect(await stillThere()).toEqual([CONSENT]);
    await erase(CONSENT);
    await log.anchoring.sealer.flush();
    expect(await stillThere()).toEqual([]);
    expect(JSON.stringify(await log.engine.resources.readLog(0, 10_000))).not.toContain(legacy.digest);
    expect(await fsck()).toMatchObject({ erased: 2, problems: [] });
  });
});

describe('fsck', () => {
  const plain = async () => {
    await log.anchoring.sealer.flush();
    return problems();
  };

  it('names an entry whose salt was taken away by hand, and a start discloses nothing', async () => {
    const index = await indexOf(OTHER);
    await putBatch(withoutSalts(await batchOf(index), [index]));
    expect(await problems()).toContain(`Entry ${index} (${OTHER}) is MISSING: its salt is gone`);
    await restart();
    await expect(log.anchoring.tail.catchUp()).rejects.toThrow('not those that were signed');
  });

  it('names an AuditEvent’s entry too, also when a tombstone was planted for it', async () => {
    const index = await indexOf('AuditEvent/event-7');
    await putBatch(withoutSalts(await batchOf(index), [index]));
    expect(await problems()).toContain(`Entry ${index} (AuditEvent/event-7) is MISSING`);
    await commit({ log: [tombstone('AuditEvent/event-7', [index])] });
    expect(await plain()).toContain(`Entry ${index} (AuditEvent/event-7) is MISSING`);
  });

  it('takes row and salt erased without a tombstone for a violation', async () => {
    const index = await indexOf(OTHER, 1);
    const { log: _tombstones, ...writes } = await writesFor(OTHER);
    await commit(writes);
    texts.set(OTHER, []);
    expect(await problems()).toContain(`Entry ${index} (${OTHER}) is MISSING: it was erased, and no tombstone in the log accounts for it.`);
  });

  it('takes a tombstone that names another index for one', async () => {
    const [first, second] = [await indexOf(OTHER), await indexOf(OTHER, 1)];
    const writes = await writesFor(OTHER);
    await commit({ ...writes, log: [tombstone(OTHER, [first, second + 1])] });
    texts.set(OTHER, []);
    const found = await plain();
    expect(found).toContain(`says that entry ${second + 1} (${OTHER}) was erased: it is there.`);
    expect(found).toContain(`Entry ${second} (${OTHER}) is MISSING`);
  });

  it('takes a tombstone about another Consent for one', async () => {
    const index = await indexOf(OTHER);
    const writes = await writesFor(OTHER);
    await commit({ ...writes, log: [tombstone(CONSENT, [index, index + 1])] });
    texts.set(OTHER, []);
    expect(await plain()).toMatch(new RegExp(`says that entry ${index} .*was erased: what is there[^]*Entry ${index} .*is MISSING`));
  });

  it('takes a tombstone for an entry that is there for one, and one whose salt was kept', async () => {
    const index = await indexOf(OTHER);
    await commit({ log: [tombstone(OTHER, [index, index + 1])] });
    expect(await plain()).toContain(`says that entry ${index} (${OTHER}) was erased: it is there.`);
    const kept = await batchOf(index);
    const writes = await writesFor(OTHER);
    await commit(writes);
    texts.set(OTHER, []);
    await putBatch(kept);
    expect(await plain()).toContain(`Entry ${index} (${OTHER}): its row was erased, but its salt stays.`);
  });

  it('takes a salt that is gone while the row stays for one, also under a tombstone', async () => {
    const index = await indexOf(OTHER);
    const { redact: _redact, ...writes } = await writesFor(OTHER);
    await commit(writes);
    texts.set(OTHER, []);
    expect(await plain()).toMatch(new RegExp(`Entry ${index} .*is MISSING: its salt is gone`));
  });

  it.each([
    ['what kind it was', (entry: string) => entry.replace('consent-active', 'consent-proposed')],
    ['whose it was', (entry: string) => entry.replace('Patient/3', 'Patient/4')],
    ['what it covers', (entry: string) => entry.replace(/"erased":"./, '"erased":"_')],
  ])('and the next start notice that an erased row says otherwise %s', async (_name, change) => {
    await erase(OTHER);
    await log.anchoring.sealer.flush();
    const [row] = await rowsAbout(OTHER);
    if (!row) expect.fail();
    expect(parseRow(change(row.entry))).not.toEqual(parseRow(row.entry));
    await commit({ redact: [{ ...row, entry: change(row.entry) }] });
    expect(await problems()).toContain('not those that were signed');
    await restart();
    await expect(log.anchoring.tail.catchUp()).rejects.toThrow('not those that were signed');
  });
});

describe('a signer’s state of an earlier server', () => {
  const file = () => {
    const [name = ''] = readdirSync(join(log.dataDir, 'signer')).filter((each) => each.startsWith('state'));
    return join(log.dataDir, 'signer', name);
  };
  const makeEarlier = async (change = (chain: Buffer) => chain) => {
    const { rows: _rows, ...state } = JSON.parse(readFileSync(file(), 'utf8')) as Record<string, unknown>;
    let chain: Buffer = Buffer.alloc(32);
    for (const row of await log.engine.resources.readLog(0, 10_000))
      if (tailedRow(row)) chain = sha256(Buffer.concat([chain, Buffer.from(`${row.index}\n${row.entry}`)]));
    writeFileSync(file(), JSON.stringify({ ...state, chain: change(chain).toString('base64') }));
  };

  it('is taken over once, and then entries may be erased', async () => {
    await makeEarlier();
    expect((await fsck()).problems).toEqual([]);
    await restart();
    await log.anchoring.check();
    expect(Object.keys(JSON.parse(readFileSync(file(), 'utf8')) as object)).toContain('rows');
    await erase(CONSENT);
    await restart();
    await log.anchoring.tail.catchUp();
    expect(log.faults).toEqual([]);
    expect(await fsck()).toMatchObject({ erased: 1, problems: [] });
  });

  it('is refused where the rows are others', async () => {
    await makeEarlier((chain) => Buffer.from(chain).fill(1, 0, 1));
    expect(await problems()).toContain('not those that were signed');
    await restart();
    await expect(log.anchoring.tail.catchUp()).rejects.toThrow('not those that were signed');
  });
});
