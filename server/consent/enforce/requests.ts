/**
 * Consent/$request, $approve and $refuse: who wants to read asks, the patient and the custodian answer, each by a signature over the same statement.
 * consent.md §5, interface.md §3
 *
 * Invariants: whether there is such a patient, and whether somebody answered no, changes nothing of what a requester is answered before the deadline:
 * nothing is looked up, and neither its Task nor its place among the requests that are counted changes. A request that is over, by an answer or by its
 * deadline, is over for good; its Tasks change in the commit that changes it. No two commits take the same place, so no limit is passed.
 */
import { randomInt } from 'node:crypto';
import { withMembers } from '../../fhir/json-text.ts';
import { AssentError } from '../../errors.ts';
import { newIdFor } from '../../fhir/new-ids.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import type { Guard, RecordWrite, StoredResource } from '../../store/port.ts';
import { type CompiledConsent, compileConsent } from '../compile.ts';
import type { ConsentStatement, PreparedConsent, Row, SignedEnd } from '../gate.ts';
import { narrowedProvision, type Narrowing } from '../narrowing.ts';
import {
  afterwards,
  type Change,
  type ConsentRequest,
  type Happening,
  isWaiting,
  type Party,
  type PartyTask,
  requestTask,
  taskAfter,
  toTell,
} from '../requests.ts';
import type { Statement } from '../statement.ts';
import { acceptRefusal, acceptSignatures, type Approval } from '../workflow.ts';
import {
  askedOf,
  type Beside,
  type Ceremony,
  commitConsents,
  type ConsentRecord,
  prepareConsent,
  preparedText,
  readTerms,
  recordOf,
  sealedVersion,
  type Signed,
  type Signer,
  signConsent,
  stateTerms,
  statementOf,
  storedConsent,
  versionOf,
} from './ceremony.ts';
import { rowOf } from './disclose.ts';
import { requireLiving, storedById } from './on-record.ts';
import { lookedUpOnce } from './signers.ts';

export const REQUESTED = 'consent-request';
/** A record for each of so many requests that may be open at once. */
const PLACE = 'consent-request-place';
/** Their deadline is still to come. */
const WAITING = 'open';
const MINUTE_MS = 60_000;
const LONGEST_MS = 30 * 24 * 60 * MINUTE_MS;
/** Open requests of one client, and of one client about one patient, exactly. */
const MOST_OPEN = 1_000;
const MOST_ABOUT_ONE = 5;
const ATTEMPTS = 5;
/** More than there are places about one patient: of those who want the same one at least one gets it. */
const ATTEMPTS_AT_PLACES = 2 * MOST_ABOUT_ONE;

export type Wanted = {
  readonly consent: ResourceDocument;
  readonly language: string;
  /** ms since 1970. */
  readonly deadline: number;
};

/** Throws AssentError: invalid-consent (what cannot be asked for), rate-limited. Resolves with the requester's Task. */
export async function requestConsent(deps: Ceremony, wanted: Wanted): Promise<Row> {
  const now = deps.now();
  if (!(wanted.deadline >= now + MINUTE_MS && wanted.deadline <= now + LONGEST_MS))
    throw refusedAs('The deadline has to be between a minute and 30 days from now.', "Parameters.parameter.where(name = 'deadline')");
  const terms = await readTerms(deps, wanted);
  requireOwn(deps, terms.compiled.root);
  if (deps.approvals === 'both') await requireCustodians(deps, terms.compiled.organizations);
  for (let attempt = 0; attempt < ATTEMPTS_AT_PLACES; attempt++) {
    const row = await tryRequest(deps, terms, wanted);
    if (row) return row;
  }
  throw new AssentError('conflict');
}

/** Undefined: somebody else took the place. */
async function tryRequest(deps: Ceremony, terms: Awaited<ReturnType<typeof readTerms>>, { language, deadline }: Wanted): Promise<Row | undefined> {
  const { caller } = deps;
  const { patient, organizations } = terms.compiled;
  const indexed = deps.parameters.guard();
  const places = await freePlaces(deps, patient, deadline);
  const { record: prepared, ...final } = await stateTerms(deps, terms, { language, until: deadline });
  const { id: consentId } = JSON.parse(final.consent) as { readonly id: string };
  const newTask = (party: Party, owner: string): PartyTask => ({
    id: newIdFor({ resourceType: 'Task', for: { reference: `Patient/${patient}` } }, deps.base),
    party,
    owner,
  });
  const request: ConsentRequest = {
    client: caller.client,
    actor: caller.actor,
    patient,
    digest: final.digest,
    deadline,
    state: 'requested',
    tasks: [
      newTask('requester', caller.actor),
      newTask('patient', `Patient/${patient}`),
      ...(deps.approvals === 'both' ? organizations.map((organization) => newTask('custodian', organization)) : []),
    ],
    places: places.map(({ id }) => id),
  };
  const wording = { consent: consentId, statement: final.statement, digest: final.digest, at: deps.now() };
  const rows = request.tasks.map((each) =>
    sealedVersion(deps, JSON.stringify(requestTask(request, each, wording)), { id: each.id, after: undefined, ...visibleTo(each, request) }),
  );
  const record: ConsentRecord = { state: 'proposed', digest: final.digest, statement: final.statement, approvals: [] };
  const row = versionOf(deps, { text: final.consent, id: consentId, status: 'proposed', patient, after: undefined });
  const made = [prepared, kept(consentId, request), ...places];
  const committed = await commitConsents(deps, {
    patient,
    consents: [{ row, record }],
    provenance: undefined,
    guards: [...made.map(({ recordKind, id }) => ({ kind: 'record' as const, recordKind, id, revision: null })), indexed],
    beside: [{ guards: [], resources: rows, records: [...made, ...deps.tell(toTell(request, 'requested'))] }],
  });
  return committed ? rowOf(rows[0] as StoredResource) : undefined;
}

/** The statement of the request, signed: as $sign. One reason for whatever is wrong. Throws AssentError('invalid-signature'). */
export async function approveConsent(
  deps: Ceremony,
  id: string,
  signatures: readonly { readonly who: string; readonly jws: string }[],
): Promise<Signed> {
  const [request, record] = [await requestOf(deps, id), await recordOf(deps, id)];
  await requireSigned(deps, request && record?.value, signatures);
  if (!request || !record) throw isOver();
  return signConsent(deps, { statement: record.value.statement, signatures });
}

/** Before anything is told: who is no signer of it learns neither that there is such a request nor what has become of it. Throws AssentError('invalid-signature'). */
async function requireSigned(deps: Ceremony, record: ConsentRecord | undefined, signatures: Parameters<typeof acceptSignatures>[0]): Promise<void> {
  const text = record?.statement ?? '';
  const statement = record ? (JSON.parse(text) as Statement) : { custodians: [] };
  const consent = 'consent' in statement ? compileConsent(statement.consent, { now: Number.NEGATIVE_INFINITY }) : NOBODYS;
  await acceptSignatures(signatures, { statement, text, consent, now: deps.now(), ...askedOf(deps, lookedUpOnce(deps)) });
}

const NOBODYS: Pick<CompiledConsent, 'patient' | 'root'> = { patient: '', root: { type: 'deny', nested: [] } };

/**
 * Terms that take less than what was asked for, for the patient alone, to be signed in its place: then the custodian is asked anew. Throws AssentError:
 * not-found, invalid-consent.
 */
export async function narrowRequest(
  deps: Ceremony,
  id: string,
  { language, ...less }: Narrowing & { readonly language: string },
): Promise<PreparedConsent> {
  const known = await askedStatementOf(deps, id);
  const asked = known?.asked && !known.signed ? await preparedText(deps, known.digest) : undefined;
  if (!known?.asked || asked === undefined) throw new AssentError('not-found');
  const provision = narrowedProvision(JSON.parse(asked) as ResourceValue, less, deps.now());
  const text = withMembers(asked, { provision });
  const consent = { text, value: JSON.parse(text) as ResourceValue };
  return prepareConsent(deps, { consent, language, until: known.asked.deadline, narrows: { id, digest: known.digest } });
}

/** By the patient, on their behalf, or by the custodian; `reason`: kept in their own Task. Throws AssentError('invalid-signature'). Resolves with the Consent. */
export async function refuseConsent(deps: Ceremony, id: string, signed: SignedEnd, reason?: string): Promise<Row> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [request, record, stored] = [await requestOf(deps, id), await recordOf(deps, id), await storedConsent(deps, id)];
    const custodians = record ? (JSON.parse(record.value.statement) as Statement).custodians : [];
    const signers = lookedUpOnce(deps);
    const asked = {
      consent: `Consent/${id}`,
      audience: deps.base,
      patient: request?.value.patient ?? '',
      custodians,
      digest: request?.value.digest ?? '',
    };
    const by = await acceptRefusal(signed, { ...asked, now: deps.now(), ...askedOf(deps, signers) });
    if (!request || !record || !stored) throw new AssentError('invalid-signature');
    if (by.role === 'patient') await requireLiving(deps, request.value.patient);
    if (request.value.state === 'refused' || request.value.state === 'closed') return rowOf(stored);
    if (!(await endRequest(deps, { id, request, happening: 'refused', by: [by], guards: signers.unchanged(), reason }))) continue;
    const rejected = await storedConsent(deps, id);
    if (rejected) return rowOf(rejected);
  }
  throw new AssentError('conflict');
}

/** As statementOf, and who asks for it, where it waits for an answer. */
export async function askedStatementOf(deps: Ceremony, id: string): Promise<ConsentStatement | undefined> {
  const known = await statementOf(deps, id);
  const request = known && (await requestOf(deps, id))?.value;
  const isOpen = request?.state === 'requested' && request.deadline > deps.now();
  return known && { ...known, ...(isOpen ? { asked: { by: request.actor, deadline: request.deadline } } : {}) };
}

/** Ends the requests whose deadline has passed; one that cannot be ended holds up no other. Resolves with how many, throws the first fault at the end. */
export async function expireRequests(deps: Ceremony): Promise<number> {
  const faults: unknown[] = [];
  let expired = 0;
  for (let after: string | undefined; ; ) {
    const waiting = await deps.records.list(REQUESTED, { lookup: WAITING, limit: 200, ...(after === undefined ? {} : { after }) });
    for (const { id, value, revision } of waiting) {
      const request = { value: value as unknown as ConsentRequest, revision };
      if (request.value.deadline > deps.now()) continue;
      try {
        if (await endRequest(deps, { id, request, happening: 'deadline', by: [], guards: [] })) expired++;
      } catch (fault) {
        faults.push(fault);
      }
    }
    after = waiting.at(-1)?.id;
    if (waiting.length < 200) break;
  }
  if (faults.length > 0) throw faults[0];
  return expired;
}

/**
 * Of a Consent that is about to be erased: what was asked for is over as by a withdrawal. Whoever asked keeps the Task, which holds what they sent, and is
 * told at the deadline what they would be told of somebody who never was; of a grant, that it is not in force any more. Throws AssentError('unavailable').
 */
export async function endBeforeErasure(deps: Ceremony, id: string): Promise<void> {
  const request = await requestOf(deps, id);
  const state = request && afterwards(request.value.state, 'ended');
  if (!request || !state) return;
  const indexed = deps.parameters.guard();
  // Nobody else is left to be told.
  const value = { ...request.value, tasks: request.value.tasks.filter(({ party }) => party === 'requester') };
  const ended = await besideOf(deps, { id, request: { ...request, value }, change: { state, by: [] } });
  const committed = await commitConsents(deps, {
    patient: value.patient,
    consents: [],
    provenance: undefined,
    guards: [indexed],
    beside: [ended],
  });
  if (!committed) throw new AssentError('unavailable', 'Somebody answers a request that is to be erased; it is tried again.');
}

const isOver = () => new AssentError('invalid-signature', 'There is no such request, or it is over.');

type Kept<Of> = { readonly value: Of; readonly revision: number };
type Ending = {
  readonly id: string;
  readonly request: Kept<ConsentRequest>;
  readonly happening: 'refused' | 'deadline';
  readonly by: readonly Pick<Approval, 'who' | 'role' | 'jws'>[];
  readonly guards: readonly Guard[];
  readonly reason?: string | undefined;
};

/** False: something moved, and has to be looked at again. Throws AssentError('invalid-signature') for what is over. */
async function endRequest(deps: Ceremony, { id, request, happening, by, guards, reason }: Ending): Promise<boolean> {
  const isLate = happening === 'refused' && request.value.deadline <= deps.now();
  const state = isLate ? undefined : afterwards(request.value.state, happening);
  if (!state) throw isOver();
  const { patient } = request.value;
  const indexed = deps.parameters.guard();
  // One that was refused is over already: only who asked for it is still to be told. One that was erased is told of as well.
  const [record, stored] = request.value.state === 'requested' ? [await recordOf(deps, id), await storedConsent(deps, id)] : [];
  const row = stored && versionOf(deps, { text: stored.body, id, status: 'rejected', patient, after: stored });
  const rejected = row && record && { row, record: { ...record.value, state: 'rejected' as const }, revision: record.revision };
  return commitConsents(deps, {
    patient,
    consents: rejected ? [{ ...rejected, ...(by.length > 0 ? { signed: by } : {}) }] : [],
    provenance: undefined,
    guards: [...guards, ...(stored ? [{ kind: 'version' as const, type: 'Consent', id, version: stored.version }] : []), indexed],
    beside: [await besideOf(deps, { id, request, change: { state, by, reason } })],
  });
}

/**
 * What becomes of the request for a Consent with what was done to that: none where nobody asked for it. Whether a signature counts is decided where it
 * is verified; what was asked for has to be open as well. Throws AssentError('invalid-signature').
 */
export async function requestBeside(
  deps: Ceremony,
  { id, record, by }: { readonly id: string; readonly record: ConsentRecord; readonly by: readonly Signer[] },
): Promise<readonly Beside[]> {
  const request = await requestOf(deps, id);
  if (!request) return [];
  const happening = happeningOf(record.state);
  const state = afterwards(request.value.state, happening);
  if (happening === 'ended') return state ? [await besideOf(deps, { id, request, change: { state, by } })] : [];
  if (!state || request.value.deadline <= deps.now()) throw isOver();
  const { digest, statement } = record;
  const terms = digest === request.value.digest ? undefined : { digest, statement };
  return [await besideOf(deps, { id, request, change: { state, by, terms } })];
}

function happeningOf(state: ConsentRecord['state']): Happening {
  if (state === 'active') return 'complete';
  return state === 'proposed' ? 'signed' : 'ended';
}

type Step = { readonly id: string; readonly request: Kept<ConsentRequest>; readonly change: Change };

async function besideOf(deps: Ceremony, { id, request, change }: Step): Promise<Beside> {
  const { value, revision } = request;
  const { state, terms } = change;
  const changed = await Promise.all(value.tasks.map((task) => changedTask(deps, task, { request: value, change })));
  // Who asked is told of a grant at once; of anything else when the places are free anyway.
  const freed = state === 'approved' ? (value.places ?? []) : [];
  // Other terms are something to look at as well.
  const told = state === value.state && !terms ? [] : deps.tell(toTell(value, state));
  return {
    guards: [{ kind: 'record', recordKind: REQUESTED, id, revision }, ...changed.flatMap((one) => (one ? [one.guard] : []))],
    resources: changed.flatMap((one) => (one ? [one.row] : [])),
    records: [
      kept(id, { ...value, state, digest: terms?.digest ?? value.digest }),
      ...freed.map((place) => ({ kind: 'delete' as const, recordKind: PLACE, id: place })),
      ...told,
    ],
  };
}

async function changedTask(
  deps: Ceremony,
  task: PartyTask,
  { request, change }: { readonly request: ConsentRequest; readonly change: Change },
): Promise<{ readonly row: StoredResource; readonly guard: Guard } | undefined> {
  const stored = await storedById(deps, 'Task', task.id);
  const after = stored && !stored.deleted ? taskAfter(JSON.parse(stored.body) as ResourceValue, task, change) : undefined;
  if (!stored || !after) return undefined;
  const row = sealedVersion(deps, withMembers(stored.body, changedMembers(after)), { id: task.id, after: stored, ...visibleTo(task, request) });
  return { row, guard: { kind: 'version', type: 'Task', id: task.id, version: stored.version } };
}

const CHANGING = ['status', 'input', 'statusReason', 'businessStatus', 'output'];

function changedMembers(task: ResourceValue): Record<string, unknown> {
  return Object.fromEntries(CHANGING.flatMap((name) => (task[name] === undefined ? [] : [[name, task[name]]])));
}

/** A requester's Task is for the client that asked; a custodian's for whoever acts for the custodian; a patient reads what is about them. */
function visibleTo(
  { party, owner }: PartyTask,
  { client }: ConsentRequest,
): { readonly writer: string; readonly own?: string; readonly owner?: string } {
  if (party === 'requester') return { writer: '', own: client };
  return party === 'custodian' ? { writer: '', owner } : { writer: '' };
}

function kept(id: string, request: ConsentRequest): RecordPut {
  return { kind: 'put', recordKind: REQUESTED, id, value: request, lookup: isWaiting(request.state) ? [WAITING] : [] };
}

type RecordPut = RecordWrite & { readonly kind: 'put' };

/** Of what is kept of a request: whether its deadline has still to be looked at. */
export function isOpenRequest(value: unknown): boolean {
  return isWaiting((value as ConsentRequest).state);
}

/**
 * A place among the open requests of the client, and one among those about this patient. They are free again once the requester is told what became of
 * its request: sooner would tell it. Throws AssentError('rate-limited').
 */
async function freePlaces(deps: Ceremony, patient: string, deadline: number): Promise<readonly RecordPut[]> {
  const { client } = deps.caller;
  const among = async (whose: readonly string[], most: number): Promise<RecordPut> => {
    const lookup = [JSON.stringify(whose)];
    const taken = new Set((await deps.records.list(PLACE, { lookup: lookup[0] as string, limit: most })).map(({ value }) => value));
    const free = Array.from({ length: most }, (_, i) => i).filter((i) => !taken.has(i));
    // Any of them, so that requests at the same moment seldom want the same.
    const place = free[randomInt(Math.max(free.length, 1))];
    if (place === undefined) throw new AssentError('rate-limited', 'Too many requests of this client are open.');
    const id = JSON.stringify([...whose, place]);
    return { kind: 'put', recordKind: PLACE, id, value: place, lookup, expires: deadline + MINUTE_MS };
  };
  return [await among([client, patient], MOST_ABOUT_ONE), await among([client], MOST_OPEN)];
}

async function requestOf(deps: Ceremony, id: string): Promise<Kept<ConsentRequest> | undefined> {
  const found = await deps.records.get(REQUESTED, id);
  return found && { value: found.value as unknown as ConsentRequest, revision: found.revision };
}

/** Who asks, asks for itself, and for what its token says it is about. */
function requireOwn({ caller }: Ceremony, root: CompiledConsent['root']): void {
  const [actors, purposes] = [root.actors ?? [], [...(root.purposes ?? [])]];
  if (actors.length !== 1 || actors[0] !== caller.actor)
    throw refusedAs('A request is for the one who asks: name it, and nobody else, as the actor of the Consent.', 'Consent.provision.actor');
  if (purposes.length !== 1 || purposes[0] !== caller.purpose)
    throw refusedAs('A request is for the purpose of the token it is made with, and no other.', 'Consent.provision.purpose');
}

/** Known of every organization, and so nothing about any patient: whether it manages this record is found out by its signature. */
async function requireCustodians(deps: Ceremony, organizations: readonly string[]): Promise<void> {
  const registered = await Promise.all(organizations.map((organization) => deps.holdsRecords(organization)));
  if (organizations.length === 0 || registered.includes(false))
    throw refusedAs(
      'The custodian who has to approve is needed as Consent.organization: an organization that is registered as one.',
      'Consent.organization',
    );
}

function refusedAs(diagnostics: string, expression: string): AssentError {
  return new AssentError('invalid-consent', [{ diagnostics, expression: [expression] }]);
}
