/**
 * Whether a stored Consent may act: verified again from its statement, its signatures and the key log, whenever it is loaded.
 *
 * Invariant: nothing that can be written into the database counts by itself. What cannot be read is forged, like what does not fit:
 * an edit ends one Consent, never the server.
 */
import { digestOf } from '../../../ledger/hash.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { StoredResource } from '../../store/port.ts';
import { type CompiledConsent, compileConsent } from '../compile.ts';
import { couldSign, type SigningKey, stillCounts } from '../keys.ts';
import type { Approvals } from '../model.ts';
import type { LoggedConsent, PoliciesDeps } from '../policies.ts';
import { isSignedBy, type ParsedJws, parseJws } from '../signature.ts';
import { type Statement, statementText, unversioned } from '../statement.ts';
import { type Approval, isComplete, roleOf } from '../workflow.ts';
import type { ConsentRecord } from './ceremony.ts';
import { readRelated } from './related.ts';

export type JudgeDeps = {
  readonly approvals: Approvals;
  readonly keyOf: (kid: string) => Promise<SigningKey | undefined>;
  /** All that was logged about the Consent, oldest first. */
  readonly entries: readonly LoggedConsent[];
};

type Judged = Awaited<ReturnType<PoliciesDeps['judge']>>;

/** `kept`: what is stored beside the Consent. Rejects only when the keys cannot be asked. */
export async function judgeConsent(kept: unknown, consent: StoredResource, { approvals: needed, keyOf, entries }: JudgeDeps): Promise<Judged> {
  const evidence = readEvidence(kept, consent);
  if (!evidence) return { kind: 'forged' };
  const { signatures, statement, text, compiled } = evidence;
  const established: Approval[] = [];
  let trusted = true;
  for (const { approval, jws } of signatures) {
    const key = await keyOf(approval.kid);
    const role = key && roleOf(key, { statement, patient: compiled.patient });
    const place = placeOf(approval.jws, entries);
    if (!key || !role || !place || key.owner !== approval.who || !couldSign(key, place.index) || !isSignedBy(jws, key, text))
      return { kind: 'forged' };
    trusted &&= stillCounts(key, place.index);
    established.push({ ...approval, role });
  }
  if (!isComplete(established, needed)) return { kind: 'forged' };
  // Signed by a key in other hands by then: it permits nothing more. What it denies may be the patient's own word.
  const lapsed = trusted ? {} : { permitsUntil: 0 };
  return { kind: 'established', compiled: { ...compiled, ...lapsed }, kids: established.map(({ kid }) => kid) };
}

/**
 * The entry a signature came with: where it is judged. An entry from before signatures were named in the log is that of all of them: the one that
 * made the Consent active.
 */
export function placeOf(jws: string, entries: readonly LoggedConsent[]): LoggedConsent | undefined {
  const digest = digestOf(jws);
  const named = entries.find(({ signatures }) => signatures?.includes(digest));
  return named ?? (entries.some(({ signatures }) => signatures) ? undefined : entries.at(-1));
}

type Evidence = {
  readonly statement: Statement;
  readonly text: string;
  readonly compiled: CompiledConsent;
  readonly signatures: readonly { readonly approval: Approval; readonly jws: ParsedJws }[];
};

/** Undefined unless statement, Consent and signatures can be read and belong together. */
function readEvidence(kept: unknown, consent: StoredResource): Evidence | undefined {
  try {
    const { state, statement: text, digest, approvals, related } = kept as ConsentRecord;
    const statement = JSON.parse(text) as Statement;
    const same = statementText({ ...statement, consent: unversioned(JSON.parse(consent.body) as ResourceValue) }) === text;
    if (state !== 'active' || !same || digestOf(text) !== digest) return undefined;
    const frozen = readRelated(related, statement.related);
    const signatures = approvals.map((approval) => ({ approval, jws: parseJws(approval.jws) }));
    // A period that has run out since is no reason to refuse: what is over simply does not match any more.
    return { statement, text, compiled: compileConsent(statement.consent, { now: Number.NEGATIVE_INFINITY, related: frozen }), signatures };
  } catch {
    return undefined;
  }
}
