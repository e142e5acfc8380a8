/**
 * From terms to a Consent in force and out of it again: who has to sign, what each signature may do, and the states between. Pure.
 * consent.md §4–§5, interface.md §3
 *
 *   prepared ──patient or custodian──▶ proposed ──the other──▶ active ──patient──▶ withdrawn
 *      └───────────────both at once──────────────────────────────┤────custodian──▶ suspended
 *                                                                └────a newer one▶ superseded
 * Asked for by $request, a proposed one is rejected by a refusal or its deadline: requests.ts.
 */
import canonicalize from 'canonicalize';
import { AssentError } from '../errors.ts';
import { type Authority, covers, mayAct, mayEnd } from './authority.ts';
import type { CompiledConsent } from './compile.ts';
import { maySign, type SigningKey } from './keys.ts';
import type { Approvals } from './model.ts';
import { isSignedBy, type ParsedSignature, parseSignature, payloadText } from './signature.ts';
import type { Statement } from './statement.ts';

export { displayOf } from './displays.ts';
export { type SaidTerms, translateTerms } from './render.ts';
export { webauthnSignature } from './signature.ts';

export type ConsentState = 'proposed' | 'active' | 'withdrawn' | 'suspended' | 'superseded' | 'rejected';

/** `proxy`: on behalf of the patient, in their place. */
export type SignerRole = 'patient' | 'custodian' | 'proxy';

/** One accepted signature. `jws`: compact JWS, or of a passkey the JSON of its assertion (signature.ts). `at`: ISO instant of acceptance, for people: what counts is where it stands in the log. */
export type Approval = {
  readonly who: string;
  readonly role: SignerRole;
  readonly kid: string;
  readonly jws: string;
  readonly at: string;
  /** What a proxy signed under. */
  readonly authority?: string;
};

export type SignatureInput = { readonly who: string; readonly jws: string };

type Signing = {
  readonly statement: Pick<Statement, 'custodians'>;
  /** The exact text that was signed. */
  readonly text: string;
  readonly consent: Pick<CompiledConsent, 'patient' | 'root'>;
  readonly now: number;
  readonly keyOf: (kid: string) => Promise<SigningKey | undefined>;
  /** Of a relative. */
  readonly authoritiesOf: (owner: string) => Promise<readonly Authority[]>;
};

const MOST_SIGNATURES = 10;

const uniform = 'A signature does not establish this Consent: it is by an unknown, foreign or revoked key, or over other terms.';

/** Throws AssentError('invalid-signature'); one reason for every way to fail, so that keys and patients cannot be probed. */
export async function acceptSignatures(signatures: readonly SignatureInput[], signing: Signing): Promise<readonly Approval[]> {
  if (signatures.length === 0 || signatures.length > MOST_SIGNATURES)
    throw new AssentError('invalid-signature', `From one to ${MOST_SIGNATURES} signatures are needed.`);
  const accepted = await Promise.all(signatures.map((signature) => acceptSignature(signature, signing)));
  if (new Set(accepted.map(({ kid }) => kid)).size !== accepted.length) throw new AssentError('invalid-signature', 'One key signed twice.');
  return accepted;
}

async function acceptSignature({ who, jws }: SignatureInput, signing: Signing): Promise<Approval> {
  const { text, consent, now, keyOf, authoritiesOf } = signing;
  const parsed = parseSignature(jws);
  if (parsed.payload !== '') throw new AssentError('invalid-signature', 'The payload must be detached: the statement is what was signed.');
  const key = await keyOf(parsed.kid);
  const known = key?.role === 'related-person' ? await authoritiesOf(key.owner) : [];
  const authority = known.find((each) => mayAct(each, 'sign', now) && covers(each, consent));
  const role = key && roleOf(key, signing, authority);
  if (!key || !role || key.owner !== who || !maySign(key) || !isSignedBy(parsed, key, text)) throw new AssentError('invalid-signature', uniform);
  return { who, role, kid: key.kid, jws, at: new Date(now).toISOString(), ...(authority ? { authority: authority.id } : {}) };
}

/**
 * As what a key may sign this statement (rule 14): the patient's own, a registered custodian's that the Consent names, or a relative's under an
 * authority of theirs for these terms.
 */
export function roleOf(
  key: SigningKey,
  { statement, consent }: Pick<Signing, 'statement' | 'consent'>,
  authority?: Authority,
): SignerRole | undefined {
  if (key.role === 'patient' && key.owner === `Patient/${consent.patient}`) return 'patient';
  if (key.role === 'related-person') return authority?.delegate === key.owner && covers(authority, consent) ? 'proxy' : undefined;
  return key.role === 'custodian' && statement.custodians.includes(key.owner) ? 'custodian' : undefined;
}

/** Earlier approvals and new ones, one per key. */
export function mergeApprovals(before: readonly Approval[], now: readonly Approval[]): readonly Approval[] {
  return [...before, ...now.filter(({ kid }) => !before.some((earlier) => earlier.kid === kid))];
}

export function isComplete(approvals: readonly Approval[], needed: Approvals): boolean {
  const has = (role: SignerRole) => approvals.some((approval) => approval.role === role);
  return (has('patient') || has('proxy')) && (needed === 'patient' || has('custodian'));
}

/** Withdrawals are fresh: an old one found somewhere does nothing. */
export const FRESH_MS = 10 * 60_000;
const WITHDRAWAL_TYPE = 'urn:assent:withdrawal:1';
const REFUSAL_TYPE = 'urn:assent:refusal:1';

type Refusing = {
  readonly consent: string;
  readonly patient: string;
  readonly custodians: readonly string[];
  /** Of the statement in force, or to be signed. */
  readonly digest: string;
  /** Our FHIR base URL. */
  readonly audience: string;
  readonly now: number;
  readonly keyOf: Signing['keyOf'];
  readonly authoritiesOf: Signing['authoritiesOf'];
};

/** `signedByPatient`: of the Consent, by the patient's own key. */
type Withdrawing = Refusing & { readonly signedByPatient: boolean };

/** `signature`: a compact JWS that holds what it signs, or an assertion (signature.ts) over `statement`. */
export type SignedWithdrawal = { readonly signature: string; readonly statement?: string };

/** `who`: the owner of the key. `under`: of a proxy. */
type Withdrawal = { readonly state: 'withdrawn' | 'suspended'; readonly who: string; readonly under?: Authority };

/** By the patient's key, or on their behalf, it ends the Consent, by the custodian's it suspends it. Throws AssentError('invalid-signature'). */
export async function acceptWithdrawal(signed: SignedWithdrawal, { signedByPatient, ...asked }: Withdrawing): Promise<Withdrawal> {
  const { patient, custodians, now, authoritiesOf } = asked;
  const refused = new AssentError(
    'invalid-signature',
    'The withdrawal is not signed by the patient or the custodian, not about this Consent, or not fresh.',
  );
  const key = await signerOf(signed, WITHDRAWAL_TYPE, asked);
  if (!key) throw refused;
  if (key.role === 'patient' && key.owner === `Patient/${patient}`) return { state: 'withdrawn', who: key.owner };
  if (key.role === 'custodian' && custodians.includes(key.owner)) return { state: 'suspended', who: key.owner };
  const known = key.role === 'related-person' ? await authoritiesOf(key.owner) : [];
  const under = known.find((each) => each.patient === patient && mayAct(each, 'withdraw', now) && mayEnd(each, { signedByPatient }));
  if (under) return { state: 'withdrawn', who: key.owner, under };
  throw refused;
}

/** Of whoever a request asks for their signature, in place of it. Throws AssentError('invalid-signature'). */
export async function acceptRefusal(signed: SignedWithdrawal, asked: Refusing): Promise<Pick<Approval, 'who' | 'role' | 'jws'>> {
  const { patient, custodians, now, authoritiesOf } = asked;
  const { signature: jws } = signed;
  const key = await signerOf(signed, REFUSAL_TYPE, asked);
  if (key?.role === 'patient' && key.owner === `Patient/${patient}`) return { who: key.owner, role: 'patient', jws };
  if (key?.role === 'custodian' && custodians.includes(key.owner)) return { who: key.owner, role: 'custodian', jws };
  const known = key?.role === 'related-person' ? await authoritiesOf(key.owner) : [];
  if (key && known.some((each) => each.patient === patient && mayAct(each, 'sign', now))) return { who: key.owner, role: 'proxy', jws };
  throw new AssentError('invalid-signature', 'The refusal is not signed by the patient or the custodian, not about this request, or not fresh.');
}

/** Of a fresh statement of this type about this Consent. */
async function signerOf(
  { signature, statement }: SignedWithdrawal,
  type: string,
  { consent, digest, audience, now, keyOf }: Refusing,
): Promise<SigningKey | undefined> {
  const parsed = parseSignature(signature);
  const text = saidText(parsed, statement);
  const key = await keyOf(parsed.kid);
  if (text === undefined || !key || !maySign(key) || !isSignedBy(parsed, key, text, audience)) return undefined;
  const said = readSaid(text, type);
  const isFresh = said && Math.abs(Date.parse(said.created) - now) <= FRESH_MS;
  return isFresh && said.consent === consent && said.digest === digest ? key : undefined;
}

/** A JWS carries what it signs; beside an assertion it stands. */
function saidText(parsed: ParsedSignature, beside: string | undefined): string | undefined {
  if ('assertion' in parsed) return beside;
  return beside === undefined ? payloadText(parsed) : undefined;
}

/** What is signed to end a Consent (`Consent/x`); good for FRESH_MS from `now`. interface.md §3 */
export function withdrawalStatement(ended: Ended): string {
  return endStatement(WITHDRAWAL_TYPE, ended);
}

/** The same to refuse one that was asked for. */
export function refusalStatement(ended: Ended): string {
  return endStatement(REFUSAL_TYPE, ended);
}

/** `now`: ms since 1970. */
type Ended = { readonly consent: string; readonly digest: string; readonly now: number };

function endStatement(type: string, { consent, digest, now }: Ended): string {
  return canonicalize({ type, consent, digest, created: new Date(now).toISOString() }) as string;
}

/** What is signed about keys; `said`: the members of its kind (key-statements.ts). Good for FRESH_MS from `now`. */
export function keyStatement(
  kind: 'key-rotation' | 'key-revocation' | 'key-recovery' | 'key-recovery-stop',
  said: Readonly<Record<string, unknown>>,
  { audience, now }: { readonly audience: string; readonly now: number },
): string {
  return canonicalize({ type: `urn:assent:${kind}:1`, audience, created: new Date(now).toISOString(), ...said }) as string;
}

function readSaid(text: string, wanted: string): { readonly consent: string; readonly digest: string; readonly created: string } | undefined {
  try {
    const { type, consent, digest, created, ...more } = JSON.parse(text) as Record<string, unknown>;
    const known = type === wanted && typeof consent === 'string' && typeof digest === 'string' && typeof created === 'string';
    return known && Object.keys(more).length === 0 ? { consent, digest, created } : undefined;
  } catch {
    return undefined;
  }
}
