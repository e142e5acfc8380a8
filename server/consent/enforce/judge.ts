/**
 * Whether a stored Consent may act: verified again from its statement, its signatures and the key log, whenever it is loaded.
 *
 * Invariant: nothing that can be written into the database counts by itself. What cannot be read is forged, like what does not fit:
 * an edit ends one Consent, never the server.
 */
import { digestOf } from '../../../ledger/hash.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { StoredResource } from '../../store/port.ts';
import { type Authority, actStillCounts, couldAct } from '../authority.ts';
import { type CompiledConsent, compileConsent } from '../compile.ts';
import { couldSign, type SigningKey, stillCounts } from '../keys.ts';
import type { Approvals } from '../model.ts';
import type { LoggedConsent, PoliciesDeps } from '../policies.ts';
import { isSignedBy, type ParsedSignature, parseSignature } from '../signature.ts';
import { type Statement, statementText, unversioned } from '../statement.ts';
import { type Approval, isComplete, roleOf } from '../workflow.ts';
import type { ConsentRecord } from './ceremony.ts';
import { readRelated } from './related.ts';

export type JudgeDeps = {
  readonly approvals: Approvals;
  readonly keyOf: (kid: string) => Promise<SigningKey | undefined>;
  readonly authorityOf: (id: string) => Promise<Authority | undefined>;
  /** All that was logged about the Consent, oldest first. */
  readonly entries: readonly LoggedConsent[];
};

type Judged = Awaited<ReturnType<PoliciesDeps['judge']>>;

/** `kept`: what is stored beside the Consent. Rejects only when the keys cannot be asked. */
export async function judgeConsent(kept: unknown, consent: StoredResource, deps: JudgeDeps): Promise<Judged> {
  const evidence = readEvidence(kept, consent);
  if (!evidence) return { kind: 'forged' };
  const established: Established[] = [];
  for (const signature of evidence.signatures) {
    const one = await establish(signature, evidence, deps);
    if (!one) return { kind: 'forged' };
    established.push(one);
  }
  const approvals = established.map(({ approval }) => approval);
  if (!isComplete(approvals, deps.approvals)) return { kind: 'forged' };
  const kids = established.flatMap(({ kids: theirs }) => theirs);
  const ended =
    evidence.state === 'active' ? {} : ({ permitsUntil: 0, ended: evidence.state === 'suspended' ? 'suspended' : 'by-stolen-key' } as const);
  return { kind: 'established', compiled: { ...evidence.compiled, ...reachOf(established), ...ended }, kids };
}

type Established = {
  readonly approval: Approval;
  readonly authority: Authority | undefined;
  readonly trusted: boolean;
  readonly kids: readonly string[];
};

/** Undefined: it is by nobody who could sign these terms where it stands in the log. */
async function establish(
  { approval, jws }: Evidence['signatures'][number],
  { statement, text, compiled }: Evidence,
  { keyOf, authorityOf, entries }: JudgeDeps,
): Promise<Established | undefined> {
  const [key, place] = [await keyOf(approval.kid), placeOf(approval.jws, entries)];
  const authority = approval.authority === undefined ? undefined : await authorityOf(approval.authority);
  const role = key && roleOf(key, { statement, consent: compiled }, authority);
  if (!key || !role || !place || key.owner !== approval.who || !couldSign(key, place.index) || !isSignedBy(jws, key, text)) return undefined;
  if (authority && !couldAct(authority, 'sign', place.index)) return undefined;
  const trusted = stillCounts(key, place.index) && (!authority || actStillCounts(authority, place));
  return { approval: { ...approval, role }, authority, trusted, kids: kidsBehind(key, authority) };
}

/** Keys and authority whose events change what a signature is worth. */
export function kidsBehind({ kid, restsOn = [] }: SigningKey, authority: Authority | undefined): readonly string[] {
  return [kid, ...restsOn, ...(authority ? [authority.id, ...authority.kids] : [])];
}

/** How far it reaches because of who signed it. */
function reachOf(established: readonly Established[]): Pick<CompiledConsent, 'permitsUntil' | 'onBehalf'> {
  const majorities = established.flatMap(({ authority }) => authority?.majority ?? []);
  // Signed by a key in other hands by then: it permits nothing more. What it denies may be the patient's own word.
  const ends = established.every(({ trusted }) => trusted) ? majorities : [0];
  return {
    ...(ends.length === 0 ? {} : { permitsUntil: Math.min(...ends) }),
    ...(established.some(({ approval }) => approval.role === 'proxy') ? { onBehalf: true } : {}),
  };
}

/**
 * The entry a signature came with: where it is judged. An entry from before signatures were named in the log is that of all of them: the one that
 * made the Consent active.
 */
export function placeOf(jws: string, about: readonly LoggedConsent[]): LoggedConsent | undefined {
  const digest = digestOf(jws);
  const entries = about.filter(({ kind }) => AGREED.has(kind));
  const named = entries.find(({ signatures }) => signatures?.includes(digest));
  return named ?? (entries.some(({ signatures }) => signatures) ? undefined : entries.at(-1));
}

/** Kinds of entries that what establishes a Consent comes with; those that ended it name who ended it. */
const AGREED = new Set(['consent-proposed', 'consent-active']);

type Evidence = {
  readonly statement: Statement;
  readonly text: string;
  readonly state: ConsentRecord['state'];
  readonly compiled: CompiledConsent;
  readonly signatures: readonly { readonly approval: Approval; readonly jws: ParsedSignature }[];
};

/** Undefined unless statement, Consent and signatures can be read and belong together. */
function readEvidence(kept: unknown, consent: StoredResource): Evidence | undefined {
  try {
    const { state, statement: text, digest, approvals, related } = kept as ConsentRecord;
    const statement = JSON.parse(text) as Statement;
    const stored = JSON.parse(consent.body) as ResourceValue;
    // What was ended differs by its status alone.
    const ended = state !== 'active' && state !== 'proposed' && stored['status'] === 'inactive';
    if (state !== 'active' && !ended) return undefined;
    const same = statementText({ ...statement, consent: unversioned({ ...stored, ...(ended ? { status: 'active' } : {}) }) }) === text;
    if (!same || digestOf(text) !== digest) return undefined;
    const frozen = readRelated(related, statement.related);
    const signatures = approvals.map((approval) => ({ approval, jws: parseSignature(approval.jws) }));
    // A period that has run out since is no reason to refuse: what is over simply does not match any more.
    return { statement, text, state, compiled: compileConsent(statement.consent, { now: Number.NEGATIVE_INFINITY, related: frozen }), signatures };
  } catch {
    return undefined;
  }
}
