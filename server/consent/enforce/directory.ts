/** The stored resources through which a caller may be one of a Consent's actors: its organizations, roles, teams and groups. consent.md §2 rule 3 */
import type { ResourceValue } from '../../fhir/resource.ts';
import type { Expression } from '../../search/expression.ts';
import type { ResourceStore } from '../../store/port.ts';
import { type Closure, closureOf } from '../closure.ts';
import type { Caller } from '../model.ts';

export type Directory = {
  readonly resources: Pick<ResourceStore, 'find'>;
  /** A search as an expression over index keys. */
  readonly where: (type: string, query: string) => Expression;
  readonly now: () => number;
};

/** Deeper chains of organizations and teams than this are not followed: a permit that rests on them does not reach. */
const ROUNDS = 8;
const MOST = 1000;

/** Where a reference leads, by search. */
const membershipSearches = [
  ['PractitionerRole', 'practitioner'],
  ['CareTeam', 'participant'],
  ['Group', 'member'],
] as const;

export async function callerClosure(directory: Directory, caller: Caller): Promise<Closure> {
  const found = new Map<string, ResourceValue>();
  let frontier = [caller.actor, `Device/${caller.client}`];
  const asked = new Set<string>();
  for (let round = 0; round < ROUNDS && frontier.length > 0; round++) {
    for (const reference of frontier) asked.add(reference);
    const resources = (await Promise.all(frontier.map((reference) => around(directory, reference)))).flat();
    for (const resource of resources) found.set(`${resource.resourceType}/${resource.id ?? ''}`, resource);
    // A deny reaches through every role and team: its closure is the widest that can be needed.
    const { deny } = closureOf(caller, [...found.values()], directory.now());
    frontier = [...deny].filter((reference) => !asked.has(reference));
  }
  return closureOf(caller, [...found.values()], directory.now());
}

/** The resource itself, if it can lead further, and those that count it as a member. */
async function around(directory: Directory, reference: string): Promise<ResourceValue[]> {
  const [type = '', id = ''] = reference.split('/');
  const self = type === 'Organization' || type === 'PractitionerRole' ? [find(directory, type, { kind: 'id', ids: new Set([id]) })] : [];
  const memberships = membershipSearches
    .filter(([, parameter]) => parameter !== 'practitioner' || type === 'Practitioner')
    .map(([holder, parameter]) => find(directory, holder, directory.where(holder, `${parameter}=${reference}`)));
  return (await Promise.all([...self, ...memberships])).flat();
}

async function find({ resources }: Directory, type: string, where: Expression): Promise<ResourceValue[]> {
  const found = await resources.find({ type, where, scope: 'internal', order: { by: 'instant', direction: 'newest-first' }, limit: MOST });
  return found.kind === 'rows' ? found.rows.map(({ body }) => JSON.parse(body) as ResourceValue) : [];
}
