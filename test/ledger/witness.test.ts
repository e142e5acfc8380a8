/** Cosignatures against the example of c2sp.org/tlog-cosignature, and the rules of c2sp.org/tlog-witness. */
import { describe, expect, it } from 'vitest';
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { openCheckpoint, signCheckpoint } from '../../ledger/checkpoint.ts';
import { newSignerKey, parseCosignerKey, parseNote, parseSignerKey, parseVerifierKey, verifyNote } from '../../ledger/note.ts';
import { consistencyProof, createTree } from '../../ledger/tree.ts';
import { judgeCheckpoint, readAddCheckpoint, writeAddCheckpoint } from '../../ledger/witness.ts';
import { leafHash } from '../../ledger/hash.ts';

const log = parseSignerKey(newSignerKey('log.example')) ?? expect.fail();
const witness = parseCosignerKey(newSignerKey('witness.example/w', 'cosignature')) ?? expect.fail();

describe('a cosignature', () => {
  const text = checkpointText({ origin: 'log.example', size: 3, root: Buffer.alloc(32, 3) });

  it('says when, and is none for another time, another text or a note’s key', () => {
    const line = witness.line(text, 1_679_315_147);
    const note = parseNote(`${text}\n${line}`) ?? expect.fail();
    expect(verifyNote(note, [witness.verifierKey])).toMatchObject({ kind: 'signed', by: [{ time: 1_679_315_147 }] });
    const [signature] = note.signatures;
    const later = Buffer.from(signature?.signature ?? []);
    later[7] = (later[7] ?? 0) ^ 1;
    expect(
      verifyNote({ text, signatures: [{ name: 'witness.example/w', id: witness.verifierKey.id, signature: later }] }, [witness.verifierKey]),
    ).toEqual({ kind: 'forged' });
    expect(verifyNote({ ...note, text: text.replace('3', '4') }, [witness.verifierKey])).toEqual({ kind: 'forged' });
    expect(parseVerifierKey(witness.verifierKey.text)).toMatchObject({ use: 'cosignature', name: 'witness.example/w' });
    expect(parseSignerKey(newSignerKey('w', 'cosignature'))).toBeUndefined();
    expect(parseCosignerKey(newSignerKey('w'))).toBeUndefined();
  });

  it('stands beside the log’s own signature', () => {
    const note = signCheckpoint({ origin: 'log.example', size: 3, root: Buffer.alloc(32, 3) }, [log]) + witness.line(text, 5);
    expect(openCheckpoint(note, [log.verifierKey])).toMatchObject({ kind: 'signed', by: [{ key: { name: 'log.example' } }] });
    expect(openCheckpoint(note, [log.verifierKey, witness.verifierKey])).toMatchObject({ by: [{}, { time: 5 }] });
  });
});

describe('a request to a witness', () => {
  it('is read as it is written, and only so', () => {
    const request = { oldSize: 5, proof: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)], note: 'a\n\n— b c\n' };
    const body = writeAddCheckpoint(request);
    expect(body).toMatch(/^old 5\nAQEB[^\n]+\nAgIC[^\n]+\n\na\n\n— b c\n$/);
    expect(readAddCheckpoint(body)).toEqual(request);
    for (const bad of [
      '',
      'old 5',
      'old 05\n\nx',
      'old -1\n\nx',
      'old 9007199254740993\n\nx',
      'old 5\nAQEB\n\nx',
      'OLD 5\n\nx',
      `old 5\n${'AQEB\n'.repeat(64)}\nx`,
    ])
      expect(readAddCheckpoint(bad)).toBeUndefined();
    const many = writeAddCheckpoint({ ...request, proof: Array.from({ length: 64 }, () => Buffer.alloc(32)) });
    expect(readAddCheckpoint(many)).toBeUndefined();
  });
});

describe('a witness', () => {
  const tree = createTree({ size: 0, edge: [] });
  const tiles = new Map<string, Uint8Array>();
  const roots = new Map<number, Uint8Array>([[0, tree.root()]]);
  for (let i = 0; i < 600; i++) {
    tree.append(leafHash(Buffer.from(`entry ${i}`)));
    roots.set(i + 1, tree.root());
    for (const { level, index, hashes } of tree.grown()) tiles.set(`${level}/${index}`, hashes);
  }
  const tile = async (level: number, index: number, width: number) => tiles.get(`${level}/${index}`)?.subarray(0, 32 * width);
  const noteAt = (size: number, { root = roots.get(size), signer = log, origin = 'log.example' } = {}) =>
    signCheckpoint({ origin, size, root: root ?? expect.fail() }, [signer]);
  const judge = (request: { oldSize: number; proof: readonly Uint8Array[]; note: string }, known?: number) =>
    judgeCheckpoint(request, {
      logs: [log.verifierKey],
      latest: () => (known === undefined ? undefined : { size: known, root: roots.get(known) ?? expect.fail() }),
    });

  it('accepts every continuation, from any size to any', async () => {
    for (const known of [0, 1, 2, 7, 255, 256, 257, 512, 599])
      for (const size of [1, 2, 8, 256, 258, 511, 513, 600].filter((size) => size >= known))
        expect(
          judge({ oldSize: known, proof: await consistencyProof(known, size, tile), note: noteAt(size) }, known === 0 ? undefined : known),
        ).toMatchObject({
          kind: 'consistent',
          checkpoint: { size },
        });
  });

  it('refuses everything else, each by its own reason', async () => {
    const proof = await consistencyProof(5, 9, tile);
    const good = { oldSize: 5, proof, note: noteAt(9) };
    expect(judge(good, 5).kind).toBe('consistent');
    expect(judge(good, 6)).toEqual({ kind: 'conflict', size: 6 });
    expect(judge(good)).toEqual({ kind: 'conflict', size: 0 });
    expect(judge({ ...good, proof: proof.slice(1) }, 5).kind).toBe('inconsistent');
    expect(judge({ ...good, proof: [...proof, Buffer.alloc(32)] }, 5).kind).toBe('inconsistent');
    expect(judge({ ...good, note: noteAt(9, { root: Buffer.alloc(32, 9) }) }, 5).kind).toBe('inconsistent');
    expect(judge({ oldSize: 0, proof, note: noteAt(9) }).kind).toBe('inconsistent');
    expect(judge({ oldSize: 9, proof: [], note: noteAt(9, { root: Buffer.alloc(32, 9) }) }, 9).kind).toBe('other-root');
    expect(judge({ oldSize: 10, proof: [], note: noteAt(9) }, 10).kind).toBe('too-small');
    const stranger = parseSignerKey(newSignerKey('log.example')) ?? expect.fail();
    expect(judge({ ...good, note: noteAt(9, { signer: stranger }) }, 5).kind).toBe('unsigned');
    expect(judge({ ...good, note: good.note.replace('\n9\n', '\n8\n') }, 5).kind).toBe('unsigned');
    expect(judge({ ...good, note: noteAt(9, { origin: 'other.example' }) }, 5).kind).toBe('unknown-log');
    expect(judge({ ...good, note: 'log.example\n9\n' }, 5).kind).toBe('malformed');
  });
});
