/**
 * Consent/$request, $approve and $refuse: who wants to read asks, the patient and the custodian answer, each by a signature over the same statement.
 * consent.md §5, interface.md §3
 *
 * Invariants: whether there is such a patient changes nothing of what a requester is answered, because nothing is looked up; a request that is over,
 * by an answer or by its deadline, is over for good; its Tasks change in the commit that changes it.
 */
import { withMembers } from '../../fhir/json-text.ts';
import { AssentError } from '../../errors.ts';
import { newIdFor } from '../../fhir/new-ids.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import type { Guard, RecordWrite, StoredResource } from '../../store/port.ts';
import { compileConsent } from '../compile.ts';
import type { ConsentStatement, Row, SignedEnd } from '../gate.ts';
import { type ConsentRequest, type Party, type PartyTask, afterwards, requestTask, taskAfter } from '../requests.ts';
import type { Statement } from '../statement.ts';
import { acceptRefusal, type Approval } from '../workflow.ts';
import {
  askedOf,
  type Beside,
  type Ceremony,
  commitConsents,
  type ConsentRecord,
  prepareConsent,
  recordOf,
  sealedVersion,
  type Signed,
  signConsent,
  statementOf,
  storedConsent,
  versionOf,
} from './ceremony.ts';
import { rowOf } from './disclose.ts';
import { requireLiving, storedById } from './on-record.ts';
import { lookedUpOnce } from './signers.ts';

const REQUESTED = 'consent-request';
const OPEN = 'open';
const MINUTE_MS = 60_000;
const LONGEST_MS = 30 * 24 * 60 * MINUTE_MS;
/** Open requests of one client, and of one client about one patient. */
const MOST_OPEN = 1_000;
const MOST_ABOUT_ONE = 5;
const ATTEMPTS = 5;

export type Wanted = {
  readonly consent: ResourceDocument;
  readonly language: string;
  /** ms since 1970. */
  readonly deadline: number;
};

/** Throws AssentError: invalid-consent (what cannot be asked for), rate-limited. Resolves with the requester's Task. */
export async function requestConsent(deps: Ceremony, { consent, language, deadline }: Wanted): Promise<Row> {
  const { caller } = deps;
  const now = deps.now();
  if (!(deadline >= now + MINUTE_MS && deadline <= now + LONGEST_MS))
    throw refusedAs('The deadline has to be between a minute and 30 days from now.', "Parameters.parameter.where(name = 'deadline')");
  const prepared = await prepareConsent(deps, { consent, language, until: deadline });
  const statement = JSON.parse(prepared.statement) as Statement;
  const { patient, organizations, root } = compileConsent(statement.consent, { now });
  requireOwn(deps, { actors: root.actors ?? [], purposes: [...(root.purposes ?? [])] });
  if (deps.approvals === 'both' && organizations.length === 0)
    throw refusedAs('The custodian who has to approve is needed as Consent.organization.', 'Consent.organization');
  await requireFew(deps, patient);
  const consentId = String(statement.consent.id);
  const place = () => newIdFor({ resourceType: 'Task', for: { reference: `Patient/${patient}` } }, deps.base);
  const task = (party: Party, owner: string): PartyTask => ({ id: place(), party, owner });
  const tasks = [
    task('requester', caller.actor),
    task('patient', `Patient/${patient}`),
    ...(deps.approvals === 'both' ? organizations.map((organization) => task('custodian', organization)) : []),
  ];
  const request: ConsentRequest = {
    client: caller.client,
    actor: caller.actor,
    patient,
    digest: prepared.digest,
    deadline,
    state: 'requested',
    tasks,
  };
  const wording = { consent: consentId, statement: prepared.statement, digest: prepared.digest, at: now };
  const rows = tasks.map((each) =>
    sealedVersion(deps, JSON.stringify(requestTask(request, each, wording)), { id: each.id, after: undefined, ...visibleTo(each, request) }),
  );
  const record: ConsentRecord = { state: 'proposed', digest: prepared.digest, statement: prepared.statement, approvals: [] };
  const row = versionOf(deps, { text: prepared.consent, id: consentId, status: 'proposed', patient, after: undefined });
  const committed = await commitConsents(deps, {
    patient,
    consents: [{ row, record }],
    provenance: undefined,
    guards: [{ kind: 'record', recordKind: REQUESTED, id: consentId, revision: null }, deps.parameters.guard()],
    beside: { guards: [], resources: rows, records: [kept(consentId, request)] },
  });
  if (!committed) throw new AssentError('conflict');
  return rowOf(rows[0] as StoredResource);
}

/** The statement of the request, signed: as $sign. One reason for whatever is wrong. Throws AssentError('invalid-signature'). */
export async function approveConsent(
  deps: Ceremony,
  id: string,
  signatures: readonly { readonly who: string; readonly jws: string }[],
): Promise<Signed> {
  const [request, record] = [await requestOf(deps, id), await recordOf(deps, id)];
  if (!request || !record) throw isOver();
  return signConsent(deps, { statement: record.value.statement, signatures });
}

/** By the patient, on their behalf, or by the custodian. Throws AssentError('invalid-signature'). Resolves with the Consent. */
export async function refuseConsent(deps: Ceremony, id: string, signed: SignedEnd): Promise<Row> {
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
    if (request.value.state === 'refused') return rowOf(stored);
    const ended = await endRequest(deps, { id, request, record, stored }, { happening: 'refused', by: [by], guards: signers.unchanged() });
    if (ended) return rowOf(ended);
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

/** Ends the requests whose deadline has passed. Resolves with how many. */
export async function expireRequests(deps: Ceremony): Promise<number> {
  let expired = 0;
  for (let after: string | undefined; ; ) {
    const open = await deps.records.list(REQUESTED, { lookup: OPEN, limit: 200, ...(after === undefined ? {} : { after }) });
    for (const { id, value, revision } of open) {
      const request = { value: value as unknown as ConsentRequest, revision };
      if (request.value.deadline > deps.now()) continue;
      const [record, stored] = [await recordOf(deps, id), await storedConsent(deps, id)];
      if (record && stored && (await endRequest(deps, { id, request, record, stored }, { happening: 'deadline', by: [], guards: [] }))) expired++;
    }
    after = open.at(-1)?.id;
    if (open.length < 200) return expired;
  }
}

const isOver = () => new AssentError('invalid-signature', 'There is no such request, or it is over.');

type Kept<Of> = { readonly value: Of; readonly revision: number };
type Ending = {
  readonly happening: 'refused' | 'deadline';
  readonly by: readonly Pick<Approval, 'who' | 'role' | 'jws'>[];
  readonly guards: readonly Guard[];
};

/** Undefined: something moved, and has to be looked at again. Throws AssentError('invalid-signature') for what is over. */
async function endRequest(
  deps: Ceremony,
  {
    id,
    request,
    record,
    stored,
  }: { readonly id: string; readonly request: Kept<ConsentRequest>; readonly record: Kept<ConsentRecord>; readonly stored: StoredResource },
  { happening, by, guards }: Ending,
): Promise<StoredResource | undefined> {
  const late = happening === 'refused' && request.value.deadline <= deps.now();
  const state = late ? undefined : afterwards(request.value.state, happening);
  if (!state) throw isOver();
  const { patient } = request.value;
  const row = versionOf(deps, { text: stored.body, id, status: 'rejected', patient, after: stored });
  const committed = await commitConsents(deps, {
    patient,
    consents: [{ row, record: { ...record.value, state: 'rejected' }, revision: record.revision, ...(by.length > 0 ? { signed: by } : {}) }],
    provenance: undefined,
    guards: [...guards, { kind: 'version', type: 'Consent', id, version: stored.version }, deps.parameters.guard()],
    beside: await besideOf(deps, { id, request, state, by }),
  });
  return committed ? row : undefined;
}

/**
 * What a signature changes beside the Consent: undefined where nobody asked for it. The Consent is decided by who signed; what was asked for has to be
 * open as well. Throws AssentError('invalid-signature').
 */
export async function requestBeside(deps: Ceremony, id: string, record: ConsentRecord): Promise<Beside | undefined> {
  const request = await requestOf(deps, id);
  if (!request) return undefined;
  const state = afterwards(request.value.state, record.state === 'active' ? 'complete' : 'signed');
  if (!state || request.value.deadline <= deps.now()) throw isOver();
  return besideOf(deps, { id, request, state, by: record.approvals });
}

type Step = {
  readonly id: string;
  readonly request: Kept<ConsentRequest>;
  readonly state: ConsentRequest['state'];
  readonly by: readonly Pick<Approval, 'who' | 'role'>[];
};

async function besideOf(deps: Ceremony, { id, request, state, by }: Step): Promise<Beside> {
  const { value, revision } = request;
  const changed = await Promise.all(value.tasks.map((task) => changedTask(deps, task, { request: value, state, by })));
  return {
    guards: [{ kind: 'record', recordKind: REQUESTED, id, revision }, ...changed.flatMap((one) => (one ? [one.guard] : []))],
    resources: changed.flatMap((one) => (one ? [one.row] : [])),
    records: [kept(id, { ...value, state })],
  };
}

async function changedTask(
  deps: Ceremony,
  task: PartyTask,
  { request, ...step }: { readonly request: ConsentRequest } & Pick<Step, 'state' | 'by'>,
): Promise<{ readonly row: StoredResource; readonly guard: Guard } | undefined> {
  const stored = await storedById(deps, 'Task', task.id);
  const after = stored && !stored.deleted ? taskAfter(JSON.parse(stored.body) as ResourceValue, task, step) : undefined;
  if (!stored || !after) return undefined;
  const row = sealedVersion(deps, withMembers(stored.body, changedMembers(after)), { id: task.id, after: stored, ...visibleTo(task, request) });
  return { row, guard: { kind: 'version', type: 'Task', id: task.id, version: stored.version } };
}

function changedMembers({ status, statusReason, output }: ResourceValue): Record<string, unknown> {
  return { status, ...(statusReason === undefined ? {} : { statusReason }), ...(output === undefined ? {} : { output }) };
}

/** A requester's Task is for the client that asked; a custodian's for whoever acts for the custodian; a patient reads what is about them. */
function visibleTo(
  { party, owner }: PartyTask,
  { client }: ConsentRequest,
): { readonly writer: string; readonly own?: string; readonly owner?: string } {
  if (party === 'requester') return { writer: '', own: client };
  return party === 'custodian' ? { writer: '', owner } : { writer: '' };
}

function kept(id: string, request: ConsentRequest): RecordWrite {
  const open = request.state === 'requested' ? [OPEN, openOf(request), aboutOf(request)] : [];
  return { kind: 'put', recordKind: REQUESTED, id, value: request, lookup: open };
}

const openOf = ({ client }: Pick<ConsentRequest, 'client'>): string => `client:${client}`;
const aboutOf = ({ client, patient }: Pick<ConsentRequest, 'client' | 'patient'>): string => JSON.stringify([client, patient]);

async function requestOf(deps: Ceremony, id: string): Promise<Kept<ConsentRequest> | undefined> {
  const found = await deps.records.get(REQUESTED, id);
  return found && { value: found.value as unknown as ConsentRequest, revision: found.revision };
}

/** Who asks, asks for itself, and for what its token says it is about. */
function requireOwn({ caller }: Ceremony, { actors, purposes }: { readonly actors: readonly string[]; readonly purposes: readonly string[] }): void {
  if (actors.length !== 1 || actors[0] !== caller.actor)
    throw refusedAs('A request is for the one who asks: name it, and nobody else, as the actor of the Consent.', 'Consent.provision.actor');
  if (purposes.length !== 1 || purposes[0] !== caller.purpose)
    throw refusedAs('A request is for the purpose of the token it is made with, and no other.', 'Consent.provision.purpose');
}

async function requireFew(deps: Ceremony, patient: string): Promise<void> {
  const { client } = deps.caller;
  const open = (lookup: string, limit: number) => deps.records.list(REQUESTED, { lookup, limit });
  const [about, all] = [await open(aboutOf({ client, patient }), MOST_ABOUT_ONE), await open(openOf({ client }), MOST_OPEN)];
  if (about.length >= MOST_ABOUT_ONE || all.length >= MOST_OPEN) throw new AssentError('rate-limited', 'Too many requests of this client are open.');
}

function refusedAs(diagnostics: string, expression: string): AssentError {
  return new AssentError('invalid-consent', [{ diagnostics, expression: [expression] }]);
}
