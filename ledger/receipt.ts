/**
 * Checks a receipt with nothing but the receipt: no server, no network, no clock. ledger.md §6
 *
 * Invariants: everything in the file is bound to the checkpoint's root or to a signature, so any change refutes it; what is not
 * proven is said.
 */
import { type Current, readCurrent } from './current.ts';
import { isAct, type PrivateEntry } from './entry.ts';
import { DISCLOSURES_FORMAT, type Disclosures, readDisclosures, type Run, runOf, verifyDisclosures } from './disclosures.ts';
import { ERASURE_FORMAT, type ErasureProof, type ErasureVerdict, readErasureProof, verifyErasureProof } from './erasure-proof.ts';
import { digestOf, sha256 } from './hash.ts';
import { parseDetachedJws, verifyDetachedJws } from './jws.ts';
import {
  type AuthorityPiece,
  type ConsentPiece,
  type EventPiece,
  type KeyPiece,
  type Receipt,
  RECEIPT_FORMAT,
  type ReceiptEntry,
  readReceipt,
} from './receipt-format.ts';
import type { Policy } from './policy.ts';
import { type Anchor, anchorSentences, readAnchors, requirePinned } from './receipt-anchors.ts';
import { canonical, logSentences, openLog, Refuted, refute, requireInclusion, requireSalt, type SignedWith } from './receipt-log.ts';
import {
  type AuthorityWords,
  authorityWords,
  type ConsentWords,
  consentWords,
  type EventWords,
  eventWords,
  isInstant,
  type KeyWords,
  keyWords,
  readJson,
  STATEMENT_TYPE,
  statementText,
} from './receipt-terms.ts';
import { readTrail, type Trail, TRAIL_FORMAT, verifyTrail } from './trail.ts';
import { assertionHolds, originOf, parseAssertion } from './webauthn.ts';

export type Verdict =
  /** Sentences for people. */
  | {
      readonly kind: 'proven';
      readonly proven: readonly string[];
      readonly notProven: readonly string[];
      /** With which key it was signed, and which were replaced. */
      readonly log?: SignedWith;
      /** What it proves of the chain of entries about one patient. */
      readonly run?: Run;
      /** Where outside the log it is held. */
      readonly anchors?: readonly Anchor[];
    }
  /** It is the proof that what a receipt would rest on was erased. */
  | ErasureVerdict
  | { readonly kind: 'refuted'; readonly reason: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * `inForceAt`: ms since 1970; the Consents must be shown to have been in force at that instant or later, or it is refuted. `aggregate`: the key of
 * an aggregate, as text, that must hold it.
 */
export type Demands = { readonly policy?: Policy; readonly inForceAt?: number; readonly aggregate?: string };

/** `policy`: whom the reader trusts; absent: whatever log the receipt names. */
export function verifyReceipt(text: string, demands: Demands = {}): Verdict {
  const file = readFile(text);
  if (typeof file === 'string') return { kind: 'unreadable', reason: file };
  const { policy, inForceAt } = demands;
  try {
    if (file.format !== RECEIPT_FORMAT && demands.aggregate !== undefined) refute('No aggregate that you know holds it.');
    if (file.format !== RECEIPT_FORMAT) requirePinned(policy?.anchors ?? [], []);
    if (file.format === ERASURE_FORMAT) return verifyErasureProof(file, policy);
    if (file.format !== DISCLOSURES_FORMAT && file.format !== TRAIL_FORMAT) return verify(file, demands);
    if (inForceAt !== undefined) refute('It shows no Consent.');
    return { kind: 'proven', ...(file.format === TRAIL_FORMAT ? verifyTrail(file, policy) : verifyDisclosures(file, policy)) };
  } catch (error) {
    if (error instanceof Refuted) return { kind: 'refuted', reason: error.message };
    throw error;
  }
}

function readFile(text: string): Receipt | ErasureProof | Disclosures | Trail | string {
  if (text.startsWith(`{"format":"${TRAIL_FORMAT}"`)) return readTrail(text);
  const statement = statementIn(text);
  if (statement !== undefined) return readDisclosures(statement);
  return text.startsWith(`{"format":"${ERASURE_FORMAT}"`) ? readErasureProof(text) : readReceipt(text);
}

/** Of its own, or in the answer of $disclosures as it came. */
function statementIn(text: string): string | undefined {
  if (text.startsWith('{"format":')) return text.startsWith(`{"format":"${DISCLOSURES_FORMAT}"`) ? text : undefined;
  const { resourceType, parameter } = readJson(text) ?? {};
  if (resourceType !== 'Parameters' || !Array.isArray(parameter)) return undefined;
  const found = (parameter as readonly ({ readonly name?: unknown; readonly valueString?: unknown } | null)[]).find(
    (each) => each?.name === 'statement',
  );
  return typeof found?.valueString === 'string' ? found.valueString : undefined;
}

type Event = EventWords & { readonly entry: PrivateEntry };
type Key = KeyWords & { readonly entry: PrivateEntry };
type Authority = AuthorityWords & { readonly entry: PrivateEntry; readonly grantedBy: Key };
/** `under`: by whom it was signed on behalf of the patient, and by what right. */
type Consent = ConsentWords & { readonly entry: PrivateEntry; readonly signers: readonly Key[]; readonly under: readonly Authority[] };
/** Of whom and what signed. */
type Held = { readonly keys: readonly Key[]; readonly authorities: readonly Authority[] };

function verify(receipt: Receipt, { policy, inForceAt, aggregate }: Demands): Verdict {
  const log = openLog(receipt, policy);
  const event = receipt.event && readEvent(receipt.event);
  const keys = receipt.keys.map(readKey);
  const authorities = (receipt.authorities ?? []).map((piece) => readAuthority(piece, keys));
  const consents = receipt.consents.map((piece) => readConsent(piece, { keys, authorities }));
  if (!event && consents.length === 0) refute('It is about no event and no Consent.');
  requireNothingIdle({ keys, authorities }, consents);
  if (event) requireBasis(event, consents);
  const current =
    receipt.current &&
    readCurrent(
      receipt.current,
      consents.map(({ entry }) => entry),
    );
  if (event && current) requireBasisInForce(event, consents, current);
  if (inForceAt !== undefined) requireInForceAt(inForceAt, consents, current);
  const basis = [...(event ? [event] : []), ...keys, ...authorities, ...consents].map(({ entry }) => entry);
  const anchors = readAnchors(receipt.anchors ?? [], log, basis);
  const outside = anchorSentences(anchors, { aggregate, policy, witnessed: log.cosignatures.some(({ known }) => known) });
  requireInclusion(receipt.proof, log, [...basis, ...(current ? [current.entry] : [])], current?.leaves);
  const checkpoint = logSentences(log, policy, anchors.length > 0);
  const run =
    event?.patient === undefined ? undefined : runOf([event.entry], { log, patient: event.patient, handle: event.entry.subject, newest: false });
  return {
    kind: 'proven',
    log,
    ...(run ? { run } : {}),
    ...(anchors.length > 0 ? { anchors } : {}),
    proven: [
      ...(event ? [eventSentence(event)] : []),
      ...consents.flatMap((consent) => [consentSentence(consent), ...consent.under.map(authoritySentence)]),
      ...(current ? consents.map((consent, i) => currentSentence(consent, current, { event, next: current.replacedAt[i] })) : []),
      `All of this stood in the log ${log.origin} when it had ${log.size} entries, under a checkpoint signed by ${log.key}.`,
      ...checkpoint.proven,
      ...outside.proven,
    ],
    notProven: [...checkpoint.notProven, ...outside.notProven, ...notProven(event, consents, current)],
  };
}

function readEvent({ event, entry }: EventPiece): Event {
  const words = eventWords(readJson(event) ?? refute('The AuditEvent is not JSON.')) ?? refute('The AuditEvent is none.');
  if (!isAct(entry.kind)) refute('The AuditEvent’s log entry is of something else.');
  return { ...words, entry: entryOf(entry, event, words.reference) };
}

function readKey({ key, entry }: KeyPiece): Key {
  const words = keyWords(readJson(key) ?? refute('A key’s registration is not JSON.')) ?? refute('A key’s registration is none.');
  if (entry.kind !== 'key-registered') refute('A key’s log entry is of something else.');
  return { ...words, entry: entryOf(entry, key, `Key/${words.kid}`) };
}

function readAuthority({ authority, entry }: AuthorityPiece, keys: readonly Key[]): Authority {
  const words = authorityWords(readJson(authority) ?? refute('An authority is not JSON.')) ?? refute('An authority is none.');
  const { id, statement, signature, basis, patient } = words;
  if (entry.kind !== 'authority-granted' || id !== digestOf(statement)) refute('An authority’s log entry is of something else.');
  const grantedBy = signerOf(signature, statement, keys);
  const may = basis === 'patient' ? grantedBy.role === 'patient' && grantedBy.owner === patient : grantedBy.role === 'custodian';
  if (!may) refute(`${grantedBy.owner} may not grant an authority for ${patient}.`);
  if (grantedBy.entry.index >= entry.index) refute(`The key of ${grantedBy.owner} was registered after Authority/${id} was logged.`);
  return { ...words, entry: entryOf(entry, authority, `Authority/${id}`), grantedBy };
}

function readConsent({ consent, entry, terms, signatures }: ConsentPiece, { keys, authorities }: Held): Consent {
  const json = readJson(consent) ?? refute('A Consent is not JSON.');
  const words = consentWords(json) ?? refute('A Consent is none.');
  const { reference } = words;
  if (!entry.kind.startsWith('consent-')) refute('A Consent’s log entry is of something else.');
  const logged = entryOf(entry, consent, reference);
  if (!terms) {
    if (entry.kind === 'consent-active' || signatures.length > 0) refute('A Consent comes without the terms that were signed.');
    return { ...words, entry: logged, signers: [], under: [] };
  }
  if (terms['type'] !== STATEMENT_TYPE || Object.hasOwn(terms, 'consent')) refute('The terms are not those of a consent statement.');
  const statement = canonical(() => statementText(terms, json));
  if (entry.statement !== digestOf(statement)) refute(`The terms of ${reference} are not those in the log.`);
  const digests = new Set(signatures.map(digestOf));
  if (entry.signatures?.some((digest) => !digests.has(digest))) refute(`A signature that came with the log entry of ${reference} is missing.`);
  const signers = signatures.map((jws) => signerOf(jws, statement, keys));
  const under = authorities.filter((authority) => isFor(authority, { words, entry: logged, signers, purposes: terms['purposes'] }));
  requireSigners(words, { signers, under }, entry.index);
  return { ...words, entry: logged, signers, under };
}

/** The entry as the log committed to it: what the receipt says of it, and what follows from the piece itself. */
function entryOf(entry: ReceiptEntry, text: string, reference: string): PrivateEntry {
  if (entry.digest !== digestOf(text)) refute(`${reference} is not the one in the log: its digest differs.`);
  requireSalt(entry);
  return { ...entry, reference };
}

/** Whether a signature names this key: the exact text of its registration. */
export function namesKey(signature: string, registration: string): boolean {
  const key = keyWords(readJson(registration) ?? {});
  if (!signature.startsWith('{')) return key !== undefined && parseDetachedJws(signature)?.kid === key.kid;
  return key?.passkey !== undefined && parseAssertion(signature)?.id === key.passkey.credentialId;
}

function signerOf(signature: string, statement: string, keys: readonly Key[]): Key {
  return signature.startsWith('{') ? passkeyOf(signature, statement, keys) : jwsKeyOf(signature, statement, keys);
}

/** It was made on a page of the server that the statement names. */
function passkeyOf(signature: string, statement: string, keys: readonly Key[]): Key {
  const assertion = parseAssertion(signature) ?? refute('A signature is not an assertion in its one spelling.');
  const key = keys.find(({ passkey }) => passkey?.credentialId === assertion.id) ?? refute('A signature is by a key whose registration is missing.');
  const audience = readJson(statement)?.['audience'];
  const origin = (typeof audience === 'string' ? originOf(audience) : undefined) ?? refute('The terms do not say on whose pages they were signed.');
  const { rpId = '' } = key.passkey ?? {};
  if (!assertionHolds(assertion, key.jwk, { challenge: sha256(statement), origin, rpId }))
    refute(`The signature of ${key.owner} does not hold for these terms.`);
  return key;
}

function jwsKeyOf(jws: string, statement: string, keys: readonly Key[]): Key {
  const parsed = parseDetachedJws(jws) ?? refute('A signature is not a detached JWS.');
  const key = keys.find(({ kid }) => kid === parsed.kid) ?? refute('A signature is by a key whose registration is missing.');
  if (key.passkey) refute(`The key of ${key.owner} is a passkey, which makes no such signature.`);
  if (!verifyDetachedJws(parsed, statement, key.jwk)) refute(`The signature of ${key.owner} does not hold for these terms.`);
  return key;
}

type Signing = {
  readonly words: ConsentWords;
  readonly entry: PrivateEntry;
  readonly signers: readonly Key[];
  /** Of the terms. */
  readonly purposes: unknown;
};

/** Whether one of the signers could sign these terms under it, where they stand in the log. */
function isFor({ delegate, patient, acts: granted, purposes: limits, from, until, entry: place }: Authority, signing: Signing): boolean {
  const { words, entry, signers, purposes } = signing;
  const { occurredAt } = entry;
  const inTime = place.index < entry.index && isInstant(occurredAt) && from <= occurredAt && occurredAt < until;
  const within =
    !limits ||
    (Array.isArray(purposes) && purposes.length > 0 && purposes.every((purpose) => typeof purpose === 'string' && limits.includes(purpose)));
  const named = signers.some(({ role, owner }) => role === 'related-person' && owner === delegate);
  return named && patient === words.patient && granted.includes('sign') && inTime && within;
}

function requireSigners(
  { patient, organizations, reference }: ConsentWords,
  { signers, under }: Pick<Consent, 'signers' | 'under'>,
  index: number,
): void {
  const standsIn = (owner: string) => under.some(({ delegate }) => delegate === owner);
  for (const { role, owner, entry } of signers) {
    const may =
      role === 'patient' ? owner === patient : role === 'related-person' ? standsIn(owner) : role === 'custodian' && organizations.includes(owner);
    if (!may) refute(`${owner} may not sign ${reference}.`);
    if (entry.index >= index) refute(`The key of ${owner} was registered after ${reference} was logged.`);
  }
  if (!signers.some(({ role }) => role === 'patient' || role === 'related-person')) refute(`No signature of the patient of ${reference}.`);
}

function requireNothingIdle({ keys, authorities }: Held, consents: readonly Consent[]): void {
  if (new Set(keys.map(({ kid }) => kid)).size !== keys.length) refute('It holds a key twice.');
  const credentials = keys.flatMap(({ passkey }) => passkey?.credentialId ?? []);
  if (new Set(credentials).size !== credentials.length) refute('Two keys in it claim one passkey.');
  if (new Set(authorities.map(({ id }) => id)).size !== authorities.length) refute('It holds an authority twice.');
  if (authorities.some((authority) => !consents.some(({ under }) => under.includes(authority))))
    refute('It holds an authority under which nothing in it was signed.');
  const granted = authorities.map(({ grantedBy }) => grantedBy);
  if (keys.some((key) => !granted.includes(key) && !consents.some(({ signers }) => signers.includes(key))))
    refute('It holds a key that signed nothing in it.');
}

function requireBasis(event: Event, consents: readonly Consent[]): void {
  const named = new Set(event.basis);
  const held = new Set(consents.map(({ versionReference }) => versionReference));
  if (named.size !== held.size || [...named].some((reference) => !held.has(reference)))
    refute('The Consents in it are not those the AuditEvent names as its basis.');
  for (const { entry, reference, status } of consents) {
    if (entry.kind !== 'consent-active' || status !== 'active') refute(`${reference} was not active.`);
    if (entry.index >= event.entry.index) refute(`${reference} was logged after what rests on it.`);
  }
}

/** What rests on a Consent was logged before anything took its place: decision and entry are one commit. */
function requireBasisInForce({ entry }: Event, consents: readonly Consent[], { replacedAt }: Current): void {
  consents.forEach(({ reference }, i) => {
    if ((replacedAt[i] ?? Number.POSITIVE_INFINITY) <= entry.index) refute(`${reference} had been replaced or withdrawn before what rests on it.`);
  });
}

function requireInForceAt(instant: number, consents: readonly Consent[], current: Current | undefined): void {
  if (consents.length === 0) refute('It shows no Consent.');
  if (!current) refute('It does not show how its Consents stand: it holds no root of the map of Consents.');
  const { occurredAt } = current.entry;
  if (!isInstant(occurredAt) || Date.parse(occurredAt) < instant) refute(`It shows how its Consents stood at ${occurredAt}, and not later.`);
  consents.forEach(({ reference, status, entry }, i) => {
    const inForce = entry.kind === 'consent-active' && status === 'active' && current.replacedAt[i] === undefined;
    if (!inForce) refute(`${reference} was not in force then.`);
  });
}

const acts = { disclosure: 'was answered', denial: 'was refused', write: 'wrote', 'break-glass': 'broke the glass' } as Readonly<
  Record<string, string>
>;

function eventSentence({ reference, requester, purpose, recorded, entry, basis }: Event): string {
  const what = `${reference}: ${requester} ${acts[entry.kind] ?? 'acted'} for purpose ${purpose}, recorded ${recorded}, entry ${entry.index}`;
  return `${what}${entry.kind === 'disclosure' ? `, resting on ${basis.length === 0 ? 'no Consent' : [...basis].join(', ')}` : ''}.`;
}

function consentSentence({ reference, status, patient, entry, signers }: Consent): string {
  const by = signers.map(({ owner, role, kid }) => `${owner} (${role}, key ${kid})`).join(' and ');
  const signed = signers.length === 0 ? '' : ` Its exact terms were signed by ${by}, whose keys had been registered in the log before.`;
  return `${reference} of ${patient}, status ${status}, exactly these bytes: logged as ${entry.kind} at entry ${entry.index}, ${entry.occurredAt}.${signed}`;
}

type Told = { readonly event: Event | null; readonly next: number | undefined };

function currentSentence({ reference, entry: logged }: Consent, { upTo, entry }: Current, { event, next }: Told): string {
  const map = `so says the map of Consents, whose root is entry ${entry.index}, ${entry.occurredAt}.`;
  const untouched = `nothing among the first ${upTo} entries of the log had taken its place`;
  const state = logged.kind.slice('consent-'.length);
  if (event && event.entry.index < upTo)
    return `${reference} was in force when ${event.reference} was recorded: ${next === undefined ? untouched : `what took its place is entry ${next}`}; ${map}`;
  return next === undefined
    ? `${reference} stood, ${state}, as of ${entry.occurredAt}: ${untouched}; ${map}`
    : `${reference}, ${state}, was replaced or withdrawn at entry ${next}; ${map}`;
}

function authoritySentence({ id, delegate, patient, basis, grantedBy, entry }: Authority): string {
  const word = basis === 'patient' ? ', by the patient’s own word' : ` as ${basis}, by the word of ${grantedBy.owner}`;
  return `${delegate} signed on behalf of ${patient}${word}: authority ${id}, entry ${entry.index}.`;
}

function notProven(event: Event | null, consents: readonly Consent[], current: Current | undefined): string[] {
  const active = consents.filter(({ entry }) => entry.kind === 'consent-active');
  const later = current
    ? [
        `What came after the first ${current.upTo} entries of the log, and that no key was revoked and no authority ended since it signed.`,
        'That the map of Consents leaves out no entry: whoever holds the rows of the log can tell (assent fsck).',
      ]
    : ['That the Consents had not been withdrawn, nor the keys revoked or authorities ended, between their entries and the checkpoint, or since.'];
  return [
    'That the times stated are right: they are the server’s own.',
    ...(active.length > 0 || current ? later : []),
    ...(active.some(({ signers }) => !signers.some(({ role }) => role === 'custodian'))
      ? ['That a custodian signed: a Consent here was signed by the patient alone.']
      : []),
    ...(event?.entry.kind === 'disclosure' && event.basis.length === 0 ? ['That the patient permitted it by a Consent: a built-in policy did.'] : []),
    ...(event ? ['What the bodies sent were: the AuditEvent names the versions, not their content.'] : []),
  ];
}
