/** A witness over HTTP, as a log that is honest, mistaken or malicious meets it. https://c2sp.org/tlog-witness */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { leafHash, sha256 } from '../../ledger/hash.ts';
import { newSignerKey, parseNote, parseSignatures, parseSignerKey, verifyNote } from '../../ledger/note.ts';
import { consistencyProof, createTree } from '../../ledger/tree.ts';
import { writeAddCheckpoint } from '../../ledger/witness.ts';
import { startWitness, type WitnessServer } from '../support/witness-server.ts';

const ORIGIN = 'log.example';
const log = parseSignerKey(newSignerKey(ORIGIN)) ?? expect.fail();

/** A log of its own history: `fork` tells one from another. */
function logOf(fork: string, size: number) {
  const tree = createTree({ size: 0, edge: [] });
  const tiles = new Map<string, Uint8Array>();
  const roots: Uint8Array[] = [tree.root()];
  for (let i = 0; i < size; i++) {
    tree.append(leafHash(Buffer.from(i < 3 ? `${i}` : `${fork} ${i}`)));
    roots.push(tree.root());
    for (const { level, index, hashes } of tree.grown()) tiles.set(`${level}/${index}`, hashes);
  }
  const tile = async (level: number, index: number, width: number) => tiles.get(`${level}/${index}`)?.subarray(0, 32 * width);
  const note = (at: number) => signCheckpoint({ origin: ORIGIN, size: at, root: roots[at] ?? expect.fail() }, [log]);
  return {
    note,
    request: async (from: number, to: number) => writeAddCheckpoint({ oldSize: from, proof: await consistencyProof(from, to, tile), note: note(to) }),
  };
}
const honest = logOf('honest', 40);
const forked = logOf('forked', 40);

let witness: WitnessServer;
beforeEach(async () => {
  witness = await startWitness({ name: 'witness.example', logs: [log.verifierKey] });
});
afterEach(() => witness.dispose());

const add = async (body: string | Promise<string>, to = witness) => {
  const response = await fetch(`${to.url}/add-checkpoint`, { method: 'POST', body: await body });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};
const shown = async () => (await fetch(`${witness.url}/checkpoint/${sha256(ORIGIN).toString('hex')}`)).text();

describe('a witness', () => {
  it('cosigns a log that only grows, and shows what it cosigned last', async () => {
    for (const [from, to] of [
      [0, 5],
      [5, 5],
      [5, 9],
      [9, 40],
    ] as const) {
      const { status, text } = await add(honest.request(from, to));
      expect(status).toBe(200);
      const note = { text: parseNote(honest.note(to))?.text ?? '', signatures: parseSignatures(text) ?? expect.fail() };
      expect(verifyNote(note, [witness.cosigner.verifierKey])).toMatchObject({ kind: 'signed', by: [{ time: Date.UTC(2024, 5, 1) / 1000 }] });
      expect(await shown()).toBe(honest.note(to));
    }
    expect((await fetch(`${witness.url}/key`)).status).toBe(200);
  });

  it('tells where it stands to whoever does not know', async () => {
    expect(await add(honest.request(3, 9))).toMatchObject({ status: 409, type: 'text/x.tlog.size', text: '0\n' });
    await add(honest.request(0, 9));
    expect(await add(honest.request(0, 12))).toMatchObject({ status: 409, type: 'text/x.tlog.size', text: '9\n' });
  });

  it('does not cosign a second history, nor an older tree, and what it had cosigned stays', async () => {
    await add(honest.request(0, 9));
    expect((await add(forked.request(9, 12))).status).toBe(422);
    expect((await add(forked.request(9, 9))).status).toBe(409);
    expect((await add(forked.request(3, 12))).status).toBe(409);
    expect((await add(honest.request(0, 5))).status).toBe(409);
    expect(await shown()).toBe(honest.note(9));
    expect((await add(honest.request(9, 12))).status).toBe(200);
  });

  it('remembers over a restart', async () => {
    await add(honest.request(0, 9));
    await witness.restart();
    expect(await add(forked.request(0, 5))).toMatchObject({ status: 409, text: '9\n' });
    expect((await add(honest.request(9, 10))).status).toBe(200);
  });

  it('never goes back where two of its processes are asked at once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'assent-witness-'));
    const options = { name: 'twice.example', logs: [log.verifierKey], folder };
    const one = await startWitness(options);
    const other = await startWitness({ ...options, cosigner: one.cosigner });
    try {
      expect((await add(honest.request(0, 1), one)).status).toBe(200);
      for (let size = 1; size < 39; size += 2) {
        const answers = await Promise.all([add(honest.request(size, size + 1), one), add(honest.request(size, size + 2), other)]);
        const granted = answers.filter(({ status }) => status === 200).length;
        expect([granted, ...answers.map(({ status }) => status)]).toContain(200);
        expect(granted).toBe(1);
        const stands = answers[0]?.status === 200 ? size + 1 : size + 2;
        for (const { status, text } of answers) if (status === 409) expect(text).toBe(`${stands}\n`);
        if (stands === size + 1) expect((await add(honest.request(stands, size + 2), other)).status).toBe(200);
      }
    } finally {
      await one.dispose();
      await other.dispose();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('answers what is no request with 4xx and no trace of its inside', async () => {
    const stranger = parseSignerKey(newSignerKey(ORIGIN)) ?? expect.fail();
    const unknown = parseSignerKey(newSignerKey('other.example')) ?? expect.fail();
    const signedBy = (signer: typeof stranger, origin: string) =>
      writeAddCheckpoint({ oldSize: 0, proof: [], note: signCheckpoint({ origin, size: 1, root: Buffer.alloc(32) }, [signer]) });
    const answers = await Promise.all([
      add(''),
      add('old x\n\n'),
      add((await honest.request(0, 5)).replace('old 0', 'old 6')),
      add(signedBy(stranger, ORIGIN)),
      add(signedBy(unknown, 'other.example')),
      add('x'.repeat(70_000)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 403, 404, 413]);
    for (const { text } of answers) expect(text).not.toMatch(/at |node_modules|\.ts/);
    expect((await fetch(`${witness.url}/checkpoint/${'0'.repeat(64)}`)).status).toBe(404);
  });
});
