/** Whether a Consent still stands, proven offline: $ledger-proof, what receipts say of it, who may ask, and what is recorded. ledger.md §3 */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inChinese } from '../../ledger/verifier/words.ts';
import type { Receipt } from '../../ledger/receipt-format.ts';
import { type Verdict, verifyReceipt } from '../../ledger/receipt.ts';
import { enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const MINUTE_MS = 60_000;
const script = fileURLToPath(new URL('../receipt-verifier/verify.py', import.meta.url));

let server: RealServer;
let insurer: Session;
let ann: Session;
let annKey: Key;
let inForce: InForce;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['ann', 'bea']) await put(server, patient(id));
  await put(server, observation('of-ann', 'Patient/ann'));
  insurer = (await register(server, { actor: INSURER })).session;
  ann = (await register(server, { actor: 'Patient/ann' })).session;
  annKey = await enrolKey(server.admin, 'Patient/ann');
  const hospital = await enrolKey(server.admin, HOSPITAL);
  inForce = await agree(server, termsOf(server, { patient: 'Patient/ann', grantee: INSURER }), [annKey, hospital]);
});
afterAll(() => server.stop());

async function proofOf(consent: string, session = ann): Promise<{ readonly text: string; readonly file: Receipt }> {
  const answer = await settled(session, `${consent}/$ledger-proof`);
  expect([answer.status, answer.text.slice(0, 200)]).toEqual([200, expect.any(String)]);
  return { text: answer.text, file: JSON.parse(answer.text) as Receipt };
}

/** What it proves; both verifiers agree that it does, and every sentence has its Chinese. */
function proven(text: string): string {
  const verdict = verifyReceipt(text);
  if (verdict.kind !== 'proven') return expect.fail(JSON.stringify(verdict));
  const file = join(tmpdir(), `assent-proof-${process.pid}.json`);
  writeFileSync(file, text);
  expect(execFileSync('python3', ['-B', script, file], { encoding: 'utf8' })).toContain('PROVEN');
  rmSync(file);
  for (const sentence of [...verdict.proven, ...verdict.notProven]) expect(inChinese(sentence), sentence).toMatch(/[一-龥]/);
  return verdict.proven.join('\n');
}

const within = (text: string, inForceAt: number): Verdict['kind'] => verifyReceipt(text, { inForceAt }).kind;

describe('$ledger-proof', () => {
  it('proves that a Consent stood at most a minute ago, in at most 1 kB beside the receipt', async () => {
    const { text, file } = await proofOf(inForce.consent);
    const { current } = file;
    expect(proven(text)).toContain(`${inForce.consent} stood, active, as of ${current?.entry.occurredAt}: nothing among the first ${current?.upTo} `);
    expect(server.now() - Date.parse(current?.entry.occurredAt ?? '')).toBeLessThanOrEqual(MINUTE_MS);
    expect(Buffer.from(current?.proofs[0]?.proof ?? '', 'base64').length).toBeLessThanOrEqual(1000);
    expect(within(text, Date.parse(current?.entry.occurredAt ?? ''))).toBe('proven');
    expect(within(text, server.now() + 1)).toBe('refuted');
    expect(within((await settled(server.admin, `${inForce.consent}/$receipt`)).text, server.now() - MINUTE_MS)).toBe('proven');
  });

  it('is made anew once the newest root is a minute old', async () => {
    const first = await proofOf(inForce.consent);
    const again = await proofOf(inForce.consent);
    expect(again.file.current?.upTo).toBe(first.file.current?.upTo);
    server.advance(MINUTE_MS);
    const later = await proofOf(inForce.consent);
    expect(later.file.current?.upTo).toBeGreaterThan(first.file.current?.upTo ?? Number.MAX_VALUE);
    expect(server.now() - Date.parse(later.file.current?.entry.occurredAt ?? '')).toBeLessThanOrEqual(MINUTE_MS);
  });

  it('is for whoever may read the Consent, and recorded like a read', async () => {
    const read = async (): Promise<number> =>
      (await server.admin.call('GET', 'AuditEvent?patient=Patient/ann&_summary=count')).json['total'] as number;
    const before = await read();
    await proofOf(inForce.consent);
    expect(await read()).toBeGreaterThan(before);
    await proofOf(inForce.consent, server.admin);
    const id = inForce.consent.slice('Consent/'.length);
    const bea = (await register(server, { actor: 'Patient/bea' })).session;
    for (const stranger of [bea, insurer]) {
      const [hidden, absent] = [
        await stranger.call('GET', `${inForce.consent}/$ledger-proof`),
        await stranger.call('GET', 'Consent/none/$ledger-proof'),
      ];
      expect(hidden.status).toBe(404);
      expect(normalised(hidden, id)).toEqual(normalised(absent, 'none'));
    }
    expect((await ann.call('GET', `${inForce.consent}/$ledger-proof?fresh=true`)).status).toBe(400);
    expect((await fetch(`${server.bootstrap.fhirBaseUrl}/${inForce.consent}/$ledger-proof`)).status).toBe(401);
  });
});

describe('a receipt', () => {
  let event: string;
  let early: string;

  it('says that its Consent was in force when it was used, once a root knows', async () => {
    const read = await insurer.call('GET', 'Observation/of-ann');
    event = read.headers.get('assent-receipt') ?? '';
    server.advance(MINUTE_MS);
    await proofOf(inForce.consent);
    early = (await settled(insurer, event)).text;
    expect(proven(early)).toMatch(
      new RegExp(`${inForce.consent} was in force when AuditEvent/\\S+ was recorded: nothing among the first \\d+ entries`),
    );
  });

  it('goes on saying so after the Consent was withdrawn, and then that it was', async () => {
    const { consent } = inForce;
    await withdrawNow(server, inForce, annKey);
    const { text } = await proofOf(consent);
    expect(proven(text)).toContain(`${consent} stood, withdrawn, as of `);
    expect(within(text, 0)).toBe('refuted');
    const late = await settled(insurer, event);
    const { current } = JSON.parse(late.text) as Receipt;
    expect(proven(late.text)).toContain(`was recorded: what took its place is entry ${current?.proofs[0]?.next};`);
    expect(within(late.text, 0)).toBe('refuted');
    // What was proven before still is, and was not in force later than it says.
    expect(within(early, 0)).toBe('proven');
    expect(within(early, server.now() - 1)).toBe('refuted');
  });

  it('is the same from a process that starts anew, which finds every root right', async () => {
    const before = (await settled(insurer, event)).text;
    await server.restart();
    expect((await settled(insurer, event)).text).toBe(before);
    expect(server.logs.join('\n')).not.toContain('the map of Consents');
  });
});
