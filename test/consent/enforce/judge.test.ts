/** A Consent is believed for its statement, its signatures and the key log, and for nothing else in the database. */
import { describe, expect, test } from 'vitest';
import type { ConsentRecord } from '../../../server/consent/enforce/ceremony.ts';
import { judgeConsent } from '../../../server/consent/enforce/judge.ts';
import { digestOf } from '../../../ledger/hash.ts';
import { type Statement, STATEMENT_TYPE, statementText, unversioned } from '../../../server/consent/statement.ts';
import type { ResourceValue } from '../../../server/fhir/resource.ts';
import type { LoggedConsent } from '../../../server/consent/policies.ts';
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

const entry = (index: number, kind: string, signatures?: readonly string[]): LoggedConsent => ({
  index,
  kind,
  at: NOON,
  digest: digestOf(JSON.stringify(consent)),
  subject: 'Patient/1',
  ...(signatures ? { signatures: signatures.map((jws) => digestOf(jws)) } : {}),
});
const [patients, custodians] = record.approvals.map(({ jws }) => jws) as [string, string];
/** The patient signed at 10, the custodian at 20. */
const logged = [entry(10, 'consent-proposed', [patients]), entry(20, 'consent-active', [custodians])];

type Altered = {
  readonly kept?: unknown;
  readonly body?: string;
  readonly keys?: readonly TestKey[];
  readonly approvals?: 'both' | 'patient';
  readonly entries?: readonly LoggedConsent[];
};
const judge = ({ kept = record, body, keys = [patient, custodian, stranger], approvals = 'both', entries = logged }: Altered = {}) =>
  judgeConsent(kept, row(body), {
    approvals,
    entries,
    authorityOf: async () => undefined,
    keyOf: async (kid) => keys.find((key) => key.kid === kid),
  });
const compromised = (compromisedFromIndex: number, by = patient): TestKey => ({ ...by, revoked: { compromisedFromIndex } });
const permits = async (altered: Altered) => {
  const judged = await judge(altered);
  return judged.kind === 'established' ? judged.compiled.permitsUntil === undefined : judged.kind;
};

test('both signatures over this Consent establish it, also long after its period and its statement are over', async () => {
  expect(await judge()).toMatchObject({ kind: 'established', compiled: { patient: '1' }, kids: [patient.kid, custodian.kid] });
  expect(await permits({})).toBe(true);
});

test('signed by a key in other hands by then it permits nothing more, which is no forgery; what was signed before stays', async () => {
  expect(await permits({ keys: [compromised(11), custodian] })).toBe(true);
  expect(await permits({ keys: [compromised(10), custodian] })).toBe(false);
  expect(await permits({ keys: [patient, compromised(21, custodian)] })).toBe(true);
  expect(await permits({ keys: [patient, compromised(20, custodian)] })).toBe(false);
  expect(await judge({ keys: [compromised(0), custodian] })).toMatchObject({ kind: 'established', compiled: { permitsUntil: 0 } });
});

test('the time written beside a signature decides nothing', async () => {
  const [byPatient, byCustodian] = record.approvals;
  const kept = { ...record, approvals: [{ ...byPatient, at: '1970-01-01T00:00:00.000Z' }, byCustodian] };
  expect(await permits({ kept, keys: [compromised(10), custodian] })).toBe(false);
});

test('logged before signatures were named: signed where it became active', async () => {
  const entries = [entry(10, 'consent-proposed'), entry(20, 'consent-active')];
  expect(await permits({ entries, keys: [compromised(11), custodian] })).toBe(false);
  expect(await permits({ entries, keys: [compromised(21), custodian] })).toBe(true);
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
    ['a signature the log does not name', { entries: [entry(10, 'consent-proposed', []), entry(20, 'consent-active', [custodians])] }],
    ['a signature made anew over the same terms', changed({ approvals: [approval(patient, 'patient'), byCustodian] })],
    ['no entry at all', { entries: [] }],
    ['a key registered only later', { keys: [{ ...patient, logged: { registered: 10 } }, custodian] }],
    ['a key revoked by then', { keys: [{ ...patient, revoked: {}, logged: { registered: 1, revoked: 10 } }, custodian] }],
    ['a key the log does not know', { keys: [custodian] }],
    ['a key registered to another', { keys: [{ ...patient, owner: 'Patient/2' }, custodian] }],
    ['a key registered for another role', { keys: [{ ...patient, role: 'requester' }, custodian] }],
  ])('%s', async (_name, altered) => {
    expect(await judge(altered)).toEqual({ kind: 'forged' });
  });
});

test('keys that cannot be asked are no verdict', async () => {
  const keyOf = () => Promise.reject(new Error('The database is away.'));
  await expect(judgeConsent(record, row(), { approvals: 'both', keyOf, authorityOf: async () => undefined, entries: logged })).rejects.toThrow(
    'The database is away.',
  );
});
