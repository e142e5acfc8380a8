/** Everyone a caller is, gathered from the store: all of it, or no answer. consent.md §2 rule 3 */
import { describe, expect, test } from 'vitest';
import { callerClosure, type Directory } from '../../../server/consent/enforce/directory.ts';
import type { ResourceValue } from '../../../server/fhir/resource.ts';
import { createSearch } from '../../../server/search/create-search.ts';
import { holds } from '../../../server/search/expression.ts';
import { indexKeys } from '../../../server/search/index-values.ts';
import type { FindResult, StoredResource } from '../../../server/store/port.ts';
import { callerFor, NOON } from '../../support/consents.ts';

const base = 'https://here.example/fhir';
const ref = (reference: string) => ({ reference });
const organization = (id: string, partOf?: string): ResourceValue => ({
  resourceType: 'Organization',
  id,
  ...(partOf === undefined ? {} : { partOf: ref(`Organization/${partOf}`) }),
});
const team = (id: string, ...members: string[]): ResourceValue => ({
  resourceType: 'CareTeam',
  id,
  status: 'active',
  participant: members.map((member) => ({ member: ref(member) })),
});

/** A store that answers searches by reference, a page at a time, and counts them. */
function directoryOf(...resources: ResourceValue[]): Directory & { readonly searches: string[]; fail: (kind: 'budget') => void } {
  const searches: string[] = [];
  let failure: 'budget' | undefined;
  const search = createSearch({ base, clock: () => NOON });
  const rows = resources.map((resource): StoredResource & { readonly id: string } => ({
    type: resource.resourceType,
    id: String(resource.id),
    version: '1',
    lastUpdated: NOON,
    instant: NOON,
    deleted: false,
    body: JSON.stringify(resource),
    keys: indexKeys(resource, base).keys,
  }));
  return {
    searches,
    fail: (kind) => void (failure = kind),
    now: () => NOON,
    where(type, query) {
      searches.push(`${type}?${query}`);
      return search.plan(type, query, 'strict').where;
    },
    resources: {
      find: async ({ type, where, limit, after }): Promise<FindResult> => {
        if (failure) return { kind: failure, walked: 0, by: [] };
        const matching = rows.filter((row) => row.type === type && holds(where, row.id, row.keys));
        const from = after ? matching.findIndex(({ id }) => id === after.id) + 1 : 0;
        const page = matching.slice(from, from + limit);
        const more = from + limit < matching.length;
        return {
          kind: 'rows',
          rows: page,
          first: undefined,
          next: more ? { sort: NOON, id: page.at(-1)?.id ?? '' } : undefined,
          walked: page.length,
        };
      },
    },
  };
}

describe('the closure from the store', () => {
  test('follows organizations, roles, teams and groups, whatever the order they were stored in', async () => {
    const directory = directoryOf(
      team('of-parent', 'Organization/parent'),
      organization('parent', 'top'),
      organization('top'),
      {
        resourceType: 'PractitionerRole',
        id: 'r',
        practitioner: ref('Practitioner/7'),
        organization: ref('Organization/ward'),
      },
      organization('ward', 'parent'),
      organization('elsewhere', 'top'),
      { resourceType: 'Group', id: 'g', actual: true, member: [{ entity: ref('Device/client') }] },
    );
    const { permit, deny } = await callerClosure(directory, callerFor('PractitionerRole/r'));
    expect([...permit].toSorted()).toEqual([
      'CareTeam/of-parent',
      'Device/client',
      'Group/g',
      'Organization/parent',
      'Organization/top',
      'Organization/ward',
      'Practitioner/7',
      'PractitionerRole/r',
    ]);
    expect([...permit].every((reference) => deny.has(reference))).toBe(true);
  });

  test('a chain of any length is followed to its end, and a ring comes to one', async () => {
    const chain = Array.from({ length: 30 }, (_, i) => organization(`o${i}`, `o${(i + 1) % 30}`));
    const { permit, deny } = await callerClosure(directoryOf(...chain), callerFor('Organization/o0'));
    expect([permit.has('Organization/o29'), deny.has('Organization/o29')]).toEqual([true, true]);
  });

  test('the last of thousands of teams counts like the first, and thousands of teams are few searches', async () => {
    const teams = Array.from({ length: 2500 }, (_, i) => team(`t${i}`, 'Organization/hospital'));
    const directory = directoryOf(organization('hospital'), ...teams);
    const { permit, deny } = await callerClosure(directory, callerFor('Organization/hospital'));
    expect([permit.has('CareTeam/t2499'), deny.has('CareTeam/t2499')]).toEqual([true, true]);
    expect(directory.searches.length).toBeLessThan(150);
  });

  test('what cannot be gathered whole is no answer', async () => {
    const directory = directoryOf(organization('hospital'));
    directory.fail('budget');
    await expect(callerClosure(directory, callerFor('Organization/hospital'))).rejects.toMatchObject({ code: 'too-costly' });
  });
});
