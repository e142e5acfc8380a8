/**
 * Whether what ended a Consent holds: a withdrawal, or the signatures of the Consent that superseded it, judged like any signature by where they stand
 * in the log. consent.md §6, ADR 35
 *
 * Invariant: nothing written into the database ends a denial: the entry of the log names the signatures that did.
 */
import { digestOf } from '../../../ledger/hash.ts';
import { actStillCounts } from '../authority.ts';
import { stillCounts } from '../keys.ts';
import type { LoggedConsent, PoliciesDeps } from '../policies.ts';
import { parseSignature } from '../signature.ts';
import type { Approval } from '../workflow.ts';
import { kidsBehind, placeOf } from './judge.ts';
import type { Signers } from './signers.ts';

/**
 * Kept beside a Consent that was ended. `by`: the one that superseded it, whose signatures they are. `statement`: of a withdrawal by a passkey, what it
 * signed.
 */
export type End = { readonly by?: string; readonly statement?: string; readonly signatures: readonly Pick<Approval, 'jws' | 'authority'>[] };

type Ending = { readonly jws: string; readonly authority?: string | undefined };

export function endOf(signatures: readonly Ending[], by?: string): End {
  const kept = signatures.map(({ jws, authority }) => ({ jws, ...(authority === undefined ? {} : { authority }) }));
  return { ...(by === undefined ? {} : { by }), signatures: kept };
}

type Judging = Signers & { readonly entries: (reference: string) => readonly LoggedConsent[] };

/** `end`: as stored, so perhaps by somebody's hand. Rejects only when the keys cannot be asked. */
export async function judgeEnd(
  end: unknown,
  { reference, ended }: { readonly reference: string; readonly ended: LoggedConsent },
  deps: Judging,
): ReturnType<PoliciesDeps['endOf']> {
  const acted = deps.entries(reference).some(({ kind }) => kind === 'consent-active');
  // What never was in force denied nothing; ends from before they named their signatures are taken as they are.
  if (!acted || !ended.signatures) return { kind: 'stands', kids: [] };
  const found = readEnd(end, ended.signatures);
  if (!found) return { kind: 'forged' };
  const judged = await Promise.all(found.signatures.map((signature) => judgeSignature(signature, { by: found.by, ended }, deps)));
  // A custodian alone never widens: what was suspended goes on denying.
  const stands = ended.kind !== 'consent-suspended' && judged.every(({ counts }) => counts);
  return { kind: stands ? 'stands' : 'void', kids: judged.flatMap(({ kids }) => kids) };
}

async function judgeSignature(
  { jws, authority: under }: End['signatures'][number],
  { by, ended }: { readonly by: string | undefined; readonly ended: LoggedConsent },
  { entries, keyOf, authorities }: Judging,
): Promise<{ readonly counts: boolean; readonly kids: readonly string[] }> {
  const { kid } = parseSignature(jws);
  const [key, authority] = [await keyOf(kid), under === undefined ? undefined : await authorities.get(under)];
  // Signed at the latest where the end stands, which is where a withdrawal is signed.
  const place = (by === undefined ? undefined : placeOf(jws, entries(by))) ?? ended;
  const granted = key?.role !== 'related-person' || (authority?.delegate === key.owner && actStillCounts(authority, place));
  const counts = key !== undefined && stillCounts(key, place.index) && granted;
  return { counts, kids: key ? kidsBehind(key, authority) : [kid] };
}

/** Undefined unless it holds exactly the signatures that the log names. */
function readEnd(kept: unknown, digests: readonly string[]): End | undefined {
  try {
    const { by, signatures } = kept as End;
    const same = signatures.length === digests.length && signatures.every(({ jws }) => digests.includes(digestOf(jws)));
    for (const { jws } of signatures) parseSignature(jws);
    return same ? { ...(by === undefined ? {} : { by }), signatures } : undefined;
  } catch {
    return undefined;
  }
}
