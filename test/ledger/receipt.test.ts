/** Receipts made by hand, honest and not: what an attacker who writes the file, but holds no key, can make of one. */
import { generateKeyPairSync } from 'node:crypto';
import canonicalize from 'canonicalize';
import { describe, expect, it } from 'vitest';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { newSignerKey, parseSignerKey } from '../../ledger/note.ts';
import { commitmentOf, type LogEntry, logRow, parseEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { digestOf } from '../../ledger/hash.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Receipt, writeReceipt } from '../../ledger/receipt-format.ts';
import { detached, disclosureStory, type Party, party, type Story } from '../support/log-fixture.ts';
import { type Parts, receiptByHand } from '../support/receipt-by-hand.ts';

const signer = parseSignerKey(newSignerKey('assent.local/test')) ?? expect.fail();
const receiptOf = (parts: Omit<Parts, 'signer'>) => receiptByHand({ ...parts, signer });
const patient = 'Patient/q3v5k2m8x1';
const honest = (): Party[] => [party(patient, 'patient', 'Ed25519'), party('Organization/hospital', 'custodian')];

const verdictOf = (receipt: Omit<Receipt, 'format'>) => verifyReceipt(writeReceipt(receipt));
const refuted = (word: string) => ({ kind: 'refuted', reason: expect.stringContaining(word) });

describe('a receipt', () => {
  const parties = honest();
  const story = disclosureStory(parties, Date.UTC(2024, 5, 1));

  it('of ES256 and EdDSA signatures is proven, and so is one of a patient alone, which says so', async () => {
    expect(verdictOf(await receiptOf({ story, parties }))).toMatchObject({ kind: 'proven' });
    const [alone] = [[parties[0] as Party]];
    const verdict = verdictOf(await receiptOf({ story: disclosureStory(alone, 0), parties: alone }));
    expect(verdict).toMatchObject({ kind: 'proven' });
    expect(JSON.stringify(verdict)).toContain('signed by the patient alone');
  });

  it('may have been saved with a final newline, but not otherwise rewritten', async () => {
    const text = writeReceipt(await receiptOf({ story, parties }));
    expect(verifyReceipt(`${text}\n`).kind).toBe('proven');
    for (const other of [
      JSON.stringify(JSON.parse(text), null, 1),
      `${text}\n\n`,
      text.replace('{', '{"format":"x",'),
      text.replace('{', '{ '),
      '',
      '[]',
      'null',
      '{"format":"assent-receipt-1"}',
      '{"resourceType":"Parameters","parameter":[null]}',
    ]) {
      expect(verifyReceipt(other).kind).toBe('unreadable');
    }
    const extra = { ...(JSON.parse(text) as object), note: 'more' };
    expect(verifyReceipt(JSON.stringify(extra)).kind).toBe('unreadable');
  });

  it('whose log key is another’s is refuted, even where that one signed too', async () => {
    const receipt = await receiptOf({ story, parties });
    const stranger = parseSignerKey(newSignerKey('assent.local/test')) ?? expect.fail();
    expect(verdictOf({ ...receipt, log: stranger.verifierKey.text })).toEqual(refuted('unsigned'));
    const cosigned = receipt.checkpoint + stranger.line(receipt.checkpoint.slice(0, receipt.checkpoint.indexOf('\n\n') + 1));
    expect(verdictOf({ ...receipt, checkpoint: cosigned })).toEqual(refuted('unknown key'));
    const renamed = signCheckpoint({ origin: 'assent.local/other', size: 4, root: Buffer.alloc(32) }, [signer]);
    expect(verdictOf({ ...receipt, checkpoint: renamed })).toEqual(refuted('another log'));
  });

  it('for which the log is honest but the signatures are not is refuted', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const [mine, custodian] = parties as [Party, Party];
    const terms = story.statement.replace('"TREAT"', '"HMARKT"');
    const cases: [readonly string[], string][] = [
      [[], 'No signature of the patient'],
      [[custodian.sign(story.statement)], 'No signature of the patient'],
      [[mine.sign(terms), custodian.sign(story.statement)], 'does not hold'],
      [[detached(story.statement, { alg: 'ES256', kid: custodian.kid }, privateKey), mine.sign(story.statement)], 'does not hold'],
      [[detached(story.statement, { alg: 'ES256', kid: 'stranger' }, privateKey)], 'registration is missing'],
      [[mine.sign(story.statement).replace('..', '.e30.')], 'not a detached JWS'],
    ];
    for (const [signatures, word] of cases) expect(verdictOf(await receiptOf({ story, parties, signatures })), word).toEqual(refuted(word));
  });

  it('that leaves out a signature the log entry names is refuted', async () => {
    const signatures = story.evidence.consents[0]?.signatures ?? [];
    const named = (digests: readonly string[]): Story => ({
      ...story,
      entries: story.entries.map((entry) => (entry.kind === 'consent-active' ? { ...entry, signatures: digests } : entry)),
    });
    const all = signatures.map(digestOf);
    expect(all.length).toBeGreaterThan(1);
    expect(verdictOf(await receiptOf({ story: named(all), parties }))).toMatchObject({ kind: 'proven' });
    expect(verdictOf(await receiptOf({ story: named([...all, digestOf('another')]), parties }))).toEqual(refuted('is missing'));
  });

  it('refuses none, HMAC and unencoded payloads whatever the header says', async () => {
    const [mine, custodian] = parties as [Party, Party];
    const good = mine.sign(story.statement);
    for (const header of [
      { alg: 'none', kid: mine.kid },
      { alg: 'HS256', kid: mine.kid },
      { alg: 'ES256', kid: mine.kid },
      { alg: 'EdDSA', kid: mine.kid, b64: false, crit: ['b64'] },
    ]) {
      const forged = `${Buffer.from(JSON.stringify(header)).toString('base64url')}..${good.split('.')[2]}`;
      expect(verdictOf(await receiptOf({ story, parties, signatures: [forged, custodian.sign(story.statement)] })).kind).toBe('refuted');
    }
  });

  it('signed by who may not sign is refuted: another patient, an organization that is not the custodian', async () => {
    const mother = party('Patient/mother', 'patient');
    const [mine, hospital] = honest() as [Party, Party];
    const grantee = party('Organization/insurer', 'custodian');
    for (const [signers, word] of [
      [[mother, hospital], 'Patient/mother may not sign'],
      [[mine, grantee], 'Organization/insurer may not sign'],
      [[{ ...party(patient, 'custodian'), role: 'custodian' as const }, hospital], 'may not sign'],
    ] as const) {
      expect(verdictOf(await receiptOf({ story: disclosureStory(signers, 0), parties: signers }))).toEqual(refuted(word));
    }
  });

  it('whose order in the log is not that of the events is refuted', async () => {
    expect(verdictOf(await receiptOf({ story, parties, order: [2, 0, 1, 3] }))).toEqual(refuted('registered after'));
    expect(verdictOf(await receiptOf({ story, parties, order: [0, 1, 3, 2] }))).toEqual(refuted('logged after'));
  });

  it('resting on a Consent that was not active is refuted', async () => {
    for (const kind of ['consent-withdrawn', 'consent-proposed', 'consent-superseded'] as const)
      expect(verdictOf(await receiptOf({ story, parties, kinds: { Consent: kind } }))).toEqual(refuted('not active'));
    expect(verdictOf(await receiptOf({ story, parties, kinds: { Consent: 'key-registered' } }))).toEqual(refuted('something else'));
    expect(verdictOf(await receiptOf({ story, parties, kinds: { Key: 'key-revoked' } }))).toEqual(refuted('something else'));
  });

  it('with a piece left out, put twice or swapped is refuted', async () => {
    const receipt = await receiptOf({ story, parties });
    const [consent] = receipt.consents;
    const [one, two] = receipt.keys;
    if (!consent || !one || !two) expect.fail();
    expect(verdictOf({ ...receipt, consents: [], keys: [] })).toEqual(refuted('basis'));
    expect(verdictOf({ ...receipt, consents: [consent, consent] })).toEqual(refuted('one place'));
    expect(verdictOf({ ...receipt, keys: [one, two, two] })).toEqual(refuted('twice'));
    expect(verdictOf({ ...receipt, keys: [one] })).toEqual(refuted('registration is missing'));
    expect(verdictOf({ ...receipt, keys: [{ ...one, entry: two.entry }, two] })).toEqual(refuted('digest differs'));
    expect(verdictOf({ ...receipt, event: null })).toEqual(refuted('signed root'));
    expect(verdictOf({ ...receipt, consents: [{ ...consent, terms: null, signatures: [] }] })).toEqual(refuted('without the terms'));
  });

  it('whose Consent or AuditEvent was edited is refuted, whatever the rest says', async () => {
    const receipt = await receiptOf({ story, parties });
    const [consent] = receipt.consents;
    if (!consent || !receipt.event) expect.fail();
    const edited = consent.consent.replace('Organization/insurer', 'Organization/stranger');
    expect(verdictOf({ ...receipt, consents: [{ ...consent, consent: edited }] })).toEqual(refuted('digest differs'));
    const event = receipt.event.event.replace('TREAT', 'ETREAT');
    expect(verdictOf({ ...receipt, event: { ...receipt.event, event } })).toEqual(refuted('digest differs'));
    // With digests made to fit, the log's root gives it away.
    const story2 = disclosureStory(parties, 0);
    const other = await receiptOf({ story: story2, parties });
    expect(verdictOf({ ...receipt, event: other.event })).toEqual(refuted('signed root'));
    expect(verdictOf({ ...receipt, consents: [{ ...consent, terms: { ...consent.terms, purposes: ['HMARKT'] } }] })).toEqual(
      refuted('not those in the log'),
    );
  });
});

describe('log rows', () => {
  const entry: LogEntry = { kind: 'denial', occurredAt: '2024-06-01T00:00:00.000Z', subject: null, reference: 'AuditEvent/1', digest: 'd' };

  it('come back as they went in, and the same thing has the same key', () => {
    expect(parseEntry(logRow(entry).entry)).toEqual(entry);
    expect(logRow(entry).key).toBe(logRow({ ...entry, occurredAt: 'later' }).key);
    expect(logRow(entry).key).not.toBe(logRow({ ...entry, kind: 'disclosure' }).key);
  });

  it.each([
    '[]',
    'null',
    '{}',
    JSON.stringify({ ...entry, kind: 'other' }),
    JSON.stringify({ ...entry, more: 1 }),
    JSON.stringify({ ...entry, subject: 1 }),
  ])('%s is none', (text) => {
    expect(() => parseEntry(text)).toThrow(RangeError);
  });

  it('are committed to in canonical form, by hash alone', () => {
    const whole: PrivateEntry = { ...entry, index: 1, subjectSeq: 0, previous: null, salt: 's' };
    const shuffled = Object.fromEntries(Object.entries(whole).reverse()) as PrivateEntry;
    expect(commitmentOf(shuffled)).toEqual(commitmentOf(whole));
    expect(canonicalize(whole)).toMatch(/^\{"digest"/);
  });
});
