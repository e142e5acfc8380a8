/**
 * The append-only key log: who signs with which public key, since when, until when. consent.md §6, interface.md §2
 *
 * Invariants: an event is never changed or removed; its record, its entry in the Merkle log, its AuditEvent and the move of the epoch are one commit,
 * and the entry holds the digest of the record's exact text; a key is registered once, for one owner, for ever; whoever administers registers a
 * patient's first key and no further one.
 */
import { calculateJwkThumbprint } from 'jose';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { NewLogRow, RecordStore, RecordWrite, StoredRecord } from '../store/port.ts';
import type { AdminAct, RecordCommit, RecordGuard } from './commit.ts';
import { digestOfEvent } from './event-digest.ts';
import { issue, refuse } from './input.ts';
import { type Authorization, foldEvents, type KeyEvent, type KeyRole, type Passkey, type PublicJwk, type RegisteredKey } from './key-event.ts';
import { checkOwner, readKey, readPasskey, readRevocation } from './key-input.ts';

const KIND = 'key-event';
/** By its credential id: `{ counter }`, where its authenticator stood when it signed in last. */
export const CREDENTIAL = 'passkey';

/** A row of the Merkle log, before it is encoded. `subject`: the Patient it is about, or null. */
export type KeyLogEntry = {
  readonly kind: 'key-registered' | 'key-revoked' | 'key-recovery-opened' | 'key-recovery-stopped';
  readonly occurredAt: string;
  readonly subject: string | null;
  readonly reference: string;
  readonly digest: string;
};

/** Parts of a commit that adds an event: it holds only while the key has no other one. */
export type KeyWrites = { readonly guards: readonly RecordGuard[]; readonly records: readonly RecordWrite[]; readonly log: readonly NewLogRow[] };
type NewKey = { readonly kid: string; readonly jwk: PublicJwk; readonly passkey?: Passkey; readonly writes: KeyWrites };
/** As somebody signed it. */
type Stated = { readonly owner: string; readonly jwk: unknown; readonly passkey?: unknown };

type Authorized = { readonly by: Caller; readonly authorizedBy: Authorization };

/** Events by signatures, for commits that hold more than them. `owner`, `jwk`: as sent. Throw AssentError('invalid-request'), 'conflict'. */
export type KeyChanges = {
  /** With the role of a key the owner has; `recovered`: one that was waiting for it. */
  register(key: Stated & { readonly role: KeyRole; readonly recovered?: true }, how: Authorized): Promise<NewKey>;
  revoke(kid: string, reason: string, by: Caller): Promise<KeyWrites>;
  /** The key waits until `dueAt`, an ISO instant. */
  openRecovery(key: Stated, how: Authorized & { readonly dueAt: string }): Promise<NewKey>;
  stopRecovery(kid: string, how: Authorized): Promise<KeyWrites>;
};

export type KeyLog = {
  /** Throws AssentError: invalid-request, conflict (a key that is or was registered; a patient who has or had one). */
  register(input: unknown, by: Caller): Promise<RegisteredKey>;
  /** A patient's first key, made by their authenticator; `spends`: what the same commit uses up. Throws AssentError: invalid-request, conflict. */
  enrol(key: PasskeyInput, how: { readonly by: Enroller; readonly spends: Spending }): Promise<RegisteredKey>;
  /** The key that this credential of an authenticator is. */
  kidOf(credentialId: string): Promise<string | undefined>;
  /** Throws AssentError: invalid-request, not-found, conflict (revoked already, and nothing added). */
  revoke(kid: string, input: unknown, by: Caller): Promise<RegisteredKey>;
  /** The owner's keys, in the order of their kids; revoked ones too. Throws AssentError('invalid-request'). */
  list(filter: { readonly owner: string }): Promise<readonly RegisteredKey[]>;
  get(kid: string): Promise<RegisteredKey | undefined>;
  /** Of the owner: of keys that wait for their recovery as well. */
  kids(owner: string): Promise<readonly string[]>;
  /** The exact texts of a key's events, in order: what the digests in the log are made from. */
  events(kid: string): Promise<readonly string[]>;
  readonly changes: KeyChanges;
};

/** `counter`: of signatures, where its authenticator stands. */
export type PasskeyInput = {
  readonly owner: string;
  readonly jwk: unknown;
  readonly proofing: string;
  readonly passkey: Passkey;
  readonly counter: number;
};
export type Enroller = Pick<Caller, 'client' | 'actor' | 'purpose'>;
/** Records that a commit needs as they are, and what it makes of them. */
export type Spending = Pick<KeyWrites, 'guards' | 'records'>;

export type KeyLogDeps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clock: Clock;
  readonly logRow: (entry: KeyLogEntry) => NewLogRow;
  /** The first index of the log at which something was logged at this instant (ms since 1970) or later. */
  readonly indexAt: (instant: number) => Promise<number>;
};

export function createKeyLog(deps: KeyLogDeps): KeyLog {
  const { records, clock } = deps;
  const stamp = () => new Date(clock()).toISOString();
  const events = async (kid: string) => (await records.list(KIND, { lookup: `kid:${kid}` })).map(textOf);
  const get = async (kid: string) => foldEvents(await events(kid));
  const kids = async (owner: string) =>
    (await records.list(KIND, { lookup: `owner:${owner}` })).map((record) => (JSON.parse(textOf(record)) as KeyEvent).kid);
  const first = (key: FirstKey, how: How) => registerFirst(deps, { kids, stamp }, key, how);
  return {
    async register(input, by) {
      const key = readKey(input);
      // Whoever enrols patients could otherwise make both signatures of a Consent, or see what a clinician sees.
      if ((key.role === 'custodian' || key.role === 'practitioner') && !by.admin)
        throw new AssentError('forbidden', 'The key of a custodian or of staff is registered with scope "admin" only.');
      return first(key, { by });
    },
    async enrol({ passkey, counter, ...sent }, { by, spends }) {
      return first({ ...readKey(sent), passkey }, { by, spends: together(spends, credentialOnce(passkey, counter)) });
    },
    async kidOf(credentialId) {
      const [record] = await records.list(KIND, { lookup: `credential:${credentialId}`, limit: 1 });
      return record && (JSON.parse(textOf(record)) as KeyEvent).kid;
    },
    async revoke(kid, input, by) {
      const { reason, compromisedSince } = readRevocation(input, clock());
      const before = await events(kid);
      const key = foldEvents(before);
      if (!key) throw new AssentError('not-found', 'No such key.');
      if (!addsTo(key, compromisedSince)) throw new AssentError('conflict', 'The key is revoked already.');
      const since =
        compromisedSince === undefined ? {} : { compromisedSince, compromisedFromIndex: await deps.indexAt(Date.parse(compromisedSince)) };
      const event: KeyEvent = { event: 'revoked', kid, reason, ...since, revokedBy: actorOf(by), occurredAt: stamp() };
      await append(deps, writesOf(deps, event, key.owner, before.length), actOn(event, key.owner, by));
      return foldEvents([...before, JSON.stringify(event)]) ?? key;
    },
    async list({ owner }) {
      const problem = checkOwner(owner);
      if (problem !== undefined) refuse([issue('owner', problem)]);
      return (await Promise.all((await kids(owner)).map(get))).filter((key) => key !== undefined);
    },
    get,
    kids,
    events,
    changes: createChanges(deps, { events, stamp }),
  };
}

type How = { readonly by: Enroller; readonly spends?: Spending };
type Known = { readonly kids: KeyLog['kids']; readonly stamp: () => string };

async function registerFirst(deps: KeyLogDeps, { kids, stamp }: Known, key: FirstKey, { by, spends = nothing }: How): Promise<RegisteredKey> {
  const { owner } = key;
  if (owner.startsWith('Patient/') && (await kids(owner)).length > 0) throw new AssentError('conflict', FURTHER);
  const kid = await calculateJwkThumbprint(key.jwk);
  const occurredAt = stamp();
  const event: KeyEvent = { event: 'registered', kid, ...key, enrolledBy: actorOf(by), occurredAt };
  const writes = writesOf(deps, event, owner, 0);
  await append(deps, { ...writes, ...together(writes, spends) }, actOn(event, owner, by));
  return { kid, ...key, registeredAt: occurredAt };
}

type FirstKey = Pick<RegisteredKey, 'owner' | 'role' | 'jwk' | 'proofing' | 'passkey'>;

const nothing: Spending = { guards: [], records: [] };

function together(one: Spending, other: Spending): Spending {
  return { guards: [...one.guards, ...other.guards], records: [...one.records, ...other.records] };
}

/** Of two keys that claim one credential, somebody else's signs nothing under it. https://www.w3.org/TR/webauthn-3/ §7.1, step 26 */
function credentialOnce({ credentialId }: Passkey, counter: number): Spending {
  return {
    guards: [{ kind: 'record', recordKind: CREDENTIAL, id: credentialId, revision: null }],
    records: [{ kind: 'put', recordKind: CREDENTIAL, id: credentialId, value: { counter } }],
  };
}

const FURTHER = 'A patient who has a key registers further ones by its signature ($rotate-key), or recovers ($recover-key).';
const BY_SIGNATURE = 'by signature';

function createChanges(
  deps: KeyLogDeps,
  { events, stamp }: { readonly events: (kid: string) => Promise<readonly string[]>; readonly stamp: () => string },
): KeyChanges {
  const read = async ({ owner, jwk, passkey: stated }: Stated, role?: KeyRole) => {
    const organization = owner.startsWith('Organization/') && role !== undefined ? { role } : {};
    const key = readKey({ owner, jwk, proofing: BY_SIGNATURE, ...organization });
    const kid = await calculateJwkThumbprint(key.jwk);
    return { kid, ...key, ...(stated === undefined ? {} : { passkey: readPasskey(stated) }) };
  };
  return {
    async register({ role, recovered, ...stated }, { by, authorizedBy }) {
      const key = await read(stated, role);
      const { kid, owner, jwk, passkey } = key;
      const event: KeyEvent = { event: 'registered', ...key, role, enrolledBy: actorOf(by), authorizedBy, occurredAt: stamp() };
      const writes = writesOf(deps, event, owner, recovered ? 1 : 0);
      const once = passkey ? together(writes, credentialOnce(passkey, 0)) : {};
      return { kid, jwk, ...(passkey ? { passkey } : {}), writes: { ...writes, ...once } };
    },
    async revoke(kid, reason, by) {
      const before = await events(kid);
      const event: KeyEvent = { event: 'revoked', kid, reason, revokedBy: actorOf(by), occurredAt: stamp() };
      return writesOf(deps, event, foldEvents(before)?.owner ?? '', before.length);
    },
    async openRecovery(stated, { by, authorizedBy, dueAt }) {
      const { owner, kid, jwk, passkey } = await read(stated);
      const event: KeyEvent = { event: 'recovery-opened', kid, owner, authorizedBy, dueAt, openedBy: actorOf(by), occurredAt: stamp() };
      return { kid, jwk, ...(passkey ? { passkey } : {}), writes: writesOf(deps, event, owner, 0) };
    },
    async stopRecovery(kid, { by, authorizedBy }) {
      const before = await events(kid);
      const [opened] = before.map((text) => JSON.parse(text) as KeyEvent);
      const event: KeyEvent = { event: 'recovery-stopped', kid, authorizedBy, stoppedBy: actorOf(by), occurredAt: stamp() };
      return writesOf(deps, event, opened?.event === 'recovery-opened' ? opened.owner : '', before.length);
    },
  };
}

/** `count`: how many events of the key there are already; another one in between is a conflict. */
function writesOf({ logRow }: KeyLogDeps, event: KeyEvent, owner: string, count: number): KeyWrites {
  const guard = nextEvent(event.kid, count);
  const record = JSON.stringify(event);
  const entry: KeyLogEntry = {
    kind: `key-${event.event}`,
    occurredAt: event.occurredAt,
    subject: owner.startsWith('Patient/') ? owner : null,
    reference: `Key/${event.kid}`,
    digest: digestOfEvent(record),
  };
  const credential = event.event === 'registered' && event.passkey ? [`credential:${event.passkey.credentialId}`] : [];
  const lookup = [`kid:${event.kid}`, ...(count === 0 ? [`owner:${owner}`] : []), ...credential];
  return { guards: [guard], records: [{ kind: 'put', recordKind: KIND, id: guard.id, value: record, lookup }], log: [logRow(entry)] };
}

function actOn({ event, kid }: KeyEvent, owner: string, by: Enroller): AdminAct {
  return { by, patient: /^Patient\/(.+)$/.exec(owner)?.[1], what: `key ${event}: ${kid}` };
}

async function append({ commit }: KeyLogDeps, writes: KeyWrites, act: AdminAct): Promise<void> {
  const done = await commit({ ...writes, act });
  const isFirst = writes.guards.some(({ id }) => id.endsWith('.000000'));
  if (done.kind === 'conflict') throw new AssentError('conflict', isFirst ? 'This key is registered already.' : undefined);
}

/** Holds in a commit as long as the key has no more events than these. */
export function nextEvent(kid: string, count: number): RecordGuard & { readonly revision: null } {
  return { kind: 'record', recordKind: KIND, id: `${kid}.${String(count).padStart(6, '0')}`, revision: null };
}

/** A lost key that turns out to be stolen, or stolen earlier, is revoked once more; the same again is not an event. */
function addsTo({ revoked }: RegisteredKey, compromisedSince: string | undefined): boolean {
  if (!revoked) return true;
  return compromisedSince !== undefined && (revoked.compromisedSince === undefined || compromisedSince < revoked.compromisedSince);
}

function textOf({ id, value }: StoredRecord): string {
  if (typeof value !== 'string') throw new Error(`The key event ${id} is not as it was written.`);
  return value;
}

function actorOf({ client, actor }: Enroller): { readonly client: string; readonly actor: string } {
  return { client, actor };
}
