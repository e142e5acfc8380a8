/** A Consent is believed for its statement, its signatures and the key log, and for nothing else in the database. */
import { describe, expect, test } from 'vitest';
import type { ConsentRecord } from '../../../server/consent/enforce/ceremony.ts';
import { judgeConsent } from '../../../server/consent/enforce/judge.ts';
import { digestOf } from '../../../ledger/hash.ts';
import { type Statement, STATEMENT_TYPE, statementText, unversioned } from '../../../server/consent/statement.ts';
import type { ResourceValue } from '../../../server/fhir/resource.ts';
import type { StoredResource } from '../../../server/store/port.ts';
import { consentBy, NOON } from '../../support/consents.ts';
import { type TestKey, testKey } from '../../support/signing-keys.ts';

const iso = (ms: number) => new Date(ms).toISOString();
const consent = consentBy('1', { type: 'permit' }, { meta: { versionId: 'v', lastUpdated: iso(NOON) } });
const statement: Statement = {
  type: STATEMENT_TYPE,
  semantics: 'urn:assent:consent-semantics:1',
  audience: 'https://here.example/fhir',
  consent: unversioned(consent),
  shown: { language: 'en', digest: digestOf('shown') },
  requesters: [],
  custodians: ['Organization/hospital'],
  purposes: [],
  nonce: 'n',
  created: iso(NOON),
  expires: iso(NOON + 1000),
};
const text = statementText(statement);
const patient = testKey('Patient/1', 'patient');
const custodian = testKey('Organization/hospital', 'custodian');
const stranger = testKey('Patient/2', 'patient');

const approval = (key: TestKey, role: 'patient' | 'custodian', more: object = {}) => ({
  who: key.owner,
  role,
  kid: key.kid,
  jws: key.jws(text),
  at: iso(NOON + 10),
  ...more,
});
const record: ConsentRecord = {
  state: 'active',
  digest: digestOf(text),
  statement: text,
  approvals: [approval(patient, 'patient'), approval(custodian, 'custodian')],
};
const row = (body = JSON.stringify(consent)): StoredResource => ({
  type: 'Consent',
  id: 'c1',
  version: 'v',
  lastUpdated: NOON,
  instant: NOON,
  deleted: false,
  body,
  keys: [],
});

type Altered = { readonly kept?: unknown; readonly body?: string; readonly keys?: readonly TestKey[]; readonly approvals?: 'both' | 'patient' };
const judge = ({ kept = record, body, keys = [patient, custodian, stranger], approvals = 'both' }: Altered = {}) =>
  judgeConsent(kept, row(body), { approvals, keyOf: async (kid) => keys.find((key) => key.kid === kid) });
const compromised = (since: number): TestKey => ({ ...patient, revoked: { at: iso(NOON + 50), compromisedSince: iso(since) } });

test('both signatures over this Consent establish it, also long after its period and its statement are over', async () => {
  expect(await judge()).toMatchObject({ kind: 'established', compiled: { patient: '1' }, kids: [patient.kid, custodian.kid] });
  expect(await judge({ keys: [compromised(NOON + 11), custodian] })).toMatchObject({ kind: 'established' });
});

test('signed by a key in other hands by then: lapsed, which is no forgery', async () => {
  expect(await judge({ keys: [compromised(NOON + 10), custodian] })).toEqual({ kind: 'lapsed' });
});

describe('forged', () => {
  const changed = (more: Partial<ConsentRecord>) => ({ kept: { ...record, ...more } });
  const terms = statementText({ ...statement, consent: { ...statement.consent, provision: { type: 'deny' } } as unknown as ResourceValue });
  const [byPatient, byCustodian] = record.approvals as [ConsentRecord['approvals'][number], ConsentRecord['approvals'][number]];
  test.each<readonly [string, Altered]>([
    ['no record at all', { kept: null }],
    ['a record that is no object', { kept: 'x' }],
    ['a statement that is no JSON', changed({ statement: '{' })],
    ['a statement that is no text', changed({ statement: { toString: 1 } as never })],
    ['a statement that is null', changed({ statement: 'null' })],
    ['approvals that are no list', changed({ approvals: 7 as never })],
    ['an approval that is none', changed({ approvals: [null as never] })],
    ['a signature that cannot be read', changed({ approvals: [{ ...byPatient, jws: '..' }, byCustodian] })],
    ['a record that says proposed', changed({ state: 'proposed' })],
    ['a record that says withdrawn', changed({ state: 'withdrawn' })],
    ['another digest', changed({ digest: digestOf('x') })],
    ['a Consent with other terms', { body: JSON.stringify({ ...consent, provision: { type: 'deny' } }) }],
    [
      'a Consent and a statement with other terms',
      { ...changed({ statement: terms, digest: digestOf(terms) }), body: JSON.stringify({ ...consent, provision: { type: 'deny' } }) },
    ],
    ['a Consent that is no JSON', { body: '{' }],
    ['a Consent that is a list', { body: '[]' }],
    ['one signature of two', changed({ approvals: [byPatient] })],
    ['the patient’s signature counted as the custodian’s too', changed({ approvals: [byPatient, { ...byPatient, role: 'custodian' }] })],
    ['a stranger written in as the patient', changed({ approvals: [{ ...approval(stranger, 'patient'), who: 'Patient/1' }, byCustodian] })],
    ['a stranger under the own name', changed({ approvals: [approval(stranger, 'patient'), byCustodian] })],
    ['no signature where one is enough', { ...changed({ approvals: [] }), approvals: 'patient' }],
    ['the custodian’s alone where the patient’s is enough', { ...changed({ approvals: [byCustodian] }), approvals: 'patient' }],
    ['a time of signing moved before the statement was made', changed({ approvals: [{ ...byPatient, at: iso(NOON - 1) }, byCustodian] })],
    ['a time of signing that is none', changed({ approvals: [{ ...byPatient, at: 'x' }, byCustodian] })],
    ['a key the log does not know', { keys: [custodian] }],
    ['a key registered to another', { keys: [{ ...patient, owner: 'Patient/2' }, custodian] }],
    ['a key registered for another role', { keys: [{ ...patient, role: 'requester' }, custodian] }],
  ])('%s', async (_name, altered) => {
    expect(await judge(altered)).toEqual({ kind: 'forged' });
  });
});

test('keys that cannot be asked are no verdict', async () => {
  const keyOf = () => Promise.reject(new Error('The database is away.'));
  await expect(judgeConsent(record, row(), { approvals: 'both', keyOf })).rejects.toThrow('The database is away.');
});
