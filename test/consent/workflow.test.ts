import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { couldSign, stillCounts } from '../../server/consent/keys.ts';
import { provenanceOf } from '../../server/consent/provenance.ts';
import { digestOf } from '../../ledger/hash.ts';
import { readStatement, type Statement, STATEMENT_TYPE, statementText } from '../../server/consent/statement.ts';
import { acceptSignatures, acceptWithdrawal, isComplete, mergeApprovals } from '../../server/consent/workflow.ts';
import { consentBy, NOON } from '../support/consents.ts';
import { type TestKey, testKey } from '../support/signing-keys.ts';

const audience = 'https://here.example/fhir';
const iso = (ms: number) => new Date(ms).toISOString();
const statement: Statement = {
  type: STATEMENT_TYPE,
  semantics: 'urn:assent:consent-semantics:1',
  audience,
  consent: consentBy('1', { type: 'permit' }),
  shown: { language: 'en', digest: digestOf('shown') },
  requesters: [],
  custodians: compileConsent(consentBy('1', { type: 'permit' }), { now: NOON }).organizations,
  purposes: [],
  nonce: 'n',
  created: iso(NOON),
  expires: iso(NOON + 1000),
};
const text = statementText(statement);

const patient = testKey('Patient/1', 'patient');
const passkey = testKey('Patient/1', 'patient', { curve: 'Ed25519' });
const custodian = testKey('Organization/hospital', 'custodian');
const stranger = testKey('Patient/2', 'patient');
const otherHospital = testKey('Organization/other', 'custodian');
const grantee = testKey('Organization/hospital', 'requester');
const guardian = testKey('RelatedPerson/1', 'related-person');
const revoked = testKey('Patient/1', 'patient', { revoked: {}, logged: { registered: 3, revoked: 7 } });
const registered = [patient, passkey, custodian, stranger, otherHospital, grantee, guardian, revoked];
const keyOf = async (kid: string) => registered.find((key) => key.kid === kid);

const consent = compileConsent(statement.consent, { now: NOON });
const by = (key: TestKey, jws = key.jws(text)) => ({ who: key.owner, jws });
const accept = (...signatures: { who: string; jws: string }[]) =>
  acceptSignatures(signatures, { statement, text, consent, now: NOON, keyOf, authoritiesOf: async () => [] });
const refused = { code: 'invalid-signature', status: 422 };

describe('signatures that establish a Consent', () => {
  test('the patient’s and the custodian’s, in either order, by ES256 and EdDSA', async () => {
    for (const signer of [patient, passkey]) {
      const approvals = await accept(by(custodian), by(signer));
      expect(approvals.map(({ role, who, at }) => [role, who, at])).toEqual([
        ['custodian', 'Organization/hospital', iso(NOON)],
        ['patient', 'Patient/1', iso(NOON)],
      ]);
      expect(isComplete(approvals, 'both')).toBe(true);
    }
  });

  test('one of the two is not enough, whichever it is, unless the patient’s is all that is asked for', async () => {
    const [first, second] = [await accept(by(patient)), await accept(by(custodian))];
    expect([isComplete(first, 'both'), isComplete(second, 'both'), isComplete(first, 'patient'), isComplete(second, 'patient')]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(isComplete(mergeApprovals(first, second), 'both')).toBe(true);
    // Two keys of one patient are still one party.
    expect(isComplete(mergeApprovals(first, await accept(by(passkey))), 'both')).toBe(false);
    expect(mergeApprovals(first, await accept(by(patient)))).toEqual(first);
  });

  test.each<readonly [string, () => { who: string; jws: string }[]]>([
    ['none at all', () => []],
    ['a stranger', () => [by(stranger)]],
    ['a stranger who says to be the patient', () => [{ who: 'Patient/1', jws: stranger.jws(text) }]],
    ['a stranger’s signature under the patient’s key id', () => [by(patient, patient.jws(text, { by: stranger.privateKey }))]],
    ['an unknown key', () => [by(testKey('Patient/1', 'patient'))]],
    ['the patient’s key named as somebody else’s', () => [{ who: 'Patient/2', jws: patient.jws(text) }]],
    ['a custodian the Consent does not name', () => [by(patient), by(otherHospital)]],
    ['the named organization with a requester’s key', () => [by(patient), by(grantee)]],
    ['a related person, who has no authority here yet', () => [by(guardian)]],
    ['a revoked key', () => [by(revoked)]],
    ['the same key twice', () => [by(patient), by(patient)]],
    ['other terms', () => [by(patient, patient.jws(text.replace('permit', 'deny')))]],
    ['the terms with a payload attached', () => [by(patient, patient.jws(text, { attached: true }))]],
    ['one good and one bad', () => [by(patient), by(stranger)]],
    ['a flood', () => Array.from({ length: 11 }, () => by(patient))],
  ])('%s: refused', async (_name, signatures) => {
    await expect(accept(...signatures())).rejects.toMatchObject(refused);
  });

  test('who and why cannot be told from a refusal', async () => {
    const messages = await Promise.all(
      [by(stranger), by(testKey('Patient/1', 'patient')), by(revoked), by(patient, patient.jws('x'))].map((signature) =>
        accept(signature).then(String, (error: Error) => error.message),
      ),
    );
    expect(new Set(messages).size).toBe(1);
  });
});

describe('statements', () => {
  test.each([
    ['another server', text, { audience: 'https://there.example/fhir', now: NOON }],
    ['too late', text, { audience, now: NOON + 1000 }],
    ['another kind of text', '{"type":"urn:assent:withdrawal:1"}', { audience, now: NOON }],
    ['a list', '[]', { audience, now: NOON }],
    ['null', 'null', { audience, now: NOON }],
    ['no JSON', '{', { audience, now: NOON }],
    ['an expiry that is no time', text.replace(iso(NOON + 1000), 'never'), { audience, now: NOON }],
  ])('%s: refused', (_name, said, against) => {
    expect(() => readStatement(said, against)).toThrowError(expect.objectContaining(refused) as Error);
  });

  test('in time and for this server', () => {
    expect(readStatement(text, { audience, now: NOON + 999 })).toEqual(statement);
  });
});

describe('withdrawals', () => {
  const digest = digestOf(text);
  const said = (more = {}) => statementText({ type: 'urn:assent:withdrawal:1', consent: 'Consent/c1', digest, created: iso(NOON), ...more } as never);
  const asking = { signedByPatient: true, now: NOON, keyOf, authoritiesOf: async () => [] };
  const asked = { consent: 'Consent/c1', patient: '1', custodians: ['Organization/hospital'], digest, audience, ...asking };
  const withdraw = (key: TestKey, more = {}, options = {}) =>
    acceptWithdrawal({ signature: key.jws(said(more), { attached: true, ...options }) }, asked);

  test('the patient withdraws, the custodian suspends', async () => {
    const states = [await withdraw(patient), await withdraw(passkey), await withdraw(custodian)].map(({ state }) => state);
    expect(states).toEqual(['withdrawn', 'withdrawn', 'suspended']);
    expect(await withdraw(patient, { created: iso(NOON - 600_000) })).toEqual({ state: 'withdrawn', who: 'Patient/1' });
  });

  test.each<readonly [string, () => Promise<unknown>]>([
    ['a stranger', () => withdraw(stranger)],
    ['a custodian that is not named', () => withdraw(otherHospital)],
    ['the grantee', () => withdraw(grantee)],
    ['a revoked key', () => withdraw(revoked)],
    ['another Consent', () => withdraw(patient, { consent: 'Consent/c2' })],
    ['another statement', () => withdraw(patient, { digest: digestOf('x') })],
    ['another kind of text', () => withdraw(patient, { type: 'urn:assent:consent-statement:1' })],
    ['more than is understood', () => withdraw(patient, { until: iso(NOON) })],
    ['one found again later', () => withdraw(patient, { created: iso(NOON - 600_001) })],
    ['one from the future', () => withdraw(patient, { created: iso(NOON + 600_001) })],
    ['a time that is none', () => withdraw(patient, { created: 'now' })],
    ['no payload', () => withdraw(patient, {}, { attached: false })],
    ['the signature of a Consent', () => acceptWithdrawal({ signature: patient.jws(text, { attached: true }) }, asked)],
  ])('%s: refused', async (_name, attempt) => {
    await expect(attempt()).rejects.toMatchObject(refused);
  });
});

test('a lost key voids no old Consent, one in other hands does from that place in the log on', () => {
  const from = (compromisedFromIndex: number) => ({ ...revoked, revoked: { compromisedFromIndex } });
  expect([stillCounts(revoked, 6), stillCounts(from(5), 4), stillCounts(from(5), 5), stillCounts(from(5), 6)]).toEqual([true, true, false, false]);
});

test('a key signs behind its registration and before its revocation, by the log and not by any clock', () => {
  expect([2, 3, 4, 6, 7, 8].filter((index) => couldSign(revoked, index))).toEqual([4, 6]);
  expect([0, 1, 1e9].filter((index) => couldSign(patient, index))).toEqual([1, 1e9]);
});

test('the Provenance carries each signature as it was made', async () => {
  const approvals = await accept(by(patient), by(custodian));
  expect(provenanceOf({ id: 'c1', version: 'v1', lastUpdated: NOON, patient: '1' }, approvals)).toMatchObject({
    target: [{ reference: 'Consent/c1/_history/v1' }],
    recorded: iso(NOON),
    signature: approvals.map(({ jws }, i) => ({
      type: [{ system: 'urn:iso-astm:E1762-95:2013', code: `1.2.840.10065.1.12.1.${i === 0 ? 7 : 5}` }],
      sigFormat: 'application/jose',
      data: Buffer.from(jws).toString('base64'),
    })),
  });
});
