/**
 * US Core 6.1.0 and 7.0.0 as published: every example passes, a whole patient passes, and what is broken is refused at its place. The packages
 * are not part of the repository.
 */
import { createReadStream, readFileSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { loadPackages } from '../../server/validation/packages/package.ts';
import { type Check, createCheck } from '../../server/validation/validate.ts';
import { published } from '../support/published.ts';

const fileOf = (release: string) => published('us-core', `us_core_${release}.tgz`);

// oxlint-disable-next-line typescript/no-explicit-any -- examples are broken in many places
type Loose = any;
type Example = { readonly name: string; readonly text: string };

async function examplesOf(release: string): Promise<Map<string, Example>> {
  const examples = new Map<string, Example>();
  const entries = extract();
  createReadStream(fileOf(release)).pipe(createGunzip()).pipe(entries);
  for await (const entry of entries) {
    const [, name] = /^package\/example\/([^/.][^/]*)\.json$/.exec(entry.header.name) ?? [];
    if (name === undefined) entry.resume();
    else {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      examples.set(name, { name, text: Buffer.concat(chunks).toString('utf8') });
    }
  }
  return examples;
}

const errorsOf = (check: Check['check'], value: ResourceValue) =>
  check({ value, text: '' })
    .filter(({ severity }) => severity === undefined)
    .map(({ expression = [], diagnostics }) => `${expression[0]}: ${diagnostics}`);

describe('US Core', () => {
  let checks: Readonly<Record<string, Check['check']>>;
  let examples: Map<string, Example>;
  beforeAll(async () => {
    const load = async (...releases: string[]) =>
      createCheck({ packages: await loadPackages(releases.map(fileOf)), unknownProfiles: 'accept' }).check;
    checks = { '610': await load('610'), '700': await load('700'), both: await load('610', '700') };
    examples = await examplesOf('610');
  });

  test.each([
    ['610', 180],
    ['700', 210],
  ])('every example of %s passes with its release, and with both on board', async (release, least) => {
    const all = await examplesOf(release);
    expect(all.size).toBeGreaterThan(least);
    const values = [...all.values()].map(({ name, text }) => ({ name, value: JSON.parse(text) as ResourceValue }));
    const refused = (check: Check['check']) => values.flatMap(({ name, value }) => errorsOf(check, value).map((error) => `${name} ${error}`));
    expect(refused(checks[release] as Check['check'])).toEqual([]);
    expect(refused(checks['both'] as Check['check'])).toEqual([]);
  });

  test('a whole patient of the reference server passes the profiles it claims', () => {
    const bundle = JSON.parse(readFileSync(published('us-core-patient85', 'uscore_bundle_patient_85.json'), 'utf8')) as Loose;
    expect(bundle.entry.length).toBe(264);
    for (const release of ['610', 'both']) {
      const refused = bundle.entry.flatMap(({ resource }: Loose) => errorsOf(checks[release] as Check['check'], resource as ResourceValue));
      expect(refused).toEqual([]);
    }
  });

  const race = (patient: Loose) => patient.extension.find(({ url }: Loose) => url.endsWith('us-core-race'));
  const mutants: [string, string, (value: Loose) => void, string][] = [
    ['a required name', 'Patient-example', (v) => delete v.name, 'Patient.name: The profile requires this element'],
    ['a required gender', 'Patient-example', (v) => delete v.gender, 'Patient.gender: The profile requires this element'],
    ['a required identifier', 'Patient-example', (v) => delete v.identifier, 'Patient.identifier: The profile requires this element'],
    [
      'the system of an identifier',
      'Patient-example',
      (v) => delete v.identifier[0].system,
      'Patient.identifier[0].system: The profile requires this element',
    ],
    [
      'the value of an identifier',
      'Patient-example',
      (v) => delete v.identifier[0].value,
      'Patient.identifier[0].value: The profile requires this element',
    ],
    ['a name without its parts', 'Patient-example', (v) => (v.name = [{ text: 'x' }]), 'Patient.name[0]'],
    [
      'a race without text',
      'Patient-example',
      (v) => (race(v).extension = race(v).extension.filter(({ url }: Loose) => url !== 'text')),
      'Patient.extension[0].extension: The profile requires the slice text here',
    ],
    [
      'a race with a second text',
      'Patient-example',
      (v) => race(v).extension.push({ url: 'text', valueString: 'x' }),
      'Patient.extension[0].extension: The profile allows at most 1 of the slice text here',
    ],
    ['a race twice', 'Patient-example', (v) => v.extension.push(race(v)), 'Patient.extension: The profile allows at most 1 of the slice race here'],
    [
      'a race as a string',
      'Patient-example',
      (v) => (race(v).extension[0] = { url: 'ombCategory', valueString: 'x' }),
      'Patient.extension[0].extension[0].value.ofType(string): The profile allows only Coding here',
    ],
    ['a race with a value of its own', 'Patient-example', (v) => (race(v).valueString = 'x'), 'Patient.extension[0]'],
    ['the category of a vital sign', 'Observation-blood-pressure', (v) => delete v.category, 'Observation.category: '],
    [
      'another category',
      'Observation-blood-pressure',
      (v) => (v.category[0].coding[0].code = 'laboratory'),
      'Observation.category: The profile requires the slice VSCat here',
    ],
    [
      'a category of another system',
      'Observation-blood-pressure',
      (v) => (v.category[0].coding[0].system = 'urn:x'),
      'Observation.category: The profile requires the slice VSCat here',
    ],
    [
      'another code',
      'Observation-blood-pressure',
      (v) => (v.code.coding = [{ system: 'http://loinc.org', code: '8867-4' }]),
      'Observation.code: The profile asks for',
    ],
    [
      'the systolic component',
      'Observation-blood-pressure',
      (v) => v.component.shift(),
      'Observation.component: The profile requires the slice systolic here',
    ],
    [
      'the diastolic component',
      'Observation-blood-pressure',
      (v) => v.component.pop(),
      'Observation.component: The profile requires the slice diastolic here',
    ],
    [
      'all components',
      'Observation-blood-pressure',
      (v) => delete v.component,
      'Observation.component: The profile requires at least 2 of this element',
    ],
    [
      'a second systolic component',
      'Observation-blood-pressure',
      (v) => v.component.push(v.component[0]),
      'Observation.component: The profile allows at most 1 of the slice systolic here',
    ],
    [
      'a wrong unit',
      'Observation-blood-pressure',
      (v) => (v.component[0].valueQuantity.code = 'kPa'),
      'Observation.component[0].value.ofType(Quantity).code: The profile fixes this to "mm[Hg]"',
    ],
    [
      'a wrong system of units',
      'Observation-blood-pressure',
      (v) => (v.component[1].valueQuantity.system = 'urn:x'),
      'Observation.component[1].value.ofType(Quantity).system: The profile fixes this to',
    ],
    [
      'no unit',
      'Observation-blood-pressure',
      (v) => delete v.component[0].valueQuantity.unit,
      'Observation.component[0].value.ofType(Quantity).unit: The profile requires this element',
    ],
    [
      'no number',
      'Observation-blood-pressure',
      (v) => delete v.component[0].valueQuantity.value,
      'Observation.component[0].value.ofType(Quantity).value: The profile requires this element',
    ],
    [
      'a component with a text as value',
      'Observation-blood-pressure',
      (v) => ((v.component[0].valueString = 'x'), delete v.component[0].valueQuantity),
      'Observation.component[0].value.ofType(string): ',
    ],
    ['no subject', 'Observation-blood-pressure', (v) => delete v.subject, 'Observation.subject: The profile requires this element'],
    [
      'a group as subject',
      'Observation-blood-pressure',
      (v) => (v.subject = { reference: 'Group/1' }),
      'Observation.subject: By the profile: Points to a type that this element does not allow: Patient',
    ],
    ['no time', 'Observation-blood-pressure', (v) => delete v.effectiveDateTime, 'Observation.effective: The profile requires this element'],
    [
      'a time as Timing',
      'Observation-blood-pressure',
      (v) => ((v.effectiveTiming = { event: ['2020-01-01'] }), delete v.effectiveDateTime),
      'Observation.effective.ofType(Timing): The profile allows only dateTime, Period here',
    ],
    [
      'a vague time',
      'Observation-blood-pressure',
      (v) => (v.effectiveDateTime = '2020'),
      'Observation.effective.ofType(dateTime): Constraint vs-1 not met',
    ],
    [
      'a heart rate in other units',
      'Observation-heart-rate',
      (v) => (v.valueQuantity.code = '/h'),
      'Observation.value.ofType(Quantity).code: The profile fixes this to "/min"',
    ],
    ['the category of a condition', 'Condition-health-concern-example', (v) => delete v.category, 'Condition.category: '],
    [
      'a category outside the required set',
      'Condition-health-concern-example',
      (v) => (v.category = [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-category', code: 'encounter-diagnosis' }] }]),
      'Condition.category: The profile requires the slice us-core here',
    ],
    ['the code of a condition', 'Condition-health-concern-example', (v) => delete v.code, 'Condition.code: The profile requires this element'],
    [
      'the text status of a plan',
      'CarePlan-colonoscopy',
      (v) => (v.text.status = 'empty'),
      'CarePlan.text.status: Must be one of the codes the specification requires here',
    ],
    [
      'the category of a plan',
      'CarePlan-colonoscopy',
      (v) => (v.category = [{ text: 'x' }]),
      'CarePlan.category: The profile requires the slice AssessPlan here',
    ],
    [
      'a smoking status as period',
      'Observation-some-day-smoker',
      (v) => ((v.effectivePeriod = { start: '2020-01-01' }), delete v.effectiveDateTime),
      'Observation.effective.ofType(Period): ',
    ],
    ['the kind of an encounter', 'Encounter-example-1', (v) => delete v.type, 'Encounter.type: The profile requires this element'],
    ['the status of an organization', 'Organization-acme-lab', (v) => delete v.active, 'Organization.active: The profile requires this element'],
    ['the name of an organization', 'Organization-acme-lab', (v) => delete v.name, 'Organization.name: The profile requires this element'],
    [
      'the member of a team',
      'CareTeam-example',
      (v) => delete v.participant[0].member,
      'CareTeam.participant[0].member: The profile requires this element',
    ],
    ['the team', 'CareTeam-example', (v) => delete v.participant, 'CareTeam.participant: The profile requires this element'],
  ];

  test.each(mutants)('%s: refused', (_what, name, mutate, words) => {
    const { text } = examples.get(name) as Example;
    const check = checks['610'] as Check['check'];
    expect(errorsOf(check, JSON.parse(text) as ResourceValue)).toEqual([]);
    const value = JSON.parse(text) as Loose;
    mutate(value);
    const errors = errorsOf(check, value as ResourceValue);
    expect(
      errors.some((error) => error.startsWith(words)),
      errors.join('\n') || 'accepted',
    ).toBe(true);
  });

  test('the same, more than 30 of them, pass where no package is on board', () => {
    const { check } = createCheck();
    const passed = mutants.filter(([, name, mutate]) => {
      const value = JSON.parse((examples.get(name) as Example).text) as Loose;
      mutate(value);
      return errorsOf(check, value as ResourceValue).length === 0;
    });
    expect(passed.length).toBeGreaterThan(30);
  });
});
