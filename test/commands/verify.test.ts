/** `assent verify` and `assent fsck` as processes: exit codes, what they print, and that verifying needs neither server nor network. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logRow } from '../../ledger/entry.ts';
import type { Vectors } from '../receipt-verifier/vectors.ts';
import { createLogFixture, disclosureStory, type LogFixture, party } from '../support/log-fixture.ts';

let log: LogFixture;
let receipt: string;
const root = new URL('../..', import.meta.url);
const patient = 'Patient/q3v5k2m8x1';

beforeAll(async () => {
  log = await createLogFixture();
  const story = disclosureStory([party(patient, 'patient'), party('Organization/hospital', 'custodian')], log.time.now);
  await log.append(...story.entries);
  await log.anchoring.sealer.flush();
  const result = await log.anchoring.receipts.receiptFor('AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5', story.evidence);
  receipt = result.kind === 'ready' ? result.receipt : '';
});
afterAll(() => log.dispose());

function assent(...args: string[]): { code: number | null; out: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['server/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH: '', ASSENT_DATA_DIR: log.dataDir },
  });
  return { code: status, out: stdout + stderr };
}
const file = (name: string, text: string | Uint8Array): string => {
  const path = join(log.dataDir, name);
  writeFileSync(path, text);
  return path;
};

describe('assent verify', () => {
  it('proves a receipt, and says what is proven, by whom and what is not', () => {
    const { code, out } = assent('verify', file('good.json', receipt));
    expect(code).toBe(0);
    expect(out).toMatch(/PROVEN[^]*Organization\/insurer[^]*Patient\/q3v5k2m8x1 \(patient[^]*Not proven:[^]*not pinned/);
  });

  it('takes it compressed as well, and no more of it than a receipt can have', () => {
    const { code, out } = assent('verify', file('good.json.gz', gzipSync(receipt, { level: 9 })));
    expect([code, out.replace('.gz', '')]).toEqual([0, assent('verify', file('good.json', receipt)).out]);
    const bomb = assent('verify', file('bomb.json.gz', gzipSync(Buffer.alloc(100_000_000, ' '))));
    expect(bomb).toMatchObject({ code: 2, out: expect.stringContaining('too large to be a receipt') });
    expect(assent('verify', file('cut.json.gz', gzipSync(receipt).subarray(0, -9)))).toMatchObject({
      code: 2,
      out: expect.stringContaining('not whole'),
    });
  });

  it('exits 1 for a changed receipt, 2 for none, and the worse of several', () => {
    const [good, bad] = [
      file('good.json', receipt),
      file('bad.json', receipt.replace('"salt":"', '"salt":"A').replace(/(salt":"A[^"]+)[^"]"/, '$1"')),
    ];
    expect(assent('verify', bad)).toMatchObject({ code: 1, out: expect.stringContaining('REFUTED') });
    expect(assent('verify', file('none.json', 'no'))).toMatchObject({ code: 2, out: expect.stringContaining('UNREADABLE') });
    expect(assent('verify', join(log.dataDir, 'nothing.json'), good, bad).code).toBe(1);
    expect(assent('verify').code).toBe(2);
    expect(assent('verify', '--what', good).code).toBe(2);
  });

  it('holds a statement of disclosures and receipts about one patient against each other', async () => {
    const page = await log.anchoring.chains.read(patient, { limit: 10 });
    const statement = (await page?.statement(10, new Map())) ?? '';
    const answer = JSON.stringify({ resourceType: 'Parameters', parameter: [{ name: 'statement', valueString: statement }] }, undefined, 2);
    const { code, out } = assent('verify', file('page.json', answer), file('good.json', receipt));
    expect(out).toMatch(/page.json: PROVEN[^]*none left out between: 1 disclosure[^]*good.json: PROVEN[^]*Together: PROVEN[^]*the whole chain/);
    expect(code).toBe(0);
    const short = await log.anchoring.chains.read(patient, { limit: 10, from: page?.entries[1]?.index ?? 0 });
    const lying = ((await short?.statement(10, new Map())) ?? '').replace('"newest":false', '"newest":true');
    const caught = assent('verify', file('short.json', lying), file('good.json', receipt));
    expect(caught).toMatchObject({ code: 1, out: expect.stringContaining('left out of a statement') });
  });

  it('pins the log with --trust, by file or by key', () => {
    const good = file('good.json', receipt);
    const key = log.anchoring.publicLog.verifierKey();
    const policy = file('policy', `# our hospital\nlog ${key}\n`);
    for (const trust of [policy, key]) {
      const { code, out } = assent('verify', good, '--trust', trust);
      expect([code, out.includes('not pinned')]).toEqual([0, false]);
    }
    const stranger = file('other', 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n');
    expect(assent('verify', good, '--trust', stranger)).toMatchObject({ code: 1, out: expect.stringContaining('none of those trusted') });
    expect(assent('verify', good, '--trust', file('empty', ''))).toMatchObject({ code: 2 });
  });

  it('refutes with --in-force-at what does not show that its Consents were in force then, or later', () => {
    const { vectors } = JSON.parse(readFileSync(new URL('../receipt-verifier/vectors.json', import.meta.url), 'utf8')) as Vectors;
    const vector = (name: string) => file('standing.json', vectors.find((each) => each.name === name)?.file ?? expect.fail(name));
    const stands = vector('a Consent whose place nothing had taken when it was used');
    expect(assent('verify', stands, '--in-force-at', '2024-06-01T00:01:00Z')).toMatchObject({
      code: 0,
      out: expect.stringContaining('was in force when'),
    });
    expect(assent('verify', stands, '--in-force-at', '2024-06-01T08:01:00.001+08:00')).toMatchObject({
      code: 1,
      out: expect.stringContaining('and not later'),
    });
    for (const instant of ['2024-06-01', 'yesterday', '2024-13-01T00:00:00Z'])
      expect(assent('verify', stands, '--in-force-at', instant).code).toBe(2);
    for (const name of ['a Consent that was replaced after it was used', 'the same, signed by the patient alone', 'a statement of disclosures'])
      expect([name, assent('verify', vector(name), '--in-force-at', '2000-01-01T00:00:00Z').code]).toEqual([name, 1]);
  });

  it('imports nothing that could reach a network or a database', () => {
    const seen = new Set<string>();
    const packages = new Set<string>();
    const visit = (url: URL): void => {
      if (seen.has(url.href)) return;
      seen.add(url.href);
      for (const [, from = ''] of readFileSync(url, 'utf8').matchAll(/^import (?!type)[^;]*?from '([^']+)'/gm)) {
        if (from.startsWith('.')) visit(new URL(from, url));
        else packages.add(from);
      }
    };
    visit(new URL('server/commands/verify.ts', root));
    expect(seen.size).toBeGreaterThan(5);
    expect([...packages].sort()).toEqual(['canonicalize', 'node:crypto', 'node:fs/promises', 'node:util']);
  });
});

describe('assent fsck', () => {
  it('and verify say ERASED, each in its way: fsck counts, verify ends with 3 where the worst is an erasure', async () => {
    const reference = 'Consent/0c9x2m4k7q1v5b8n3j6h0f2d9';
    const { tombstones, ...parts } = await log.anchoring.erasure.forget([reference]);
    const rows = [...tombstones].map(([, named]) =>
      logRow({ kind: 'erasure', occurredAt: new Date(log.time.now).toISOString(), subject: patient, reference, ...named }),
    );
    await log.engine.resources.commit({ ...parts, resources: [], log: rows, bumpEpoch: false });
    await log.anchoring.sealer.flush();
    const { out } = assent('fsck');
    expect(out).toContain('5 entries (1 erased)');
    expect(out).not.toMatch(/MISSING|Entry [24]/);
    const found = await log.anchoring.receipts.erasureOf({ reference, version: '1a2b3c4d5e6f7g8h9i0j1k2l3' });
    const proof = (found.kind === 'erased' && found.proof) || expect.fail();
    const [erased, good] = [file('erased.json', proof), file('good.json', receipt)];
    expect(assent('verify', erased)).toMatchObject({ code: 3, out: expect.stringMatching(/ERASED\.\nProven:[^]*Entry 2 about Consent\/0c9x/) });
    expect(assent('verify', good, erased).code).toBe(3);
    expect(assent('verify', erased, file('none.json', 'no')).code).toBe(2);
  });
});

describe('a log that was changed', () => {
  it('is named by fsck beside a running server: what is gone, what is another', () => {
    // The rows of this log speak of resources that were never stored.
    const { code, out } = assent('fsck');
    expect(code).toBe(1);
    expect(out).toContain('AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5 is gone');
    expect(out).toContain('5 entries (1 erased), 5 under the signed checkpoint, 5 anchored: NOT WHOLE');
    const database = new DatabaseSync(join(log.dataDir, 'assent.sqlite'));
    database.exec(`UPDATE log SET entry = replace(entry, 'key-registered', 'key-revoked')`);
    database.close();
    expect(assent('fsck').out).toMatch(/Entry 1 \(Key\/[\w-]+\): the row, its salt or its subject was changed/);
  });
});
