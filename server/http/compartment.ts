/**
 * GET /fhir/{compartment}/{id}/{type}?…, …/*?… and their _search forms: a search among what belongs to one Patient, Encounter,
 * Practitioner, RelatedPerson or Device. https://hl7.org/fhir/R4/http.html#vsearch
 *
 * Invariant: whether the resource the compartment is named after exists is not told: of a hidden, an absent and an empty one the answer is
 * the same empty page. consent.md §3
 */
import { AssentError } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import { type Compartment, compartmentOf, ITSELF } from '../fhir/compartment-definitions.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { all, and, type Expression, or } from '../search/expression.ts';
import type { SearchPlan } from '../search/plan.ts';
import type { GatherPlace } from '../consent/gate.ts';
import { notFound, receiptHeaders } from './answer.ts';
import { cursorBinding } from './cursor-binding.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { linksOf, matchEntry, searched, searchIn } from './search.ts';
import type { Search, Services } from './services.ts';
import { partOf } from './subset.ts';
import { checkId } from './target.ts';

export async function compartment(request: FhirRequest, services: Services): Promise<Answer> {
  const { type, id, member, gate } = request;
  const definition = compartmentOf(type);
  if (!definition || /^[$_]/.test(member)) throw new AssentError('not-supported');
  checkId(id);
  if (member === '' || member === '*') return searchAll(request, services, definition);
  if (!isResourceType(member) || !Object.hasOwn(definition, member))
    throw new AssentError('not-supported', `${type} compartments hold no resources of this type.`);
  if (!services.allows(gate.caller, 's', member)) throw new AssentError('forbidden', 'The token holds no scope to search this type.');
  return searchIn(request, services, { type: member, path: `${type}/${id}/${member}`, within: membership(services.search, { type, id }, member) });
}

/** What puts a resource of type `member` into the compartment of `owner`. */
export function membership(search: Search, owner: { readonly type: string; readonly id: string }, member: string): Expression {
  const parameters = compartmentOf(owner.type)?.[member] ?? [];
  return or(
    parameters.map((parameter) =>
      parameter === ITSELF
        ? { kind: 'id', ids: new Set([owner.id]) }
        : search.plan(member, new URLSearchParams([[parameter, `${owner.type}/${owner.id}`]]), 'strict').where,
    ),
  );
}

/** Types in an order of their own: the one the compartment is named after, then by name. */
export function typesOf(definition: Compartment, owner: string): readonly string[] {
  const others = Object.keys(definition).filter((type) => type !== owner);
  return [...(Object.hasOwn(definition, owner) ? [owner] : []), ...others.sort()];
}

/** The types of `_type`, each once; undefined where there is none. Throws invalid-search for what is no type. */
export function askedTypes(values: readonly string[]): ReadonlySet<string> | undefined {
  const asked = values.flatMap((value) => value.split(',')).map((type) => type.trim());
  if (asked.length === 0) return undefined;
  if (!asked.every(isResourceType)) throw new AssentError('invalid-search', '_type names resource types of R4, with commas between them.');
  return new Set(asked);
}

/** Every page leaves AuditEvents, which are in a compartment themselves: those of the pages would follow without end. */
export function writtenBefore({ search }: Services, type: string, asOf: number): Expression {
  return type === 'AuditEvent' ? search.plan(type, new URLSearchParams({ _lastUpdated: `lt${new Date(asOf).toISOString()}` }), 'strict').where : all;
}

/** Where the page before ended, and when the first one was asked for. */
type Resume = { readonly place: GatherPlace; readonly asOf: number };

/** All types at once: only what every type has can be a criterion. */
async function searchAll(request: FhirRequest, services: Services, definition: Compartment): Promise<Answer> {
  const { type, id, gate } = request;
  const parameters = searched(request);
  const asked = askedTypes(parameters.getAll('_type'));
  parameters.delete('_type');
  if (parameters.has('_sort')) throw new AssentError('invalid-search', '_sort needs one type.');
  const types = typesOf(definition, type).filter((member) => (!asked || asked.has(member)) && services.allows(gate.caller, 's', member));
  const planned = types.map((member) => ({ member, plan: services.search.plan(member, parameters, 'strict') }));
  const [first] = planned;
  if (!first) throw new AssentError('forbidden', 'The token holds no scope to search any of these types.');
  const { count, total, cursor, used } = first.plan;
  const path = `${type}/${id}/*`;
  const self = [...(asked ? [new URLSearchParams({ _type: [...asked].join(',') }).toString()] : []), ...(used === '' ? [] : [used])].join('&');
  const binding = cursorBinding(request, `${path}?${self} ${types.join()}`);
  const resume = cursor === undefined ? undefined : (services.cursors.open(cursor, binding) as Resume);
  const asOf = resume?.asOf ?? services.clock();
  const found = await gate.gather({
    interaction: 'search-type',
    type: undefined,
    parts: planned.map(({ member, plan }) => ({ type: member, where: within(services, request, { member, plan, asOf }) })),
    count,
    total: total !== false,
    query: `${path}?${self}`,
    ...(resume ? { after: resume.place } : {}),
  });
  if (found.kind === 'absent') throw notFound();
  const part = partOf({ type: '', parameters, handling: 'strict' });
  const body = bundleText({
    type: 'searchset',
    ...(found.total === undefined ? {} : { total: found.total }),
    links: linksOf(`${services.base}/${path}`, self, {
      next: found.next && services.cursors.seal({ place: found.next, asOf } satisfies Resume, binding),
    }),
    entries: found.rows.map((row) => matchEntry(row, part, services.base)),
  });
  return { status: 200, headers: receiptHeaders(services.base, found.receipt), body };
}

type Member = { readonly member: string; readonly plan: SearchPlan; readonly asOf: number };

function within(services: Services, owner: FhirRequest, { member, plan, asOf }: Member): Expression {
  return and([plan.where, membership(services.search, owner, member), writtenBefore(services, member, asOf)]);
}
