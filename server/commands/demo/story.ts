/**
 * The promise, told step by step against a running server: a record nobody may read, two signatures, the same record readable, a
 * receipt proven offline, a withdrawal, the record gone. Everything here goes over HTTP, as a stranger's client would.
 */
import { createHash } from 'node:crypto';
import { verifyReceipt } from '../../../ledger/receipt.ts';
import { patientBundle, seededRandom } from './generator.ts';
import {
  type Answer,
  type Bootstrap,
  type Client,
  consentTerms,
  createSession,
  enrolKey,
  expect,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
  withdraw,
} from './session.ts';

export type Demo = {
  readonly bootstrap: Bootstrap;
  readonly say: (line: string) => void;
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
};
/** `keyless`: another patient, who has no key. */
export type Told = {
  readonly patient: string;
  readonly keyless: string;
  readonly consent: string;
  readonly insurer: Client;
  readonly homeCare: Client;
};

const PATIENTS = 40;
export const HOSPITAL = 'Organization/demo-hospital';
export const INSURER = 'Organization/demo-insurer';
const HOME_CARE = 'Organization/demo-home-care';

/** Tells the whole story; throws Error naming the step that did not go as promised. */
export async function tellStory(demo: Demo): Promise<Told> {
  const { say } = demo;
  const admin = await createSession(demo.bootstrap, demo.bootstrap.admin, 'system/*.cruds admin');
  await directory(admin);
  const [patient = '', keyless = ''] = await loadPatients(demo, admin);
  const insurer = await registerClient(admin, 'Demo insurer', INSURER, 'HPAYMT');
  const homeCare = await registerClient(admin, 'Demo home care', HOME_CARE, 'TREAT');
  const patientKey = await enrolKey(admin, patient);
  const custodianKey = await enrolKey(admin, HOSPITAL);
  const session = await createSession(demo.bootstrap, insurer, 'system/*.rs');

  say('\n1. The insurer asks for a record nobody may read.');
  const hidden = await session.call('GET', patient);
  const absent = await session.call('GET', 'Patient/there-is-no-such-id');
  show(say, `GET ${patient}`, hidden, 'no Consent permits it, so for this caller it does not exist');
  show(say, 'GET Patient/there-is-no-such-id', absent, 'the same answer: nobody can tell hidden from absent');
  expect('the read is refused', hidden.status === 404 && absent.status === 404);

  say('\n2. The patient reads the terms and signs; one signature is not enough.');
  const terms = consentTerms({ patient, custodian: HOSPITAL, grantee: INSURER, now: demo.now() });
  const prepared = await prepare(admin, terms);
  const statement = partOf(prepared, 'statement');
  say(`   what the patient signs: ${statement.length} bytes, SHA-256 ${partOf(prepared, 'digest')}`);
  const one = await submit(admin, statement, [patientKey]);
  show(say, 'POST Consent/$sign  (patient)', one, 'the hospital that holds the record has not approved yet');
  const still = await session.call('GET', patient);
  show(say, `GET ${patient}`, still, 'still as if absent');
  expect('one signature opens nothing', one.status === 202 && still.status === 404);

  say('\n3. The custodian signs the same bytes, and the same read is answered.');
  const both = await submit(admin, statement, [custodianKey]);
  const consent = `Consent/${String(both.json['id'])}`;
  show(say, 'POST Consent/$sign  (hospital)', both, `${consent} is in force`);
  expect('both signatures activate the Consent', both.status === 201);
  const seen = await session.call('GET', patient);
  show(say, `GET ${patient}`, seen, 'permitted, and recorded before the first byte left');
  const observations = await session.call('GET', `Observation?subject=${patient}&_count=5`);
  show(
    say,
    `GET Observation?subject=${patient}&_count=5`,
    observations,
    `total ${String(observations.json['total'])}, of one patient among ${PATIENTS}`,
  );
  expect('the read is permitted', seen.status === 200 && Number(observations.json['total']) > 0);

  say('\n4. Anyone can check that disclosure offline, years later.');
  await proveDisclosure(demo, session, seen);

  say('\n5. The patient changes their mind.');
  const withdrawn = await withdraw(admin, { consent, digest: partOf(prepared, 'digest'), key: patientKey, now: demo.now() });
  show(say, `POST ${consent}/$withdraw`, withdrawn, 'signed by the patient alone; nobody else is asked');
  const gone = await session.call('GET', patient);
  show(say, `GET ${patient}`, gone, 'gone on the very next request');
  expect('the withdrawal holds at once', withdrawn.status === 200 && gone.status === 404);
  return { patient, keyless, consent, insurer, homeCare };
}

function show(say: Demo['say'], asked: string, { status }: Answer, why: string): void {
  say(`   ${asked}\n     → ${status}  ${why}`);
}

async function directory(admin: Session): Promise<void> {
  const names = { [HOSPITAL]: '示范医院 Demo Hospital', [INSURER]: 'Demo Insurer', [HOME_CARE]: '居家护理 Demo Home Care' };
  for (const [reference, name] of Object.entries(names)) {
    const id = reference.slice('Organization/'.length);
    const put = await admin.call('PUT', reference, { resourceType: 'Organization', id, active: true, name });
    expect(`PUT ${reference}`, put.status === 200 || put.status === 201);
  }
}

/** Loads the synthetic patients; resolves with their references. */
async function loadPatients({ say }: Demo, admin: Session): Promise<readonly string[]> {
  const random = seededRandom(20_240_601);
  const patients: string[] = [];
  let resources = 0;
  for (let number = 0; number < PATIENTS; number++) {
    const bundle = patientBundle(random, number, HOSPITAL);
    const loaded = await admin.call('POST', '', bundle);
    expect(`loading patient ${number}`, loaded.status === 200);
    const entries = loaded.json['entry'] as { response: { location: string } }[];
    patients.push(/Patient\/[^/]+/.exec(entries[0]?.response.location ?? '')?.[0] ?? '');
    resources += entries.length;
    if ((number + 1) % 10 === 0) say(`   ${number + 1} of ${PATIENTS} synthetic patients loaded (${resources} resources)`);
  }
  return patients;
}

async function proveDisclosure(demo: Demo, session: Session, disclosure: Answer): Promise<void> {
  const url = disclosure.headers.get('assent-receipt') ?? '';
  let receipt = await session.call('GET', url);
  for (let i = 0; receipt.status === 202 && i < 60; i++) {
    await demo.wait(250);
    receipt = await session.call('GET', url);
  }
  expect('the receipt arrives', receipt.status === 200);
  const verdict = verifyReceipt(receipt.text);
  demo.say(
    `   GET ${new URL(url).pathname.replace(/[^/]+\/\$receipt$/, '…/$receipt')}\n     → ${receipt.status}  ${receipt.text.length} bytes, SHA-256 ${createHash('sha256').update(receipt.text).digest('hex').slice(0, 16)}…`,
  );
  demo.say(`   verified without the server: ${verdict.kind}`);
  for (const line of verdict.kind === 'proven' ? verdict.proven : []) demo.say(`     proven: ${line}`);
  for (const line of verdict.kind === 'proven' ? verdict.notProven : []) demo.say(`     not proven: ${line}`);
  const forged = verifyReceipt(receipt.text.replace(/"digest":"(.)/, (_, c: string) => `"digest":"${c === 'A' ? 'B' : 'A'}`));
  demo.say(`   the same file with one character changed: ${forged.kind}`);
  expect('the receipt is proven and a changed one is not', verdict.kind === 'proven' && forged.kind !== 'proven');
}
