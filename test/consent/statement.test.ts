/** The text that is signed: one spelling, and another digest for any other text. https://www.rfc-editor.org/rfc/rfc8785 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../ledger/hash.ts';
import { readStatement, type Statement, STATEMENT_TYPE, statementText, unversioned } from '../../server/consent/statement.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { consentBy, NOON } from '../support/consents.ts';

const audience = 'https://here.example/fhir';
const statementOf = (consent: ResourceValue): Statement => ({
  type: STATEMENT_TYPE,
  semantics: 'urn:assent:consent-semantics:1',
  audience,
  consent,
  shown: { language: 'zh', digest: digestOf('我允许') },
  requesters: [{ reference: 'Organization/a', keys: ['k'] }],
  custodians: ['Organization/hospital'],
  purposes: ['TREAT'],
  nonce: 'n',
  created: new Date(NOON).toISOString(),
  expires: new Date(NOON + 1000).toISOString(),
});

describe('the canonical text', () => {
  test('orders members by UTF-16 units, writes numbers as ECMAScript does and escapes no more than it must', () => {
    // The examples of RFC 8785, §3.2.2 and §3.2.3.
    const numbers: unknown = JSON.parse('[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 1.50]');
    const names = { '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, ö: 7 };
    const consent = { resourceType: 'Consent', numbers, text: '€$\u000f\nA\'B"\\\\"/', names } as unknown as ResourceValue;
    const text = statementText(statementOf(consent));
    expect(text).toContain('"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,1.5]');
    expect(text).toContain('"text":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"');
    const order = ['"\\r"', '"1"', '"\u0080"', '"ö"', '"€"', '"\u{1f600}"', '"\ufb33"'].map((name) => text.indexOf(name, text.indexOf('"names"')));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
  });

  test('is the same whatever order the members came in, and has no blanks outside of strings', () => {
    const consent = consentBy('1', { type: 'permit' });
    const reversed = Object.fromEntries(Object.entries(consent).toReversed()) as unknown as ResourceValue;
    const [text, other] = [statementText(statementOf(consent)), statementText(statementOf(reversed))];
    expect(other).toBe(text);
    expect(text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '')).not.toMatch(/\s/);
    expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(statementOf(consent)).toSorted());
  });

  test('its digest is the SHA-256 of its UTF-8 bytes, and that of no text with one character changed', () => {
    const text = statementText(statementOf(consentBy('1', { type: 'permit' })));
    const digest = digestOf(text);
    expect(digest).toBe(createHash('sha256').update(Buffer.from(text, 'utf8')).digest('base64url'));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ unit: 'grapheme', maxLength: 1 }), (at, character) => {
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        fc.pre(changed !== text);
        expect(digestOf(changed)).not.toBe(digest);
      }),
      { seed: 8785, numRuns: 500 },
    );
  });
});

describe('the Consent of a statement', () => {
  test('is without version and time of storage, and keeps the rest of its meta and its text', () => {
    const text = { status: 'generated', div: '<div/>' };
    const meta = { versionId: '1', lastUpdated: '2024-01-01T00:00:00Z', profile: ['urn:x'], security: [{ code: 'R' }] };
    const consent = consentBy('1', { type: 'permit' }, { meta, text });
    expect(unversioned(consent)).toEqual({ ...consent, meta: { profile: ['urn:x'], security: [{ code: 'R' }] } });
  });

  test('has no meta where nothing is left of it', () => {
    const consent = consentBy('1', { type: 'permit' });
    for (const meta of [{ versionId: '1' }, {}, undefined]) expect(unversioned({ ...consent, ...(meta ? { meta } : {}) })).toEqual(consent);
  });
});

test('the last moment is the one before it expires', () => {
  const text = statementText(statementOf(consentBy('1', { type: 'permit' })));
  expect(readStatement(text, { audience, now: NOON + 999 }).nonce).toBe('n');
  for (const against of [
    { audience, now: NOON + 1000 },
    { audience: `${audience}/`, now: NOON },
    { audience: audience.toUpperCase(), now: NOON },
  ])
    expect(() => readStatement(text, against)).toThrowError(expect.objectContaining({ code: 'invalid-signature' }) as Error);
});
