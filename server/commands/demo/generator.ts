/**
 * Seeded synthetic patients in Chinese and English, as FHIR transaction Bundles: the same seed gives the same people on every machine.
 * Nobody here exists.
 */

type Entry = { fullUrl: string; resource: { resourceType: string; [element: string]: unknown }; request: { method: 'POST'; url: string } };
export type TransactionBundle = { resourceType: 'Bundle'; type: 'transaction'; entry: Entry[] };

type Random = { below(n: number): number; pick<T>(items: readonly T[]): T; between(low: number, high: number, digits: number): number };

/** mulberry32: small, seeded, good enough to make people up. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return {
    below,
    pick: (items) => items[below(items.length)] as (typeof items)[number],
    between: (low, high, digits) => Number((low + next() * (high - low)).toFixed(digits)),
  };
}

const LOINC = 'http://loinc.org';
const SNOMED = 'http://snomed.info/sct';
const UCUM = 'http://unitsofmeasure.org';
const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';

const people = {
  zh: {
    family: ['王', '李', '张', '刘', '陈', '杨', '赵', '黄', '周', '吴'],
    male: ['伟', '强', '磊', '军', '建国'],
    female: ['芳', '娜', '敏', '静', '秀英'],
    city: ['北京', '上海', '成都', '杭州', '西安'],
  },
  en: {
    family: ['Adler', 'Bennett', 'Clarke', 'Dawson', 'Ellis', 'Foster', 'Graham', 'Hayes'],
    male: ['James', 'Oliver', 'Henry', 'Samuel'],
    female: ['Alice', 'Emma', 'Grace', 'Nora'],
    city: ['Bristol', 'Leeds', 'York', 'Dublin'],
  },
} as const;

const measurements = [
  { code: '8867-4', display: 'Heart rate', unit: '/min', low: 54, high: 104, digits: 0 },
  { code: '8310-5', display: 'Body temperature', unit: 'Cel', low: 36.1, high: 38.4, digits: 1 },
  { code: '29463-7', display: 'Body weight', unit: 'kg', low: 48, high: 104, digits: 1 },
  { code: '2339-0', display: 'Glucose [Mass/volume] in Blood', unit: 'mg/dL', low: 70, high: 190, digits: 0 },
  { code: '2708-6', display: 'Oxygen saturation in Arterial blood', unit: '%', low: 91, high: 100, digits: 0 },
] as const;

const conditions = [
  { code: '38341003', display: 'Hypertensive disorder' },
  { code: '44054006', display: 'Diabetes mellitus type 2' },
  { code: '195967001', display: 'Asthma' },
  { code: '73211009', display: 'Diabetes mellitus' },
] as const;

const medicines = [
  { code: '387517004', display: 'Paracetamol' },
  { code: '372567009', display: 'Metformin' },
  { code: '386864001', display: 'Amlodipine' },
  { code: '372897005', display: 'Salbutamol' },
] as const;

/** One patient with encounters, measurements, conditions and prescriptions, managed by the given organization. */
export function patientBundle(random: Random, number: number, organization: string): TransactionBundle {
  const language = number % 2 === 0 ? 'zh' : 'en';
  const uuid = (kind: number, n: number) => `urn:uuid:00000000-0000-4000-8${kind}00-${String(number).padStart(6, '0')}${String(n).padStart(6, '0')}`;
  const post = (fullUrl: string, resource: Entry['resource']): Entry => ({
    fullUrl,
    resource,
    request: { method: 'POST', url: resource.resourceType },
  });
  const subject = { reference: uuid(1, 0) };
  const performer = [{ reference: organization }];
  const entry: Entry[] = [post(uuid(1, 0), person(random, number, { language, organization }))];
  for (let visit = 0; visit < 3; visit++) {
    const day = new Date(Date.UTC(2024 + random.below(2), random.below(12), 1 + random.below(28), 8 + random.below(9))).toISOString();
    const encounter = { reference: uuid(2, visit) };
    entry.push(post(uuid(2, visit), encounterOf({ subject, organization, day })));
    entry.push(...measurements.map((m, i) => post(uuid(3, visit * 10 + i), observation(random, m, { subject, encounter, performer, day }))));
    entry.push(post(uuid(4, visit), prescription(random.pick(medicines), { subject, encounter, requester: { reference: organization }, day })));
  }
  entry.push(post(uuid(5, 0), condition(random.pick(conditions), { subject, day: '2023-05-04' })));
  return { resourceType: 'Bundle', type: 'transaction', entry };
}

function person(random: Random, number: number, { language, organization }: { language: 'zh' | 'en'; organization: string }): Entry['resource'] {
  const words = people[language];
  const gender = random.pick(['male', 'female'] as const);
  const family = random.pick<string>(words.family);
  const given = random.pick<string>(words[gender]);
  return {
    resourceType: 'Patient',
    identifier: [{ system: 'urn:assent:demo:mrn', value: `D${String(number).padStart(5, '0')}` }],
    active: true,
    name: [{ use: 'official', text: language === 'zh' ? `${family}${given}` : `${given} ${family}`, family, given: [given] }],
    gender,
    birthDate: `${1940 + random.below(70)}-0${1 + random.below(9)}-1${random.below(10)}`,
    address: [{ city: random.pick<string>(words.city), country: language === 'zh' ? 'CN' : 'GB' }],
    communication: [{ language: { coding: [{ system: 'urn:ietf:bcp:47', code: language === 'zh' ? 'zh-CN' : 'en' }] }, preferred: true }],
    managingOrganization: { reference: organization },
  };
}

function encounterOf({ subject, organization, day }: { subject: object; organization: string; day: string }): Entry['resource'] {
  return {
    resourceType: 'Encounter',
    status: 'finished',
    class: { system: ACT_CODE, code: 'AMB', display: 'ambulatory' },
    subject,
    period: { start: day, end: new Date(Date.parse(day) + 1_800_000).toISOString() },
    serviceProvider: { reference: organization },
  };
}

type Measured = (typeof measurements)[number];

function observation(
  random: Random,
  m: Measured,
  about: { subject: object; encounter: object; performer: object[]; day: string },
): Entry['resource'] {
  return {
    resourceType: 'Observation',
    status: 'final',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] }],
    code: { coding: [{ system: LOINC, code: m.code, display: m.display }] },
    subject: about.subject,
    encounter: about.encounter,
    effectiveDateTime: about.day,
    performer: about.performer,
    valueQuantity: { value: random.between(m.low, m.high, m.digits), unit: m.unit, system: UCUM, code: m.unit },
  };
}

type Coded = { readonly code: string; readonly display: string };

function prescription(medicine: Coded, about: { subject: object; encounter: object; requester: object; day: string }): Entry['resource'] {
  return {
    resourceType: 'MedicationRequest',
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: { coding: [{ system: SNOMED, ...medicine }] },
    subject: about.subject,
    encounter: about.encounter,
    authoredOn: about.day,
    requester: about.requester,
  };
}

function condition(problem: Coded, about: { subject: object; day: string }): Entry['resource'] {
  return {
    resourceType: 'Condition',
    clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
    code: { coding: [{ system: SNOMED, ...problem }] },
    subject: about.subject,
    recordedDate: about.day,
  };
}
