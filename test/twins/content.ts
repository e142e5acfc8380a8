/** Resources of generated worlds: few values, so that what is hidden and what is shown have them in common; references that lead anywhere. */
import type { Json } from '../support/reference-consent.ts';
import type { Random } from './random.ts';

export const PATIENTS = ['alice', 'bob', 'carol'];
export const SENSITIVE = ['N', 'R', 'V', 'L', 'HIV', 'SUD', 'ETHUD'];
export const CODES = ['A', 'B', '8867-4'].map((code) => ({ system: 'http://loinc.org', code }));
export const DATES = ['2023-05-01', '2024-03-01', '2024-05-01', '2024-05-02'];

/** How a resource says whose it is. */
export type Naming = 'reference' | 'identifier' | 'foreign' | 'contained' | 'display' | 'group';
const namings: readonly Naming[] = ['identifier', 'identifier', 'identifier', 'foreign', 'contained', 'display', 'group'];
export const namingOf = (random: Random): Naming => (random.chance(0.75) ? 'reference' : random.one(namings));

type Around = { readonly references: readonly string[]; readonly patient: string; readonly naming?: Naming };
type Build = (random: Random, id: string, around: Around) => Json;

const reference = (to: string): Json => ({ reference: to });
const concept = (random: Random): Json => ({ coding: [random.one(CODES)], text: random.one(['pulse', 'pain']) });
const identifier = (random: Random): Json => ({ identifier: [{ system: 'urn:test', value: random.one(['i1', 'i2', 'i3', 'i4']) }] });
const maybe = (random: Random, probability: number, make: () => Json): Json => (random.chance(probability) ? make() : {});

/** Of one of these types, if the world has one. */
function oneOf(random: Random, { references }: Around, ...types: readonly string[]): string {
  const found = references.filter((each) => types.includes(each.split('/')[0] ?? ''));
  return found.length > 0 ? random.one(found) : 'Organization/hospital';
}

/** By this everybody is known who is known by a number. */
const number = (patient: string): Json => ({ system: 'urn:mrn', value: patient });

function subject({ patient, naming = 'reference' }: Around): Json {
  switch (naming) {
    case 'reference':
      return { subject: reference(`Patient/${patient}`) };
    case 'identifier':
      return { subject: { identifier: number(patient) } };
    case 'foreign':
      return { subject: { reference: 'https://there.example/fhir/Patient/1', identifier: number(patient) } };
    case 'contained':
      return { contained: [{ resourceType: 'Patient', id: 'p', identifier: [number(patient)] }], subject: reference('#p') };
    case 'display':
      return { subject: { display: patient } };
    case 'group':
      return { subject: { type: 'Group', identifier: number(patient) } };
  }
}
const visit = (random: Random, around: Around): Json =>
  maybe(random, 0.5, () => {
    const found = oneOf(random, around, 'Encounter');
    return found.startsWith('Encounter') ? { encounter: reference(found) } : {};
  });
const doctor = reference('Practitioner/doc');

export const builders: Readonly<Record<string, Build>> = {
  Patient: (random, id) => ({
    resourceType: 'Patient',
    id,
    active: true,
    identifier: [...identifier(random)['identifier'], ...(random.chance(0.85) ? [number(random.chance(0.9) ? id : random.one(PATIENTS))] : [])],
    name: [{ family: random.one(['Weiss', 'Schwarz']), given: [id] }],
    gender: random.one(['female', 'male']),
    birthDate: random.one(['1950-01-01', '1990-01-01']),
    managingOrganization: reference('Organization/hospital'),
    ...maybe(random, 0.5, () => ({ generalPractitioner: [doctor] })),
    ...maybe(random, 0.1, () => ({ link: [{ other: reference(`Patient/${random.one(PATIENTS)}`), type: random.one(['seealso', 'replaced-by']) }] })),
  }),
  Encounter: (random, id, around) => ({
    resourceType: 'Encounter',
    id,
    status: random.one(['finished', 'planned']),
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    type: [concept(random)],
    ...identifier(random),
    ...subject(around),
    period: { start: random.one(DATES) },
  }),
  Observation: (random, id, around) => ({
    resourceType: 'Observation',
    id,
    status: random.one(['final', 'amended']),
    ...identifier(random),
    code: concept(random),
    ...subject(around),
    ...visit(random, around),
    effectiveDateTime: random.one(DATES),
    ...maybe(random, 0.5, () => ({ performer: [random.chance(0.7) ? doctor : reference(oneOf(random, around, 'Patient'))] })),
    ...maybe(random, 0.7, () => ({
      valueQuantity: { value: random.one([71, 72]), unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
    })),
    ...maybe(random, around.naming === 'contained' ? 0 : 0.2, () => ({ contained: [{ resourceType: 'Device', id: 'd' }], device: reference('#d') })),
    ...maybe(random, 0.1, () => ({ focus: [{ identifier: number(random.one([...PATIENTS, 'nobody'])) }] })),
  }),
  Condition: (random, id, around) => ({
    resourceType: 'Condition',
    id,
    clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
    ...identifier(random),
    code: concept(random),
    ...subject(around),
    ...visit(random, around),
    ...maybe(random, 0.7, () => ({ recordedDate: random.one(DATES) })),
    ...maybe(random, 0.4, () => ({ recorder: doctor })),
  }),
  MedicationRequest: (random, id, around) => ({
    resourceType: 'MedicationRequest',
    id,
    status: 'active',
    intent: 'order',
    ...identifier(random),
    ...(random.chance(0.6) && around.references.some((each) => each.startsWith('Medication/'))
      ? { medicationReference: reference(oneOf(random, around, 'Medication')) }
      : { medicationCodeableConcept: concept(random) }),
    ...subject(around),
    authoredOn: random.one(DATES),
    requester: doctor,
  }),
  Medication: (random, id, around) => ({
    resourceType: 'Medication',
    id,
    code: concept(random),
    ...identifier(random),
    ...maybe(random, 0.4, () => ({ extension: [{ url: 'urn:made-for', valueReference: reference(`Patient/${around.patient}`) }] })),
  }),
  Composition: (random, id, around) => ({
    resourceType: 'Composition',
    id,
    status: 'final',
    type: concept(random),
    ...subject(around),
    date: random.one(DATES),
    author: [doctor],
    title: 'Note',
    section: [{ title: 'Found', entry: [reference(oneOf(random, around, 'Observation', 'Condition', 'Encounter'))] }],
  }),
  Binary: (random, id, around) => ({
    resourceType: 'Binary',
    id,
    contentType: 'text/plain',
    data: 'bm90ZQ==',
    ...maybe(random, 0.8, () => ({ securityContext: reference(oneOf(random, around, 'Observation', 'DocumentReference', 'Encounter')) })),
  }),
  DocumentReference: (random, id, around) => ({
    resourceType: 'DocumentReference',
    id,
    status: 'current',
    ...identifier(random),
    type: concept(random),
    ...subject(around),
    content: [{ attachment: { contentType: 'text/plain', url: oneOf(random, around, 'Binary') } }],
  }),
  Provenance: (random, id, around) => ({
    resourceType: 'Provenance',
    id,
    target: [reference(oneOf(random, around, 'Observation', 'Condition', 'Encounter'))],
    recorded: '2024-05-01T08:00:00Z',
    agent: [{ who: doctor }],
  }),
  Task: (random, id, { patient }) => ({
    resourceType: 'Task',
    id,
    status: 'requested',
    intent: 'order',
    ...identifier(random),
    for: reference(`Patient/${patient}`),
    requester: reference(random.one(['Organization/insurer', 'Practitioner/doc'])),
    authoredOn: random.one(DATES),
  }),
  Appointment: (random, id, { patient }) => ({
    resourceType: 'Appointment',
    id,
    status: 'proposed',
    ...identifier(random),
    participant: [patient, ...random.some(PATIENTS, 1)].map((each) => ({ actor: reference(`Patient/${each}`), status: 'accepted' })),
  }),
  List: (random, id, around) => ({
    resourceType: 'List',
    id,
    status: 'current',
    mode: 'working',
    ...identifier(random),
    ...subject(around),
    entry: Array.from({ length: 1 + random.below(3) }, () => ({
      item: reference(oneOf(random, around, 'Observation', 'Condition', 'Encounter', 'Patient')),
    })),
  }),
  Device: (random, id, { patient }) => ({ resourceType: 'Device', id, ...identifier(random), patient: reference(`Patient/${patient}`) }),
  Basic: (random, id, around) => ({ resourceType: 'Basic', id, code: concept(random), ...maybe(random, 0.8, () => subject(around)) }),
  Bundle: (random, id, around) => ({
    resourceType: 'Bundle',
    id,
    type: 'collection',
    entry: ['Observation', 'Condition'].map((type, i) => ({
      fullUrl: `urn:uuid:00000000-0000-4000-8000-00000000000${i}`,
      resource: builders[type]?.(random, `${id}-${i}`, around),
    })),
  }),
};

export const KINDS: readonly string[] = Object.keys(builders);
