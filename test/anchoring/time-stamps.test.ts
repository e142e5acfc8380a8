/** A log with a time-stamp authority among its anchors: openssl stamps, and openssl reads the stamps that are kept. */
import { copyFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { certificatesIn, timeStampRequest, verifyTimeStamp } from '../../ledger/anchor/rfc3161/time-stamp.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import type { AssentError } from '../../server/errors.ts';
import { createLogFixture, type LogFixture, someEntry } from '../support/log-fixture.ts';
import { type Authority, hasOpenssl, startAuthority } from '../support/time-stamp-authority.ts';

describe.skipIf(!hasOpenssl())('a log with a time-stamp authority', () => {
  let authority: Authority;
  let foreign: Authority;
  const logs: LogFixture[] = [];
  beforeAll(async () => {
    [authority, foreign] = await Promise.all([startAuthority(), startAuthority({ usage: 'timeStamping,clientAuth' })]);
  });
  afterEach(async () => {
    authority.answer = undefined;
    for (const log of logs.splice(0)) await log.dispose();
  });
  afterAll(() => Promise.all([authority.stop(), foreign.stop()]));

  const some = (log: LogFixture, from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
  const fsck = (log: LogFixture, { certificates }: Authority = authority) =>
    checkStoredLog({
      log: log.engine.resources,
      records: log.engine.records,
      dataDir: log.dataDir,
      timeStampCertificates: certificates,
      texts: async (references) => new Map(references.map((reference) => [reference, [reference]])),
    });
  const messages = (log: LogFixture) => log.faults.map((fault) => (fault as AssentError).message);
  const stampsOf = (log: LogFixture) => join(log.dataDir, 'anchors', 'time-stamps');

  /** openssl stamps with the machine’s time. */
  async function stampedLog(by: Authority = authority): Promise<LogFixture> {
    const log = await createLogFixture({ chain: { TSA_URL: by.url, TSA_CERTIFICATES: by.certificates } });
    logs.push(log);
    log.time.now = Date.now();
    await log.anchoring.sealer.start();
    await log.append(...some(log, 0, 20));
    await log.anchoring.sealer.flush();
    return log;
  }

  async function rung(log: LogFixture, until: () => unknown): Promise<void> {
    await vi.waitFor(
      async () => {
        log.time.now += 15_000;
        await log.ring();
        expect(await until()).toBeTruthy();
      },
      { timeout: 120_000, interval: 20 },
    );
  }
  const anchored = (log: LogFixture, size: number) =>
    rung(log, async () => (await log.anchoring.status()).anchors.some((anchor) => anchor.name === 'rfc3161' && anchor.size === size));

  it('keeps stamps that openssl verifies, no more than one an hour, and one covers a backlog', async () => {
    const log = await stampedLog();
    await anchored(log, 20);
    const asked = authority.asked();
    for (const from of [100, 200]) {
      await log.append(...some(log, from, 5));
      await log.anchoring.sealer.flush();
      for (let i = 0; i < 3; i++) await log.ring();
    }
    expect(authority.asked()).toBe(asked);
    log.time.now = Date.now() + 3_600_001;
    // Ours is an hour ahead by now, and the stamp is refused: a clock is wrong.
    await rung(log, () => messages(log).length > 0);
    expect(messages(log)).toEqual(['The time-stamp’s time is not ours: one of the two clocks is wrong.']);
    expect(readdirSync(stampsOf(log)).sort()).toEqual(['20.checkpoint', '20.tsr']);
    const [text, reply] = ['20.checkpoint', '20.tsr'].map((name) => join(stampsOf(log), name)) as [string, string];
    expect(await authority.verify(text, reply)).toBe('');
    expect(await foreign.verify(text, reply)).not.toBe('');
    expect(await fsck(log)).toMatchObject({ stamped: { size: 20 }, problems: [] });
    await log.anchoring.sealer.stop();
    await log.reopen();
    expect((await log.anchoring.status()).anchors).toContainEqual(expect.objectContaining({ name: 'rfc3161', size: 20 }));
  });

  it.each([
    ['an error', () => ({ status: 500, body: Buffer.alloc(0) }), /authority answered 500/],
    ['no time-stamp', () => ({ body: Buffer.from('sorry') }), /not a time-stamp that can be read/],
    ['without end', () => ({ body: Buffer.alloc(200_000) }), /answer is not one/],
    ['a refusal', () => ({ body: Buffer.from('30053003020102', 'hex') }), /did not grant/],
    ['an earlier stamp', () => ({ body: earlier ?? Buffer.alloc(0) }), /of another text/],
  ])('keeps none when the authority answers %s, says so once, and goes on', async (_what, answer, sentence) => {
    const log = await stampedLog();
    authority.answer = answer;
    await rung(log, () => messages(log).length > 0);
    await rung(log, async () => true);
    expect(messages(log)).toEqual([expect.stringMatching(sentence)]);
    expect(readdirSync(stampsOf(log))).toEqual([]);
    await log.anchoring.check();
    authority.answer = (body) => {
      earlier = body;
      return { body };
    };
    await anchored(log, 20);
  });
  let earlier: Buffer | undefined;

  it('takes no stamp by a certificate that is good for other things as well, or that leads nowhere', async () => {
    const log = await stampedLog(foreign);
    await rung(log, () => messages(log).length > 0);
    expect(messages(log)).toEqual(['The certificate that signed is not one for time-stamping.']);
    const other = await createLogFixture({ chain: { TSA_URL: authority.url, TSA_CERTIFICATES: foreign.certificates } });
    logs.push(other);
    other.time.now = Date.now();
    await other.anchoring.sealer.start();
    await other.append(...some(other, 0, 3));
    await other.anchoring.sealer.flush();
    await rung(other, () => messages(other).length > 0);
    expect(messages(other)).toEqual(['The time-stamp is not signed by one who leads to a trusted certificate.']);
  });

  it('shows that a log was rewritten, also with the log’s own key', async () => {
    const log = await stampedLog();
    await anchored(log, 20);
    await log.anchoring.sealer.stop();
    const rewritten = await createLogFixture();
    logs.push(rewritten);
    copyFileSync(join(log.dataDir, 'signer', 'key'), join(rewritten.dataDir, 'signer', 'key'));
    await rewritten.reopen();
    rewritten.time.now = log.time.now;
    await rewritten.anchoring.sealer.start();
    await rewritten.append(...some(rewritten, 5000, 25));
    await rewritten.anchoring.sealer.flush();
    expect((await fsck(rewritten)).problems).toEqual([]);
    cpSync(stampsOf(log), stampsOf(rewritten), { recursive: true });
    expect((await fsck(rewritten)).problems).toEqual(['The time-stamp at 20: the root at 20 entries is another.']);
    // A stamped text that was edited to fit is not what was stamped.
    writeFileSync(join(stampsOf(rewritten), '20.checkpoint'), readFileSync(join(stampsOf(log), '20.checkpoint'), 'utf8').replace('\n20\n', '\n19\n'));
    expect((await fsck(rewritten)).problems).toEqual([expect.stringMatching(/The time-stamp at 20 is not good: .* of another text/)]);
  });

  it('is told to be late when the log grew and nobody stamped it, and stops nothing', async () => {
    const log = await stampedLog();
    authority.answer = () => ({ status: 503, body: Buffer.alloc(0) });
    const late = () =>
      log.anchoring.checkAnchors().then(
        () => '',
        (error: Error) => error.message,
      );
    await rung(log, () => log.anchoring.anchorAges().length > 0);
    expect(await late()).toBe('');
    log.time.now += 25 * 3_600_000;
    await rung(log, late);
    expect(await late()).toBe('What the log has grown by is not anchored: rfc3161 for 25 hours.');
    expect(messages(log)).toContain('What the log has grown by is not anchored: rfc3161 for 25 hours.');
    await log.anchoring.check();
  });
});

describe('a reply', () => {
  it.skipIf(!hasOpenssl())('that is changed says nothing else', async () => {
    const authority = await startAuthority();
    const text = 'a log\n3\nroot\n';
    const nonce = Buffer.alloc(16, 200);
    const trusted = certificatesIn(readFileSync(authority.certificates, 'utf8'));
    const response = await fetch(authority.url, { method: 'POST', body: Uint8Array.from(timeStampRequest(text, nonce)) });
    const reply = Buffer.from(await response.arrayBuffer());
    await authority.stop();
    expect(await verifyTimeStamp(reply, { text, trusted, nonce })).toMatchObject({ kind: 'stamped', authority: 'Its time-stamps' });
    expect(await verifyTimeStamp(reply, { text, trusted, nonce: Buffer.alloc(16, 1) })).toMatchObject({
      reason: 'The time-stamp answers another request.',
    });
    expect(await verifyTimeStamp(reply, { text: `${text} `, trusted })).toMatchObject({ reason: 'The time-stamp is of another text.' });
    expect(await verifyTimeStamp(reply, { text, trusted: [] })).toMatchObject({ kind: 'refused' });
    const good = await verifyTimeStamp(reply, { text, trusted, nonce });
    let passed = 0;
    for (let at = 0; at < reply.length; at += 2) {
      const changed = Buffer.from(reply);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const verdict = await verifyTimeStamp(changed, { text, trusted, nonce });
      if (verdict.kind === 'refused') continue;
      // Around the signed part stand bytes that nobody signs: they change nothing of what is said.
      expect(verdict).toEqual(good);
      passed += 1;
    }
    expect(passed).toBeLessThan(reply.length / 2 / 4);
  });
});
