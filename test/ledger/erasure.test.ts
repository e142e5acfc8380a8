/** Erased rows and proofs of erasure, as files and as texts. */
import { describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { newSignerKey, parseSignerKey } from '../../ledger/note.ts';
import {
  commitmentOf,
  coverOf,
  erasedRow,
  erasureDigest,
  isErased,
  type LogEntry,
  logRow,
  parseEntry,
  parseRow,
  type PrivateEntry,
} from '../../ledger/entry.ts';
import { type ErasureProof, readErasureProof, writeErasureProof } from '../../ledger/erasure-proof.ts';
import { leafHash, nodeHash } from '../../ledger/hash.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { trusting } from '../support/trusting.ts';

const salt = Buffer.alloc(32, 7);
const entry: LogEntry = {
  kind: 'consent-active',
  occurredAt: '2024-06-01T00:00:00.000Z',
  subject: 'Patient/1',
  reference: 'Consent/1',
  version: 'v1',
  digest: 'digest-of-the-text',
  statement: 'digest-of-the-statement',
};

describe('an erased row', () => {
  const row = { index: 5, ...logRow(entry) };
  const erased = erasedRow(row, salt);

  it('keeps when, what kind, whose and which, and neither digest nor its key', () => {
    expect(erased.index).toBe(5);
    expect(JSON.stringify(erased)).not.toMatch(/digest-of/);
    const { digest: _digest, statement: _statement, ...kept } = entry;
    expect(parseRow(erased.entry)).toEqual({ ...kept, erased: coverOf(row.entry, salt).toString('base64url') });
  });

  it('is no entry, and cannot be erased again', () => {
    expect(isErased(parseRow(erased.entry))).toBe(true);
    expect(isErased(parseRow(row.entry))).toBe(false);
    expect(() => parseEntry(erased.entry)).toThrow(RangeError);
    expect(() => erasedRow(erased, salt)).toThrow(RangeError);
  });

  it.each([
    ['both a digest and a cover', { ...entry, erased: 'x' }],
    ['neither', { ...entry, digest: undefined, statement: undefined }],
    ['what it erases, but is no erasure', { ...entry, erases: [1] }],
    ['an erasure of nothing', { ...entry, kind: 'erasure', erases: [] }],
    ['an erasure of the same twice', { ...entry, kind: 'erasure', erases: [3, 3] }],
    ['an erasure out of order', { ...entry, kind: 'erasure', erases: [3, 1] }],
    ['an erasure of what is no index', { ...entry, kind: 'erasure', erases: [-1] }],
  ])('is not one with %s', (_name, value) => {
    expect(() => parseRow(JSON.stringify(value))).toThrow(RangeError);
  });
});

describe('a proof of erasure', () => {
  const signer = parseSignerKey(newSignerKey('log.example.org')) ?? expect.fail();
  const stone: PrivateEntry = {
    kind: 'erasure',
    occurredAt: '2024-06-02T00:00:00.000Z',
    subject: 'handle',
    reference: 'Consent/1',
    digest: erasureDigest([0]),
    erases: [0],
    index: 1,
    subjectSeq: 2,
    previous: 0,
    salt: salt.toString('base64url'),
  };

  /** A log of two entries: something, and the tombstone. */
  function proofOf(change: Partial<PrivateEntry> = {}, shown: Partial<ErasureProof> = {}): string {
    const { reference, ...rest } = { ...stone, ...change };
    const first = leafHash(Buffer.alloc(32, 1));
    const root = nodeHash(first, leafHash(commitmentOf({ ...rest, reference })));
    const checkpoint = signCheckpoint({ origin: signer.verifierKey.name, size: 2, root }, [signer]);
    return writeErasureProof({ log: signer.verifierKey.text, checkpoint, reference, entry: rest, proof: [first.toString('base64')], ...shown });
  }

  it('says which entries about what, and that it does not say what they were', () => {
    const verdict = verifyReceipt(proofOf(), { policy: trusting(signer.verifierKey.text) });
    expect(verdict).toMatchObject({
      kind: 'erased',
      proven: [expect.stringContaining('Entry 0 about Consent/1 was erased for ever: logged as entry 1'), expect.stringContaining('log.example.org')],
    });
    expect(JSON.stringify(verdict)).toContain('What the erased entries said');
  });

  it.each([
    ['of another Consent', {}, { reference: 'Consent/2' }],
    ['of another kind of entry', { kind: 'consent-withdrawn' as const }, {}],
    ['of entries that its digest is not of', { erases: [0], digest: erasureDigest([1]) }, {}],
    ['of what was logged later', { erases: [3], digest: erasureDigest([3]) }, {}],
    ['that does not lead to the root', {}, { proof: [Buffer.alloc(32, 9).toString('base64')] }],
    ['with a short salt', { salt: 'AAAA' }, {}],
  ])('%s is refuted', (_name, change, shown) => {
    expect(verifyReceipt(proofOf(change, shown))).toMatchObject({ kind: 'refuted' });
  });

  it('by a log that was not pinned is refuted, and one spelled otherwise is unreadable', () => {
    const proof = proofOf();
    expect(verifyReceipt(proof, { policy: trusting() }).kind).toBe('refuted');
    expect(readErasureProof(`${proof}\n`)).toMatchObject({ reference: 'Consent/1' });
    for (const text of [proof.replace('{', '{ '), proof.replace('"erases":[0],', ''), proof.replace('"proof"', '"more":1,"proof"'), `${proof}x`])
      expect(verifyReceipt(text).kind).toBe('unreadable');
  });
});
