/**
 * Who signed: keys and authorities looked up once for one act, and what holds in its commit as long as they still are as they were found.
 * consent.md §6
 */
import type { Guard } from '../../store/port.ts';
import { type Authority, actStillCounts } from '../authority.ts';
import { type SigningKey, stillCounts } from '../keys.ts';
import type { LoggedConsent } from '../policies.ts';
import type { Approval } from '../workflow.ts';
import type { Authorities } from './authorities.ts';
import { placeOf } from './judge.ts';

export type Signers = {
  readonly keyOf: (kid: string) => Promise<SigningKey | undefined>;
  readonly authorities: Authorities;
};

export type SignersOnce = Signers & { unchanged(): readonly Guard[] };

export function lookedUpOnce({ keyOf, authorities }: Signers): SignersOnce {
  const keys = remembered(keyOf);
  const single = remembered(authorities.get);
  const lists = remembered(authorities.list);
  return {
    keyOf: keys.of,
    authorities: { get: single.of, list: lists.of },
    unchanged: () => {
      const found = [...keys.found(), ...single.found(), ...lists.found().flat()].flatMap((each) => (each ? [each.unchanged] : []));
      // A key may have been looked up by its kid and by its credential.
      return [...new Map(found.map((guard) => [`${guard.recordKind} ${guard.id}`, guard])).values()];
    },
  };
}

function remembered<T>(look: (name: string) => Promise<T>): { of(name: string): Promise<T>; found(): readonly T[] } {
  const known = new Map<string, T>();
  return {
    async of(name) {
      if (!known.has(name)) known.set(name, await look(name));
      return known.get(name) as T;
    },
    found: () => [...known.values()],
  };
}

/**
 * Which signatures from before still establish something: not one whose key, or whose authority, was in other hands by then, nor one whose authority has
 * run out before the Consent came into force.
 */
export async function stillTrusted(
  approvals: readonly Approval[],
  { keyOf, authorities, now }: Signers & { readonly now: number },
  entries: readonly LoggedConsent[],
): Promise<readonly Approval[]> {
  const trusted: Approval[] = [];
  for (const approval of approvals) {
    const [key, place] = [await keyOf(approval.kid), placeOf(approval.jws, entries)];
    const authority = approval.authority === undefined ? undefined : await authorities.get(approval.authority);
    const granted =
      approval.authority === undefined ||
      (authority !== undefined && place !== undefined && actStillCounts(authority, { index: place.index, at: now }));
    if (key && place && stillCounts(key, place.index) && granted) trusted.push(approval);
  }
  return trusted;
}

/** Those that these signatures were made under. */
export async function authoritiesOf(approvals: readonly Approval[], { get }: Authorities): Promise<readonly Authority[]> {
  const found = await Promise.all(approvals.flatMap(({ authority }) => (authority === undefined ? [] : [get(authority)])));
  return found.filter((authority) => authority !== undefined);
}
