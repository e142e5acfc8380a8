/** A small hospital in a running server, made through the outside interface: twenty patients, one of whom permits one insurer by two signatures. */
import {
  type Bootstrap,
  consentTerms,
  createSession,
  enrolKey,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
} from '../server/commands/demo/session.ts';
import { patientBundle, seededRandom } from '../server/commands/demo/generator.ts';

export const CUSTODIAN = 'Organization/bench-hospital';
const GRANTEE = 'Organization/bench-insurer';
const PATIENTS = 20;
/** Observations of the patient beside those of the bundle, so that a page of 20 is full and a total is counted. */
const MORE_THAN_A_PAGE = 20;

export type World = {
  readonly base: string;
  /** Reference of the patient who permits, and what a GET of it answers. */
  readonly patient: string;
  readonly body: string;
  /** JSON of an Observation to create. */
  readonly observation: string;
  readonly admin: Session;
  readonly insurer: Session;
};

export async function prepareWorld(bootstrap: Bootstrap): Promise<World> {
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  for (const reference of [CUSTODIAN, GRANTEE])
    await admin.call('PUT', reference, { resourceType: 'Organization', id: reference.slice('Organization/'.length), name: reference });
  const random = seededRandom(1);
  const patients: string[] = [];
  for (let number = 0; number < PATIENTS; number++) patients.push(await loadPatient(admin, patientBundle(random, number, CUSTODIAN)));
  const patient = patients[0] as string;
  const example = patientBundle(random, 99, CUSTODIAN).entry.find(({ resource }) => resource.resourceType === 'Observation')?.resource;
  const observation = { ...example, subject: { reference: patient }, encounter: undefined };
  for (let more = 0; more < MORE_THAN_A_PAGE; more++) await admin.call('POST', 'Observation', observation);
  const client = await registerClient(admin, 'bench', GRANTEE, 'HPAYMT');
  await giveConsent(admin, patient);
  const insurer = await createSession(bootstrap, client, 'system/*.rs');
  return {
    base: bootstrap.fhirBaseUrl,
    patient,
    body: (await insurer.call('GET', patient)).text,
    observation: JSON.stringify(observation),
    admin,
    insurer,
  };
}

async function loadPatient(admin: Session, bundle: unknown): Promise<string> {
  const { json } = await admin.call('POST', '', bundle);
  const [first] = json['entry'] as { response: { location: string } }[];
  return /Patient\/[^/]+/.exec(first?.response.location ?? '')?.[0] as string;
}

async function giveConsent(admin: Session, patient: string): Promise<void> {
  const keys = [await enrolKey(admin, patient), await enrolKey(admin, CUSTODIAN)];
  const prepared = await prepare(admin, consentTerms({ patient, custodian: CUSTODIAN, grantee: GRANTEE, now: Date.parse('2026-01-01') }));
  const signed = await submit(admin, partOf(prepared, 'statement'), keys);
  if (signed.status !== 201) throw new Error(`signing answered ${signed.status}`);
}
