/** Questionnaires that hold together, and responses that answer them. */
import { expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';

type Json = Record<string, unknown>;

const { check } = createCheck();
const placesOf = (value: Json): string[] =>
  check({ value: value as ResourceValue, text: '' })
    .filter(({ severity = 'error' }) => severity === 'error')
    .flatMap(({ expression = [] }) => expression);

const asking = (...item: Json[]): Json => ({ resourceType: 'Questionnaire', status: 'active', item });
const smokes = { linkId: 'smokes', type: 'boolean', text: 'Do you smoke?' };
const since = { linkId: 'since', type: 'date', text: 'Since when?' };
const when = (condition: Json): Json => asking(smokes, { ...since, enableWhen: [condition] });

test.each<[string, Json]>([
  ['nested', asking({ linkId: 'g', type: 'group', item: [smokes, since] })],
  ['a condition', when({ question: 'smokes', operator: '=', answerBoolean: true })],
  ['a condition that something is answered', when({ question: 'smokes', operator: 'exists', answerBoolean: false })],
  ['an initial value', asking({ ...smokes, initial: [{ valueBoolean: false }] })],
])('%s: acceptable', (_what, value) => {
  expect(placesOf(value)).toEqual([]);
});

test.each<[string, Json, string]>([
  ['a linkId twice', asking(smokes, { linkId: 'g', type: 'group', item: [smokes] }), 'Questionnaire.item[1].item[0].linkId'],
  ['a condition on nothing', when({ question: 'drinks', operator: '=', answerBoolean: true }), 'Questionnaire.item[1].enableWhen[0].question'],
  ['a condition of another type', when({ question: 'smokes', operator: '=', answerString: 'yes' }), 'Questionnaire.item[1].enableWhen[0].answer'],
  [
    'existence that is no boolean',
    when({ question: 'smokes', operator: 'exists', answerString: 'yes' }),
    'Questionnaire.item[1].enableWhen[0].answer',
  ],
  [
    'a condition on a group',
    asking({ linkId: 'g', type: 'group', item: [smokes] }, { ...since, enableWhen: [{ question: 'g', operator: '=', answerBoolean: true }] }),
    'Questionnaire.item[1].enableWhen[0].question',
  ],
  ['an initial value of another type', asking({ ...smokes, initial: [{ valueString: 'no' }] }), 'Questionnaire.item[0].initial[0].value'],
  ['a group of nothing', asking({ linkId: 'g', type: 'group' }), 'Questionnaire.item[0]'],
  ['a display that is required', asking({ linkId: 'd', type: 'display', required: true }), 'Questionnaire.item[0]'],
])('%s: refused', (_what, value, place) => {
  expect(placesOf(value)).toContain(place);
});

const questionnaire = {
  ...asking(
    { ...smokes, required: true, item: [since] },
    { linkId: 'visits', type: 'group', repeats: true, item: [{ linkId: 'day', type: 'date', repeats: true }] },
    { linkId: 'note', type: 'display', text: 'Thank you' },
  ),
  id: 'q',
};
const answering = (item: readonly Json[], more: Json = {}): Json => ({
  resourceType: 'QuestionnaireResponse',
  contained: [questionnaire],
  questionnaire: '#q',
  status: 'completed',
  item,
  ...more,
});
const yes = { linkId: 'smokes', answer: [{ valueBoolean: true }] };
const visit = (...days: string[]): Json => ({ linkId: 'visits', item: [{ linkId: 'day', answer: days.map((valueDate) => ({ valueDate })) }] });

test.each<[string, Json]>([
  ['all answered', answering([yes, visit('2026-03-04', '2026-03-05'), visit('2026-03-06')])],
  [
    'nested below an answer',
    answering([{ linkId: 'smokes', answer: [{ valueBoolean: true, item: [{ linkId: 'since', answer: [{ valueDate: '2001' }] }] }] }]),
  ],
  ['not done yet', answering([visit('2026-03-04')], { status: 'in-progress' })],
  ['a questionnaire that is elsewhere', answering([{ linkId: 'other' }], { contained: undefined, questionnaire: 'http://example.org/q' })],
])('%s: acceptable', (_what, value) => {
  const { contained, ...rest } = value;
  expect(placesOf(contained === undefined ? rest : value)).toEqual([]);
});

test.each<[string, Json, string]>([
  ['a question that was not asked', answering([yes, { linkId: 'drinks' }]), 'QuestionnaireResponse.item[1].linkId'],
  ['a question of another level', answering([yes, { linkId: 'day' }]), 'QuestionnaireResponse.item[1].linkId'],
  ['an answer of another type', answering([{ linkId: 'smokes', answer: [{ valueString: 'yes' }] }]), 'QuestionnaireResponse.item[0].answer[0].value'],
  [
    'two answers to one question',
    answering([{ linkId: 'smokes', answer: [{ valueBoolean: true }, { valueBoolean: false }] }]),
    'QuestionnaireResponse.item[0].answer',
  ],
  ['an answer to a group', answering([yes, { linkId: 'visits', answer: [{ valueBoolean: true }] }]), 'QuestionnaireResponse.item[1].answer'],
  ['a question again', answering([yes, yes]), 'QuestionnaireResponse.item[1]'],
  ['what is required left out', answering([visit('2026-03-04')]), 'QuestionnaireResponse.item'],
  ['nested in both places', answering([{ ...yes, item: [{ linkId: 'since' }] }]), 'QuestionnaireResponse.item[0]'],
])('%s: refused', (_what, value, place) => {
  expect(placesOf(value)).toContain(place);
});
