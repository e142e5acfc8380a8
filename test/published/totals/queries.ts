/** Searches over published bundles, each beside what it means, said by raw.ts. */
import { begins, coded, dated, holdsText, identified, inSystem, isText, list, measured, metres, type Raw, type World } from './raw.ts';

/** The search without its type, as sent; what holds of each resource of the type that it finds. */
export type Case = readonly [type: string, query: string, holds: (resource: Raw) => boolean];

const LOINC = 'http://loinc.org';
const SNOMED = 'http://snomed.info/sct';
const UCUM = 'http://unitsofmeasure.org';
const SYNTHEA = 'https://github.com/synthetichealth/synthea';
const CATEGORY = 'http://terminology.hl7.org/CodeSystem/observation-category';

const given = (value: Raw): boolean => list(value).length > 0;
const loinc = (code: string) => (r: Raw) => coded(r.code, code, LOINC);

export function casesOf(world: World): Case[] {
  return [
    ...tokens(),
    ...byCode(world),
    ...strings(),
    ...dates(),
    ...quantities(),
    ...composites(),
    ...references(world),
    ...chains(world),
    ...has(world),
    ...mixed(world),
  ];
}

function tokens(): Case[] {
  return [
    ['Patient', 'gender=male', (r) => r.gender === 'male'],
    ['Patient', 'gender=male,female', (r) => r.gender === 'male' || r.gender === 'female'],
    ['Patient', 'gender:not=male', (r) => r.gender !== 'male'],
    ['Patient', 'gender=unknown', (r) => r.gender === 'unknown'],
    ['Patient', 'deceased=true', (r) => r.deceasedBoolean === true || r.deceasedDateTime !== undefined],
    ['Patient', 'deceased=false', (r) => r.deceasedBoolean !== true && r.deceasedDateTime === undefined],
    ['Patient', 'identifier=999-75-1405', (r) => identified(r, '999-75-1405')],
    ['Patient', 'identifier=http://hl7.org/fhir/sid/us-ssn|999-75-1405', (r) => identified(r, '999-75-1405', 'http://hl7.org/fhir/sid/us-ssn')],
    [
      'Patient',
      'identifier=http://hl7.org/fhir/sid/us-ssn|',
      (r) => list(r.identifier).some(({ system }) => system === 'http://hl7.org/fhir/sid/us-ssn'),
    ],
    ['Patient', 'identifier=|999-75-1405', (r) => list(r.identifier).some(({ system, value }) => system === undefined && value === '999-75-1405')],
    ['Patient', 'identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|999-32-5875', (r) => identified(r, '999-32-5875')],
    ['Patient', 'identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|999-32-5875', () => false],
    ['Patient', 'telecom:missing=true', (r) => !given(r.telecom)],
    ['Patient', 'phone:missing=false', (r) => list(r.telecom).some(({ system }) => system === 'phone')],
    ['Patient', 'language=en-US', (r) => list(r.communication).some(({ language }) => coded(language, 'en-US'))],
    ['Patient', 'language:missing=true', (r) => !given(r.communication)],
    [
      'Patient',
      '_profile=http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient',
      (r) => list(r.meta?.profile).includes('http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient'),
    ],
    ['Patient', '_profile:missing=true', (r) => !given(r.meta?.profile)],
    ['Patient', '_tag=https://smarthealthit.org/tags|synthea-5-2019', (r) => coded(r.meta?.tag, 'synthea-5-2019')],
    ['Patient', '_tag:not=synthea-5-2019', (r) => !coded(r.meta?.tag, 'synthea-5-2019')],
    ['Observation', '_tag=synthea-5-2019', (r) => coded(r.meta?.tag, 'synthea-5-2019')],
    [
      'Observation',
      '_profile=http://hl7.org/fhir/StructureDefinition/vitalsigns',
      (r) => list(r.meta?.profile).includes('http://hl7.org/fhir/StructureDefinition/vitalsigns'),
    ],
    [
      'Observation',
      '_profile:below=http://hl7.org/fhir/StructureDefinition',
      (r) => list(r.meta?.profile).some((p: string) => p.startsWith('http://hl7.org/fhir/StructureDefinition')),
    ],
    ['Observation', 'status=final', (r) => r.status === 'final'],
    ['Observation', 'status:not=final', (r) => r.status !== 'final'],
    ['Observation', `category=${CATEGORY}|vital-signs`, (r) => coded(r.category, 'vital-signs', CATEGORY)],
    ['Observation', 'category=laboratory', (r) => coded(r.category, 'laboratory')],
    ['Observation', 'category=survey,laboratory', (r) => coded(r.category, 'laboratory') || coded(r.category, 'survey')],
    ['Observation', 'category:not=laboratory', (r) => !coded(r.category, 'laboratory')],
    ['Observation', `category=${LOINC}|vital-signs`, () => false],
    ['Observation', `code=${LOINC}|`, (r) => inSystem(r.code, LOINC)],
    ['Observation', 'code:missing=true', () => false],
    ['Observation', `combo-code=${LOINC}|8480-6`, (r) => coded(r.code, '8480-6') || list(r.component).some((c) => coded(c.code, '8480-6'))],
    ['Observation', 'component-code=8462-4', (r) => list(r.component).some((c) => coded(c.code, '8462-4'))],
    ['Observation', 'component-code:missing=true&category=vital-signs', (r) => !given(r.component) && coded(r.category, 'vital-signs')],
    ['Observation', `value-concept=${SNOMED}|266919005`, (r) => coded(r.valueCodeableConcept, '266919005', SNOMED)],
    ['Observation', 'value-concept:missing=false', (r) => r.valueCodeableConcept !== undefined],
    ['Condition', 'clinical-status=active', (r) => coded(r.clinicalStatus, 'active')],
    ['Condition', 'clinical-status:not=active', (r) => !coded(r.clinicalStatus, 'active')],
    ['Condition', 'verification-status=confirmed', (r) => coded(r.verificationStatus, 'confirmed')],
    ['Condition', 'category:missing=true', (r) => !given(r.category)],
    ['Condition', `code=${SNOMED}|444814009,195662009`, (r) => coded(r.code, '444814009', SNOMED) || coded(r.code, '195662009', SNOMED)],
    ['Encounter', 'class=EMER', (r) => r.class.code === 'EMER'],
    ['Encounter', 'class:not=AMB', (r) => r.class.code !== 'AMB'],
    ['Encounter', 'status=finished', (r) => r.status === 'finished'],
    ['Encounter', `type=${SNOMED}|50849002`, (r) => coded(r.type, '50849002', SNOMED)],
    ['Encounter', 'reason-code:missing=false', (r) => given(r.reasonCode)],
    ['Immunization', 'vaccine-code=http://hl7.org/fhir/sid/cvx|140', (r) => coded(r.vaccineCode, '140', 'http://hl7.org/fhir/sid/cvx')],
    ['Immunization', 'vaccine-code:not=140', (r) => !coded(r.vaccineCode, '140')],
    ['MedicationRequest', 'status=stopped', (r) => r.status === 'stopped'],
    ['MedicationRequest', 'intent=order&status=active', (r) => r.intent === 'order' && r.status === 'active'],
    ['Claim', 'use=claim', (r) => r.use === 'claim'],
    ['Claim', 'priority=normal', (r) => coded(r.priority, 'normal')],
    [
      'ExplanationOfBenefit',
      'identifier=https://bluebutton.cms.gov/resources/identifier/claim-group|99999999999',
      (r) => identified(r, '99999999999'),
    ],
    ['AllergyIntolerance', 'criticality=low', (r) => r.criticality === 'low'],
    ['AllergyIntolerance', 'category=food', (r) => list(r.category).includes('food')],
    [
      'AllergyIntolerance',
      'category=food&category=environment',
      (r) => list(r.category).includes('food') && list(r.category).includes('environment'),
    ],
    ['CarePlan', 'status=active', (r) => r.status === 'active'],
    ['CarePlan', 'category=385691007', (r) => coded(r.category, '385691007')],
    ['CarePlan', 'activity-code=183051005', (r) => list(r.activity).some((a) => coded(a.detail?.code, '183051005'))],
    ['ImagingStudy', 'modality=DX', (r) => list(r.series).some((s) => coded(s.modality, 'DX')) || coded(r.modality, 'DX')],
    ['ImagingStudy', 'bodysite=344001', (r) => list(r.series).some((s) => coded(s.bodySite, '344001'))],
    ['DiagnosticReport', `category=http://terminology.hl7.org/CodeSystem/v2-0074|LAB`, (r) => coded(r.category, 'LAB')],
    ['Goal', 'lifecycle-status=accepted', (r) => r.lifecycleStatus === 'accepted'],
    ['Goal', 'achievement-status:not=in-progress', (r) => !coded(r.achievementStatus, 'in-progress')],
    ['Organization', 'active=true', (r) => r.active === true],
    ['Organization', 'type=prov', (r) => coded(r.type, 'prov')],
    ['Practitioner', 'gender=female', (r) => r.gender === 'female'],
    ['PractitionerRole', 'active:missing=true', (r) => r.active === undefined],
    ['DocumentReference', 'status=superseded', (r) => r.status === 'superseded'],
    ['DocumentReference', 'type=http://loinc.org|34117-2', (r) => coded(r.type, '34117-2', LOINC)],
  ];
}

/** Each of the most frequent codes, and each with a status. */
function byCode(world: World): Case[] {
  const most = (type: string, path: string, count: number): [system: string, code: string][] => {
    const seen = new Map<string, number>();
    for (const r of world.of(type))
      for (const { system, code } of list(r[path]?.coding)) seen.set(`${system}|${code}`, (seen.get(`${system}|${code}`) ?? 0) + 1);
    const ranked = [...seen].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    return ranked.slice(0, count).map(([key]) => key.split('|') as [string, string]);
  };
  const cases = (type: string, path: string, parameter: string, count: number): Case[] =>
    most(type, path, count).map(([system, code]) => [type, `${parameter}=${system}|${code}`, (r: Raw) => coded(r[path], code, system)]);
  return [
    ...cases('Observation', 'code', 'code', 15),
    ...cases('Condition', 'code', 'code', 6),
    ...cases('Procedure', 'code', 'code', 6),
    ...cases('MedicationRequest', 'medicationCodeableConcept', 'code', 4),
    ...cases('DiagnosticReport', 'code', 'code', 3),
  ];
}

function strings(): Case[] {
  return [
    ['Patient', 'family=Reilly', (r) => list(r.name).some(({ family }) => begins(family, 'Reilly'))],
    ['Patient', 'family=re', (r) => list(r.name).some(({ family }) => begins(family, 're'))],
    ['Patient', 'family:exact=Reilly', (r) => list(r.name).some(({ family }) => isText(family, 'Reilly'))],
    ['Patient', 'family:exact=reilly', (r) => list(r.name).some(({ family }) => isText(family, 'reilly'))],
    ['Patient', 'family:contains=ill', (r) => list(r.name).some(({ family }) => holdsText(family, 'ill'))],
    ['Patient', "family=O'Hara", (r) => list(r.name).some(({ family }) => begins(family, "O'Hara"))],
    ['Patient', 'given=adan', (r) => list(r.name).some((name) => begins(name.given, 'adan'))],
    ['Patient', 'given=ADÁN', (r) => list(r.name).some((name) => begins(name.given, 'ADÁN'))],
    ['Patient', 'name=ma', (r) => begins(r.name, 'ma')],
    ['Patient', 'name=ma&gender=female', (r) => begins(r.name, 'ma') && r.gender === 'female'],
    ['Patient', 'name=marg,toy', (r) => begins(r.name, 'marg') || begins(r.name, 'toy')],
    ['Patient', 'name:contains=ar', (r) => holdsText(r.name, 'ar')],
    ['Patient', 'address-city=Boston', (r) => list(r.address).some(({ city }) => begins(city, 'Boston'))],
    ['Patient', 'address-state=MA', (r) => list(r.address).some(({ state }) => begins(state, 'MA'))],
    ['Patient', 'address-postalcode=01', (r) => list(r.address).some(({ postalCode }) => begins(postalCode, '01'))],
    ['Patient', 'address-postalcode:missing=true', (r) => !list(r.address).some(({ postalCode }) => postalCode !== undefined)],
    ['Patient', 'address=w', (r) => begins(r.address, 'w')],
    ['Organization', 'name=lahey', (r) => begins(r.name, 'lahey')],
    ['Organization', 'name:contains=hospital', (r) => holdsText(r.name, 'hospital')],
    ['Organization', 'address-city=Boston,Cambridge', (r) => list(r.address).some(({ city }) => begins(city, 'Boston') || begins(city, 'Cambridge'))],
    ['Location', 'name:contains=medical center', (r) => holdsText(r.name, 'medical center')],
    ['Practitioner', 'name=k', (r) => begins(r.name, 'k')],
    ['Practitioner', 'family:contains=son', (r) => list(r.name).some(({ family }) => holdsText(family, 'son'))],
  ];
}

function dates(): Case[] {
  const birth = ['1960', 'ge1960', 'lt1960-06', 'gt1980-01-01', 'le1999-12-31', 'ne1960', 'sa1990', 'eb1940-05'];
  const effective = ['2015', 'ge2018-03', 'lt2010-01-01', 'gt2018-01-01T00:00:00Z', 'le2011-12-03T17:49:34Z', 'eb2009', 'sa2018-12', 'ne2014'];
  const periods = ['2011', 'ge2018', 'lt1990', 'gt2019-01-01', 'le2000-06', 'sa2017-12-31', 'eb1985-12-22', '1985-12'];
  return [
    ...birth.map((value): Case => ['Patient', `birthdate=${value}`, (r) => dated(r.birthDate, value)]),
    ['Patient', 'birthdate=ge1950&birthdate=lt1970', (r) => dated(r.birthDate, 'ge1950') && dated(r.birthDate, 'lt1970')],
    ['Patient', 'birthdate=1960,1970,1980', (r) => ['1960', '1970', '1980'].some((year) => dated(r.birthDate, year))],
    ['Patient', 'death-date=gt1990', (r) => dated(r.deceasedDateTime, 'gt1990')],
    ['Patient', 'death-date:missing=true', (r) => r.deceasedDateTime === undefined],
    ...effective.map((value): Case => ['Observation', `date=${value}`, (r) => dated(r.effectiveDateTime, value)]),
    ['Observation', 'date=ge2014-02&date=lt2014-09-15', (r) => dated(r.effectiveDateTime, 'ge2014-02') && dated(r.effectiveDateTime, 'lt2014-09-15')],
    ['Observation', 'date=2018-04-01T00:00:00%2B02:00', (r) => dated(r.effectiveDateTime, '2018-04-01T00:00:00+02:00')],
    ...periods.map((value): Case => ['Encounter', `date=${value}`, (r) => dated(r.period, value)]),
    ['CarePlan', 'date=ge2018', (r) => dated(r.period, 'ge2018')],
    ['CarePlan', 'date=lt2000', (r) => dated(r.period, 'lt2000')],
    ['Condition', 'onset-date=ge2015', (r) => dated(r.onsetDateTime, 'ge2015')],
    ['Condition', 'abatement-date:missing=true', (r) => r.abatementDateTime === undefined],
    ['Condition', 'recorded-date=2012', (r) => dated(r.recordedDate, '2012')],
    ['Procedure', 'date=ge2016-06', (r) => dated(r.performedPeriod ?? r.performedDateTime, 'ge2016-06')],
    ['Procedure', 'date=sa2010&date=eb2012', (r) => dated(r.performedPeriod, 'sa2010') && dated(r.performedPeriod, 'eb2012')],
    ['MedicationRequest', 'authoredon=lt2005-07', (r) => dated(r.authoredOn, 'lt2005-07')],
    ['Immunization', 'date=2013-06', (r) => dated(r.occurrenceDateTime, '2013-06')],
    ['DiagnosticReport', 'issued=gt2017-05-05', (r) => dated(r.issued, 'gt2017-05-05')],
    ['Claim', 'created=ge2019-01', (r) => dated(r.created, 'ge2019-01')],
    ['ImagingStudy', 'started=lt2012', (r) => dated(r.started, 'lt2012')],
  ];
}

function quantities(): Case[] {
  const height = ['gt170', 'lt60', '173', 'ge180.5', 'le90', 'ne173', 'ap170', 'sa190', 'eb55'];
  const unit = (code: string, value: string, asked: string): Case => [
    'Observation',
    `code=${LOINC}|${code}&value-quantity=${value}|${UCUM}|${asked}`,
    (r) => loinc(code)(r) && measured(r.valueQuantity, value, asked),
  ];
  return [
    ...height.map((value): Case => unit('8302-2', value, 'cm')),
    unit('8302-2', 'gt1.7', 'm'),
    unit('8302-2', 'lt1500', 'mm'),
    unit('29463-7', 'gt80000', 'g'),
    unit('29463-7', 'le75', 'kg'),
    unit('2093-3', 'gt2.2', 'g/L'),
    unit('2339-0', 'lt0.9', 'g/L'),
    unit('718-7', 'ge140', 'g/L'),
    unit('2947-0', 'gt0.14', 'mol/L'),
    unit('8302-2', 'gt1', 'kg'),
    ['Observation', `code=${LOINC}|2093-3&value-quantity=gt200`, (r) => loinc('2093-3')(r) && measured(r.valueQuantity, 'gt200')],
    ['Observation', 'value-quantity=gt100||mg/dL', (r) => r.valueQuantity?.code === 'mg/dL' && measured(r.valueQuantity, 'gt100')],
    ['Observation', `value-quantity=lt10|${UCUM}|fL`, (r) => measured(r.valueQuantity, 'lt10', 'fL')],
    ['Observation', `value-quantity=5|${UCUM}|{score}`, (r) => measured(r.valueQuantity, '5', '{score}')],
    ['Observation', 'value-quantity=7', (r) => measured(r.valueQuantity, '7')],
    ['Observation', 'value-quantity:missing=true', (r) => r.valueQuantity === undefined],
    [
      'Observation',
      `component-value-quantity=gt140|${UCUM}|mm[Hg]`,
      (r) => list(r.component).some((c) => measured(c.valueQuantity, 'gt140', 'mm[Hg]')),
    ],
    [
      'Observation',
      'combo-value-quantity=gt300',
      (r) => measured(r.valueQuantity, 'gt300') || list(r.component).some((c) => measured(c.valueQuantity, 'gt300')),
    ],
  ];
}

function composites(): Case[] {
  const component = (code: string, value: string) => (r: Raw) =>
    list(r.component).some((c) => coded(c.code, code) && measured(c.valueQuantity, value));
  return [
    ['Observation', `code-value-quantity=${LOINC}|8302-2$gt170`, (r) => loinc('8302-2')(r) && measured(r.valueQuantity, 'gt170')],
    ['Observation', `code-value-quantity=${LOINC}|29463-7$lt20|${UCUM}|kg`, (r) => loinc('29463-7')(r) && measured(r.valueQuantity, 'lt20', 'kg')],
    ['Observation', 'component-code-value-quantity=8480-6$gt130', component('8480-6', 'gt130')],
    // Both of one component: the systolic pressure is never so low, the diastolic is.
    ['Observation', 'component-code-value-quantity=8480-6$lt85', component('8480-6', 'lt85')],
    ['Observation', 'component-code-value-quantity=8462-4$lt85', component('8462-4', 'lt85')],
    [
      'Observation',
      'component-code-value-quantity=8480-6$gt150,8462-4$gt95',
      (r) => component('8480-6', 'gt150')(r) || component('8462-4', 'gt95')(r),
    ],
    [
      'Observation',
      'component-code-value-quantity=8480-6$gt130&component-code-value-quantity=8462-4$lt80',
      (r) => component('8480-6', 'gt130')(r) && component('8462-4', 'lt80')(r),
    ],
    ['Observation', 'combo-code-value-quantity=8480-6$ge140', component('8480-6', 'ge140')],
    ['Observation', 'combo-code-value-quantity=8302-2$ge190', (r) => coded(r.code, '8302-2') && measured(r.valueQuantity, 'ge190')],
    ['Observation', `code-value-concept=${LOINC}|72166-2$266919005`, (r) => loinc('72166-2')(r) && coded(r.valueCodeableConcept, '266919005')],
    ['Observation', `code-value-date=${LOINC}|72166-2$2015`, () => false],
  ];
}

function references(world: World): Case[] {
  const located = (r: Raw, km: number): boolean => r.position !== undefined && metres(r.position, 42.36, -71.06) <= km * 1000;
  return [
    ['Observation', 'encounter:missing=true', (r) => r.encounter === undefined],
    ['Observation', 'performer:missing=true', (r) => !given(r.performer)],
    ['Encounter', 'service-provider:missing=true', (r) => r.serviceProvider === undefined],
    ['Condition', 'encounter:missing=false', (r) => r.encounter !== undefined],
    ['Claim', 'care-team:missing=true', (r) => !given(r.careTeam)],
    ['Procedure', 'reason-reference:missing=false', (r) => given(r.reasonReference)],
    ['CarePlan', 'condition:missing=false', (r) => given(r.addresses)],
    [
      'Location',
      `organization:identifier=${SYNTHEA}|69176529-fd1f-3b3f-abce-a0a3626769eb`,
      (r) => r.managingOrganization?.identifier?.value === '69176529-fd1f-3b3f-abce-a0a3626769eb',
    ],
    ['Location', 'near=42.36|-71.06|10|km', (r) => located(r, 10)],
    ['Location', 'near=42.36|-71.06|60|km', (r) => located(r, 60)],
    ['DiagnosticReport', 'result:missing=true', (r) => world.follow(r, r.result).length === 0],
  ];
}

function chains(world: World): Case[] {
  const subject = (r: Raw, holds: (patient: Raw) => boolean): boolean =>
    world.follow(r, r.subject ?? r.patient).some((p) => p.resourceType === 'Patient' && holds(p));
  const at = (r: Raw, holds: (encounter: Raw) => boolean): boolean => world.follow(r, r.encounter).some(holds);
  return [
    ['Observation', 'subject:Patient.gender=male', (r) => subject(r, (p) => p.gender === 'male')],
    ['Observation', 'patient.family=Reilly', (r) => subject(r, (p) => list(p.name).some(({ family }) => begins(family, 'Reilly')))],
    ['Observation', 'patient.birthdate=lt1950&code=8302-2', (r) => subject(r, (p) => dated(p.birthDate, 'lt1950')) && coded(r.code, '8302-2')],
    ['Observation', 'encounter.class=EMER', (r) => at(r, (e) => e.class.code === 'EMER')],
    ['Observation', 'encounter.date=2015', (r) => at(r, (e) => dated(e.period, '2015'))],
    [
      'Observation',
      'encounter.service-provider.name=lahey',
      (r) => at(r, (e) => world.follow(e, e.serviceProvider).some((o) => begins(o.name, 'lahey'))),
    ],
    [
      'Observation',
      'encounter:Encounter.patient.family=toy',
      (r) => at(r, (e) => subject(e, (p) => list(p.name).some(({ family }) => begins(family, 'toy')))),
    ],
    ['Condition', 'patient.deceased=true', (r) => subject(r, (p) => p.deceasedDateTime !== undefined)],
    ['Condition', 'encounter.type=50849002', (r) => at(r, (e) => coded(e.type, '50849002'))],
    [
      'Encounter',
      'participant:Practitioner.family=Kassulke',
      (r) =>
        list(r.participant).some((part) =>
          world.follow(r, part.individual).some((p) => list(p.name).some(({ family }) => begins(family, 'Kassulke'))),
        ),
    ],
    [
      'Encounter',
      'service-provider.address-city=Boston',
      (r) => world.follow(r, r.serviceProvider).some((o) => list(o.address).some(({ city }) => begins(city, 'Boston'))),
    ],
    ['DiagnosticReport', 'result.code=2093-3', (r) => world.follow(r, r.result).some((o) => coded(o.code, '2093-3'))],
    [
      'DiagnosticReport',
      `result.value-quantity=gt240|${UCUM}|mg/dL`,
      (r) => world.follow(r, r.result).some((o) => measured(o.valueQuantity, 'gt240', 'mg/dL')),
    ],
    ['MedicationRequest', 'requester:Practitioner.gender=female', (r) => world.follow(r, r.requester).some((p) => p.gender === 'female')],
    ['CarePlan', 'condition.code=65966004', (r) => world.follow(r, r.addresses).some((c) => coded(c.code, '65966004'))],
    ['ExplanationOfBenefit', 'claim.created=ge2019', (r) => world.follow(r, r.claim).some((c) => dated(c.created, 'ge2019'))],
  ];
}

function has(world: World): Case[] {
  const subject = (r: Raw): Raw => r.subject ?? r.patient;
  const of = (type: string, p: Raw): Raw[] => world.referring(type, subject, p);
  const encounter = (r: Raw): Raw => r.encounter;
  return [
    ['Patient', '_has:Observation:patient:code=4548-4', (p) => of('Observation', p).some((o) => coded(o.code, '4548-4'))],
    [
      'Patient',
      `_has:Observation:subject:code-value-quantity=${LOINC}|8302-2$gt185`,
      (p) => of('Observation', p).some((o) => loinc('8302-2')(o) && measured(o.valueQuantity, 'gt185')),
    ],
    [
      'Patient',
      '_has:Condition:patient:clinical-status=active&gender=female',
      (p) => p.gender === 'female' && of('Condition', p).some((c) => coded(c.clinicalStatus, 'active')),
    ],
    ['Patient', '_has:Encounter:patient:class=EMER', (p) => of('Encounter', p).some((e) => e.class.code === 'EMER')],
    [
      'Patient',
      '_has:Encounter:patient:_has:Observation:encounter:code=72514-3',
      (p) => of('Encounter', p).some((e) => world.referring('Observation', encounter, e).some((o) => coded(o.code, '72514-3'))),
    ],
    ['Patient', '_has:AllergyIntolerance:patient:criticality=low', (p) => of('AllergyIntolerance', p).some((a) => a.criticality === 'low')],
    [
      'Patient',
      '_has:Encounter:patient:service-provider.name=lahey',
      (p) => of('Encounter', p).some((e) => world.follow(e, e.serviceProvider).some((o) => begins(o.name, 'lahey'))),
    ],
    ['Patient', '_has:Immunization:patient:date=ge2019', (p) => of('Immunization', p).some((i) => dated(i.occurrenceDateTime, 'ge2019'))],
    [
      'Encounter',
      '_has:Condition:encounter:code=195662009',
      (e) => world.referring('Condition', encounter, e).some((c) => coded(c.code, '195662009')),
    ],
    [
      'Encounter',
      '_has:MedicationRequest:encounter:status=active',
      (e) => world.referring('MedicationRequest', encounter, e).some((m) => m.status === 'active'),
    ],
    [
      'Organization',
      '_has:Encounter:service-provider:class=EMER',
      (o) => world.referring('Encounter', (e) => e.serviceProvider, o).some((e) => e.class.code === 'EMER'),
    ],
    [
      'Observation',
      '_has:DiagnosticReport:result:code=57698-3',
      (o) => world.referring('DiagnosticReport', (d) => d.result, o).some((d) => coded(d.code, '57698-3')),
    ],
  ];
}

function mixed(world: World): Case[] {
  const male = (r: Raw): boolean => world.follow(r, r.subject).some((p) => p.gender === 'male');
  return [
    [
      'Observation',
      `code=${LOINC}|8302-2&date=ge2015&value-quantity=gt170`,
      (r) => loinc('8302-2')(r) && dated(r.effectiveDateTime, 'ge2015') && measured(r.valueQuantity, 'gt170'),
    ],
    [
      'Observation',
      'category=vital-signs&code:not=8302-2&date=2014',
      (r) => coded(r.category, 'vital-signs') && !coded(r.code, '8302-2') && dated(r.effectiveDateTime, '2014'),
    ],
    ['Observation', 'category=laboratory&category=vital-signs', (r) => coded(r.category, 'laboratory') && coded(r.category, 'vital-signs')],
    [
      'Observation',
      'status=final&subject:Patient.gender=male&code=29463-7&value-quantity=gt90',
      (r) => male(r) && coded(r.code, '29463-7') && measured(r.valueQuantity, 'gt90'),
    ],
    [
      'Patient',
      'gender=female&birthdate=ge1960&address-state=MA&name=s',
      (r) => r.gender === 'female' && dated(r.birthDate, 'ge1960') && list(r.address).some(({ state }) => begins(state, 'MA')) && begins(r.name, 's'),
    ],
    [
      'Encounter',
      'class=AMB,WELL&date=ge2015&date=lt2016',
      (r) => ['AMB', 'WELL'].includes(r.class.code) && dated(r.period, 'ge2015') && dated(r.period, 'lt2016'),
    ],
    [
      'Condition',
      'onset-date=ge2010&clinical-status=resolved&subject:Patient.gender=male',
      (r) => dated(r.onsetDateTime, 'ge2010') && coded(r.clinicalStatus, 'resolved') && male(r),
    ],
    ...['Observation', 'Claim', 'Organization', 'Practitioner', 'Location', 'PractitionerRole'].map((type): Case => [type, '', () => true]),
  ];
}
