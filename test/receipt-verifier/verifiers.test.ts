/** Two verifiers, one in TypeScript and one in Python from docs/receipt.md alone, agree about every file: vectors, a running server's, changed ones. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePolicy, parseTrust } from '../../ledger/policy.ts';
import { textOfFile } from '../../ledger/receipt-file.ts';
import { type Verdict, verifyReceipt } from '../../ledger/receipt.ts';
import { prepareWorld } from '../../bench/world.ts';
import { dictionary } from '../../ledger/packed.ts';
import { packed } from '../../ledger/packing.ts';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { grant, relative } from '../support/authorities.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, settled, startRealServer, termsOf } from '../support/real-server.ts';
import { inLogOf } from './long-log.ts';
import { bytesOf, type Vectors, vectorsFile, writtenVectors } from './vectors.ts';

const { steps, vectors } = JSON.parse(readFileSync(vectorsFile, 'utf8')) as Vectors;
const script = fileURLToPath(new URL('verify.py', import.meta.url));

/** Throws where there is no python3: then nobody has checked the document. */
function python(args: readonly string[], input = ''): string {
  return execFileSync('python3', ['-B', script, ...args], { input, encoding: 'utf8', maxBuffer: 1e8 });
}

/** `trust`: the keys pinned for each of them. */
const inPython = (files: readonly Uint8Array[], trust: readonly (string | undefined)[] = []): string[] =>
  python(['--lines'], files.map((file, i) => `${[Buffer.from(file).toString('base64'), ...(trust[i]?.split('\n') ?? [])].join('\t')}\n`).join(''))
    .trimEnd()
    .split('\n');

/** As `assent verify` reads a file. */
async function inTypeScript(file: Uint8Array, trust?: string): Promise<string> {
  const policy = trust === undefined ? undefined : parseTrust(trust);
  if (typeof policy === 'string') expect.fail(policy);
  const read = await textOfFile(file);
  return 'text' in read ? verifyReceipt(read.text, policy ? { policy } : {}).kind : 'unreadable';
}

const PLACES = {
  usual: { event: 9_412_345, consents: [4_000_004], keys: [4_000_000, 207] },
  apart: { event: 9_412_345, consents: [6_512_345], keys: [3_000_001, 207] },
};

const APART = 7;

/** Some of its bytes, each with one bit turned, each time another one. */
const spoilt = (file: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.floor(file.length / APART) }, (_, i) => {
    const copy = Buffer.from(file);
    copy[APART * i] = (copy[APART * i] as number) ^ (1 << (i % 8));
    return copy;
  });

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function refusedByBoth(files: readonly Uint8Array[]): Promise<void> {
  const [told, ours] = [inPython(files), await Promise.all(files.map((file) => inTypeScript(file)))];
  expect(files.flatMap((file, i) => (ours[i] === told[i] ? [] : [[Buffer.from(file).toString(), ours[i], told[i]]]))).toEqual([]);
  expect(new Set(told)).toEqual(new Set(['refuted', 'unreadable']));
}

/** What the verifier says of a file, word for word. */
async function saidOf(file: Uint8Array): Promise<Verdict> {
  const read = await textOfFile(file);
  return 'text' in read ? verifyReceipt(read.text) : { kind: 'unreadable', ...read };
}

/** More than anybody's memory, in a megabyte. */
const BOMB = gzipSync(Buffer.alloc(800_000_000, ' '));

describe('the vectors', () => {
  it('are those that the generator writes, and there are some of each verdict', async () => {
    expect(readFileSync(vectorsFile, 'utf8')).toBe(await writtenVectors());
    expect(Object.keys(steps)).not.toEqual([]);
    expect(new Set(vectors.map(({ verdict }) => verdict))).toEqual(new Set(['proven', 'erased', 'refuted', 'unreadable']));
  });

  it('get their verdict from both verifiers', async () => {
    const told = inPython(
      vectors.map(bytesOf),
      vectors.map(({ trust }) => trust),
    );
    const ours = await Promise.all(vectors.map((vector) => inTypeScript(bytesOf(vector), vector.trust)));
    const both = vectors.map(({ name }, i) => ({ name, typescript: ours[i], python: told[i] }));
    expect(both).toEqual(vectors.map(({ name, verdict }) => ({ name, typescript: verdict, python: verdict })));
  });

  it('with one bit turned are never believed by either, and both agree why', async () => {
    const files = [/^a proof of erasure$/, /witness/, /first entry was erased/]
      .map((name) => vectors.find((vector) => name.test(vector.name)))
      .flatMap((vector) => spoilt(bytes(vector?.file ?? expect.fail())));
    expect(files.length).toBeGreaterThan(500);
    await refusedByBoth(files);
  });

  it('nested too deep, or holding what has no canonical form, are told from genuine ones, not stumbled over', async () => {
    const deep = (vectors[0]?.file ?? '').replace('"terms":{', `"terms":{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)},`);
    const endless = (vectors[0]?.file ?? '').replace('\\"status\\":\\"active\\"', '\\"status\\":\\"active\\",\\"n\\":1e999');
    for (const file of [deep, endless]) {
      expect(file).not.toBe(vectors[0]?.file);
      expect(['refuted', 'unreadable']).toContain(await inTypeScript(bytes(file)));
      expect(['refuted', 'unreadable']).toContain(inPython([bytes(file)])[0]);
    }
  });
});

describe('the dictionary', () => {
  it('is the one in the document', () => {
    const document = readFileSync(new URL('../../docs/receipt.md', import.meta.url), 'utf8');
    const [, lines = ''] = /```text\n([^`]*)```/.exec(document) ?? [];
    expect(lines.replaceAll('\n', '')).toBe(Buffer.from(dictionary).toString());
    expect(dictionary.length).toBeGreaterThan(4000);
  });
});

describe('a file that would be larger than any receipt', () => {
  it('is given up by both before it is whole', async () => {
    const before = process.memoryUsage().arrayBuffers;
    expect(await textOfFile(BOMB)).toEqual({ reason: 'It is too large to be a receipt.' });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200_000_000);
    expect(inPython([BOMB])).toEqual(['unreadable']);
  });
});

describe('what a running server hands out', () => {
  let server: RealServer;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assent-receipts-'));
    server = await startRealServer();
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is proven by both under the key that the reader pins and no other, and by neither with one bit turned', async () => {
    const { admin, insurer, patient: seen, base } = await prepareWorld(server.bootstrap);
    const read = await insurer.call('GET', seen);
    const { status, text } = await settled(insurer, read.headers.get('assent-receipt') ?? '');
    expect(status).toBe(200);
    const key = (await (await fetch(`${new URL(base).origin}/ledger/key`)).text()).trim();
    const file = join(folder, 'receipt.json');
    writeFileSync(file, text);
    const policy = parsePolicy(`log ${key}`);
    expect(typeof policy === 'string' ? policy : verifyReceipt(text, { policy }).kind).toBe('proven');
    expect(python([file, '--trust', key])).toContain('PROVEN');
    const other = (JSON.parse(vectors[0]?.file ?? '{}') as { log: string }).log;
    expect(() => python([file, '--trust', other])).toThrow('Command failed');
    const statement = (await admin.call('GET', `${seen}/$disclosures`)).text;
    expect([await inTypeScript(bytes(statement)), ...inPython([bytes(statement)])]).toEqual(['proven', 'proven']);
    await refusedByBoth(spoilt(bytes(text)));
  });

  it('is a packed file of at most 2 kB where it is of a plain disclosure, of 3.6 to 4.2 kB in a log of ten million entries; with any bit turned it is none', async () => {
    const { base, insurer, patient: seen } = await prepareWorld(server.bootstrap);
    const url = (await insurer.call('GET', seen)).headers.get('assent-receipt') ?? '';
    const { text } = await settled(insurer, url);
    const headers = { authorization: `Bearer ${insurer.token}`, accept: 'application/vnd.assent.receipt' };
    const answer = await fetch(url.startsWith('http') ? url : `${base}/${url}`, { headers });
    const file = Buffer.from(await answer.arrayBuffer());
    expect(file.length).toBeLessThanOrEqual(2048);
    expect([await saidOf(file), ...inPython([file])]).toEqual([expect.objectContaining({ kind: 'proven' }), 'proven']);
    const changed = spoilt(file);
    expect(new Set([...inPython(changed), ...(await Promise.all(changed.map(saidOf))).map(({ kind }) => kind)])).toEqual(new Set(['unreadable']));
    // Where whoever signs registers their key first; and as far from one another as four entries can be, where no proof is longer.
    const lengths = [];
    for (const places of [PLACES.usual, PLACES.apart]) {
      const long = packed(inLogOf(text, { size: 10_000_000, ...places }));
      expect([await saidOf(long), ...inPython([long])]).toEqual([expect.objectContaining({ kind: 'proven' }), 'proven']);
      lengths.push(long.length);
    }
    expect(lengths[0]).toBeGreaterThan(3000);
    expect(lengths[0]).toBeLessThanOrEqual(3750);
    expect(lengths[1]).toBeLessThanOrEqual(4300);
  });

  it('is a file of at most 4 kB where it is of a plain disclosure, of the very same text; with any bit turned it says the same or nothing', async () => {
    const { base, insurer, patient: seen } = await prepareWorld(server.bootstrap);
    const url = (await insurer.call('GET', seen)).headers.get('assent-receipt') ?? '';
    await settled(insurer, url);
    const headers = { authorization: `Bearer ${insurer.token}`, accept: 'application/gzip' };
    const answer = await fetch(url.startsWith('http') ? url : `${base}/${url}`, { headers });
    const told = ['content-type', 'content-disposition', 'content-encoding'].map((name) => answer.headers.get(name));
    expect([answer.status, ...told]).toEqual([200, 'application/gzip', 'attachment; filename="receipt.json.gz"', null]);
    const file = Buffer.from(await answer.arrayBuffer());
    expect(file.length).toBeGreaterThan(2000);
    expect(file.length).toBeLessThanOrEqual(4096);
    const text = gunzipSync(file).toString();
    const said = await saidOf(file);
    expect([said, ...inPython([file])]).toEqual([verifyReceipt(text), 'proven']);
    const changed = spoilt(file);
    const ours = await Promise.all(changed.map(saidOf));
    expect(ours.map(({ kind }) => kind)).toEqual(inPython(changed));
    for (const verdict of ours) if (verdict.kind === 'proven') expect(verdict).toEqual(said);
    expect(new Set(ours.map(({ kind }) => kind))).toContain('unreadable');
  });

  it('of a Consent signed on behalf of a patient is proven by both, and by neither with one bit turned or the authority another', async () => {
    const [patientId, reference] = ['child', 'Patient/child'];
    await put(server, organization(HOSPITAL));
    await put(server, patient(patientId));
    const custodian = await enrolKey(server.admin, HOSPITAL);
    const [parent, key] = [await relative(server, 'parent', reference), await enrolKey(server.admin, reference)];
    await grant(server, { patient: reference, delegate: parent.reference, by: key, said: { acts: ['sign'], purposes: ['TREAT'] } });
    const { consent } = await agree(server, termsOf(server, { patient: reference, grantee: HOSPITAL }), [parent.key, custodian]);
    const { text } = await settled(server.admin, `${consent}/$receipt`);
    expect([await inTypeScript(bytes(text)), inPython([bytes(text)])[0]]).toEqual(['proven', 'proven']);
    await refusedByBoth(spoilt(bytes(text)));
    const { authorities, ...without } = JSON.parse(text) as { authorities: unknown[] };
    for (const file of [without, { ...without, authorities: [...authorities, ...authorities] }].map((each) => bytes(JSON.stringify(each))))
      expect([await inTypeScript(file), inPython([file])[0]]).toEqual(['refuted', 'refuted']);
  });
});
