/**
 * The signer as a process of its own, asked by whoever has its secret: it signs what continues the tree it signed last and nothing else, whoever asks,
 * however often it is killed. ledger.md §2
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { leafHash, sha256 } from '../../ledger/hash.ts';
import { parseSignatures, parseVerifierKey, verifyNote } from '../../ledger/note.ts';
import { createTree, rootAt, TILE_WIDTH } from '../../ledger/tree.ts';
import { openRemoteSigner, signerClient } from '../../server/anchoring/remote-signer.ts';
import type { Signer, SignRequest } from '../../server/anchoring/signer.ts';
import { extendBy } from '../../server/anchoring/row-chain.ts';
import { launchSigner, type SignerProcess } from '../support/signer-process.ts';

const cleanup: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanup.splice(0).reverse()) await clean();
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'assent-signer-'));
  cleanup.push(async () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function launch(folder: string, ...args: readonly string[]): Promise<SignerProcess> {
  const started = await launchSigner(folder, ...args);
  cleanup.push(() => started.end('SIGKILL'));
  return started;
}

/** The server's side; `refusals`: what it was told. */
async function asking({ settings }: Pick<SignerProcess, 'settings'>): Promise<{ readonly signer: Signer; readonly refusals: string[] }> {
  const refusals: string[] = [];
  const client = await signerClient(settings);
  return { signer: await openRemoteSigner({ client, refused: (reason) => void refusals.push(reason) }), refusals };
}

/** A log of its own history: `fork` tells one from another, from the fourth entry on. */
function logOf(fork: string, most: number) {
  const tree = createTree({ size: 0, edge: [] });
  const tiles = new Map<string, Uint8Array>();
  const entries = Array.from({ length: most }, (_, i) => sha256(i < 3 ? `${i}` : `${fork} ${i}`));
  for (const [i, entry] of entries.entries()) {
    tree.append(leafHash(entry));
    if ((i + 1) % TILE_WIDTH === 0 || i + 1 === most) for (const { level, index, hashes } of tree.grown()) tiles.set(`${level}/${index}`, hashes);
  }
  const tile = async (level: number, index: number, width: number) => tiles.get(`${level}/${index}`)?.subarray(0, 32 * width);
  const past = (size: number) => rootAt(size, tile);
  async function* steps(from: number, to: number) {
    for (let i = from; i < to; i++) if (i % 5 === 0) yield Buffer.concat([sha256(`${fork} open ${i}`), sha256(`${fork} rest ${i}`)]);
  }
  return {
    root: past,
    async request(size: number, more: Partial<SignRequest> = {}): Promise<SignRequest> {
      return {
        size,
        root: await past(size),
        published: undefined,
        entries: async function* (from, to) {
          yield* entries.slice(from, to);
        },
        rows: { steps, extend: (before, from, to) => extendBy(before, steps(from, to)), ofTexts: async () => expect.fail() },
        rootAt: past,
        head: async () => size,
        ...more,
      };
    },
  };
}

const honest = logOf('honest', 600);
const forked = logOf('forked', 700);

function opened(result: Awaited<ReturnType<Signer['sign']>>, key: string) {
  if (result.kind !== 'signed') return result;
  const checkpoint = openCheckpoint(result.note, [parseVerifierKey(key) ?? expect.fail()]);
  return checkpoint.kind === 'signed' ? checkpoint.checkpoint : checkpoint;
}

describe('a signer of its own', () => {
  it.each([['a unix socket', []] as const, ['loopback', ['--port', '0']] as const])('signs what continues, over %s', async (_what, args) => {
    const process = await launch(newFolder(), ...args);
    const { signer } = await asking(process);
    expect(signer.verifierKey).toBe(process.key);
    for (const size of [3, 300, 300, 600]) {
      expect(opened(await signer.sign(await honest.request(size)), process.key)).toMatchObject({ size, root: await honest.root(size) });
      expect(signer.status()).toEqual({ kind: 'ready', size });
    }
  });

  it('signs no second history, nor an older tree, whoever asks; and after it was started again neither', async () => {
    const folder = newFolder();
    let process = await launch(folder);
    await (await asking(process)).signer.sign(await honest.request(300));
    for (const [bad, why] of [
      [await forked.request(400), 'not a continuation'],
      [await honest.request(200), 'older than the signer'],
      [await honest.request(400, { entries: async function* () {} }), 'missing'],
    ] as const) {
      const { signer, refusals } = await asking(process);
      expect(await signer.sign(bad)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(why) as string });
      // Whoever comes after is refused as well: something is wrong, and somebody has to look.
      const { signer: next, refusals: theirs } = await asking(process);
      expect(await next.sign(await honest.request(400))).toMatchObject({ kind: 'refused', reason: expect.stringContaining(why) as string });
      expect([refusals.length, theirs.length]).toEqual([1, 1]);
      await process.end('SIGTERM');
      process = await launch(folder);
    }
    expect(opened(await (await asking(process)).signer.sign(await honest.request(400)), process.key)).toMatchObject({ size: 400 });
  });

  it('a slow server is told that it was overtaken, not that its database is old', async () => {
    const process = await launch(newFolder());
    const [one, other] = [await asking(process), await asking(process)];
    await one.signer.sign(await honest.request(300));
    expect(await other.signer.sign(await honest.request(200, { head: async () => 300 }))).toEqual({ kind: 'overtaken' });
    expect([one.refusals, other.refusals]).toEqual([[], []]);
    // All at once: each is signed, in some order, and nobody is refused.
    const results = await Promise.all(
      [310, 320, 330, 340].map(async (size, i) => (i % 2 ? one : other).signer.sign(await honest.request(size, { head: async () => 340 }))),
    );
    expect(results.map(({ kind }) => kind).filter((kind) => kind !== 'overtaken' && kind !== 'signed')).toEqual([]);
    expect([one.refusals, other.refusals]).toEqual([[], []]);
    await one.signer.renew((await honest.request(340)).rows);
    expect(one.signer.head()?.size).toBe(340);
  });

  it('signs a long stretch piece by piece, each a root of the stored tiles', async () => {
    const long = logOf('long', 130_000);
    const process = await launch(newFolder());
    const { signer } = await asking(process);
    const asked: number[] = [];
    const rootAtSize = async (size: number) => {
      asked.push(size);
      return long.root(size);
    };
    expect(opened(await signer.sign(await long.request(130_000, { rootAt: rootAtSize })), process.key)).toMatchObject({ size: 130_000 });
    expect(asked).toEqual([100_000]);
  });

  it('remembers the rows about Consents and keys as a signer beside the database would', async () => {
    const process = await launch(newFolder());
    const { signer } = await asking(process);
    const request = await honest.request(600);
    await signer.sign(await honest.request(250));
    await signer.sign(request);
    expect(Buffer.from(signer.head()?.chain ?? []).equals(await request.rows.extend(Buffer.alloc(32), 0, 600))).toBe(true);
  });
});

describe('killed with kill -9, whenever', () => {
  it('never signs two histories, and remembers whatever it had answered', async () => {
    const folder = newFolder();
    // From the fourth entry on a fork is one.
    let size = 10;
    for (let round = 0; round < 4; round++) {
      const process = await launch(folder);
      const { signer } = await asking(process);
      if (round > 0) expect(signer.head()?.size).toBeGreaterThanOrEqual(size);
      // Something was answered before it is killed the first time, however busy the machine is.
      if (round === 0) await signer.sign(await honest.request(size));
      let answered = signer.head()?.size ?? 0;
      const killing = new Promise<void>((resolve) => setTimeout(() => resolve(void process.end('SIGKILL')), 5 + round * 12));
      for (let next = answered + 1; next <= 600; next++) {
        const result = await honest
          .request(next)
          .then(signer.sign, () => undefined)
          .catch(() => undefined);
        if (result?.kind !== 'signed') break;
        answered = next;
      }
      await killing;
      await process.end('SIGKILL');
      size = answered;
    }
    const process = await launch(folder);
    const { signer } = await asking(process);
    const head = signer.head() ?? expect.fail();
    expect(head.size).toBeGreaterThanOrEqual(size);
    expect(Buffer.from(head.root).equals(Buffer.from(await honest.root(head.size)))).toBe(true);
    expect(await signer.sign(await forked.request(head.size + 5))).toMatchObject({ kind: 'refused' });
  });
});

describe('who may ask, and what for', () => {
  const ask = async ({ address }: SignerProcess, path: string, init: RequestInit = {}) => {
    const answer = await fetch(new URL(path, address), init);
    return [answer.status, await answer.text()] as const;
  };

  it('nobody without the secret learns or gets anything', async () => {
    const process = await launch(newFolder(), '--port', '0');
    for (const authorization of ['', 'Bearer ', `Bearer ${'x'.repeat(43)}`]) {
      for (const [path, method] of [
        ['/head', 'GET'],
        ['/sign', 'POST'],
      ] as const)
        expect(await ask(process, path, { method, headers: { authorization } })).toEqual([401, '{"kind":"unknown"}']);
    }
    const wrong = join(newFolder(), 'secret');
    writeFileSync(wrong, 'wrong');
    await expect(signerClient({ ...process.settings, SIGNER_SECRET_PATH: wrong }).then(({ head }) => head())).rejects.toThrow(
      'does not accept the secret',
    );
  });

  it('what is no request is refused without harm', async () => {
    const process = await launch(newFolder(), '--port', '0');
    const headers = { authorization: `Bearer ${readFileSync(process.secret, 'utf8').trim()}`, 'content-type': 'application/json' };
    const good = { from: 0, size: 0, root: Buffer.alloc(32).toString('base64'), published: null, entries: '', steps: '' };
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      ...[{ from: -1 }, { size: 0.5 }, { root: 'AA==' }, { published: 1 }, { entries: 'AA==' }, { steps: '=' }].map((bad) =>
        JSON.stringify({ ...good, ...bad }),
      ),
    ])
      expect((await ask(process, '/sign', { method: 'POST', headers, body }))[0]).toBe(400);
    const { signer } = await asking(process);
    expect(opened(await signer.sign(await honest.request(5)), process.key)).toMatchObject({ size: 5 });
  });

  it('the digest of a trail and the place of a tree are signed, and no other text: no checkpoint, nothing under another name', async () => {
    const process = await launch(newFolder(), '--port', '0');
    const { signer } = await asking(process);
    const trail = `assent-trail-1\n${sha256('a trail').toString('base64url')}\n`;
    const key = parseVerifierKey(process.key) ?? expect.fail();
    const place = `assent-anchor-1\n9\n${sha256('a root').toString('base64')}\nrfc3161 ${sha256('a reply').toString('base64url')}\n`;
    for (const text of [trail, place]) {
      const signatures = parseSignatures(await signer.lineFor(text)) ?? expect.fail();
      expect(verifyNote({ text, signatures }, [key]).kind).toBe('signed');
    }
    const headers = { authorization: `Bearer ${readFileSync(process.secret, 'utf8').trim()}`, 'content-type': 'application/json' };
    const root = Buffer.from(await forked.root(9)).toString('base64');
    for (const text of [
      `${key.name}\n9\n${root}\n`,
      `${trail}\n`,
      `${trail}${trail}`,
      'assent-trail-1\n',
      '',
      `${place}\n`,
      place.replace('assent-anchor-1', key.name),
      place.replace('rfc3161', 'x'),
    ])
      expect((await ask(process, '/line', { method: 'POST', headers, body: JSON.stringify({ text }) }))[0]).toBe(400);
  });

  it('key and secret are the owner’s alone, or it does not start', async () => {
    const folder = newFolder();
    const process = await launch(folder);
    for (const file of ['key', 'secret']) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    await expect(launchSigner(folder)).rejects.toThrow('Another process answers');
    await process.end('SIGTERM');
    for (const [file, mode] of [
      ['key', 0o640],
      ['secret', 0o604],
    ] as const) {
      chmodSync(join(folder, file), mode);
      await expect(launchSigner(folder)).rejects.toThrow(/can be read by others/);
      chmodSync(join(folder, file), 0o600);
    }
    const again = await launch(folder);
    expect(again.key).toBe(process.key);
  });
});
