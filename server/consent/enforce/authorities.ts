/**
 * Authorities as they stand now: read from their statements, each signature verified again against the key log, whenever they are asked for.
 *
 * Invariant: one whose signing key was in other hands by then counts for nothing from its beginning. consent.md §6
 */
import { type Authority, fitsLife, termsOf } from '../authority.ts';
import { areSignedBy, readKeyStatement } from '../key-statements.ts';
import { couldSign, type SigningKey, stillCounts } from '../keys.ts';
import type { Caller } from '../model.ts';
import { parseSignature } from '../signature.ts';
import type { KeyWrites } from './key-ceremony.ts';

/** As logged; not yet held against its key. */
export type LoggedAuthority = Pick<Authority, 'id' | 'ended' | 'logged' | 'unchanged'> & {
  readonly statement: string;
  readonly signature: string;
  readonly majorityAt?: string;
  readonly adolescenceAt?: string;
};

export type AuthorityRecords = {
  get(id: string): Promise<LoggedAuthority | undefined>;
  list(reference: string): Promise<readonly LoggedAuthority[]>;
  /** The exact text of the grant. */
  grantOf(id: string): Promise<string | undefined>;
  grant(
    granting: Pick<LoggedAuthority, 'id' | 'statement' | 'signature' | 'majorityAt' | 'adolescenceAt'> & {
      readonly patient: string;
      readonly delegate: string;
    },
    by: Caller,
  ): KeyWrites;
  end(
    ending: Pick<LoggedAuthority, 'id' | 'statement' | 'signature'> & { readonly patient: string; readonly since?: number },
    by: Caller,
  ): Promise<KeyWrites>;
};

export type Authorities = {
  get(id: string): Promise<Authority | undefined>;
  /** Of a `RelatedPerson/id`, or for a `Patient/id`; ended ones too. */
  list(reference: string): Promise<readonly Authority[]>;
};

type Deps = {
  readonly records: Pick<AuthorityRecords, 'get' | 'list'>;
  readonly keyOf: (kid: string) => Promise<SigningKey | undefined>;
  /** The audience of statements. */
  readonly base: string;
};

export function createAuthorities({ records, keyOf, base }: Deps): Authorities {
  const standing = async (logged: LoggedAuthority | undefined) => logged && held(logged, { keyOf, base });
  return {
    get: async (id) => standing(await records.get(id)),
    list: async (reference) => (await Promise.all((await records.list(reference)).map(standing))).filter((found) => found !== undefined),
  };
}

/** Undefined: its terms are not signed by who has to sign them. */
async function held(logged: LoggedAuthority, { keyOf, base }: Omit<Deps, 'records'>): Promise<Authority | undefined> {
  const { id, statement, signature, majorityAt, adolescenceAt, ended, logged: places, unchanged } = logged;
  const said = readKeyStatement('authority', statement, { audience: base });
  const terms = said && termsOf(said);
  const jws = parseSignature(signature);
  const key = await keyOf(jws.kid);
  if (!terms || !key || !couldSign(key, places.granted) || !areSignedBy([jws], [key], statement)) return undefined;
  const byWhom = terms.basis === 'patient' ? key.role === 'patient' && key.owner === `Patient/${terms.patient}` : key.role === 'custodian';
  if (!byWhom) return undefined;
  const stands = stillCounts(key, places.granted);
  return {
    ...terms,
    id,
    kids: [key.kid, ...(key.restsOn ?? [])],
    ...(majorityAt === undefined ? {} : { majority: Date.parse(majorityAt) }),
    ...(adolescenceAt === undefined ? {} : { adolescence: Date.parse(adolescenceAt) }),
    ...(stands ? (ended ? { ended } : {}) : { ended: { compromisedFromIndex: 0 } }),
    logged: places,
    unchanged,
  };
}

const RELATED_PERSON = 'RelatedPerson/';
const nobody: readonly Authority[] = [];

/** For whom a relative acts, now or once its time comes. Whoever is none is asked nothing. */
export async function actsFor(
  { list, isDeceased }: Pick<Authorities, 'list'> & { readonly isDeceased: (patient: string) => Promise<boolean> },
  { actor }: Pick<Caller, 'actor'>,
): Promise<readonly Authority[]> {
  if (!actor.startsWith(RELATED_PERSON)) return nobody;
  const granted = (await list(actor)).filter(({ ended }) => ended === undefined);
  const fitting = await Promise.all(granted.map(async (authority) => fitsLife(authority, { deceased: await isDeceased(authority.patient) })));
  return granted.filter((_authority, i) => fitting[i]);
}
