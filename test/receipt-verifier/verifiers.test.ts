/** Two verifiers, one in TypeScript and one in Python from docs/receipt.md alone, agree about every file: vectors, a running server's, changed ones. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePolicy, parseTrust } from '../../ledger/policy.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { prepareWorld } from '../../bench/world.ts';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { grant, relative } from '../support/authorities.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, settled, startRealServer, termsOf } from '../support/real-server.ts';
import { type Vectors, vectorsFile, writtenVectors } from './vectors.ts';

const { steps, vectors } = JSON.parse(readFileSync(vectorsFile, 'utf8')) as Vectors;
const script = fileURLToPath(new URL('verify.py', import.meta.url));

/** Throws where there is no python3: then nobody has checked the document. */
function python(args: readonly string[], input = ''): string {
  return execFileSync('python3', ['-B', script, ...args], { input, encoding: 'utf8', maxBuffer: 1e8 });
}

/** `trust`: the keys pinned for each of them. */
const inPython = (files: readonly Uint8Array[], trust: readonly (string | undefined)[] = []): string[] =>
  python(['--lines'], files.map((file, i) => `${[Buffer.from(file).toString('base64'), ...(trust[i]?.split('\n') ?? [])].join(' ')}\n`).join(''))
    .trimEnd()
    .split('\n');

/** As `assent verify` reads a file. */
function inTypeScript(file: Uint8Array, trust?: string): string {
  const policy = trust === undefined ? undefined : parseTrust(trust);
  if (typeof policy === 'string') expect.fail(policy);
  try {
    return verifyReceipt(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file), policy ? { policy } : {}).kind;
  } catch (error) {
    if (error instanceof TypeError) return 'unreadable';
    throw error;
  }
}

const APART = 7;

/** Some of its bytes, each with one bit turned, each time another one. */
const spoilt = (file: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.floor(file.length / APART) }, (_, i) => {
    const copy = Buffer.from(file);
    copy[APART * i] = (copy[APART * i] as number) ^ (1 << (i % 8));
    return copy;
  });

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('the vectors', () => {
  it('are those that the generator writes, and there are some of each verdict', async () => {
    expect(readFileSync(vectorsFile, 'utf8')).toBe(await writtenVectors());
    expect(Object.keys(steps)).not.toEqual([]);
    expect(new Set(vectors.map(({ verdict }) => verdict))).toEqual(new Set(['proven', 'erased', 'refuted', 'unreadable']));
  });

  it('get their verdict from both verifiers', () => {
    const told = inPython(
      vectors.map(({ file }) => bytes(file)),
      vectors.map(({ trust }) => trust),
    );
    const both = vectors.map(({ name, file, trust }, i) => ({ name, typescript: inTypeScript(bytes(file), trust), python: told[i] }));
    expect(both).toEqual(vectors.map(({ name, verdict }) => ({ name, typescript: verdict, python: verdict })));
  });

  it('with one bit turned are never believed by either, and both agree why', () => {
    const files = [/^a proof of erasure$/, /witness/, /first entry was erased/]
      .map((name) => vectors.find((vector) => name.test(vector.name)))
      .flatMap((vector) => spoilt(bytes(vector?.file ?? expect.fail())));
    const told = inPython(files);
    expect(files.length).toBeGreaterThan(500);
    expect(files.flatMap((file, i) => (inTypeScript(file) === told[i] ? [] : [[Buffer.from(file).toString(), told[i]]]))).toEqual([]);
    expect(new Set(told)).toEqual(new Set(['refuted', 'unreadable']));
  });

  it('nested too deep, or holding what has no canonical form, are told from genuine ones, not stumbled over', () => {
    const deep = (vectors[0]?.file ?? '').replace('"terms":{', `"terms":{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)},`);
    const endless = (vectors[0]?.file ?? '').replace('\\"status\\":\\"active\\"', '\\"status\\":\\"active\\",\\"n\\":1e999');
    for (const file of [deep, endless]) {
      expect(file).not.toBe(vectors[0]?.file);
      expect(['refuted', 'unreadable']).toContain(inTypeScript(bytes(file)));
      expect(['refuted', 'unreadable']).toContain(inPython([bytes(file)])[0]);
    }
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
    expect([inTypeScript(bytes(statement)), ...inPython([bytes(statement)])]).toEqual(['proven', 'proven']);
    refusedByBoth(text);
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
    expect([inTypeScript(bytes(text)), inPython([bytes(text)])[0]]).toEqual(['proven', 'proven']);
    refusedByBoth(text);
    const { authorities, ...without } = JSON.parse(text) as { authorities: unknown[] };
    for (const file of [without, { ...without, authorities: [...authorities, ...authorities] }].map((each) => bytes(JSON.stringify(each))))
      expect([inTypeScript(file), inPython([file])[0]]).toEqual(['refuted', 'refuted']);
  });

  function refusedByBoth(text: string): void {
    const files = spoilt(bytes(text));
    const told = inPython(files);
    expect(files.flatMap((changed, i) => (inTypeScript(changed) === told[i] ? [] : [[Buffer.from(changed).toString(), told[i]]]))).toEqual([]);
    expect(new Set(told)).toEqual(new Set(['refuted', 'unreadable']));
  }
});
