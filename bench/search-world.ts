/**
 * Patients for the search benchmark, a hundred resources each, written straight through the store with the keys and facets that the server
 * writes; their Consents are then given by the ceremony, as any other. The same seed is the same world.
 */
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
import { seededRandom } from '../server/commands/demo/generator.ts';
import { facetsOf } from '../server/consent/facets.ts';
import { newVersion } from '../server/fhir/ids.ts';
import { createSearch } from '../server/search/create-search.ts';
import type { ResourceStore, StoredResource } from '../server/store/port.ts';
import { CUSTODIAN } from './world.ts';

export const GRANTEE = 'Organization/bench-insurer';
const EACH = 100;
/** Of all patients, so that a larger world is not a more secret one; always more than drive a query one by one. */
const PERMITTING = 0.6;
/** Resources with the same rare code. */
const OF_A_RARE_CODE = 20;
const BATCH = 500;
const AT_ONCE = 8;
const FROM = Date.UTC(2015, 0, 1);
const DAYS = 3650;

type Resource = { readonly resourceType: string; readonly id: string; readonly [member: string]: unknown };

export const patientsIn = (resources: number): number => Math.max(1, Math.floor(resources / EACH));
export const permittingIn = (resources: number): number => Math.floor(patientsIn(resources) * PERMITTING);
export const rareCodesIn = (resources: number): number => Math.max(1, Math.floor((resources * 0.8) / 50 / OF_A_RARE_CODE));

const SYLLABLES = 'ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu'.split(' ');
/** Of eight thousand. */
export const familyOf = (n: number): string => {
  const at = (m: number): string => SYLLABLES[m % SYLLABLES.length] ?? '';
  const mixed = (n * 2654435761) % 8000;
  return `${at(mixed)}${at(Math.floor(mixed / 20))}${at(Math.floor(mixed / 400))}`.replace(/^./, (first) => first.toUpperCase());
};
export const birthOf = (n: number): string => new Date(Date.UTC(1930, 0, 1) + ((n * 7919) % 30_000) * 86_400_000).toISOString().slice(0, 10);

const NARRATIVE = {
  status: 'generated',
  div: `<div xmlns="http://www.w3.org/1999/xhtml"><p>${'As it was measured and reported by the ward. '.repeat(16)}</p></div>`,
};
const coding = (system: string, code: string, display: string) => ({ coding: [{ system, code, display }], text: display });

/** Everything of the patient with this number. */
export function recordOf(n: number, resources: number): Resource[] {
  const random = seededRandom(n + 1);
  const patient = { reference: `Patient/p${n}` };
  const at = (): string => new Date(FROM + random.below(DAYS) * 86_400_000 + random.below(86_400) * 1000).toISOString();
  return [
    {
      resourceType: 'Patient',
      id: `p${n}`,
      text: NARRATIVE,
      active: true,
      identifier: [{ system: 'urn:bench:patient', value: `p${n}` }],
      name: [{ family: familyOf(n), given: [familyOf(n + 4000), 'Ann'] }],
      gender: n % 2 === 0 ? 'female' : 'male',
      birthDate: birthOf(n),
      managingOrganization: { reference: CUSTODIAN },
    },
    ...times(10, (i) => ({
      resourceType: 'Encounter',
      id: `e${n}-${i}`,
      text: NARRATIVE,
      status: 'finished',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      subject: patient,
      period: { start: at() },
      serviceProvider: { reference: CUSTODIAN },
    })),
    ...times(80, (i) => observationOf(`o${n}-${i}`, { patient, encounter: `Encounter/e${n}-${i % 10}`, random, at: at(), resources })),
    ...times(5, (i) => ({
      resourceType: 'Condition',
      id: `c${n}-${i}`,
      text: NARRATIVE,
      clinicalStatus: coding('http://terminology.hl7.org/CodeSystem/condition-clinical', 'active', 'Active'),
      code: coding('http://snomed.info/sct', String(100_000 + random.below(200)), 'A condition'),
      subject: patient,
      onsetDateTime: at(),
    })),
    ...times(4, (i) => ({
      resourceType: 'MedicationRequest',
      id: `m${n}-${i}`,
      text: NARRATIVE,
      status: 'active',
      intent: 'order',
      medicationCodeableConcept: coding('http://www.nlm.nih.gov/research/umls/rxnorm', String(200_000 + random.below(100)), 'A medicine'),
      subject: patient,
      authoredOn: at(),
    })),
  ];
}

type Random = ReturnType<typeof seededRandom>;
type Measured = { readonly patient: object; readonly encounter: string; readonly random: Random; readonly at: string; readonly resources: number };

function observationOf(id: string, { patient, encounter, random, at, resources }: Measured): Resource {
  const common = random.below(20);
  const code = random.below(50) === 0 ? `rare-${random.below(rareCodesIn(resources))}` : `common-${common}`;
  return {
    resourceType: 'Observation',
    id,
    text: NARRATIVE,
    identifier: [{ system: 'urn:bench', value: id }],
    status: 'final',
    category: [coding('http://terminology.hl7.org/CodeSystem/observation-category', common < 10 ? 'laboratory' : 'vital-signs', 'Category')],
    code: coding('http://loinc.org', code, 'What was measured'),
    subject: patient,
    encounter: { reference: encounter },
    effectiveDateTime: at,
    issued: at,
    performer: [{ reference: CUSTODIAN }],
    valueQuantity: { value: 50 + random.below(20_000) / 100, unit: 'mg/dL', system: 'http://unitsofmeasure.org', code: 'mg/dL' },
    referenceRange: [{ low: { value: 70, unit: 'mg/dL' }, high: { value: 180, unit: 'mg/dL' }, text: 'From 70 to 180' }],
  };
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

const BASE = 'http://127.0.0.1/fhir';

/** As the server would store it; without `indexed`, what it would cost to store it alone. */
export function storedOf(resource: Resource, now: number, indexed = true): StoredResource {
  const search = (searching ??= createSearch({ base: BASE, clock: () => now }));
  const { keys, instant } = indexed ? search.keysOf(resource) : { keys: [], instant: now };
  const version = newVersion();
  const body = JSON.stringify({ ...resource, meta: { versionId: version, lastUpdated: new Date(now).toISOString() } });
  const facets = facetsOf(resource, { writer: CUSTODIAN, base: BASE, lookup: () => undefined });
  return {
    type: resource.resourceType,
    id: resource.id,
    version,
    lastUpdated: now,
    instant: instant ?? now,
    deleted: false,
    body,
    keys: [...keys, ...facets],
  };
}
let searching: ReturnType<typeof createSearch> | undefined;

export const commitOf = (resources: readonly StoredResource[]) => ({ guards: [], resources, records: [], log: [], bumpEpoch: false });

/** Resolves with resources a second. */
export async function seed(store: ResourceStore, resources: number, now: number): Promise<number> {
  const began = performance.now();
  let batch: StoredResource[] = [];
  let writing: Promise<unknown> = Promise.resolve();
  for (let n = 0; n < patientsIn(resources); n++) {
    batch.push(...recordOf(n, resources).map((resource) => storedOf(resource, now)));
    if (batch.length < BATCH && n + 1 < patientsIn(resources)) continue;
    const write = commitOf(batch);
    batch = [];
    await writing;
    // The next keys are made while these are written.
    writing = store.commit(write);
  }
  await writing;
  return Math.round((patientsIn(resources) * EACH) / ((performance.now() - began) / 1000));
}

/** The insurer's session, once it is permitted by most patients. Consents of a patient's signature alone (ASSENT_APPROVALS=patient). */
export async function permit(bootstrap: Bootstrap, resources: number, now: number): Promise<{ readonly admin: Session; readonly insurer: Session }> {
  const client = bootstrap.admin;
  const admin = await createSession(bootstrap, client, 'system/*.cruds admin');
  for (const reference of [CUSTODIAN, GRANTEE])
    await admin.call('PUT', reference, { resourceType: 'Organization', id: reference.slice('Organization/'.length), name: reference });
  const insurer = await registerClient(admin, 'bench', GRANTEE, 'HPAYMT');
  let next = 0;
  const give = async (): Promise<void> => {
    // A token lasts ten minutes; giving thousands of Consents may take longer.
    for (let session = admin, n = next++; n < permittingIn(resources); n = next++) {
      if (n % 2000 === 1999) session = await createSession(bootstrap, client, 'system/*.cruds admin');
      const patient = `Patient/p${n}`;
      const key = await enrolKey(session, patient);
      const prepared = await prepare(session, consentTerms({ patient, custodian: CUSTODIAN, grantee: GRANTEE, now }));
      const { status, text } = await submit(session, partOf(prepared, 'statement'), [key]);
      if (status !== 201) throw new Error(`signing answered ${status} ${text.slice(0, 200)}`);
    }
  };
  await Promise.all(times(AT_ONCE, give));
  return { admin, insurer: await createSession(bootstrap, insurer, 'system/*.rs') };
}
