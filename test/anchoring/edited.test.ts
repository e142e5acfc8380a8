/**
 * A database edited by hand, in every record the log is kept in and every row: fsck says what is wrong and of which entry, and never fails at it.
 * ledger.md §7, §8
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type LogEntry, logRow } from '../../ledger/entry.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { kinds, numberId, tileId } from '../../server/anchoring/log-records.ts';
import { rebuildLog } from '../../server/anchoring/rebuild.ts';
import { createLogFixture, digestOf, disclosureStory, type LogFixture, party, someEntry } from '../support/log-fixture.ts';

const PATIENT = 'Patient/q3v5k2m8x1';
const OTHER = 'Consent/other';

let log: LogFixture;
let texts: Map<string, string[]>;

/** Rows of every kind the check reads differently: acts, keys, Consents, one erased with its tombstone, a root of the map. */
beforeAll(async () => {
  log = await createLogFixture();
  const { entries, evidence } = disclosureStory([party(PATIENT, 'patient'), party('Organization/hospital', 'custodian')], log.time.now, PATIENT);
  await log.append(...many(0, 250), ...entries, consent('one'), consent('two'), ...many(1000, 20));
  await log.anchoring.sealer.flush();
  const { consents, keys, disclosure = '' } = evidence;
  texts = new Map([
    ['Consent/0c9x2m4k7q1v5b8n3j6h0f2d9', consents.map((each) => each.consent)],
    ['AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5', [disclosure]],
    [OTHER, []],
    ...keys.map(({ kid, key }): [string, string[]] => [`Key/${kid}`, [key]]),
  ]);
  const { tombstones, ...parts } = await log.anchoring.erasure.forget([OTHER]);
  const erases = tombstones.get(OTHER)?.erases ?? expect.fail();
  const tombstone = logRow({
    kind: 'erasure',
    occurredAt: at(),
    subject: PATIENT,
    reference: OTHER,
    digest: digestOf(JSON.stringify(erases)),
    erases,
  });
  await log.engine.resources.commit({ resources: [], bumpEpoch: false, ...parts, log: [tombstone] });
  await log.anchoring.sealer.flush();
  log.time.now += 60_000;
  await log.ring();
  await vi.waitFor(async () => expect((await log.engine.records.get(kinds.map, kinds.map))?.value).toBeDefined(), { timeout: 120_000 });
  await log.anchoring.sealer.flush();
  await log.anchoring.sealer.stop();
});
afterAll(() => log.dispose());

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const back of undo.splice(0)) await back();
  expect(await fsck()).toEqual([]);
});

type RecordName = { readonly record: string; readonly id: string };

/** `value` undefined: it is gone. */
async function editRecord(name: RecordName, value: unknown): Promise<void> {
  const before = await log.engine.records.get(name.record, name.id);
  const value0 = before?.value ?? null;
  if (!before) await log.engine.records.put(name.record, name.id, value0);
  await log.edit(name, value);
  undo.push(() => (before ? log.engine.records.put(name.record, name.id, value0) : log.engine.records.delete(name.record, name.id)));
}

const at = () => new Date(log.time.now).toISOString();
const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
const consent = (text: string): LogEntry => {
  return { kind: 'consent-active', occurredAt: at(), subject: 'Patient/3', reference: OTHER, version: text, digest: digestOf(text) };
};
const fsck = async () => {
  const { engine, dataDir } = log;
  const all = async (references: readonly string[]) => new Map(references.map((reference) => [reference, texts.get(reference) ?? [reference]]));
  return (await checkStoredLog({ log: engine.resources, records: engine.records, dataDir, texts: all })).problems;
};
const isEmbedded = process.env['ASSENT_TEST_ENGINE'] !== 'mongodb';

/** What a hand may leave in place of a text. */
const noText = ['', '{', 'nothing', 'null', '7', '[]', '{}', '"text"', '{"kind":"disclosure"}', '{"digest":7}', '{"erased":"x"}'];

async function rowsOf(...beginnings: readonly string[]) {
  const rows = await log.engine.resources.readLog(0, 10_000);
  return beginnings.map((start) => rows.findLast(({ entry }) => entry.includes(start)) ?? expect.fail(start));
}

async function editRow(row: number, value: unknown): Promise<void> {
  const [before] = await log.engine.resources.readLog(row, 1);
  await log.edit({ row }, value);
  undo.push(() => log.edit({ row }, before?.entry));
}

describe('a row that is no entry', () => {
  it('is named by its index, whatever stands there and whatever it was', async () => {
    expect(await fsck()).toEqual([]);
    const rows = await rowsOf('"AuditEvent/event-3"', '"Key/', '"Consent/0c9', '"erased":"', '"erases":', '"kind":"map-root"');
    for (const { index, entry } of rows) {
      const { kind } = JSON.parse(entry) as { kind: string };
      const values = [...noText, entry.slice(0, -9), entry.replace(/"digest":"[^"]*"|"erased":"[^"]*"/, '"digest":7'), entry.replace(kind, 'other')];
      for (const value of [...values, ...(isEmbedded ? [] : [7, null, {}])]) {
        await log.edit({ row: index }, value);
        expect(await fsck(), JSON.stringify(value)).toContain(`Entry ${index}: its row cannot be read: it is nothing that was ever written.`);
      }
      await log.edit({ row: index }, entry);
      expect(await fsck()).toEqual([]);
    }
  });

  it('says nothing false of the entries beside it', async () => {
    await editRow(3, '{');
    expect(await fsck()).toEqual(['Entry 3: its row cannot be read: it is nothing that was ever written.']);
  });

  it('is found where it waits to be sealed as well', async () => {
    await log.append(someEntry(5000, log.time.now));
    const size = (await log.engine.resources.readLog(0, 10_000)).length;
    await editRow(size - 1, 'nothing');
    expect(await fsck()).toEqual([`Entry ${size - 1}: its row cannot be read: it is nothing that was ever written.`]);
  });

  it('is not rebuilt from, nor is anything thrown', async () => {
    await editRow(3, '{');
    await editRecord({ record: kinds.bundle, id: numberId(0) }, '{');
    const { engine, dataDir } = log;
    expect(await rebuildLog({ log: engine.resources, records: engine.records, dataDir })).toMatchObject({ kind: 'refused' });
  });
});

const one = (record: string): RecordName => ({ record, id: record });

describe('a record of the log', () => {
  it.each([
    ['a batch', { record: kinds.batch, id: numberId(0) }, 'Batch 0 cannot be read'],
    ['a tile', { record: kinds.tile, id: tileId(0, 0) }, 'Tile 0/0 is not'],
    ['an entry bundle', { record: kinds.bundle, id: numberId(1) }, 'Entry bundle 1 is missing or torn'],
    ['a subject', { record: kinds.subject, id: 'Patient/3' }, 'about its subject and the newest'],
    ['the head', one(kinds.head), 'how many entries are sealed cannot be read'],
    ['the checkpoint', one(kinds.checkpoint), 'The record of the checkpoint cannot be read'],
    ['the witnessed checkpoint', one(kinds.witnessed), 'The record of the witnessed checkpoint cannot be read'],
    ['the newest root of the map', one(kinds.map), 'newest root of the map of Consents cannot be read'],
    ['a replaced key', one(kinds.rotation), 'The replacements of the log’s key'],
  ] as const)('%s that is none is told', async (_what, record, sentence) => {
    await editRecord(record, '{');
    for (const value of [...noText, 7, ...(isEmbedded ? [Buffer.from('bytes')] : [])]) {
      await log.edit(record, value);
      expect((await fsck()).join('\n'), String(value)).toContain(sentence);
    }
  });

  it.each([
    ['a batch whose salts are cut', { record: kinds.batch, id: numberId(0) }, { salts: 'AAAA' }, 'Batch 0 cannot be read'],
    ['a batch with another root', { record: kinds.batch, id: numberId(0) }, { root: '' }, 'Batch 0: its root is another'],
    ['a batch under another’s name', { record: kinds.batch, id: numberId(0) }, { first: 7 }, 'Batch 0 cannot be read'],
    ['a batch that says more', { record: kinds.batch, id: numberId(0) }, { seqs: [] }, 'Batch 0 cannot be read'],
    ['a subject with another handle', { record: kinds.subject, id: 'Patient/3' }, { handle: 7 }, 'says otherwise'],
    ['a head that is ahead', one(kinds.head), { size: 100_000 }, 'is missing or torn'],
    ['a head that is behind', one(kinds.head), { size: 3 }, 'The signer knows'],
    ['a head that is no number', one(kinds.head), { size: -1 }, 'cannot be read'],
    ['a checkpoint of another size', one(kinds.checkpoint), { size: 3 }, 'is of another size than its record says'],
    ['a checkpoint of nobody', one(kinds.checkpoint), { note: 'x\n' }, 'The checkpoint is'],
    ['a newest root that is ahead', one(kinds.map), { upTo: 100_000 }, 'is ahead of the roots in the log'],
  ] as const)('%s is told', async (_what, record, change, sentence) => {
    const { value } = (await log.engine.records.get(record.record, record.id)) ?? expect.fail();
    await editRecord(record, JSON.stringify({ ...(value as object), ...change }));
    expect((await fsck()).join('\n')).toContain(sentence);
  });

  it.each([
    [kinds.batch, numberId(0)],
    [kinds.tile, tileId(0, 0)],
    [kinds.bundle, numberId(0)],
    [kinds.subject, 'Patient/3'],
    [kinds.head, kinds.head],
  ])('%s that is gone is told', async (record, id) => {
    await editRecord({ record, id }, undefined);
    expect(await fsck()).not.toEqual([]);
  });
});
