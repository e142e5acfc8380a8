/** The decision over facets against a second reading of the same rules over whole resources, on random worlds. consent.md §2 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ageReached, type Authority, bases, fitsLife } from '../../server/consent/authority.ts';
import { closureOf } from '../../server/consent/closure.ts';
import { ambiguityOf, publishedReadings } from '../../server/consent/ambiguity.ts';
import { compileConsent, type Reading } from '../../server/consent/compile.ts';
import { everSpeaksTo, scopeFor } from '../../server/consent/decide.ts';
import { facetsOf } from '../../server/consent/facets.ts';
import type { ImplicitPolicy } from '../../server/consent/model.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { holds } from '../../server/search/expression.ts';
import { decidingPart, judgeOf } from '../../server/store/deciding-keys.ts';
import { packKeys } from '../../server/store/packed-keys.ts';
import { actingFor, type Granted, majorityOf, type Signing } from '../support/reference-authority.ts';
import { type Json, mayRead } from '../support/reference-consent.ts';
import { by, callerFor, consentBy, data, labelled, ofClass, purpose } from '../support/consents.ts';

const BASE = 'https://records.example/fhir';
const concept = (code: string, system = 'http://loinc.org'): Json => ({ coding: [{ system, code }] });
const action = (code: string): Json => concept(code, 'http://terminology.hl7.org/CodeSystem/consentaction');

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 });
const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const some = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const few = <T>(value: fc.Arbitrary<T>, minLength = 1): fc.Arbitrary<T[]> => fc.array(value, { minLength, maxLength: 2 });
const shape = (members: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Json> =>
  fc.record(members).map((made) => Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)));

const dates = ['2023', '2024', '2024-05', '2024-06', '2024-06-01', '2024-06-02', '2024-06-01T12:00:00Z', '2024-06-02T01:00:00+02:00', '2025'];
const instants = ['2024-05-31T23:59:59.999Z', '2024-06-01T00:00:00Z', '2024-06-01T12:00:00Z', '2024-06-02T00:00:00Z', '2025-01-01T00:00:00Z'];
const firstOf = (date: string) => Date.parse(date);

const period = fc
  .tuple(some(...dates), some(...dates), some('start', 'end', 'both'))
  .filter(([start, end, ends]) => ends !== 'both' || firstOf(start) <= firstOf(end))
  .map(([start, end, ends]): Json => (ends === 'both' ? { start, end } : ends === 'start' ? { start } : { end }));

const people = [
  'Organization/clinic',
  'Organization/parent',
  'Organization/other',
  'Practitioner/d1',
  'PractitionerRole/r1',
  'CareTeam/t1',
  'Group/g1',
  'Device/client',
  'Patient/p1',
  'Patient/p2',
]; // prettier-ignore

const directory: fc.Arbitrary<Json[]> = fc
  .record({
    parent: some('Organization/parent', 'Organization/other', undefined),
    role: shape({ active: some(true, false, undefined), period: maybe(period) }),
    team: shape({ status: some('active', 'suspended'), period: maybe(period) }),
    participant: few(shape({ member: some(...people).map((reference) => ({ reference })), period: maybe(period) })),
    group: shape({ active: some(true, false, undefined), actual: some(true, true, false) }),
    member: few(
      shape({ entity: some(...people).map((reference) => ({ reference })), inactive: some(true, false, undefined), period: maybe(period) }),
    ),
  })
  .map(({ parent, role, team, participant, group, member }) => [
    { resourceType: 'Organization', id: 'clinic', ...(parent === undefined ? {} : { partOf: { reference: parent } }) },
    { resourceType: 'Organization', id: 'parent', partOf: { reference: 'Organization/clinic' } },
    {
      resourceType: 'PractitionerRole',
      id: 'r1',
      practitioner: { reference: 'Practitioner/d1' },
      organization: { reference: 'Organization/clinic' },
      ...role,
    },
    { resourceType: 'CareTeam', id: 't1', participant, ...team },
    { resourceType: 'Group', id: 'g1', type: 'practitioner', member, ...group },
  ]);

const codes = ['A', 'B', 'C'];
const labels = some('N', 'R', 'V', 'L', 'SUD', 'ETHUD', 'HIV', 'SPI').map((code) => labelled(code).securityLabel[0]);
const types = ['Observation', 'Condition', 'MedicationRequest', 'Encounter', 'Appointment', 'Bundle', 'Medication'];

const named = few(fc.tuple(some('instance', 'related', 'dependents', 'authoredby'), some('Observation/o1', 'Encounter/e1', 'Practitioner/d1'))).map(
  (all) => all.map(([meaning, reference]) => data(meaning, reference)),
);

const provision: fc.Arbitrary<Json> = fc.letrec<{ provision: Json }>((tie) => ({
  provision: shape({
    type: some('permit', 'permit', 'deny', undefined),
    period: rarely(period),
    actor: rarely(few(some(...people)).map((references) => by(...references).actor)),
    action: rarely(few(some('access', 'use', 'collect')).map((all) => all.map(action))), // prettier-ignore
    purpose: rarely(few(some('TREAT', 'ETREAT', 'BTG', 'HPAYMT', 'CLMATTCH')).map((all) => purpose(...all).purpose)),
    securityLabel: rarely(few(labels)),
    class: rarely(few(some(...types)).map((all) => ofClass(...all).class)),
    code: rarely(few(some(...codes)).map((all) => all.map((code) => concept(code)))),
    dataPeriod: rarely(period),
    data: rarely(named),
    provision: fc.option(few(tie('provision')), { nil: undefined, freq: 2, maxDepth: 3 }),
  }),
})).provision;

/** Most roots say little, so that the nested ones are reached. */
const broad = provision.map((root): Json => ({ type: root['type'] ?? 'permit', provision: root['provision'] }));
const consent = fc
  .tuple(some('p1', 'p1', 'p2', 'p3'), fc.oneof({ weight: 3, arbitrary: broad }, { weight: 2, arbitrary: provision }))
  .map(([patient, root]) => consentBy(patient, JSON.parse(JSON.stringify(root)) as Json));

const security = maybe(fc.array(labels, { maxLength: 3 }).map((all) => ({ security: all })));
const contained = shape({
  resourceType: some('Observation', 'Condition'),
  meta: security,
  code: maybe(some(...codes).map((code) => concept(code))),
  effectiveDateTime: maybe(some(...dates)),
  subject: some({ reference: '#pat' }, { reference: '#pat' }, { reference: '#pat' }, { reference: 'Patient/p3' }),
});
const medication = some({ reference: '#m' }, { reference: 'Medication/known' }, { reference: 'Medication/missing' });
const subject = some('Patient/p1', 'Patient/p1', 'Patient/p1', 'Patient/p2', `${BASE}/Patient/p1`, 'Patient/p1/_history/1', 'Group/nobody').map(
  (reference) => ({ reference }),
);
const id = maybe(some('o1', 'e1'));
const author = rarely(few(some('Practitioner/d1', 'Organization/clinic').map((reference) => ({ reference }))));
const encounter = rarely(some('Encounter/e1', `${BASE}/Encounter/e1/_history/2`).map((reference) => ({ reference })));
const plain = shape({
  resourceType: some('Observation', 'Encounter'),
  id,
  performer: author,
  encounter,
  meta: security,
  code: some(...codes).map((code) => concept(code)),
  subject: maybe(subject),
  period: maybe(period),
});
const clinical = shape({
  resourceType: some('Observation', 'Condition', 'MedicationRequest', 'Encounter', 'Appointment'),
  id,
  recorder: rarely(some('Practitioner/d1', 'Patient/p1').map((reference) => ({ reference }))),
  encounter,
  meta: security,
  code: maybe(some(...codes).map((code) => concept(code))),
  type: maybe(some(...codes).map((code) => [concept(code)])),
  category: maybe(some(...codes).map((code) => [concept(code)])),
  subject: maybe(subject),
  participant: rarely(few(subject.map((actor) => ({ actor })))),
  authoredOn: maybe(some(...dates)),
  onsetPeriod: maybe(period),
  medicationReference: rarely(medication),
  contained: rarely(few(contained)).map((all) => [
    { resourceType: 'Medication', id: 'm', code: concept('B') },
    { resourceType: 'Patient', id: 'pat' },
    ...(all ?? []),
  ]),
});
const resource: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: plain },
  { weight: 6, arbitrary: clinical },
  {
    weight: 1,
    arbitrary: shape({ resourceType: some('Patient'), id: some('p1', 'p2'), meta: security, link: maybe(few(subject.map((other) => ({ other })))) }),
  },
  { weight: 1, arbitrary: shape({ resourceType: some('Organization', 'Medication'), id: some('x'), contact: maybe(few(subject)) }) },
  {
    weight: 2,
    arbitrary: shape({
      resourceType: some('Bundle'),
      id: some('b'),
      meta: security,
      entry: few(fc.oneof(clinical, plain)).map((all) => all.map((each) => ({ resource: each }))),
    }),
  },
); // prettier-ignore

const implicit: fc.Arbitrary<ImplicitPolicy> = some<ImplicitPolicy>(
  { kind: 'deny' },
  { kind: 'author-treatment' },
  { kind: 'permit-except', labels: ['V', 'SUD'] },
);

const world = fc.record({
  resource,
  consents: fc.array(consent, { minLength: 1, maxLength: 4 }),
  directory,
  implicit,
  actor: some('Organization/clinic', 'Practitioner/d1', 'PractitionerRole/r1', 'Patient/p1', 'Organization/other'),
  purpose: some('TREAT', 'ETREAT', 'BTG', 'HPAYMT', 'CLMATTCH'),
  admin: some(false, false, false, false, false, false, false, true),
  writer: some('Organization/clinic', 'Organization/hospital'),
  now: some(...instants).map((instant) => Date.parse(instant)),
  frozen: fc.record({ 'Observation/o1': some([], ['Encounter/e1']), 'Encounter/e1': some(['Observation/o1', 'Patient/p1'], ['Practitioner/d1']) }),
  visible: fc.subarray(['Observation/o1', 'Encounter/e1', 'Patient/p1']),
});

const known = [{ resourceType: 'Medication', id: 'known', code: concept('A') }];

type World = (typeof world extends fc.Arbitrary<infer T> ? T : never) & { readonly acting?: Acting };

/** Whoever is let in without a permit, and who signed instead of the patient. `signed`: of each Consent. */
type Acting = {
  readonly granted: Granted | undefined;
  readonly dead: boolean;
  readonly breakGlass: { readonly patient: string; readonly except: readonly string[] } | undefined;
  readonly signed: readonly (Signing | undefined)[];
};

const RELATIVE = 'RelatedPerson/rel';
const ADOLESCENTS_OWN = ['ADOL', 'SEX', 'STD', 'HIV', 'SUD', 'MH', 'SDV', 'V'];
/** 6 and 14 years old, come of age on the day that most of it is about, and long before. */
const birthDate = some('2018-01-01', '2010-01-01', '2006-06-01', '1980-01-01');
const granted: fc.Arbitrary<Granted> = fc.record({
  patient: some('p1', 'p1', 'p2'),
  basis: some(...bases),
  acts: some(['read'], ['sign', 'read'], ['sign']),
  purposes: some(['TREAT', 'ETREAT', 'HPAYMT', 'BTG'], ['TREAT', 'ETREAT', 'HPAYMT', 'CLMATTCH', 'BTG'], ['HRESCH']),
  from: some('2020-01-01', '2020-01-01', '2024-06-01T12:00:00Z').map(firstOf),
  until: some('2030-01-01', '2030-01-01', '2024-06-02').map(firstOf),
  ended: some(false, false, false, true),
  birthDate,
});
const signing: fc.Arbitrary<Signing | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({ by: some('relative' as const), under: fc.record({ basis: some(...bases), birthDate }) }),
  fc.record({ by: some('stolen key' as const, 'suspended' as const) }),
);
const acted = fc
  .tuple(
    world,
    some(RELATIVE, RELATIVE, RELATIVE, 'Practitioner/d1', 'Organization/clinic'),
    fc.array(signing, { minLength: 4, maxLength: 4 }),
    fc.option(granted, { nil: undefined, freq: 5 }),
    some(false, false, true),
    rarely(fc.record({ patient: some('p1', 'p2'), except: some([], ['V'], ['SUD', 'V']) })),
  )
  .map(([any, actor, signed, authority, dead, breakGlass]): World => {
    const acting = { granted: actor === RELATIVE ? authority : undefined, dead, breakGlass, signed };
    return { ...any, actor, admin: false, acting };
  });

/** As the log and the record have it. */
function authoritiesOf({ granted: grant, dead }: Acting): readonly Authority[] {
  if (!grant || grant.ended || !fitsLife(grant, { deceased: dead })) return [];
  const { basis, birthDate: born } = grant;
  const ages = basis === 'guardian' ? { majority: ageReached(born, 18), adolescence: ageReached(born, 12) } : {};
  const unchanged = { kind: 'record', recordKind: 'authority-event', id: 'a.000001', revision: null } as const;
  const { ended: _, birthDate: __, acts, ...terms } = grant;
  return [{ ...terms, ...ages, acts: acts as Authority['acts'], id: 'a', kids: ['k'], delegate: RELATIVE, logged: { granted: 1 }, unchanged }];
}

/** What it is worth because of who signed and who ended it: enforce/judge.ts. */
function reachOf(signed: Signing | undefined): { readonly permitsUntil?: number; readonly onBehalf?: true; readonly ended?: 'suspended' } {
  if (signed === undefined) return {};
  if (signed.by === 'suspended') return { permitsUntil: 0, ended: 'suspended' };
  if (signed.by === 'stolen key') return { permitsUntil: 0 };
  return { onBehalf: true, ...(signed.under.basis === 'guardian' ? { permitsUntil: majorityOf(signed.under.birthDate) } : {}) };
}

type Answer = { readonly mine: boolean; readonly every: boolean; readonly validUntil: number; readonly judged: boolean | undefined };

/** By the server's room: as the views ask it, with only the Consents that speak to the caller, and with all of them. */
function byFacets(
  { resource: about, consents, directory: around, implicit: otherwise, now, frozen, visible, acting, ...who }: World,
  as?: Reading,
): Answer {
  const glass = acting?.breakGlass;
  const opened = glass ? { breakGlass: { patient: glass.patient, until: now + 1 } } : {};
  const caller = callerFor(who.actor, who.purpose, { admin: who.admin, ...opened });
  const closure = closureOf(caller, around as ResourceValue[], now);
  const every = consents.map((each, i) => ({
    ...compileConsent(each, { now: Number.NEGATIVE_INFINITY, related: frozen, ...(as ? { as } : {}) }),
    ...reachOf(acting?.signed[i]),
  }));
  const lookup = (reference: string) => known.find(({ id }) => `Medication/${id}` === reference) as ResourceValue | undefined;
  const keys = facetsOf(about as ResourceValue, { writer: who.writer, base: BASE, lookup });
  const asked = {
    type: String(about['resourceType']),
    caller,
    closure,
    implicit: otherwise,
    voidPatients: new Set<string>(),
    anchors: new Set(visible),
    now,
    ...(acting ? { actsFor: authoritiesOf(acting), hiddenFromGuardians: ADOLESCENTS_OWN } : {}),
    ...(glass ? { beyondBreakGlass: glass.except } : {}),
  };
  const answer = (policies: typeof every) => {
    const { where, validUntil } = scopeFor({ ...asked, policies });
    const permitted = holds(where, String(about['id'] ?? 'x'), keys);
    return { permitted, validUntil, judged: judgeOf(where)(decidingPart(packKeys(keys))) };
  };
  const mine = answer(every.filter(({ root }) => everSpeaksTo(root, { caller, closure })));
  return { mine: mine.permitted, every: answer(every).permitted, validUntil: mine.validUntil, judged: mine.judged };
}

/** Worlds about patient p1 in which Consents speak of single resources and of little else. */
const ofData = shape({ type: some('permit', 'permit', 'deny'), data: fc.oneof({ weight: 4, arbitrary: named }, fc.constant(undefined)) });
const single = shape({
  resourceType: some('Observation', 'Encounter', 'Condition'),
  id,
  subject: some({ reference: 'Patient/p1' }),
  performer: maybe(some([{ reference: 'Practitioner/d1' }], [{ reference: 'Organization/clinic' }])),
  encounter: maybe(some({ reference: 'Encounter/e1' }, { reference: `${BASE}/Encounter/e1/_history/2` })),
});
const bundled = few(single).map((all): Json => ({ resourceType: 'Bundle', id: 'b', entry: all.map((each) => ({ resource: each })) }));
const singled = fc
  .tuple(world, fc.oneof(single, bundled), fc.array(fc.tuple(ofData, fc.option(few(ofData), { nil: undefined })), { minLength: 1, maxLength: 2 }))
  .map(([any, about, roots]) => {
    const consents = roots.map(([root, nested]) => consentBy('p1', { ...root, ...(nested ? { provision: nested } : {}) }));
    return { ...any, consents, resource: about, actor: 'Organization/other', implicit: { kind: 'deny' }, admin: false } as World;
  });

/** Worlds in which every Consent begins or ends. */
const timed = fc.tuple(world, period).map(([any, limits]) => {
  const consents = any.consents.map((each) => ({ ...each, provision: { ...(each['provision'] as Json), period: limits } }));
  return { ...any, consents } as World;
});

function byReading({ actor, purpose: code, admin, acting, ...question }: World): boolean {
  const { consents, now } = question;
  const breakGlass = acting?.breakGlass;
  const caller = { actor, purpose: code, admin, client: 'client', ...(breakGlass ? { breakGlass } : {}) };
  const signings = new Map(consents.flatMap((each, i): [Json, Signing][] => (acting?.signed[i] ? [[each, acting.signed[i]]] : [])));
  const actsFor = acting?.granted && actingFor(acting.granted, { now, purpose: code, dead: acting.dead });
  return mayRead({ ...question, caller, signings, actsFor, medications: known });
}

describe('the decision', () => {
  test('is that of the rules, in any world', () => {
    const answers = { permit: 0, deny: 0 };
    fc.assert(
      fc.property(world, (any) => {
        const expected = byReading(any);
        answers[expected ? 'permit' : 'deny'] += 1;
        expect(byFacets(any)).toMatchObject({ mine: expected, every: expected });
      }),
      { seed: 20_240_601, numRuns: 2000 },
    );
    // Worlds in which everything is denied would agree with anything.
    expect(answers.permit).toBeGreaterThan(400);
    expect(answers.deny).toBeGreaterThan(500);
  });

  test('follows from the keys that decide, wherever these settle it', () => {
    const settled = { permit: 0, deny: 0, open: 0 };
    fc.assert(
      fc.property(fc.oneof(world, singled), (any) => {
        const { mine, judged } = byFacets(any);
        if (judged === undefined) settled.open += 1;
        else settled[judged ? 'permit' : 'deny'] += 1;
        expect(judged ?? mine).toBe(mine);
      }),
      { seed: 20_261_127, numRuns: 1500 },
    );
    expect(Math.min(settled.permit, settled.deny, settled.open)).toBeGreaterThan(100);
  });

  test('is that of the rules where somebody acts for a patient, signed in their place, or breaks the glass', () => {
    const seen = { permit: 0, deny: 0, withoutPermit: 0, glass: 0 };
    fc.assert(
      fc.property(acted, (any) => {
        const expected = byReading(any);
        seen[expected ? 'permit' : 'deny'] += 1;
        if (expected && any.acting?.breakGlass) seen.glass += 1;
        const { acting: _, ...usual } = any;
        if (expected && !byReading(usual)) seen.withoutPermit += 1;
        expect(byFacets(any)).toMatchObject({ mine: expected, every: expected });
      }),
      { seed: 20_261_127, numRuns: 2000 },
    );
    expect(seen.permit).toBeGreaterThan(200);
    expect(seen.deny).toBeGreaterThan(500);
    expect(seen.withoutPermit).toBeGreaterThan(15);
    expect(seen.glass).toBeGreaterThan(10);
  });

  test('is that of the rules where Consents name single resources', () => {
    const answers = { permit: 0, deny: 0 };
    fc.assert(
      fc.property(singled, (any) => {
        const expected = byReading(any);
        answers[expected ? 'permit' : 'deny'] += 1;
        expect(byFacets(any)).toMatchObject({ mine: expected, every: expected });
      }),
      { seed: 20_261_125, numRuns: 4000 },
    );
    expect(answers.permit).toBeGreaterThan(300);
    expect(answers.deny).toBeGreaterThan(300);
  });

  test('is the same in every reading that differs by structure, where a Consent is not said to be ambiguous', () => {
    const seen = { ambiguous: 0, nested: 0 };
    const readings = (publishedReadings({}) ?? []).filter(({ depth, ranks }) => depth === 'deepest' && ranks === 'ordered');
    fc.assert(
      fc.property(world, (any) => {
        const consents = any.consents.filter((each) => ambiguityOf(each, Number.NEGATIVE_INFINITY) === undefined);
        seen.ambiguous += any.consents.length - consents.length;
        seen.nested += consents.filter((each) => (each['provision'] as Json)['provision'] !== undefined).length;
        // Alone: what one denies another may permit.
        for (const each of consents) {
          const alone = { ...any, consents: [each], implicit: { kind: 'deny' as const } };
          const [first, ...others] = readings.map((as) => byFacets(alone, as).mine);
          for (const other of others) expect(other).toBe(first);
        }
      }),
      { seed: 20_261_126, numRuns: 800 },
    );
    expect(seen.ambiguous).toBeGreaterThan(200);
    expect(seen.nested).toBeGreaterThan(80);
  });

  test('holds until it says, and not a moment longer than the rules', () => {
    let changed = 0;
    fc.assert(
      fc.property(timed, (any) => {
        const { mine, validUntil } = byFacets(any);
        const moments = instants.map((instant) => Date.parse(instant)).filter((later) => later > any.now && later < validUntil);
        const last = Number.isFinite(validUntil) ? [validUntil - 1] : [];
        for (const now of [...moments, ...last]) expect(byReading({ ...any, now })).toBe(mine);
        if (Number.isFinite(validUntil) && byReading({ ...any, now: validUntil }) !== mine) changed += 1;
      }),
      { seed: 20_240_602, numRuns: 1000 },
    );
    // Boundaries at which nothing ever changes would prove nothing.
    expect(changed).toBeGreaterThan(10);
  });
});
