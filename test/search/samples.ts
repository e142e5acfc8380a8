/** Random resources and queries over small pools of values, so that most queries match some resources and not others. */
import fc from 'fast-check';
import { type SearchParameter, searchParameters } from '../../server/fhir/search-parameters.ts';
import { allows } from '../../server/search/modifiers.ts';
import { isSearchable } from '../../server/search/parse.ts';
import type { Terms } from '../../server/search/terms.ts';

type Json = Record<string, unknown>;
const pick = <T>(...values: T[]) => fc.constantFrom(...values);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const some = <T>(arbitrary: fc.Arbitrary<T>) => maybe(fc.array(arbitrary, { minLength: 1, maxLength: 3 }));

export const base = 'https://fhir.example.org/fhir';
const systems = ['http://loinc.org', 'http://snomed.info/sct', `http://long.example/${'s'.repeat(120)}`];
const codes = ['8480-6', '85354-9', 'final', 'male', 'true', 'Ab-C', 'ab-c', 'AB-C', 'a|b', 'a,b', 'a\\b', `c${'o'.repeat(150)}`];
const dates = [
  '2020',
  '2020-02',
  '2020-02-29',
  '2020-02-29T12:00:00Z',
  '2020-02-29T12:00:00.500Z',
  '2020-03-01T00:30:00+05:00',
  '2019-12-31T23:59:59-01:00',
  '2021-06',
];
const words = [
  'Müller',
  'MULLER',
  'mul',
  'Ana María',
  'ｗｉｄｅ',
  '王小明',
  '王',
  'O’Hara',
  'ΟΔΥΣΣΕΥΣ',
  'ΟΔΥΣ',
  'straße  am\tRhein',
  'x'.repeat(250),
  '𠮷野',
];
const ids = ['1', '2', 'abc-3'];
const references = ids.flatMap((id) => [
  `Patient/${id}`,
  `Group/${id}`,
  `${base}/Patient/${id}`,
  `https://other.example/fhir/Patient/${id}`,
  `Practitioner/${id}/_history/4`,
]);
const urls = ['http://example.org/a', 'http://example.org/a|1.0', 'http://example.org/b', `http://example.org/${'u'.repeat(250)}`];
const numbers = [-5.4, 0, 5.35, 5.4, 5.449, 5.45, 100, 150.5, 1e21, 1e-7];

const coding = fc.record({ system: maybe(pick(...systems)), code: maybe(pick(...codes)), display: maybe(pick(...words)) });
const concept = fc.record({ coding: some(coding), text: maybe(pick(...words)) });
const identifier = fc.record({ type: maybe(concept), system: maybe(pick(...systems)), value: maybe(pick(...codes)) });
const reference = fc.record({
  reference: maybe(pick(...references, '#inner', 'urn:uuid:1')),
  type: maybe(pick('Patient', 'Group')),
  identifier: maybe(identifier),
});
const period = fc.record({ start: maybe(pick(...dates)), end: maybe(pick(...dates)) });
const quantity = fc.record({
  value: pick(...numbers),
  unit: maybe(pick('mmHg', 'mm[Hg]')),
  system: maybe(pick('http://unitsofmeasure.org')),
  code: maybe(pick('mm[Hg]', 'g', 'mg', 'kg', 'Cel', 'K', '[pH]')),
});
const range = fc.record({ low: maybe(quantity), high: maybe(quantity) });
const sampledData = fc.record({ origin: quantity, factor: maybe(pick(0.5, 2)), lowerLimit: maybe(pick(-9)), data: pick('1 2 3', 'L E 5', 'E', '7') });
const humanName = fc.record({ family: maybe(pick(...words)), given: some(pick(...words)), text: maybe(pick(...words)) });
const address = fc.record({ line: some(pick(...words)), city: maybe(pick(...words)), use: maybe(pick('home', 'work')) });
const contact = fc.record({ system: maybe(pick('phone', 'email')), value: maybe(pick(...codes)), use: maybe(pick('home', 'work')) });
const meta = fc.record({
  lastUpdated: maybe(pick(...dates.slice(3, 6))),
  profile: some(pick(...urls)),
  tag: some(coding),
  security: some(coding),
  source: maybe(pick(...urls)),
});
const timing = fc.record({ event: some(pick(...dates)), repeat: maybe(fc.record({ boundsPeriod: maybe(period) })) });
const said = pick(
  ...words.filter((word) => word.length < 100),
  'blood pressure',
  '<b>Blood</b> <i>p</i>ressure 7.2',
  '高血壓，用aspirin治療',
  'covid-19 王小',
  '고혈압 환자',
  '72 &amp; blood',
  '&eacute; ana mar&iacute;a',
);
const narrative = fc
  .array(said, { minLength: 1, maxLength: 3 })
  .map((parts) => ({ status: 'generated', div: `<div>${parts.map((part) => `<p>${part}</p>`).join('')}</div>` }));
const common = { id: pick(...ids), meta: maybe(meta), text: maybe(narrative) };

const shapes: Readonly<Record<string, Record<string, fc.Arbitrary<unknown>>>> = {
  Patient: {
    active: maybe(fc.boolean()),
    gender: maybe(pick('male', 'female')),
    birthDate: maybe(pick(...dates.slice(0, 3))),
    deceasedBoolean: maybe(fc.boolean()),
    deceasedDateTime: maybe(pick(...dates)),
    name: some(humanName),
    address: some(address),
    telecom: some(contact),
    identifier: some(identifier),
    generalPractitioner: some(reference),
    link: some(fc.record({ other: maybe(reference) })),
  },
  Observation: {
    status: maybe(pick('final', 'amended')),
    code: maybe(concept),
    category: some(concept),
    subject: maybe(reference),
    effectiveDateTime: maybe(pick(...dates)),
    effectivePeriod: maybe(period),
    effectiveTiming: maybe(timing),
    valueQuantity: maybe(quantity),
    valueSampledData: maybe(sampledData),
    valueDateTime: maybe(pick(...dates)),
    valueCodeableConcept: maybe(concept),
    valueString: maybe(pick(...words)),
    component: some(fc.record({ code: maybe(concept), valueQuantity: maybe(quantity), valueCodeableConcept: maybe(concept) })),
  },
  Encounter: {
    status: maybe(pick('finished')),
    class: maybe(coding),
    period: maybe(period),
    subject: maybe(reference),
    length: maybe(quantity),
    identifier: some(identifier),
  },
  Questionnaire: {
    url: maybe(pick(...urls)),
    title: maybe(pick(...words)),
    status: maybe(pick('active')),
    effectivePeriod: maybe(period),
  },
  QuestionnaireResponse: {
    status: maybe(pick('completed')),
    questionnaire: maybe(pick(...urls)),
    authored: maybe(pick(...dates)),
    subject: maybe(reference),
    identifier: maybe(identifier),
  },
  Invoice: {
    totalGross: maybe(fc.record({ value: maybe(pick(...numbers)), currency: maybe(pick('EUR', 'TWD')) })),
    date: maybe(pick(...dates)),
    subject: maybe(reference),
  },
  MolecularSequence: {
    referenceSeq: maybe(fc.record({ chromosome: maybe(concept), windowStart: maybe(pick(...numbers)), windowEnd: maybe(pick(...numbers)) })),
    variant: some(fc.record({ start: maybe(pick(...numbers)), end: maybe(pick(...numbers)) })),
  },
  RiskAssessment: { prediction: some(fc.record({ probabilityDecimal: maybe(pick(...numbers)) })), occurrenceDateTime: maybe(pick(...dates)) },
};

Object.assign(shapes, {
  Condition: {
    code: maybe(concept),
    onsetAge: maybe(quantity),
    onsetRange: maybe(range),
    abatementRange: maybe(range),
    onsetString: maybe(pick(...words)),
  },
  Location: {
    name: maybe(pick(...words)),
    position: maybe(fc.record({ latitude: pick(0, 25.03, 25.1, -89.9), longitude: pick(0, 121.5, 121.6, 179.99, -179.99) })),
  },
  ValueSet: {
    url: maybe(pick(...urls, 'http://example.org/a/b', 'urn:oid:1.2.3', 'urn:oid:1.2')),
    title: maybe(pick(...words)),
    useContext: some(
      fc.record({ code: maybe(coding), valueQuantity: maybe(quantity), valueRange: maybe(range), valueCodeableConcept: maybe(concept) }),
    ),
  },
  DocumentReference: {
    relatesTo: some(fc.record({ code: maybe(pick('replaces', 'signs')), target: maybe(reference) })),
    description: maybe(pick(...words)),
  },
});

export const sampleTypes = Object.keys(shapes);

/** As a valid resource has it: nothing empty, one type of a choice. */
function tidy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(tidy).filter((item) => item !== undefined);
  const members = Object.entries(value).map(([name, member]) => [name, tidy(member)] as const);
  const seen = new Set<string>();
  const kept = members.filter(([name, member]) => {
    const choice = /^(deceased|effective|value|onset|abatement)[A-Z]/.exec(name)?.[1];
    if (member === undefined || (choice !== undefined && seen.has(choice))) return false;
    seen.add(choice ?? name);
    return !Array.isArray(member) || member.length > 0;
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

export function resourceOf(type: string): fc.Arbitrary<{ resourceType: string; id: string } & Json> {
  const shape = shapes[type] as Record<string, fc.Arbitrary<unknown>>;
  return fc.record({ ...common, ...shape }).map((value) => tidy({ resourceType: type, ...value }) as { resourceType: string; id: string });
}

const escape = (text: string) => text.replace(/[\\,|$]/g, '\\$&');
const prefixes = pick('', 'eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap');
const searchDates = pick(...dates, '2020-02-29T12:00Z', '2020-02-29T12:00:00.000Z', '2021');
const tokenValue = fc
  .tuple(pick(undefined, '', ...systems, 'phone'), pick(...codes, 'EUR', 'home', 'finished', 'active'))
  .map(([s, c]) => (s === undefined ? escape(c) : `${escape(s)}|${escape(c)}`));
const systemValue = pick(...systems, 'phone', 'http://hl7.org/fhir/observation-status').map((s) => `${escape(s)}|`);
const unitValue = pick(
  '',
  '|http://unitsofmeasure.org|mm\\[Hg]',
  '|http://unitsofmeasure.org|mm[Hg]',
  '||mmHg',
  '||mm[Hg]',
  '|urn:iso:std:iso:4217|EUR',
  '||TWD',
  '|http://unitsofmeasure.org|g',
  '|http://unitsofmeasure.org|mg',
  '|http://unitsofmeasure.org|Cel',
  '|http://unitsofmeasure.org|[pH]',
);

const values: Readonly<Record<string, fc.Arbitrary<string>>> = {
  token: fc.oneof({ arbitrary: tokenValue, weight: 5 }, systemValue),
  string: pick(...words.filter((w) => w.length < 100), 'm', 'straße am', 'STRA', '王小').map(escape),
  reference: fc.oneof(
    pick(...ids),
    pick(...references).map(escape),
    pick(...urls).filter((u) => u.length < 100),
  ),
  uri: pick(...urls).map(escape),
  date: fc.tuple(prefixes, searchDates).map((p) => p.join('')),
  number: fc.tuple(prefixes, pick('-5.4', '0', '5.4', '5.40', '5', '100', '1e2', '1.0e21', '150.5')).map((p) => p.join('')),
  quantity: fc.tuple(prefixes, pick('-5.4', '5.4', '100', '150'), unitValue).map((p) => p.join('')),
};

const modifiers: Readonly<Record<string, readonly string[]>> = {
  token: [':not', ':text', ':in', ':not-in', ':below', ':of-type'],
  string: [':exact', ':contains'],
  uri: [':below', ':above'],
  reference: [':Patient', ':identifier'],
};

/** A small terminology: one value set of two codes, one hierarchy. */
export const terms: Terms = {
  expand: (url) =>
    url === 'http://example.org/vs'
      ? [
          { system: systems[0] as string, code: codes[0] as string },
          { system: systems[1] as string, code: codes[1] as string },
        ]
      : undefined,
  below: (code) => [code, { system: code.system, code: codes[2] as string }],
  above: (code) => [code],
};

/** What a modifier asks for in place of the parameter's own values. */
const asked: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ':identifier': tokenValue,
  ':Patient': pick(...ids, 'Patient/1', `${base}/Patient/2`),
  ':in': pick('http://example.org/vs'),
  ':not-in': pick('http://example.org/vs'),
  ':below': fc.tuple(pick(...systems.slice(0, 2)), pick(...codes)).map(([s, c]) => `${escape(s)}|${escape(c)}`),
  ':of-type': fc.tuple(pick(...systems.slice(0, 2)), pick(...codes), pick(...codes)).map((parts) => parts.map(escape).join('|')),
};

const phrases = pick('ana maria', 'maría ana', 'straße am rhein', '小明', '王 小', '野 治療', 'blood pressure', 'covid 19 王小', '7.2 blood');
const searched = fc.oneof(
  pick(
    'ana',
    'MÜLLER',
    'wide',
    '王',
    '明',
    '小明',
    '王小明',
    '明王',
    'ohara',
    "O'Hara",
    'οδυσ',
    'rhein',
    'blood',
    '7.2',
    '72',
    'covid-19',
    '用aspirin',
    'aspirin治',
    '血',
    '고혈압',
    '혈',
    'male',
  ),
  phrases.map((phrase) => `"${phrase}"`),
);
/** Words, phrases and what stands between them. */
const textQueries = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    { arbitrary: searched, weight: 4 },
    fc.tuple(tie('node'), pick(' ', ' AND ', ' or ', ' OR ', ' and '), tie('node')).map((parts) => parts.join('')),
    tie('node').map((inner) => `(${inner})`),
    tie('node').map((inner) => `NOT ${inner}`),
  ),
})).node;

function valueOf(parameter: SearchParameter, modifier: string): fc.Arbitrary<string> {
  if (parameter.name === '_id') return pick(...ids);
  if (parameter.type === 'text') return textQueries;
  if (parameter.type === 'special') return pick('25.05|121.55', '25.05|121.55|20|km', '0|180|5000|m', '-90|0|10000', '0|0|20000');
  if (parameter.components) return fc.tuple(...parameter.components.map((part) => valueOf(part, ''))).map((parts) => parts.join('$'));
  if (parameter.type === 'uri' && modifier !== '')
    return pick('http://example.org', 'http://example.org/a', 'http://example.org/a/b/c', 'urn:oid:1.2', 'urn:oid:1.2.3.4');
  if (parameter.type === 'token' && modifier === ':text') return values['string'] as fc.Arbitrary<string>;
  if (parameter.type === 'string' && modifier === ':contains') return pick('m', 'in', 'iller', '小', 'ö', 'xxx');
  return asked[modifier] ?? (values[parameter.type] as fc.Arbitrary<string>);
}

const filterTokens = fc
  .tuple(pick(undefined, '', ...systems, 'phone'), pick(...codes.filter((code) => !code.includes('|')), 'EUR', 'home', 'finished', 'active'))
  .map(([system, code]) => (system === undefined ? code : `${system}|${code}`));
const filterTexts = pick(...words.filter((word) => word.length < 100), 'm', 'hara', 'ＤＥ', 'rhein', '明');
const filterUris = pick(...urls.filter((url) => url.length < 100 && !url.includes('|')), 'http://example.org/');
const measuredOperators = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb'];
/** Operators of a kind of parameter, with the values they take. */
const tests: Readonly<Partial<Record<SearchParameter['type'], readonly [operators: readonly string[], values: fc.Arbitrary<string>][]>>> = {
  string: [[['eq', 'ne', 'co', 'sw', 'ew'], filterTexts]],
  token: [
    [['eq', 'ne'], filterTokens],
    [['in', 'ni'], pick('http://example.org/vs')],
    [['ss'], fc.tuple(pick(...systems.slice(0, 2)), pick(...codes.slice(0, 4))).map((parts) => parts.join('|'))],
  ],
  reference: [[['eq', 're', 'ne'], fc.oneof(pick(...ids), pick(...references), filterUris)]],
  uri: [[['eq', 'ne', 'sw'], filterUris]],
  date: [[[...measuredOperators, 'po'], searchDates]],
  number: [[measuredOperators, pick('-5.4', '5.40', '100', '150.5')]],
  text: [[['eq'], textQueries.filter((query) => !query.includes("'"))]],
  quantity: [[measuredOperators, pick('5.4', '150', '5.4||mmHg', '100|http://unitsofmeasure.org|mg')]],
};

function testOf(parameter: SearchParameter): fc.Arbitrary<string> {
  const kinds = parameter.name === '_id' ? [[['eq', 'ne'], pick(...ids)] as const] : (tests[parameter.type] ?? []);
  const present = !allows(parameter, 'missing') ? [] : [fc.boolean().map((is) => `${parameter.name} pr ${is}`)];
  const others = kinds.map(([operators, given]) =>
    fc.tuple(pick(...operators), given).map(([operator, value]) => `${parameter.name} ${operator} ${JSON.stringify(value)}`),
  );
  return fc.oneof(...present, ...others.flatMap((one) => [one, one, one]));
}

/** A filter of a few tests, in groups. */
function filterOf(parameters: readonly SearchParameter[]): fc.Arbitrary<[string, string]> {
  const usable = parameters.filter(({ name, type }) => name === '_id' || (type !== 'composite' && type !== 'special'));
  const one = fc.constantFrom(...usable).chain(testOf);
  const group = fc
    .tuple(pick('', 'not', 'not '), fc.array(one, { minLength: 1, maxLength: 2 }), pick(' or ', ' and '))
    .map(([word, list, between]) => `${word}(${list.join(between)})`);
  const either = fc.oneof(one, group);
  return fc
    .tuple(either, fc.array(fc.tuple(pick('and', 'or'), either), { maxLength: 2 }))
    .map(([first, others]) => ['_filter', [first, ...others.map((pair) => pair.join(' '))].join(' ')]);
}

/** The same, or a filter. */
export function anyCriterionOf(type: string, known = searchParameters): fc.Arbitrary<[string, string]> {
  return fc.oneof({ arbitrary: criterionOf(type, known), weight: 4 }, filterOf([...known(type).values()].filter((p) => isSearchable(p))));
}

/** One `name=value` of a search over the type. */
export function criterionOf(type: string, known = searchParameters): fc.Arbitrary<[string, string]> {
  const parameters = [...known(type).values()].filter((p) => isSearchable(p));
  return fc.constantFrom(...parameters).chain((parameter) => {
    const usable = modifiers[parameter.type]?.filter((m) => allows(parameter, m.slice(1))) ?? [];
    return fc.constantFrom('', '', ...usable).chain((modifier) => {
      const given = fc
        .array(valueOf(parameter, modifier), { minLength: 1, maxLength: 2 })
        .map((list) => [`${parameter.name}${modifier}`, list.join(',')] as [string, string]);
      const missing = fc.boolean().map((is) => [`${parameter.name}:missing`, String(is)] as [string, string]);
      return !allows(parameter, 'missing') ? given : fc.oneof({ arbitrary: given, weight: 6 }, missing);
    });
  });
}

/** Two or three criteria on one date or number. */
export function windowsOn(type: string): fc.Arbitrary<[string, string][]> {
  const measured = [...searchParameters(type).values()].filter((p) => isSearchable(p) && ['date', 'number', 'quantity'].includes(p.type));
  return fc
    .constantFrom(...measured)
    .chain((parameter) =>
      fc.array(valueOf(parameter, ''), { minLength: 2, maxLength: 3 }).map((list) => list.map((value) => [parameter.name, value])),
    );
}
