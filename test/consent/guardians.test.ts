/** What an adolescent keeps to themselves stays hidden from their guardian also where the custodian's own policy opens records. consent.md §6 */
import { describe, expect, test } from 'vitest';
import type { Authority } from '../../server/consent/authority.ts';
import { scopeFor } from '../../server/consent/decide.ts';
import { holds } from '../../server/search/expression.ts';
import { by, callerFor, consentBy, decisionOn, labelled, NOON, observation } from '../support/consents.ts';

const PARENT = 'RelatedPerson/parent';
const DAY = 86_400_000;

const guardian: Authority = {
  id: 'a',
  kids: ['k'],
  patient: '1',
  delegate: PARENT,
  basis: 'guardian',
  acts: ['sign'],
  from: NOON - DAY,
  until: NOON + DAY,
  majority: NOON + 9 * DAY,
  adolescence: NOON - DAY,
  logged: { granted: 1 },
  unchanged: { kind: 'record', recordKind: 'authority-event', id: 'a.000001', revision: null },
};

function sees(
  authority: Partial<Authority>,
  { actor = PARENT, provision, more = {} }: { actor?: string; provision?: object; more?: object } = {},
): readonly boolean[] {
  const consents = provision === undefined ? [] : [consentBy('1', { type: 'permit', ...by(PARENT), ...provision })];
  return [observation({ ...more }, 'N'), observation({ ...more }, 'N', 'HIV')].map((resource) => {
    const asked = { consents, caller: callerFor(actor), implicit: { kind: 'permit-except', labels: [] } } as const;
    const { input, keys } = decisionOn(resource, asked);
    const actsFor = actor === PARENT ? [{ ...guardian, ...authority }] : [];
    return holds(scopeFor({ ...input, actsFor, hiddenFromGuardians: ['HIV', 'V'] }).where, String(resource.id), keys);
  });
}

describe('under an implicit policy that permits', () => {
  test('the guardian of an adolescent does not see it, whatever their authority is for; a stranger, and the parent of a small child, do', () => {
    expect([sees({}), sees({ acts: ['read'] })]).toEqual([
      [true, false],
      [true, false],
    ]);
    expect([sees({}, { actor: 'Organization/insurer' }), sees({ adolescence: NOON + 1 })]).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  test('what is about somebody who cannot be found may be the adolescent’s', () => {
    const more = { subject: { display: 'a boy' } };
    expect(sees({}, { more })).toEqual([true, false]);
    expect(sees({}, { actor: 'Organization/insurer', more })).toEqual([true, true]);
  });

  test('what the adolescent permits them by their own Consent they see', () => {
    expect(sees({}, { provision: labelled('HIV') })).toEqual([false, true]);
  });

  test('an authority for another patient, one that is ended and one that has run out hide nothing', () => {
    for (const none of [{ patient: '2' }, { ended: {} }, { until: NOON }]) expect(sees(none)).toEqual([true, true]);
  });
});
