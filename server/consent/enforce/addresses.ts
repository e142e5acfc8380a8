/**
 * Where the server writes to somebody that there is something to look at: what the record of a patient, or the directory's entry of an organization,
 * has for e-mail. consent.md §5, https://hl7.org/fhir/R4/datatypes.html#ContactPoint
 *
 * Invariant: that the server wrote to a patient is on their trail before it does.
 */
import { rangeOf } from '../../fhir/dates.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import { elements } from '../compile.ts';
import { actBase, commitActs, type Disclosure, versionReference } from './disclose.ts';
import { storedById } from './on-record.ts';

type Addressing = Pick<Disclosure, 'caller' | 'resources' | 'record' | 'logRow'> & {
  readonly now: () => number;
  /** Of what the record has: whether a letter can go there. */
  readonly isAddress: (text: unknown) => text is string;
};

/** Of `Patient/x` or `Organization/x`; undefined: nothing to write to, a patient who has died, or somebody else. */
export async function mailAddressOf(deps: Addressing, reference: string): Promise<string | undefined> {
  const [type = '', id = ''] = reference.split('/');
  if (type !== 'Patient' && type !== 'Organization') return undefined;
  const stored = await storedById(deps, type, id);
  const resource = stored && (JSON.parse(stored.body) as ResourceValue);
  if (!resource || resource['active'] === false || resource['deceasedBoolean'] === true || resource['deceasedDateTime'] !== undefined)
    return undefined;
  const [address] = mailboxes(resource, deps);
  if (address === undefined || type === 'Organization') return address;
  const act = { ...actBase(deps.caller, 'operation'), patient: id, what: [versionReference(stored)], basis: [], query: 'notice by e-mail' };
  return (await commitActs(deps, [{ act, own: false }], [])) && address;
}

/** Those in use now, in the order of preference. */
function mailboxes({ telecom }: ResourceValue, { now, isAddress }: Addressing): string[] {
  const at = now();
  const inUse = elements(telecom).filter(({ system, use, period }) => system === 'email' && use !== 'old' && holdsAt(period, at));
  const rank = (of: unknown) => (typeof of === 'number' ? of : Number.MAX_SAFE_INTEGER);
  return inUse.toSorted((a, b) => rank(a['rank']) - rank(b['rank'])).flatMap(({ value }) => (isAddress(value) ? [value] : []));
}

/** Ends included. */
function holdsAt(period: unknown, at: number): boolean {
  const range = rangeOf(period);
  return !range || (range.low <= at && at <= range.high);
}
