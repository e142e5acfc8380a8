/**
 * Profiles a resource claims in meta.profile, or is asked to meet, against those on board. https://hl7.org/fhir/R4/resource.html#Meta.profile
 *
 * Invariant: a profile on board is always judged; one that is not is said, as advice or as an error by setting, and as an error to who asks by name.
 */
import type { StructureDefinition } from '@medplum/fhirtypes';
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { Shapes } from '../shapes.ts';
import type { JsonObject, Visit } from '../structure.ts';
import type { ValueSets } from '../value-sets.ts';
import { judgeProfile } from './conformance.ts';
import type { Package } from './package.ts';
import { createProfiles, type Profile } from './profiles.ts';

export type UnknownProfiles = 'accept' | 'refuse';

export type Packages = {
  readonly packages: readonly Package[];
  readonly unknownProfiles: UnknownProfiles;
};

/** `visit`: a value whose shape is proven. `asked`: profiles a resource must meet besides those it claims. */
export type ClaimStep = (visit: Visit, asked: readonly string[]) => readonly Finding[];

type Parts = Packages & {
  readonly shapes: Shapes;
  readonly valueSets: ValueSets;
  readonly core: (name: string) => StructureDefinition | undefined;
  readonly most: number;
};

export function createClaimStep({ packages, unknownProfiles, shapes, valueSets, core, most }: Parts): ClaimStep {
  const profiles = createProfiles(packages, { shapes, core });
  const judge = (profile: Profile, { value, place, scope, shape }: Visit): readonly Finding[] => {
    const item = { value, twin: undefined, type: shape.name, shape, place };
    return judgeProfile({ profile, profiles, shapes, valueSets, resource: scope.resource, scope, most, follows: true }, item);
  };
  const judgeBy = (canonical: string, visit: Visit): readonly Finding[] | undefined => {
    const profile = profiles.find(canonical);
    if (profile) return judge(profile, visit);
    return isOwnType(canonical, visit.shape.name) ? NONE : undefined;
  };
  /** An extension names its definition by its url, wherever it stands. */
  const judgeExtension = (visit: Visit): readonly Finding[] => {
    const { url } = visit.value;
    const profile = typeof url === 'string' && url.includes(':') ? profiles.find(url) : undefined;
    return profile?.type === 'Extension' ? judge(profile, visit) : NONE;
  };
  return (visit, asked) => {
    if (visit.shape.name === 'Extension') return judgeExtension(visit);
    if (!visit.shape.isResource) return NONE;
    const claims = claimsOf(visit.value).map(({ canonical, index }) => ({ canonical, place: claimPlace(visit.place, index) }));
    if (claims.length + asked.length > MOST_PROFILES) return [{ place: visit.place, diagnostics: TOO_MANY, code: 'too-costly' }];
    const claimed = claims.flatMap(({ canonical, place }) => judgeBy(canonical, visit) ?? [notOnBoard(place, unknownProfiles === 'refuse')]);
    const others = asked.filter((canonical) => !claims.some((claim) => claim.canonical === canonical));
    return [...claimed, ...others.flatMap((canonical) => judgeBy(canonical, visit) ?? [notOnBoard(visit.place, true)])];
  };
}

const NONE: readonly Finding[] = [];

/** The definition of a type is no profile; a resource of the type meets it, or would not have come so far. */
function isOwnType(canonical: string, type: string): boolean {
  return canonical.replace(/\|4\.0(\.1)?$/, '') === `http://hl7.org/fhir/StructureDefinition/${type}`;
}

/** Each claim costs a judgement: a bound keeps one small body from costing seconds. */
const MOST_PROFILES = 40;
const TOO_MANY = `More than ${MOST_PROFILES} profiles are not judged.`;

/** Each once, with the first place that names it. */
function claimsOf(value: JsonObject): { readonly canonical: string; readonly index: number }[] {
  const claims = (value['meta'] as { readonly profile?: unknown } | undefined)?.profile;
  if (!Array.isArray(claims)) return [];
  const places = new Map<string, number>();
  claims.forEach((canonical: unknown, index) => {
    if (typeof canonical === 'string' && !places.has(canonical)) places.set(canonical, index);
  });
  return [...places].map(([canonical, index]) => ({ canonical, index }));
}

function claimPlace(place: Place, index: number): Place {
  return { up: { up: place, step: '.meta' }, step: '.profile', index };
}

function notOnBoard(place: Place, isError: boolean): Finding {
  const diagnostics = 'This profile is not on board, so the resource was not checked against it.';
  return { place, diagnostics, code: 'not-supported', ...(isError ? {} : { severity: 'warning' }) };
}
