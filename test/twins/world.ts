/**
 * A generated world as plain data: who asks, what is stored in which order, what was signed. Any part of it can be left out and the rest still
 * makes sense, which is how a failing world is made small.
 */
import { by, data, labelled, ofClass, purpose } from '../support/consents.ts';
import type { Json } from '../support/reference-consent.ts';
import { builders, CODES, DATES, KINDS, namingOf, PATIENTS, SENSITIVE } from './content.ts';
import { createRandom, type Random } from './random.ts';

/** In order. `wait`: ms since the step before; several resources may be of one instant. */
export type Step = { readonly wait: number; readonly type: string; readonly id: string; readonly content: Json | 'deleted' };

export type Planned = {
  readonly patient: string;
  readonly provision: Json;
  /** `unsigned`: by the patient alone, where the custodian has to sign as well. */
  readonly fate: 'in force' | 'withdrawn' | 'unsigned' | 'superseded';
};

export type World = {
  readonly caller: { readonly actor: string; readonly purpose: string; readonly scope: string };
  /** What the first patient granted to the relative who asks. Of these only one lets them read now. */
  readonly authority?: 'standing' | 'ended' | 'other purpose' | 'to sign';
  readonly implicit: { readonly kind: string; readonly labels?: readonly string[]; readonly actors?: readonly string[] };
  readonly integrity: boolean;
  readonly steps: readonly Step[];
  readonly consents: readonly Planned[];
};

const INSURER = 'Organization/insurer';
/** Everyone there is, whom the caller may be or belong to. Held by both servers: Consents are resolved through it. */
const organization = (id: string, partOf?: string): Json => ({
  resourceType: 'Organization',
  id,
  active: true,
  name: id,
  ...(partOf ? { partOf: { reference: partOf } } : {}),
});
/** Who acts for the first patient. */
export const RELATIVE = 'RelatedPerson/rel';
const role = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] };

export function directoryFor(actor: string): Json[] {
  const member = { reference: actor };
  return [
    organization('hospital'),
    organization('group'),
    organization('insurer', 'Organization/group'),
    organization('clinic', 'Organization/group'),
    organization('other'),
    { resourceType: 'Practitioner', id: 'doc', name: [{ family: 'Weiss' }] },
    {
      resourceType: 'PractitionerRole',
      id: 'r1',
      active: true,
      practitioner: { reference: 'Practitioner/doc' },
      organization: { reference: 'Organization/clinic' },
    },
    ...(actor === RELATIVE ? [{ resourceType: 'RelatedPerson', id: 'rel', active: true, patient: { reference: `Patient/${PATIENTS[0]}` } }] : []),
    ...(actor.startsWith('Patient/')
      ? []
      : [
          { resourceType: 'CareTeam', id: 'team', status: 'active', participant: [{ role: [role], member }] },
          ...(actor.startsWith('Organization/') || actor === RELATIVE
            ? []
            : [{ resourceType: 'Group', id: 'crew', type: 'practitioner', actual: true, active: true, member: [{ entity: member }] }]),
        ]),
  ];
}

export function makeWorld(seed: number): World {
  const random = createRandom(seed);
  const actor = random.one([INSURER, INSURER, INSURER, INSURER, 'PractitionerRole/r1', 'Practitioner/doc', 'Patient/alice', RELATIVE]);
  const caller = {
    actor,
    purpose: random.one(['TREAT', 'TREAT', 'TREAT', 'ETREAT', 'HPAYMT']),
    scope: scopeOf(random, actor),
  };
  const steps = makeSteps(random);
  const references = steps.map(({ type, id }) => `${type}/${id}`);
  const authority = random.one(['standing', 'standing', 'standing', 'ended', 'other purpose', 'to sign'] as const);
  return {
    caller,
    ...(actor === RELATIVE ? { authority } : {}),
    implicit: implicitOf(random),
    integrity: random.chance(0.12),
    steps,
    consents: makeConsents(random, actor, references),
  };
}

/** The trail of a patient names what they may not see: who did what to it is theirs to know. So a patient asks for the rest. */
function scopeOf(random: Random, actor: string): string {
  if (actor.startsWith('Patient/') || actor === RELATIVE)
    return KINDS.filter((type) => type !== 'Provenance')
      .map((type) => `system/${type}.cruds`)
      .join(' ');
  if (random.chance(0.8)) return 'system/*.cruds';
  return [...random.some(KINDS, KINDS.length - 1), 'Observation'].map((type) => `system/${type}.${random.one(['cruds', 'rs', 'r', 's'])}`).join(' ');
}

function implicitOf(random: Random): World['implicit'] {
  if (random.chance(0.65)) return { kind: 'deny' };
  if (random.chance(0.5)) return { kind: 'author-treatment' };
  return { kind: 'permit-except', labels: random.one([['R'], ['V', 'HIV'], ['SUD', 'HIV'], []]) };
}

function makeSteps(random: Random): Step[] {
  const named = PATIENTS.map((id): [string, string] => ['Patient', id]);
  const counts = new Map<string, number>();
  const drawn = Array.from({ length: 14 + random.below(14) }, (): [string, string] => {
    const type = random.one(KINDS.filter((kind) => kind !== 'Patient'));
    const n = (counts.get(type) ?? 0) + 1;
    counts.set(type, n);
    return [type, `${type.slice(0, 3).toLowerCase()}${n}`];
  });
  // What a prescription is of is looked up as it is written.
  const order = (type: string) => (type === 'Medication' ? 0 : 1);
  const ids = [...named, ...drawn.sort(([a], [b]) => order(a) - order(b))];
  const references = ids.map(([type, id]) => `${type}/${id}`);
  const steps: Step[] = [];
  for (const [type, id] of ids) {
    const versions = ['Patient', 'Medication'].includes(type) || !random.chance(0.4) ? 1 : 1 + random.below(3);
    const build = builders[type];
    // What decides about it stays what it was: rule 19 is about its own labels.
    const naming = namingOf(random);
    const fixed = build?.(random, id, { references, patient: random.one(PATIENTS), naming }) ?? {};
    const keeps = ['Composition', 'Binary', 'Provenance'].includes(type);
    for (let i = 0; i < versions; i++) {
      const again =
        i === 0 || keeps
          ? fixed
          : (build?.(random, id, { references, patient: random.chance(0.8) ? patientOf(fixed) : random.one(PATIENTS), naming }) ?? {});
      steps.push({ wait: i > 0 ? 1000 : random.one([0, 1000, 1000, 61_000]), type, id, content: { ...again, meta: metaOf(random) } });
    }
    if (!['Patient', 'Medication'].includes(type) && random.chance(0.15)) steps.push({ wait: 1000, type, id, content: 'deleted' });
  }
  return steps;
}

function patientOf(content: Json): string {
  const whose: Json = content['subject'] ?? content['patient'] ?? content['for'] ?? {};
  const [, id] = /^Patient\/(.+)$/.exec(String(whose['reference'])) ?? [];
  return id ?? whose['identifier']?.value ?? 'alice';
}

function metaOf(random: Random): Json {
  const labels = random.chance(0.5) ? [] : random.some(SENSITIVE, 2);
  return {
    ...(labels.length > 0 ? { security: labelled(...labels).securityLabel } : {}),
    tag: [{ system: 'urn:tag', code: random.one(['red', 'blue']) }],
  };
}

function makeConsents(random: Random, actor: string, references: readonly string[]): Planned[] {
  const fates = ['in force', 'in force', 'in force', 'in force', 'withdrawn', 'unsigned', 'superseded'] as const;
  const [first = '', ...others] = PATIENTS;
  const broad = { patient: first, provision: provisionOf(random, { actor, references, depth: 0, broad: true }), fate: 'in force' } as const;
  const rest = others.flatMap((patient): Planned[] =>
    random.chance(0.6)
      ? [{ patient, provision: provisionOf(random, { actor, references, depth: 0, broad: random.chance(0.4) }), fate: random.one(fates) }]
      : [],
  );
  const more = random.chance(0.3)
    ? [{ patient: first, provision: provisionOf(random, { actor, references, depth: 0, broad: false }), fate: random.one(fates) }]
    : [];
  return [broad, ...rest, ...more];
}

type Provided = { readonly actor: string; readonly references: readonly string[]; readonly depth: number; readonly broad: boolean };

function provisionOf(random: Random, { actor, references, depth, broad }: Provided): Json {
  const mine = [
    actor,
    actor,
    ...(actor === INSURER ? ['Organization/group', 'CareTeam/team'] : []),
    ...(actor === 'Practitioner/doc' ? ['Group/crew'] : []),
  ];
  const maybe = (probability: number, make: () => Json): Json => (random.chance(probability) ? make() : {});
  const narrow = broad ? 0 : depth === 0 ? 0.25 : 0.4;
  const nested =
    depth < 2
      ? Array.from({ length: random.below(depth === 0 ? 3 : 2) }, () => provisionOf(random, { actor, references, depth: depth + 1, broad: false }))
      : [];
  const type =
    depth === 0 ? random.one(broad ? ['permit'] : ['permit', 'permit', 'deny', undefined]) : random.one(['permit', 'deny', 'deny', undefined]);
  return {
    ...(type ? { type } : {}),
    ...maybe(depth === 0 ? 1 : 0.2, () => by(broad || random.chance(0.7) ? random.one(mine) : 'Organization/other')),
    ...maybe(narrow / 2, () => purpose(...random.some(['TREAT', 'ETREAT', 'HPAYMT'], 2), 'TREAT')),
    ...maybe(narrow, () => labelled(...random.some(SENSITIVE, 1), random.one(SENSITIVE))),
    ...maybe(narrow, () => ofClass(...random.some(KINDS, 3), random.one(KINDS))),
    ...maybe(narrow / 2, () => ({ code: [{ coding: [random.one(CODES)] }] })),
    ...maybe(narrow / 3, () => ({ dataPeriod: { start: random.one(DATES) } })),
    ...maybe(narrow / 2, () => ({ data: [data(random.one(['instance', 'related', 'dependents', 'authoredby']), random.one(references))] })),
    ...maybe(depth === 0 ? 0.1 : 0.05, () => ({
      period: random.one([{ start: '2020-01-01', end: '2021-01-01' }, { start: '2020-01-01' }, { end: '2090' }]),
    })),
    ...(nested.length > 0 ? { provision: nested } : {}),
  };
}
