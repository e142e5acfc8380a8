/**
 * Everyone a caller is, for the actors of a Consent: the actor itself, its client, its organization with parents, the role it is, the
 * teams and groups any of these is in. consent.md §2 rule 3
 *
 * Invariant: a permit reaches only memberships that certainly hold now; a deny reaches every role and team, whatever its status.
 */
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
  return {
    permit: reach(start, memberships.filter(holdsNow)),
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
  /** A PractitionerRole lends its practitioner and organization only to the caller that is this role. */
  readonly onlyFor?: string;
};

function membershipsOf(resource: ResourceValue): Membership[] {
  const self = `${resource.resourceType}/${resource.id ?? ''}`;
  const link = (from: string | undefined, to: string | undefined, more: Partial<Membership> = {}): Membership[] =>
    from === undefined || to === undefined ? [] : [{ from, to, certain: true, period: undefined, ...more }];
  switch (resource.resourceType) {
    case 'Organization':
      return link(self, referenceIn(resource['partOf']));
    case 'PractitionerRole': {
      const certain = resource['active'] !== false;
      const period = rangeOf(resource['period']);
      const [practitioner, organization] = [referenceIn(resource['practitioner']), referenceIn(resource['organization'])];
      const lends = { certain, period, onlyFor: self };
      // For a deny, whoever fills a role stands for the role and its organization too.
      const fills = { certain: false, period };
      return [
        ...link(self, practitioner, lends),
        ...link(self, organization, lends),
        ...link(practitioner, self, fills),
        ...link(practitioner, organization, fills),
      ];
    }
    case 'CareTeam':
      return elements(resource['participant']).flatMap((participant) => {
        const certain = resource['status'] === 'active';
        const periods = [rangeOf(resource['period']), rangeOf(participant['period'])].filter((period) => period !== undefined);
        return link(referenceIn(participant['member']), self, { certain, period: intersection(periods) });
      });
    case 'Group':
      return elements(resource['member']).flatMap((member) => {
        const certain = resource['active'] !== false && resource['actual'] === true && member['inactive'] !== true;
        return link(referenceIn(member['entity']), self, { certain, period: rangeOf(member['period']) });
      });
    default:
      return [];
  }
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

function referenceIn(value: unknown): string | undefined {
  const reference = (value as Element | undefined)?.['reference'];
  return typeof reference === 'string' ? reference : undefined;
}

function elements(value: unknown): Element[] {
  return Array.isArray(value) ? (value as Element[]) : [];
}
