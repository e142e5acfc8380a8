/**
 * Everyone a caller is, for the actors of a Consent: the actor itself, its client, its organization with parents, the role it is, the
 * teams and groups any of these is in. consent.md §2 rule 3
 *
 * Invariant: a permit reaches only memberships that certainly hold now; a deny reaches every role and team, whatever its status.
 */
import { parseReference } from '../fhir/references.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import { rangeOf } from '../fhir/dates.ts';
import type { Caller } from './model.ts';

export type Closure = {
  readonly permit: ReadonlySet<string>;
  readonly deny: ReadonlySet<string>;
  /** ms since 1970, when a membership next begins or ends. */
  readonly validUntil: number;
};

type Element = Readonly<Record<string, unknown>>;

/** `directory`: every Organization, PractitionerRole, CareTeam and Group that could matter; more does no harm. */
export function closureOf(caller: Caller, directory: readonly ResourceValue[], now: number): Closure {
  const start = [caller.actor, `Device/${caller.client}`];
  const memberships = directory.flatMap(membershipsOf);
  const boundaries = memberships.flatMap(({ period }) => (period ? [period.low, period.high + 1] : [])).filter((instant) => instant > now);
  const holdsNow = (m: Membership) =>
    m.certain && (!m.period || (now >= m.period.low && now <= m.period.high)) && (!m.onlyFor || m.onlyFor === caller.actor);
  const certain = memberships.filter(holdsNow);
  // Rule 3: teams and groups that the caller or what stands above it is in; not teams of teams.
  const above = reach(
    start,
    certain.filter(({ team }) => !team),
  );
  const teams = certain.filter(({ team, from }) => team && above.has(from)).map(({ to }) => to);
  return {
    permit: new Set([...above, ...teams]),
    deny: reach(start, memberships),
    validUntil: Math.min(...boundaries, Number.POSITIVE_INFINITY),
  };
}

/** `from` is (in) `to`. */
type Membership = {
  readonly from: string;
  readonly to: string;
  readonly certain: boolean;
  readonly period: { readonly low: number; readonly high: number } | undefined;
  readonly team: boolean;
  /** A PractitionerRole lends its practitioner and organization only to the caller that is this role. */
  readonly onlyFor?: string;
};

function membershipsOf(resource: ResourceValue): Membership[] {
  switch (resource.resourceType) {
    case 'Organization':
      return link(selfOf(resource), linkTo(resource['partOf']), { certain: true });
    case 'PractitionerRole':
      return roleLinks(resource);
    case 'CareTeam':
      return elements(resource['participant']).flatMap((participant) => {
        const periods = [rangeOf(resource['period']), rangeOf(participant['period'])].filter((period) => period !== undefined);
        const terms = { certain: resource['status'] === 'active', period: intersection(periods), team: true };
        return link(linkTo(participant['member']), selfOf(resource), terms);
      });
    case 'Group':
      return elements(resource['member']).flatMap((member) => {
        const certain = resource['active'] !== false && resource['actual'] === true && member['inactive'] !== true;
        return link(linkTo(member['entity']), selfOf(resource), { certain, period: rangeOf(member['period']), team: true });
      });
    default:
      return [];
  }
}

function roleLinks(role: ResourceValue): Membership[] {
  const self = selfOf(role);
  const period = rangeOf(role['period']);
  const [practitioner, organization] = [linkTo(role['practitioner']), linkTo(role['organization'])];
  const lends = { certain: role['active'] !== false, period, onlyFor: self.reference };
  // For a deny, whoever fills a role stands for the role and its organization too.
  const fills = { certain: false, period };
  return [
    ...link(self, practitioner, lends),
    ...link(self, organization, lends),
    ...link(practitioner, self, fills),
    ...link(practitioner, organization, fills),
  ];
}

/** `certain`: the reference can be read in one way only. */
type Link = { readonly reference: string; readonly certain: boolean };

function link(
  from: Link | undefined,
  to: Link | undefined,
  terms: { readonly certain: boolean; readonly period?: Membership['period']; readonly team?: boolean; readonly onlyFor?: string },
): Membership[] {
  if (!from || !to) return [];
  const certain = terms.certain && from.certain && to.certain;
  return [{ team: false, period: undefined, ...terms, from: from.reference, to: to.reference, certain }];
}

function selfOf(resource: ResourceValue): Link {
  return { reference: `${resource.resourceType}/${resource.id ?? ''}`, certain: true };
}

/** A URL may be ours or another server's: enough for a deny, not for a permit. */
function linkTo(value: unknown): Link | undefined {
  const text = (value as Element | undefined)?.['reference'];
  const parsed = typeof text === 'string' ? parseReference(text) : undefined;
  if ((parsed?.kind !== 'local' && parsed?.kind !== 'absolute') || parsed.type === undefined) return undefined;
  return { reference: `${parsed.type}/${parsed.id ?? ''}`, certain: parsed.kind === 'local' };
}

function intersection(periods: readonly { readonly low: number; readonly high: number }[]): Membership['period'] {
  if (periods.length === 0) return undefined;
  return { low: Math.max(...periods.map(({ low }) => low)), high: Math.min(...periods.map(({ high }) => high)) };
}

function reach(start: readonly string[], memberships: readonly Membership[]): ReadonlySet<string> {
  const reached = new Set(start);
  for (let size = -1; size !== reached.size; ) {
    size = reached.size;
    for (const { from, to } of memberships) if (reached.has(from)) reached.add(to);
  }
  return reached;
}

function elements(value: unknown): Element[] {
  return Array.isArray(value) ? (value as Element[]) : [];
}
