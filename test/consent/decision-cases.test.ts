/** The decision tables of consent.md §8, row by row, and how long a decision holds. */
import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { scopeFor } from '../../server/consent/decide.ts';
import type { ImplicitPolicy } from '../../server/consent/model.ts';
import { AssentError } from '../../server/errors.ts';
import { callerFor, consentBy, decision, except, NOON, observation } from '../support/consents.ts';
import { askedBy, decisionTables, type DecisionRow, readTable } from '../support/decision-tables.ts';

const insurer = 'Organization/insurer';
const optIn = (more = {}) => consentBy('1', { type: 'permit', ...more });
const closed: ImplicitPolicy = { kind: 'deny' };
const open: ImplicitPolicy = { kind: 'permit-except', labels: [] };

describe.each(decisionTables())('$name', ({ rows }) => {
  test.each(rows.map((row) => [`${row.case}: ${row.decision}. ${row.reason}`, row] as const))('%s', (_words, row) => {
    expect(decided(row)).toBe(row.decision);
  });
});

/** Where no implicit policy is given, the Consents decide whatever it is, or they say nothing. */
function decided(row: DecisionRow): DecisionRow['decision'] | 'neither' {
  if (row.implicit) return under(row, row.implicit);
  const [inClosed, inOpen] = [under(row, closed), under(row, open)];
  if (inClosed === inOpen) return inClosed;
  // A permit that speaks to the caller takes the place of what the house denies.
  if (inClosed === 'deny') return 'not-applicable';
  return 'neither';
}

function under(row: DecisionRow, implicit: ImplicitPolicy): 'permit' | 'deny' {
  const asked = askedBy(row, (consent) => expect(() => compileConsent(consent, { now: NOON })).toThrow(AssentError));
  return decision(row.resource, { ...asked, implicit }) === 'P' ? 'permit' : 'deny';
}

test('a table is read only if every row of it can be looked at', () => {
  const row = { case: 'a', reason: 'So it is.', decision: 'deny', resource: observation(), consents: [] };
  const table = (rows: unknown, about: unknown = 'What it is.') => JSON.stringify({ about, rows });
  expect(readTable('t', table([row])).rows).toHaveLength(1);
  const wrong = [
    table([]),
    table([row], null),
    JSON.stringify({ about: 'No rows.' }),
    table([{ ...row, reason: 'none' }]),
    table([{ ...row, decision: 'D' }]),
    table([{ ...row, resource: undefined }]),
    table([{ ...row, resourse: observation() }]),
    table([{ ...row, decision: 'not-applicable', implicit: closed }]),
    table([row, row]),
  ];
  for (const text of wrong) expect(() => readTable('t', text)).toThrow(/^t[:,]/);
});

test('how long an answer may be kept: to the next boundary of any period in it', () => {
  const caller = callerFor(insurer);
  const until = (...consents: readonly ReturnType<typeof optIn>[]) =>
    scopeFor({
      caller,
      type: 'Observation',
      now: NOON,
      implicit: { kind: 'deny' },
      closure: { permit: new Set([insurer]), deny: new Set([insurer]), validUntil: Date.parse('2026-01-01') },
      policies: consents.map((consent) => compileConsent(consent, { now: NOON })),
      voidPatients: new Set(),
      anchors: new Set(),
    }).validUntil;
  const ends = optIn({ period: { end: '2024-07-31' } });
  const begins = optIn(except({ period: { start: '2024-06-30' } }));
  expect([until(), until(ends), until(ends, begins)].map((ms) => new Date(ms).toISOString().slice(0, 10))).toEqual([
    '2026-01-01',
    '2024-08-01',
    '2024-06-30',
  ]);
});

test('an answer holds until the next period begins or ends, and is then another', () => {
  const consents = [optIn({ period: { start: '2024-06-02', end: '2024-06-03' } })];
  const at = (instant: string) => decision(observation(), { consents, now: Date.parse(instant) });
  expect([at('2024-06-01T23:59:59.999Z'), at('2024-06-02T00:00:00Z'), at('2024-06-03T23:59:59.999Z'), at('2024-06-04T00:00:00Z')]).toEqual([
    'D',
    'P',
    'P',
    'D',
  ]);
});
