/** The page that proves receipts is the one that its sources give, lets nothing in or out, and its Buffer is Node's. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Buffer as Small } from '../../ledger/verifier/buffer.ts';
import { committedVerifier, compiledVerifier } from '../support/compile-verifier.ts';

describe('the page that proves receipts', () => {
  it('is the one that was committed', async () => {
    const again = 'To write it anew: npx node test/support/compile-verifier.ts --write';
    expect(committedVerifier() === (await compiledVerifier()), again).toBe(true);
  });

  it('allows its own script and style by their hashes, and no connection, form or frame', () => {
    const page = committedVerifier();
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1] ?? '';
    const hashOf = (tag: string) =>
      `'sha256-${createHash('sha256')
        .update(new RegExp(`<${tag}>([^]*)</${tag}>`).exec(page)?.[1] ?? '')
        .digest('base64')}'`;
    expect(policy).toBe(`default-src 'none'; script-src ${hashOf('script')}; style-src ${hashOf('style')}; base-uri 'none'; form-action 'none'`);
    expect(page.replace(/<script>[^]*<\/script>/, '')).not.toMatch(/\b(?:src|href)=|https?:/);
  });
});

describe('its Buffer', () => {
  it('is not the one of whoever tests it', () => {
    expect(Buffer).not.toBe(Small);
    expect(Buffer.isBuffer(Buffer.alloc(1))).toBe(true);
  });

  it('reads and writes as Node’s does, strict and lax', () => {
    for (let length = 0; length < 40; length++) {
      const bytes = randomBytes(length);
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        const text = bytes.toString(encoding);
        expect(Small.from(bytes).toString(encoding)).toBe(text);
        expect(Small.from(text, encoding).toString('hex')).toBe(bytes.toString('hex'));
      }
    }
    for (const text of ['A', 'AB', 'AB=', 'A B', 'A-_/+', 'é', 'AAAA=', '====', 'AA\n'])
      expect([text, Small.from(text, 'base64').toString('base64') === text]).toEqual([text, Buffer.from(text, 'base64').toString('base64') === text]);
  });
});
