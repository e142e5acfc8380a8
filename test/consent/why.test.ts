/** Why a record may be seen or not: never another answer than the decision, on every row of the decision tables. server/consent/why.ts */
import { describe, expect, test } from 'vitest';
import { scopeFor } from '../../server/consent/decide.ts';
import { PATIENT, UNKNOWN_PATIENT } from '../../server/consent/facets.ts';
import type { ImplicitPolicy } from '../../server/consent/model.ts';
import { type Tells, tellsOf, tellsOfAny, type Why, why } from '../../server/consent/why.ts';
import { and, any, type Expression, holds, not, or, startsWith } from '../../server/search/expression.ts';
import { consentBy, decisionOn, except, labelled, observation, purpose } from '../support/consents.ts';
import { askedBy, decisionTables, type DecisionRow } from '../support/decision-tables.ts';

const implicits: readonly ImplicitPolicy[] = [{ kind: 'deny' }, { kind: 'permit-except', labels: [] }];

type Looked = { readonly permitted: boolean; readonly whys: readonly Why[]; readonly whatever: readonly Why[] };

function lookAt(row: DecisionRow, implicit: ImplicitPolicy): Looked {
  const { input, keys } = decisionOn(row.resource, { ...askedBy(row), implicit });
  const id = String(row.resource.id);
  const named = keys.flatMap((key) => (key.startsWith(PATIENT) ? [key.slice(PATIENT.length)] : []));
  // Somebody who cannot be found is nobody's to permit.
  const unknown = keys.includes(UNKNOWN_PATIENT);
  const each = (tells: Tells) =>
    (named.length === 0 || unknown ? [...named, undefined] : named).map((patient) =>
      why(input, {
        patient,
        tells,
        consents: input.policies.flatMap((compiled, i) => (compiled.patient === patient ? [{ reference: `Consent/${i}`, compiled }] : [])),
      }),
    );
  return { permitted: holds(scopeFor(input).where, id, keys), whys: each(tellsOf(id, keys)), whatever: each(tellsOfAny(id, named, unknown)) };
}

describe.each(decisionTables())('$name', ({ rows }) => {
  const asked = rows.flatMap((row) => (row.implicit ? [row.implicit] : implicits).map((implicit) => ({ ...row, under: implicit })));
  test.each(asked)('$case, under $under.kind', (row) => {
    const { permitted, whys, whatever } = lookAt(row, row.under);
    expect(whys.every((one) => one.permitted === true)).toBe(permitted);
    for (const { permitted: says, ground, cited } of whys) {
      expect(says).toBeTypeOf('boolean');
      expect(ground).not.toBe('content');
      if (ground === 'consent-denies' || ground === 'consent-permits') expect(cited.length).toBeGreaterThan(0);
    }
    // What is told whatever the record holds is never wrong about this one.
    for (const [i, { permitted: says }] of whatever.entries()) if (says !== undefined) expect(says).toBe(whys[i]?.permitted);
  });
});

test('the deepest provision is cited, by its place in the Consent', () => {
  const consent = consentBy('1', { type: 'permit', ...except(purpose('HMARKT'), { ...labelled('HIV'), ...except(labelled('N')) }) });
  const cited = (...labels: string[]) => {
    const { input, keys } = decisionOn(observation({}, ...labels), { consents: [consent] });
    const consents = input.policies.map((compiled) => ({ reference: 'Consent/c1', compiled }));
    return why(input, { patient: '1', consents, tells: tellsOf('o', keys) }).cited.map(({ path }) => path);
  };
  expect([cited(), cited('HIV'), cited('HIV', 'N')]).toEqual([[[]], [[1]], [[1, 0]]]);
});

test('what a stolen key permitted is named as ended, and what it denied still denies', () => {
  const consent = consentBy('1', { type: 'permit', ...except(labelled('HIV')) });
  const told = (...labels: string[]) => {
    const { input, keys } = decisionOn(observation({}, ...labels), { consents: [consent], implicit: { kind: 'permit-except', labels: [] } });
    const consents = input.policies.map((compiled) => ({ reference: 'Consent/c1', compiled: { ...compiled, permitsUntil: input.now } }));
    const { permitted, ground, cited, silent } = why(input, { patient: '1', consents, tells: tellsOf('o', keys) });
    return { permitted, ground, cited: cited.map(({ path }) => path), silent };
  };
  const silent = [{ reference: 'Consent/c1', because: 'signature' }];
  // No implicit policy stands in: what the permit did not reach it closed, and it may have been the patient's own.
  expect(told()).toEqual({ permitted: false, ground: 'not-reached', cited: [], silent });
  expect(told('HIV')).toEqual({ permitted: false, ground: 'consent-denies', cited: [[0]], silent });
});

test.each(['suspended', 'by-stolen-key'] as const)('what was ended (%s) is named, and what it denied is cited', (ended) => {
  const { input, keys } = decisionOn(observation(), {
    consents: [consentBy('1', { type: 'deny' })],
    implicit: { kind: 'permit-except', labels: [] },
  });
  const consents = input.policies.map((compiled) => ({ reference: 'Consent/c1', compiled: { ...compiled, permitsUntil: 0, ended } }));
  const { permitted, ground, cited, silent } = why(input, { patient: '1', consents, tells: tellsOf('o', keys) });
  expect([permitted, ground, cited.length, silent]).toEqual([false, 'consent-denies', 1, [{ reference: 'Consent/c1', because: ended }]]);
});

test('of whatever names these patients, only what is so of all of them is told', () => {
  const tells = tellsOfAny('o', ['1']);
  const [mine, theirs, label] = [any([`${PATIENT}1`]), any([`${PATIENT}2`]), any(['~rank/5'])];
  const told: readonly (readonly [Expression, boolean | undefined])[] = [
    [mine, true],
    [theirs, false],
    [label, undefined],
    [any([`${PATIENT}2`, '~rank/5']), undefined],
    [startsWith(PATIENT), true],
    [{ kind: 'every', prefix: PATIENT, keys: new Set([`${PATIENT}1`]) }, true],
    [{ kind: 'every', prefix: '~sens/', keys: new Set() }, undefined],
    [and([theirs, label]), false],
    [and([mine, label]), undefined],
    [or([mine, label]), true],
    [or([theirs, label]), undefined],
    [not(label), undefined],
    [not(theirs), true],
    [{ kind: 'id', ids: new Set(['o']) }, true],
    [{ kind: 'id', ids: new Set(['x']) }, false],
  ];
  for (const [expression, wanted] of told) expect(tells(expression)).toBe(wanted);
});
