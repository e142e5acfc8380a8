/**
 * Prepare and sign: the only way a Consent comes into force; out of it as well, withdraw.ts. Each step is one commit of the Consent, its Provenance,
 * its signatures, its AuditEvent and its log entries, and moves the consent epoch. consent.md §4–§5, interface.md §3
 *
 * Invariant: what is stored as active is exactly the Consent of a statement whose signatures were verified in this process.
 */
import { digestOf } from '../../../ledger/hash.ts';
import { randomBytes } from 'node:crypto';
import { AssentError } from '../../errors.ts';
import { newVersion } from '../../fhir/ids.ts';
import { objectText, withMembers } from '../../fhir/json-text.ts';
import { newIdFor } from '../../fhir/new-ids.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import type { Guard, NewLogRow, RecordStore, RecordWrite, StoredResource } from '../../store/port.ts';
import { ambiguityOf } from '../ambiguity.ts';
import { anchorsOf, type CompiledConsent, compileConsent, readingNamed, SEMANTICS } from '../compile.ts';
import type { ConsentStatement, PreparedConsent, Row } from '../gate.ts';
import { fitsLife, mayEnd } from '../authority.ts';
import type { Approvals } from '../model.ts';
import type { ConsentLog } from '../policies.ts';
import { type Notice, noticeOf } from '../notice.ts';
import { provenanceOf } from '../provenance.ts';
import { narrativeOf, renderDifference, renderTerms } from '../render.ts';
import type { toTell } from '../requests.ts';
import { readStatement, type Statement, STATEMENT_TYPE, statementText, unversioned } from '../statement.ts';
import { acceptSignatures, type Approval, type ConsentState, isComplete, mergeApprovals } from '../workflow.ts';
import { withActors } from './actors.ts';
import type { Directory } from './directory.ts';
import { type End, endOf } from './ends.ts';
import { actBase, rowOf, versionReference } from './disclose.ts';
import { custodiansOf, isDeceased, requireLiving, storedById } from './on-record.ts';
import { hasPartIn } from './party.ts';
import { freezeRelated } from './related.ts';
import { authoritiesOf, lookedUpOnce, type Signers, type SignersOnce, stillTrusted } from './signers.ts';
import type { Writing } from './write.ts';

/** What is kept about a Consent beside its resource. */
export type ConsentRecord = {
  readonly state: ConsentState;
  readonly digest: string;
  readonly statement: string;
  readonly approvals: readonly Approval[];
  /** ISO instant. */
  readonly activatedAt?: string;
  /** Who ended it, last. */
  readonly end?: End;
  /** What `related` reaches, as frozen: its digest stands in the statement. */
  readonly related?: string;
};

export type Ceremony = Writing &
  Signers & {
    readonly records: RecordStore;
    readonly log: Pick<ConsentLog, 'entries'>;
    /** Key ids that an owner may sign with now, in a fixed order; none where the caller may not know that this owner has any. */
    readonly kidsOf: (owner: string) => Promise<readonly string[]>;
    readonly approvals: Approvals;
    readonly where: Directory['where'];
    /** What becomes of the request for this Consent, as `record` has it from now on by what `by` did; none where nobody asked for it. */
    readonly requested: (id: string, record: ConsentRecord, by: readonly Signer[]) => Promise<readonly Beside[]>;
    /** What is committed so that those who have something to look at hear of it, beside their Tasks. */
    readonly tell: (told: ReturnType<typeof toTell>) => readonly RecordWrite[];
    /** Whether this organization is registered as a custodian. */
    readonly holdsRecords: (organization: string) => Promise<boolean>;
    /** Our FHIR base URL: the audience of statements. */
    readonly base: string;
    readonly consentLogRow: (entry: {
      readonly kind: `consent-${ConsentState}`;
      readonly occurredAt: string;
      readonly subject: string;
      readonly reference: string;
      readonly version: string;
      readonly digest: string;
      readonly statement: string;
      readonly signatures?: readonly string[];
    }) => NewLogRow;
  };

export type Signer = Pick<Approval, 'who' | 'role'>;

export const PREPARED = 'prepared-consent';
export const SIGNED = 'signed-consent';
const PREPARED_FOR_MS = 7 * 86_400_000;
const ATTEMPTS = 5;

/** `narrows`: digest of the statement in whose place the patient may sign this one. */
type Prepared = { readonly statement: string; readonly consent: string; readonly related?: string; readonly narrows?: string };

type Asking = { readonly consent: ResourceDocument; readonly language: string };
/**
 * `until`: ms since 1970, when it cannot be signed any more; a week from now unless said. `narrows`: the Consent that is asked for, and the digest of
 * its statement.
 */
type Stating = {
  readonly language: string;
  readonly supersedes?: string;
  readonly until?: number;
  readonly narrows?: { readonly id: string; readonly digest: string };
};
/** Actors are references, the reading is named where it need not be. */
type Terms = { readonly consent: ResourceDocument; readonly reading: { readonly policy?: readonly object[] }; readonly compiled: CompiledConsent };

/** Throws AssentError('invalid-consent') naming what cannot be signed. */
export async function prepareConsent(deps: Ceremony, asked: Asking & Stating): Promise<PreparedConsent> {
  const { record, ...prepared } = await stateTerms(deps, await readTerms(deps, asked), asked);
  await deps.records.put(record.recordKind, record.id, record.value, { ...record, revision: null });
  return prepared;
}

/** What is wanted. Throws AssentError('invalid-consent') naming what cannot be signed. */
export async function readTerms(deps: Ceremony, { consent: sent, language }: Asking): Promise<Terms> {
  const now = deps.now();
  const consent = await withActors(deps, sent);
  const reading = readingOf(wanted(consent.value), { now, language });
  return { consent, reading, compiled: compileConsent({ ...wanted(consent.value), ...reading }, { now }) };
}

/** What is to be signed, and the record by which it is known again: until that is written, nobody can sign it. */
export async function stateTerms(
  deps: Ceremony,
  { consent, reading, compiled }: Terms,
  { language, supersedes, until, narrows }: Stating,
): Promise<PreparedConsent & { readonly record: RecordWrite & { kind: 'put' } }> {
  const now = deps.now();
  const shown = renderTerms(compiled, language);
  const unstamped = consent.value['meta'] === undefined ? {} : { meta: { versionId: undefined, lastUpdated: undefined } };
  const text = withMembers(consent.text, {
    id: narrows?.id ?? newIdFor(consent.value, deps.base),
    status: 'active',
    ...reading,
    ...unstamped,
    text: narrativeOf(shown.lines),
  });
  const final = JSON.parse(text) as ResourceValue;
  const expires = until ?? now + PREPARED_FOR_MS;
  const frozen = await freezeRelated(deps, anchorsOf(compiled.root));
  const statement = statementText({
    type: STATEMENT_TYPE,
    semantics: SEMANTICS,
    audience: deps.base,
    consent: unversioned(final),
    shown: { language: shown.language, digest: digestOf(shown.lines.join('\n')) },
    requesters: await Promise.all((compiled.root.actors ?? []).map(async (reference) => ({ reference, keys: await deps.kidsOf(reference) }))),
    custodians: compiled.organizations,
    purposes: [...(compiled.root.purposes ?? [])],
    ...(compiled.root.period ? { period: (final['provision'] as { readonly period?: unknown }).period } : {}),
    nonce: randomBytes(16).toString('base64url'),
    created: new Date(now).toISOString(),
    expires: new Date(expires).toISOString(),
    ...(supersedes === undefined ? {} : { supersedes: await superseded(deps, supersedes, compiled.patient) }),
    ...(frozen ? { related: frozen.digest } : {}),
  });
  const digest = digestOf(statement);
  const beside = { ...(frozen ? { related: frozen.text } : {}), ...(narrows ? { narrows: narrows.digest } : {}) };
  const value: Prepared = { statement, consent: text, ...beside };
  const record = { kind: 'put' as const, recordKind: PREPARED, id: digest, value, expires, lookup: [`consent:${String(final.id)}`] };
  return { consent: text, statement, digest, expires, record };
}

/** The Consent of a statement that was prepared, exact text. */
export async function preparedText(deps: Ceremony, digest: string): Promise<string | undefined> {
  return ((await deps.records.get(PREPARED, digest))?.value as Prepared | undefined)?.consent;
}

/** What is asked for may be written down as a draft or a proposal; what is signed is in force. */
function wanted(consent: ResourceValue): ResourceValue {
  return consent['status'] === 'draft' || consent['status'] === 'proposed' ? { ...consent, status: 'active' } : consent;
}

/** The reading of a Consent that names none: ours, where it means the same in every one. Throws AssentError('invalid-consent'). */
function readingOf(consent: ResourceValue, { now, language }: { readonly now: number; readonly language: string }): { policy?: readonly object[] } {
  if (readingNamed(consent) !== undefined || consent['policy'] !== undefined) return {};
  const refused = (diagnostics: string) => new AssentError('invalid-consent', [{ diagnostics, expression: ['Consent.provision'] }]);
  const difference = ambiguityOf(consent, now);
  if (difference === 'unknown') throw refused(`What it means in every reading cannot be compared; name the reading in policy.uri: ${SEMANTICS}.`);
  if (difference) throw refused(renderDifference(difference, language));
  return { policy: [{ uri: SEMANTICS }] };
}

/** Rule 24: another patient's, or one that is not active, cannot be superseded; nor one that the caller has no part in: to them there is none. */
async function superseded(deps: Ceremony, reference: string, patient: string): Promise<NonNullable<Statement['supersedes']>> {
  const id = reference.replace(/^Consent\//, '');
  const kept = (await recordOf(deps, id))?.value;
  // Whose it is says the signed statement: a Consent may name others, e.g. as who may read.
  if (kept?.state !== 'active' || patientAndCustodians(kept).patient !== patient || !(await hasPartIn(deps, id, patientAndCustodians(kept))))
    throw new AssentError('invalid-consent', [
      {
        diagnostics: 'The Consent to supersede is not an active one of this patient.',
        expression: ["Parameters.parameter.where(name = 'supersedes')"],
      },
    ]);
  return { consent: `Consent/${id}`, digest: kept.digest };
}

export type Signed = { readonly kind: 'activated' | 'proposed' | 'already-active'; readonly row: Row };

type Signatures = readonly { readonly who: string; readonly jws: string }[];

/** The Consent as prepared, sent beside its signatures (a transaction, X-Provenance): its statement is the one made for it, or none. */
export async function signPrepared(
  deps: Ceremony,
  { consent, signatures }: { readonly consent: ResourceValue; readonly signatures: Signatures },
): Promise<Signed> {
  const found = await deps.records.list(PREPARED, { lookup: `consent:${String(consent.id)}` });
  const statements = found.map(({ value }) => (value as unknown as Prepared).statement);
  const statement = statements.find((each) => statementText({ ...(JSON.parse(each) as Statement), consent: unversioned(consent) }) === each);
  if (statement === undefined) throw new AssentError('invalid-signature', 'This Consent was not prepared here, or its terms were changed.');
  return signConsent(deps, { statement, signatures });
}

export async function signConsent(
  deps: Ceremony,
  { statement: text, signatures }: { readonly statement: string; readonly signatures: Signatures },
): Promise<Signed> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const signed = await trySigning(deps, text, signatures);
    if (signed) return signed;
  }
  throw new AssentError('conflict');
}

async function trySigning(deps: Ceremony, text: string, signatures: Signatures): Promise<Signed | undefined> {
  const now = deps.now();
  const digest = digestOf(text);
  const statement = readStatement(text, { audience: deps.base, now });
  const prepared = (await deps.records.get(PREPARED, digest))?.value as Prepared | undefined;
  if (prepared?.statement !== text) throw new AssentError('invalid-signature', 'This statement was not prepared here, or its terms were changed.');
  const compiled = compileConsent(statement.consent, { now });
  const id = String(statement.consent.id);
  const [kept, stored] = [await recordOf(deps, id), await storedConsent(deps, id)];
  const signers = lookedUpOnce(deps);
  // First: what has become of it is told to those who sign it.
  const accepted = await acceptSignatures(signatures, { statement, text, consent: compiled, now, ...askedOf(deps, signers) });
  if (kept && kept.value.state !== 'proposed' && kept.value.state !== 'active')
    throw new AssentError('invalid-signature', 'This Consent is over; prepare a new one.');
  const narrows = kept !== undefined && kept.value.digest !== digest;
  if (narrows && !mayNarrow(kept.value, prepared)) throw new AssentError('invalid-signature', 'The terms of this Consent are others by now.');
  await requireCustody(deps, compiled, accepted);
  await requireSigners(deps, { patient: compiled.patient, accepted, statement }, signers);
  if (narrows && !accepted.some(({ role }) => role === 'patient'))
    throw new AssentError('invalid-signature', 'The patient alone narrows what is asked for.');
  // Over other terms a signature says nothing of these.
  const before = await stillTrusted(narrows ? [] : (kept?.value.approvals ?? []), { ...signers, now }, deps.log.entries(`Consent/${id}`));
  const approvals = mergeApprovals(before, accepted);
  if (kept?.value.state === 'active' && stored) return { kind: 'already-active', row: rowOf(stored) };
  const active = isComplete(approvals, deps.approvals);
  if (kept && stored && !active && approvals.every(({ kid }) => before.some((earlier) => earlier.kid === kid)))
    return { kind: 'proposed', row: rowOf(stored) };
  const record: ConsentRecord = {
    state: active ? 'active' : 'proposed',
    digest,
    statement: text,
    approvals,
    ...(active ? { activatedAt: new Date(now).toISOString() } : {}),
    ...(prepared.related === undefined ? {} : { related: prepared.related }),
  };
  const step = { compiled, id, prepared, record, stored, statement, before, unchanged: signers.unchanged() };
  const row = await commitSigning(deps, { ...step, beside: await deps.requested(id, record, approvals) }, kept?.revision ?? null);
  return row && { kind: active ? 'activated' : 'proposed', row };
}

/** Made in the place of just these terms, to which nobody has said yes for the patient. */
function mayNarrow({ state, digest, approvals }: ConsentRecord, { narrows }: Prepared): boolean {
  return state === 'proposed' && narrows === digest && approvals.every(({ role }) => role === 'custodian');
}

/** What is asked about those who sign. Of authorities only those for the part of life the patient is in. */
export function askedOf(deps: Ceremony, { keyOf, authorities }: Signers): Pick<Parameters<typeof acceptSignatures>[1], 'keyOf' | 'authoritiesOf'> {
  const authoritiesOf = async (owner: string) => {
    const known = await authorities.list(owner);
    const dead = await Promise.all(known.map(({ patient }) => isDeceased(deps, patient)));
    return known.filter((authority, i) => fitsLife(authority, { deceased: dead[i] ?? false }));
  };
  return { keyOf, authoritiesOf };
}

type Accepted = { readonly patient: string; readonly accepted: readonly Approval[]; readonly statement: Statement };

/** The patient lives, or somebody signs in their place, who replaces only what they may end. */
async function requireSigners(deps: Ceremony, { patient, accepted, statement }: Accepted, { authorities }: SignersOnce): Promise<void> {
  if (accepted.some(({ role }) => role === 'patient')) await requireLiving(deps, patient);
  const replaced = statement.supersedes && (await recordOf(deps, statement.supersedes.consent.slice('Consent/'.length)));
  if (!replaced) return;
  const under = await authoritiesOf(accepted, authorities);
  if (!under.every((each) => mayEnd(each, signedByPatient(replaced.value))))
    throw new AssentError('invalid-signature', 'The Consent it replaces is not theirs to end.');
}

export function signedByPatient({ approvals }: ConsentRecord): { readonly signedByPatient: boolean } {
  return { signedByPatient: approvals.some(({ role }) => role === 'patient') };
}

/**
 * The custodian must be the patient's managing organization, or a parent of it, where one is stated, and so must whoever signs as one: a
 * grantee named beside the custodian does not countersign its own access. Looked at only once a signature has shown that the signer knows
 * the patient.
 */
async function requireCustody(deps: Ceremony, { patient, organizations }: CompiledConsent, accepted: readonly Approval[]): Promise<void> {
  const custodians = await custodiansOf(deps, patient);
  if (!custodians) return;
  const named = organizations.some((organization) => custodians.has(organization));
  const signed = accepted.every(({ role, who }) => role !== 'custodian' || custodians.has(who));
  if (!named || !signed) throw new AssentError('invalid-signature', 'The custodian named is not the one that manages this record.');
}

type SigningStep = {
  readonly compiled: CompiledConsent;
  readonly id: string;
  readonly prepared: Prepared;
  readonly record: ConsentRecord;
  readonly stored: StoredResource | undefined;
  readonly statement: Statement;
  /** Signatures that are logged already. */
  readonly before: readonly Approval[];
  /** The keys are as they were when the signatures were accepted. */
  readonly unchanged: readonly Guard[];
  readonly beside: readonly Beside[];
};

async function commitSigning(deps: Ceremony, step: SigningStep, revision: number | null): Promise<Row | undefined> {
  const indexed = deps.parameters.guard();
  const { compiled, id, prepared, record, stored, statement, before, unchanged, beside } = step;
  const consent = versionOf(deps, {
    text: prepared.consent,
    id,
    status: record.state === 'active' ? 'active' : 'proposed',
    patient: compiled.patient,
    after: stored,
  });
  const provenance = provenanceVersion(deps, { ...consent, patient: compiled.patient }, record);
  const ended =
    statement.supersedes && record.state === 'active'
      ? await endSuperseded(deps, statement.supersedes, { id, record, patient: compiled.patient })
      : undefined;
  const committed = await commitConsents(deps, {
    patient: compiled.patient,
    consents: [{ row: consent, record, signed: record.approvals.filter((approval) => !before.includes(approval)) }, ...(ended ? [ended.step] : [])],
    provenance,
    guards: [
      ...unchanged,
      { kind: 'record', recordKind: SIGNED, id, revision },
      { kind: 'version', type: 'Consent', id, version: stored?.version ?? null },
      indexed,
    ],
    beside: [...beside, ...(ended?.beside ?? [])],
  });
  return committed ? rowOf(consent) : undefined;
}

type ConsentStep = {
  readonly row: StoredResource;
  readonly record: ConsentRecord;
  readonly revision?: number;
  /** The signatures that come with this step. */
  readonly signed?: readonly Pick<Approval, 'jws'>[];
};

/** The old Consent becomes inactive in the same commit as the new one becomes active. */
async function endSuperseded(
  deps: Ceremony,
  { consent: reference, digest }: NonNullable<Statement['supersedes']>,
  by: { readonly id: string; readonly record: ConsentRecord; readonly patient: string },
): Promise<{ readonly step: ConsentStep; readonly beside: readonly Beside[] }> {
  const id = reference.slice('Consent/'.length);
  const [kept, stored] = [await recordOf(deps, id), await storedConsent(deps, id)];
  if (kept?.value.state !== 'active' || kept.value.digest !== digest || !stored)
    throw new AssentError('invalid-signature', 'The Consent to supersede is not active any more.');
  const row = versionOf(deps, { text: stored.body, id, status: 'inactive', patient: by.patient, after: stored });
  const end = endOf(by.record.approvals, `Consent/${by.id}`);
  const record: ConsentRecord = { ...kept.value, state: 'superseded', end };
  return { step: { row, record, revision: kept.revision, signed: end.signatures }, beside: await deps.requested(id, record, by.record.approvals) };
}

/** For the patient it is about: they are told what they signed, or are to sign. What they see of the Consent itself is read and recorded elsewhere. */
export async function statementOf(deps: Ceremony, id: string): Promise<ConsentStatement | undefined> {
  const kept = (await recordOf(deps, id))?.value;
  if (!kept || deps.caller.actor !== `Patient/${patientAndCustodians(kept).patient}`) return undefined;
  const { statement, digest, state, approvals } = kept;
  return { statement, digest, state, signed: approvals.some(({ role }) => role !== 'custodian') };
}

export function patientAndCustodians({ statement }: ConsentRecord): { readonly patient: string; readonly custodians: readonly string[] } {
  const { consent, custodians } = JSON.parse(statement) as Statement;
  const reference = (consent['patient'] as { reference: string }).reference;
  return { patient: reference.slice('Patient/'.length), custodians };
}

type Commit = {
  readonly patient: string;
  readonly consents: readonly ConsentStep[];
  readonly provenance: StoredResource | undefined;
  readonly guards: readonly Guard[];
  readonly beside?: readonly Beside[];
};

/** What is committed with a Consent because it was asked for. */
export type Beside = { readonly guards: readonly Guard[]; readonly resources: readonly StoredResource[]; readonly records: readonly RecordWrite[] };

/** What nobody has signed yet, or never will, permits and denies nothing. */
function movesEpoch({ record: { state, approvals } }: ConsentStep): boolean {
  return state !== 'rejected' && (state !== 'proposed' || approvals.length > 0);
}

/** What became of a Consent by a signature, for whoever reads the trail. Of what nobody signed nothing is said: it tells no more than where no patient is. */
function saidOf([first]: readonly ConsentStep[]): { readonly query?: string } {
  if (!first || (first.record.state === 'proposed' && first.record.approvals.length === 0)) return {};
  return { query: `consent ${first.record.state === 'proposed' ? 'signed' : first.record.state}` };
}

export async function commitConsents(deps: Ceremony, { patient, consents, provenance, guards, beside = [] }: Commit): Promise<boolean> {
  const resources = [...consents.map(({ row }) => row), ...(provenance ? [provenance] : []), ...beside.flatMap((each) => each.resources)];
  const act = { ...actBase(deps.caller, 'operation'), patient, what: resources.map(versionReference), basis: [], ...saidOf(consents) };
  const audit = deps.record(act, { own: true, at: deps.came });
  const outcome = await deps.resources.commit({
    guards: [
      ...guards,
      ...beside.flatMap((each) => each.guards),
      ...consents.flatMap(({ row, revision }) =>
        revision === undefined ? [] : [{ kind: 'record' as const, recordKind: SIGNED, id: row.id, revision }],
      ),
    ],
    resources: [...resources, audit.resource],
    records: [
      ...consents.map(({ row, record }): RecordWrite => ({ kind: 'put', recordKind: SIGNED, id: row.id, value: record })),
      ...beside.flatMap((each) => each.records),
    ],
    log: [...consents.map((step) => consentEntry(deps, step, patient)), deps.logRow(audit.entry)],
    bumpEpoch: consents.some(movesEpoch),
  });
  return outcome.kind === 'committed';
}

function consentEntry(deps: Ceremony, { row, record, signed }: ConsentStep, patient: string): NewLogRow {
  return deps.consentLogRow({
    kind: `consent-${record.state}`,
    occurredAt: new Date(row.lastUpdated).toISOString(),
    subject: `Patient/${patient}`,
    reference: `Consent/${row.id}`,
    version: row.version,
    digest: digestOf(row.body),
    statement: record.digest,
    ...(signed ? { signatures: signed.map(({ jws }) => digestOf(jws)) } : {}),
  });
}

type NewConsent = {
  readonly text: string;
  readonly id: string;
  readonly status: string;
  readonly patient: string;
  readonly after: StoredResource | undefined;
};

export function versionOf(deps: Ceremony, { text, id, status, after }: NewConsent): StoredResource {
  return sealedVersion(deps, withMembers(text, { status }), { id, after });
}

function provenanceVersion(deps: Ceremony, consent: Parameters<typeof provenanceOf>[0], record: ConsentRecord): StoredResource {
  const provenance = provenanceOf(consent, record.approvals);
  const text = objectText(Object.entries(provenance).map(([name, value]) => [name, JSON.stringify(value)]));
  return sealedVersion(deps, text, { id: newIdFor(provenance, deps.base), after: undefined });
}

type Sealing = {
  readonly id: string;
  readonly after: StoredResource | undefined;
  /** Other than the caller. */
  readonly writer?: string;
  /** Of a Task: the client or the party that may see it. */
  readonly own?: string;
  readonly owner?: string;
};

/** A version nobody changes but by the matching signature. */
export function sealedVersion(deps: Ceremony, text: string, { id, after, writer = deps.caller.actor, own, owner }: Sealing): StoredResource {
  const version = newVersion();
  const lastUpdated = Math.max(deps.came, (after?.lastUpdated ?? 0) + 1);
  const body = withMembers(text, { id, meta: { versionId: version, lastUpdated: new Date(lastUpdated).toISOString() } });
  const value = JSON.parse(body) as ResourceValue;
  const { keys, instant } = deps.keysOf(value, { writer, previous: undefined, concepts: new Map(), sealed: true, own, owner });
  return { type: value.resourceType, id, version, lastUpdated, instant: instant ?? lastUpdated, deleted: false, body, keys };
}

/** A patient's Task, of nobody's writing: what organizations wrote they may read again. Beside it, what is sent that there is one. */
export function noticeTo(deps: Ceremony, notice: Notice): { readonly task: StoredResource; readonly sent: readonly RecordWrite[] } {
  const task = noticeOf(notice);
  return {
    task: sealedVersion(deps, JSON.stringify(task), { id: newIdFor(task, deps.base), after: undefined, writer: '' }),
    sent: deps.tell([{ party: 'patient', who: `Patient/${notice.patient}` }]),
  };
}

export async function recordOf(deps: Ceremony, id: string): Promise<{ readonly value: ConsentRecord; readonly revision: number } | undefined> {
  const found = await deps.records.get(SIGNED, id);
  return found && { value: found.value as unknown as ConsentRecord, revision: found.revision };
}

export function storedConsent(deps: Ceremony, id: string): Promise<StoredResource | undefined> {
  return storedById(deps, 'Consent', id);
}
