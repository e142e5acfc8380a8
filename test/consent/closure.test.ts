import { describe, expect, test } from 'vitest';
import { closureOf } from '../../server/consent/closure.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { callerFor, NOON } from '../support/consents.ts';

const ref = (reference: string) => ({ reference });
const organization = (id: string, partOf?: string) => ({
  resourceType: 'Organization',
  id,
  ...(partOf === undefined ? {} : { partOf: ref(partOf) }),
});
const role = (more = {}) => ({
  resourceType: 'PractitionerRole',
  id: 'r',
  practitioner: ref('Practitioner/7'),
  organization: ref('Organization/ward'),
  ...more,
});
const team = (member: string, more = {}, participant = {}) => ({
  resourceType: 'CareTeam',
  id: 'team',
  status: 'active',
  participant: [{ member: ref(member), ...participant }],
  ...more,
});
const group = (entity: string, more = {}, member = {}) => ({
  resourceType: 'Group',
  id: 'group',
  active: true,
  actual: true,
  member: [{ entity: ref(entity), ...member }],
  ...more,
});
const wards = [organization('ward', 'Organization/clinic'), organization('clinic', 'Organization/ward')];

/** What the caller is for permits, and what more for denies. */
function closure(actor: string, ...directory: ResourceValue[]) {
  const { permit, deny, validUntil } = closureOf(callerFor(actor), [...wards, ...directory], NOON);
  const also = (of: ReadonlySet<string>, than: readonly string[]) => [...of].filter((each) => !than.includes(each)).sort();
  return { permit: also(permit, [actor, 'Device/client']), denyOnly: also(deny, [...permit]), validUntil };
}

describe('who a caller is', () => {
  test.each<readonly [string, string, ResourceValue[], string[], string[]]>([
    ['an organization, its parents, even in a ring', 'Organization/ward', [], ['Organization/clinic'], []],
    ['nobody becomes a child', 'Organization/other', [organization('child', 'Organization/other')], [], []],
    [
      'a role lends practitioner and organization to itself',
      'PractitionerRole/r',
      [role()],
      ['Organization/clinic', 'Organization/ward', 'Practitioner/7'],
      [],
    ],
    [
      'not to its practitioner, except for denies',
      'Practitioner/7',
      [role()],
      [],
      ['Organization/clinic', 'Organization/ward', 'PractitionerRole/r'],
    ],
    ['an inactive role', 'PractitionerRole/r', [role({ active: false })], [], ['Organization/clinic', 'Organization/ward', 'Practitioner/7']],
    ['an active team', 'Practitioner/7', [team('Practitioner/7')], ['CareTeam/team'], []],
    ['a proposed team', 'Practitioner/7', [team('Practitioner/7', { status: 'proposed' })], [], ['CareTeam/team']],
    ['a team of the parent', 'Organization/ward', [team('Organization/clinic')], ['CareTeam/team', 'Organization/clinic'], []],
    ['a team whose time is over', 'Practitioner/7', [team('Practitioner/7', { period: { end: '2024-05-31' } })], [], ['CareTeam/team']],
    ['a member whose time is over', 'Practitioner/7', [team('Practitioner/7', {}, { period: { end: '2024-05-31' } })], [], ['CareTeam/team']],
    ['a member on the last day', 'Practitioner/7', [team('Practitioner/7', {}, { period: { end: '2024-06-01' } })], ['CareTeam/team'], []],
    ['a group', 'Practitioner/7', [group('Practitioner/7')], ['Group/group'], []],
    ['a group of kinds, not of members', 'Practitioner/7', [group('Practitioner/7', { actual: false })], [], ['Group/group']],
    ['an inactive group', 'Practitioner/7', [group('Practitioner/7', { active: false })], [], ['Group/group']],
    ['an inactive member', 'Practitioner/7', [group('Practitioner/7', {}, { inactive: true })], [], ['Group/group']],
    ['a group of the client', 'Organization/other', [group('Device/client')], ['Group/group'], []],
    ['a team in a group', 'Practitioner/7', [team('Practitioner/7'), group('CareTeam/team')], ['CareTeam/team'], ['Group/group']],
    ['a member by URL, which may be another’s', 'Practitioner/7', [team('https://x.example/fhir/Practitioner/7')], [], ['CareTeam/team']],
    ['a member by version', 'Practitioner/7', [team('Practitioner/7/_history/2')], ['CareTeam/team'], []],
  ])('%s', (_why, actor, directory, permit, denyOnly) => {
    expect(closure(actor, ...directory)).toMatchObject({ permit, denyOnly });
  });

  test('until a membership next begins or ends', () => {
    const limited = team(
      'Practitioner/7',
      { period: { start: '2024-01-01', end: '2024-07-01' } },
      { period: { start: '2024-06-02', end: '2024-12-31' } },
    );
    expect(closure('Practitioner/7', limited).validUntil).toBe(Date.parse('2024-06-02'));
    expect(closure('Practitioner/7').validUntil).toBe(Number.POSITIVE_INFINITY);
  });
});
