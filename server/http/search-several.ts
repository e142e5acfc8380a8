/**
 * GET /fhir/?…, POST /fhir/_search: a search of everything the token may search, or of the types that `_type` names; and the same within a
 * compartment. https://hl7.org/fhir/R4/http.html#search
 *
 * Invariant: a type out of the token's reach is refused where it was named and otherwise not searched; both follow from the token alone.
 */
import type { SeveralRequest, SortPosition } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import { isResourceType, resourceTypes } from '../fhir/resource-types.ts';
import { all, type Expression } from '../search/expression.ts';
import { allOf } from '../search/join.ts';
import { cursorBinding } from './cursor-binding.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { preferenceOf } from './prefer.ts';
import { pageAnswer, type Resume, searched } from './search.ts';
import type { Services } from './services.ts';
import { partOf } from './subset.ts';

/** Where to look: at what path, in which of these types, and in each among what. */
export type SeveralPlaces = {
  readonly path: string;
  readonly interaction: SeveralRequest['interaction'];
  readonly types: readonly string[];
  readonly within: (type: string) => Expression;
};

export function searchSystem(request: FhirRequest, services: Services): Promise<Answer> {
  return searchSeveralIn(request, services, { path: '', interaction: 'search-system', types: resourceTypes, within: () => all });
}

/** The types of `_type`, each once; undefined where there is none. Throws invalid-search for what is no type. */
export function askedTypes(values: readonly string[]): ReadonlySet<string> | undefined {
  const asked = values.flatMap((value) => value.split(',')).map((type) => type.trim());
  if (asked.length === 0) return undefined;
  if (!asked.every(isResourceType)) throw new AssentError('invalid-search', '_type names resource types of R4, with commas between them.');
  return new Set(asked);
}

/** Every page leaves AuditEvents: those of the pages themselves would follow without end. */
export function writtenBefore({ search }: Pick<Services, 'search'>, type: string, asOf: number): Expression {
  return type === 'AuditEvent' ? search.plan(type, new URLSearchParams({ _lastUpdated: `lt${new Date(asOf).toISOString()}` }), 'strict').where : all;
}

/** Where the page before ended, and when the first one was asked for. */
type SeveralResume = Resume & { readonly asOf: number };

export async function searchSeveralIn(request: FhirRequest, services: Services, places: SeveralPlaces): Promise<Answer> {
  const { gate } = request;
  const { path, interaction, within } = places;
  const parameters = searched(request);
  const asked = askedTypes(parameters.getAll('_type'));
  const types = typesWithin(request, services, { types: places.types, asked });
  const { handling } = preferenceOf(request.header('prefer'));
  const query = `${path}?${parameters.toString()}`;
  parameters.delete('_type');
  const reach = (of: string, letter: 's' | 'r') => services.allows(gate.caller, letter, of);
  const plan = services.search.planSeveral(types, parameters, { handling, reach, named: asked !== undefined });
  const used = [...(asked ? [`_type=${[...asked].join()}`] : []), ...(plan.used === '' ? [] : [plan.used])].join('&');
  const binding = cursorBinding(request, `${path}?${used} ${types.join()}`);
  const resume = plan.cursor === undefined ? undefined : (services.cursors.open(plan.cursor, binding) as SeveralResume);
  const asOf = resume?.asOf ?? services.clock();
  const part = partOf({ type: '', parameters, handling });
  const { includes, count, total } = plan;
  const parts = plan.parts.map(({ type, where, order }) => ({
    type,
    order,
    where: allOf([where, within(type), writtenBefore(services, type, asOf)]),
  }));
  const place: { readonly after?: SortPosition; readonly back?: true } = {
    ...(resume?.after ? { after: resume.after } : {}),
    ...(resume?.back ? { back: true } : {}),
  };
  const result = await gate.searchSeveral({ interaction, parts, includes, count, total, query, ...place });
  const seal = (to: Resume) => services.cursors.seal({ ...to, asOf } satisfies SeveralResume, binding);
  return pageAnswer(request, services, { path, used, result, seal, part: { ...part, warnings: [...plan.warnings, ...part.warnings] } });
}

type Types = { readonly types: readonly string[]; readonly asked: ReadonlySet<string> | undefined };

/** Throws forbidden where a type is out of reach that was named, or all of them are. */
function typesWithin({ gate }: FhirRequest, { allows }: Services, { types, asked }: Types): readonly string[] {
  const within = asked ? types.filter((type) => asked.has(type)) : types;
  const refused = asked && within.find((type) => !allows(gate.caller, 's', type));
  if (refused !== undefined) throw new AssentError('forbidden', `The token holds no scope to search ${refused}.`);
  const open = within.filter((type) => allows(gate.caller, 's', type));
  if (open.length > 0) return open;
  if (asked && within.length === 0) throw new AssentError('invalid-search', '_type names nothing that can be here.');
  throw new AssentError('forbidden', 'The token holds no scope to search any of these types.');
}
