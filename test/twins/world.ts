/**
 * A generated world as plain data: who asks, what is stored in which order, what was signed. Any part of it can be left out and the rest still
 * makes sense, which is how a failing world is made small.
 */
import { by, data, labelled, ofClass, purpose } from '../support/consents.ts';
import type { Json } from '../support/reference-consent.ts';
import { type Circumstances, circumstancesOf, namesOf } from './circumstances.ts';
import { builders, CODES, DATES, KINDS, namingOf, PATIENTS, SENSITIVE } from './content.ts';
import { createRandom, type Random } from './random.ts';

/** In order. `wait`: ms since the step before; several resources may be of one instant. */
export type Step = { readonly wait: number; readonly type: string; readonly id: string; readonly content: Json | 'deleted' };

export type Planned = {
  readonly patient: string;
  readonly provision: Json;
  /**
   * `unsigned`: by the patient alone, where the custodian has to sign as well. `stolen`: the patient's key that signed it was in other hands by then.
   */
  readonly fate: 'in force' | 'withdrawn' | 'suspended' | 'unsigned' | 'superseded' | 'stolen';
  /** The relative signed in the patient's place. */
  readonly onBehalf?: true;
};

export type World = Circumstances & {
  readonly implicit: { readonly kind: string; readonly labels?: readonly string[]; readonly actors?: readonly string[] };
  readonly integrity: boolean;
  readonly steps: readonly Step[];
  readonly consents: readonly Planned[];
};

export function makeWorld(seed: number): World {
  const random = createRandom(seed);
  const around = circumstancesOf(random);
  const { actor } = around.caller;
  const steps = makeSteps(random, around.birthDate);
  const references = steps.map(({ type, id }) => `${type}/${id}`);
  return {
    ...around,
    implicit: implicitOf(random),
    integrity: random.chance(0.12),
    steps,
    consents: makeConsents(random, { actor, references, authority: around.authority }),
  };
}

function implicitOf(random: Random): World['implicit'] {
  if (random.chance(0.65)) return { kind: 'deny' };
  if (random.chance(0.5)) return { kind: 'author-treatment' };
  return { kind: 'permit-except', labels: random.one([['R'], ['V', 'HIV'], ['SUD', 'HIV'], []]) };
}

/** `born`: the first patient. */
function makeSteps(random: Random, born: string): Step[] {
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
      steps.push({
        wait: i > 0 ? 1000 : random.one([0, 1000, 1000, 61_000]),
        type,
        id,
        content: { ...again, ...(id === PATIENTS[0] ? { birthDate: born } : {}), meta: metaOf(random) },
      });
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

const fates = ['in force', 'in force', 'in force', 'in force', 'in force', 'withdrawn', 'suspended', 'unsigned', 'superseded', 'stolen'] as const;

type Consenting = Pick<Provided, 'actor' | 'references'> & { readonly authority: Circumstances['authority'] };

function makeConsents(random: Random, { authority, ...given }: Consenting): Planned[] {
  const [first = '', ...others] = PATIENTS;
  const planned = (patient: string, broad: boolean, fate: Planned['fate']): Planned => ({
    patient,
    provision: provisionOf(random, { ...given, depth: 0, broad }),
    fate,
    ...(patient === first && maySign(authority) && fate !== 'stolen' && random.chance(0.5) ? { onBehalf: true } : {}),
  });
  const broad = planned(first, true, random.chance(0.9) ? 'in force' : 'stolen');
  const rest = others.flatMap((patient) => (random.chance(0.6) ? [planned(patient, random.chance(0.4), random.one(fates))] : []));
  const more = random.chance(0.3) ? [planned(first, false, random.one(fates))] : [];
  return [broad, ...rest, ...more];
}

/** Before the patient has died. */
function maySign(authority: Circumstances['authority']): boolean {
  if (authority === undefined || authority.basis === 'executor' || !authority.acts.includes('sign')) return false;
  return authority.standing === 'standing' || authority.standing === 'over';
}

type Provided = { readonly actor: string; readonly references: readonly string[]; readonly depth: number; readonly broad: boolean };

function provisionOf(random: Random, { actor, references, depth, broad }: Provided): Json {
  const mine = namesOf(actor);
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
    ...maybe(narrow / 2, () => purpose(...random.some(['TREAT', 'ETREAT', 'HPAYMT'], 2), random.one(['TREAT', 'TREAT', 'HPAYMT', 'BTG']))),
    ...maybe(narrow, () => labelled(...random.some(SENSITIVE, 1), random.one(SENSITIVE))),
    ...maybe(narrow, () => ofClass(...random.some(KINDS, 3), random.one(KINDS))),
    ...maybe(narrow / 2, () => ({ code: [{ coding: [random.one(CODES)] }] })),
    ...maybe(narrow / 3, () => ({ dataPeriod: { start: random.one(DATES) } })),
    ...maybe(narrow / 2, () => ({ data: [data(random.one(['instance', 'related', 'dependents', 'authoredby']), random.one(references))] })),
    ...maybe(depth === 0 ? 0.1 : 0.05, () => ({
      period: random.one([
        { start: '2020-01-01', end: '2021-01-01' },
        { start: '2020-01-01' },
        { end: '2090' },
        { end: '2026-06-01' },
        { start: '2026-06-02' },
      ]),
    })),
    ...(nested.length > 0 ? { provision: nested } : {}),
  };
}
