/**
 * The stored resources through which a caller may be one of a Consent's actors: its organizations, roles, teams and groups.
 * consent.md §2 rule 3
 *
 * Invariant: all of them are found or the request fails. A membership that was overlooked would be a deny that does not reach.
 */
import { AssentError } from '../../errors.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { Expression } from '../../search/expression.ts';
import type { Position, ResourceStore } from '../../store/port.ts';
import { type Closure, closureOf } from '../closure.ts';
import type { Caller } from '../model.ts';
import { newestFirst } from './view.ts';

export type Directory = {
  readonly resources: Pick<ResourceStore, 'find'>;
  /** A search as an expression over index keys. */
  readonly where: (type: string, query: string) => Expression;
  readonly now: () => number;
};

/** References in one search, rows in one page. */
const TOGETHER = 50;
const PAGE = 1000;

/** Who counts whom as a member, by search. */
const membershipSearches = [
  { holder: 'PractitionerRole', parameter: 'practitioner', of: /^Practitioner\// },
  { holder: 'CareTeam', parameter: 'participant', of: /^/ },
  { holder: 'Group', parameter: 'member', of: /^/ },
] as const;

/** What leads further by its own references. */
const leading = ['Organization', 'PractitionerRole'] as const;

export async function callerClosure(directory: Directory, caller: Caller): Promise<Closure> {
  const found = new Map<string, ResourceValue>();
  const asked = new Set<string>();
  let frontier = [caller.actor, `Device/${caller.client}`];
  while (frontier.length > 0) {
    for (const reference of frontier) asked.add(reference);
    for (const resource of await around(directory, frontier)) found.set(`${resource.resourceType}/${resource.id ?? ''}`, resource);
    // A deny reaches through every role and team: its closure is the widest that can be needed.
    const { deny } = closureOf(caller, [...found.values()], directory.now());
    frontier = [...deny].filter((reference) => !asked.has(reference));
  }
  return closureOf(caller, [...found.values()], directory.now());
}

/** Those of the references that lead further, and whoever counts one of them as a member. */
async function around(directory: Directory, references: readonly string[]): Promise<ResourceValue[]> {
  const selves = leading.map((type) => {
    const ids = references.flatMap((reference) => (reference.startsWith(`${type}/`) ? [reference.slice(type.length + 1)] : []));
    return ids.length === 0 ? [] : findAll(directory, type, { kind: 'id', ids: new Set(ids) });
  });
  const holders = membershipSearches.flatMap(({ holder, parameter, of }) =>
    slices(references.filter((reference) => of.test(reference))).map((members) =>
      findAll(directory, holder, directory.where(holder, `${parameter}=${members.join(',')}`)),
    ),
  );
  return (await Promise.all([...selves, ...holders])).flat();
}

/** Throws AssentError('too-costly') rather than answer with a part. */
async function findAll({ resources }: Directory, type: string, where: Expression): Promise<ResourceValue[]> {
  const all: ResourceValue[] = [];
  let after: Position | undefined;
  do {
    const found = await resources.find({ type, where, scope: 'internal', order: newestFirst, limit: PAGE, ...(after ? { after } : {}) });
    if (found.kind !== 'rows') throw new AssentError('too-costly');
    for (const { body } of found.rows) all.push(JSON.parse(body) as ResourceValue);
    after = found.next;
  } while (after);
  return all;
}

function slices(references: readonly string[]): readonly (readonly string[])[] {
  return Array.from({ length: Math.ceil(references.length / TOGETHER) }, (_, i) => references.slice(i * TOGETHER, (i + 1) * TOGETHER));
}
