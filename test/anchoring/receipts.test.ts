/** Receipts from a sealed log: proven offline, small, fast, and refuted by any change. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { createLogFixture, disclosureStory, type LogFixture, party, someEntry, type Story } from '../support/log-fixture.ts';
import { trusting } from '../support/trusting.ts';

let log: LogFixture;
let story: Story;
let receipt: string;
const patient = 'Patient/q3v5k2m8x1';
const REFERENCE = 'AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5';

beforeAll(async () => {
  log = await createLogFixture();
  await log.append(...Array.from({ length: 300 }, (_, i) => someEntry(i, log.time.now)));
  story = disclosureStory([party(patient, 'patient'), party('Organization/hospital', 'custodian')], log.time.now);
});
afterAll(() => log.dispose());

const receiptFor = (evidence = story.evidence) => log.anchoring.receipts.receiptFor(REFERENCE, evidence);

describe('a receipt', () => {
  it('is absent before its entry, pending before its checkpoint, then ready', async () => {
    expect(await receiptFor()).toEqual({ kind: 'absent' });
    await log.append(...story.entries);
    expect(await receiptFor()).toEqual({ kind: 'pending' });
    await log.append(...Array.from({ length: 700 }, (_, i) => someEntry(1000 + i, log.time.now)));
    await log.anchoring.sealer.flush();
    const result = await receiptFor();
    expect(result.kind).toBe('ready');
    receipt = result.kind === 'ready' ? result.receipt : '';
    expect(log.faults).toEqual([]);
  });

  it('is proven with nothing but itself, and says by whom and what it does not prove', () => {
    const verdict = verifyReceipt(receipt);
    expect(verdict).toMatchObject({ kind: 'proven' });
    const text = JSON.stringify(verdict);
    for (const part of [REFERENCE, patient, 'Organization/hospital (custodian', 'Organization/insurer', 'TREAT', 'not pinned', 'withdrawn'])
      expect(text).toContain(part);
    const pinned = verifyReceipt(receipt, { policy: trusting(log.anchoring.publicLog.verifierKey()) });
    expect(JSON.stringify(pinned)).not.toContain('not pinned');
    expect(verifyReceipt(receipt, { policy: trusting() })).toMatchObject({ kind: 'refuted' });
  });

  it('names no patient but its own, and no other entry', () => {
    expect([...new Set(receipt.match(/Patient\/[A-Za-z0-9]+/g))]).toEqual([patient]);
  });

  it('is refuted or unreadable after any one changed character', () => {
    const accepted: string[] = [];
    for (let at = 0; at < receipt.length; at++) {
      // Digits stay digits and letters letters, so that numbers and names are changed too, not only broken.
      const changed = /\d/.test(receipt.charAt(at)) ? String((Number(receipt[at]) + 1) % 10) : receipt[at] === 'A' ? 'B' : 'A';
      if (verifyReceipt(receipt.slice(0, at) + changed + receipt.slice(at + 1)).kind === 'proven') accepted.push(receipt.slice(at - 20, at + 20));
    }
    expect(accepted).toEqual([]);
  });
});
