/**
 * GET /fhir/{compartment}/{id}/{type}?…, …/*?… and their _search forms: a search among what belongs to one Patient, Encounter,
 * Practitioner, RelatedPerson or Device. https://hl7.org/fhir/R4/http.html#vsearch
 *
 * Invariant: whether the resource the compartment is named after exists is not told: of a hidden, an absent and an empty one the answer is
 * the same empty page. consent.md §3
 */
import { AssentError } from '../errors.ts';
import { type Compartment, compartmentOf, ITSELF } from '../fhir/compartment-definitions.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { type Expression, or } from '../search/expression.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { searchIn } from './search.ts';
import { searchSeveralIn } from './search-several.ts';
import type { Search, Services } from './services.ts';
import { checkId } from './target.ts';

export async function compartment(request: FhirRequest, services: Services): Promise<Answer> {
  const { type, id, member, gate } = request;
  const definition = compartmentOf(type);
  if (!definition || /^[$_]/.test(member)) throw new AssentError('not-supported');
  checkId(id);
  if (member === '' || member === '*')
    return searchSeveralIn(request, services, {
      path: `${type}/${id}/*`,
      interaction: 'search-type',
      types: typesOf(definition, type),
      within: (of) => membership(services.search, { type, id }, of),
    });
  if (!isResourceType(member) || !Object.hasOwn(definition, member))
    throw new AssentError('not-supported', `${type} compartments hold no resources of this type.`);
  if (!services.allows(gate.caller, 's', member)) throw new AssentError('forbidden', 'The token holds no scope to search this type.');
  return searchIn(request, services, { type: member, path: `${type}/${id}/${member}`, within: membership(services.search, { type, id }, member) });
}

/** What puts a resource of type `member` into the compartment of `owner`. */
export function membership(search: Pick<Search, 'plan'>, owner: { readonly type: string; readonly id: string }, member: string): Expression {
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
