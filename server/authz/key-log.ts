/**
 * The append-only key log: who signs with which public key, since when, until when. consent.md §6, interface.md §2
 *
 * Invariants: an event is never changed or removed; its record, its entry in the Merkle log and the move of the epoch are one commit,
 * and the entry holds the digest of the record's exact text; a key is registered once, for one owner, for ever.
 */
import { createHash } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { NewLogRow, RecordStore, StoredRecord } from '../store/port.ts';
import type { RecordCommit, RecordGuard } from './commit.ts';
import { issue, refuse } from './input.ts';
import { foldEvents, type KeyEvent, type RegisteredKey } from './key-event.ts';
import { checkOwner, readKey, readRevocation } from './key-input.ts';

const KIND = 'key-event';

/** A row of the Merkle log, before it is encoded. `subject`: the Patient it is about, or null. */
export type KeyLogEntry = {
  readonly kind: 'key-registered' | 'key-revoked';
  readonly occurredAt: string;
  readonly subject: string | null;
  readonly reference: string;
  readonly digest: string;
};

export type KeyLog = {
  /** Throws AssentError: invalid-request, conflict (a key that is or was registered). */
  register(input: unknown, by: Caller): Promise<RegisteredKey>;
  /** Throws AssentError: invalid-request, not-found, conflict (revoked already, and nothing added). */
  revoke(kid: string, input: unknown, by: Caller): Promise<RegisteredKey>;
  /** The owner's keys, in the order of their kids; revoked ones too. Throws AssentError('invalid-request'). */
  list(filter: { readonly owner: string }): Promise<readonly RegisteredKey[]>;
  get(kid: string): Promise<RegisteredKey | undefined>;
  /** The exact texts of a key's events, in order: what the digests in the log are made from. */
  events(kid: string): Promise<readonly string[]>;
};

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
  const events = async (kid: string) => (await records.list(KIND, { lookup: `kid:${kid}` })).map(textOf);
  const get = async (kid: string) => foldEvents(await events(kid));
  return {
    async register(input, by) {
      const { owner, role, jwk, proofing } = readKey(input);
      const kid = await calculateJwkThumbprint(jwk);
      const occurredAt = new Date(clock()).toISOString();
      const event: KeyEvent = { event: 'registered', kid, owner, role, jwk, proofing, enrolledBy: actorOf(by), occurredAt };
      await append(deps, { event, owner, count: 0 });
      return { kid, owner, role, jwk, proofing, registeredAt: occurredAt };
    },
    async revoke(kid, input, by) {
      const { reason, compromisedSince } = readRevocation(input, clock());
      const before = await events(kid);
      const key = foldEvents(before);
      if (!key) throw new AssentError('not-found', 'No such key.');
      if (!addsTo(key, compromisedSince)) throw new AssentError('conflict', 'The key is revoked already.');
      const since =
        compromisedSince === undefined ? {} : { compromisedSince, compromisedFromIndex: await deps.indexAt(Date.parse(compromisedSince)) };
      const event: KeyEvent = { event: 'revoked', kid, reason, ...since, revokedBy: actorOf(by), occurredAt: new Date(clock()).toISOString() };
      await append(deps, { event, owner: key.owner, count: before.length });
      return foldEvents([...before, JSON.stringify(event)]) ?? key;
    },
    async list({ owner }) {
      const problem = checkOwner(owner);
      if (problem !== undefined) refuse([issue('owner', problem)]);
      const registered = await records.list(KIND, { lookup: `owner:${owner}` });
      const keys = await Promise.all(registered.map((record) => get((JSON.parse(textOf(record)) as KeyEvent).kid)));
      return keys.filter((key) => key !== undefined);
    },
    get,
    events,
  };
}

/** `count`: how many events of the key there are already; another one in between is a conflict. */
async function append(
  { commit, logRow }: KeyLogDeps,
  { event, owner, count }: { readonly event: KeyEvent; readonly owner: string; readonly count: number },
): Promise<void> {
  const { id } = nextEvent(event.kid, count);
  const record = JSON.stringify(event);
  const entry: KeyLogEntry = {
    kind: event.event === 'registered' ? 'key-registered' : 'key-revoked',
    occurredAt: event.occurredAt,
    subject: owner.startsWith('Patient/') ? owner : null,
    reference: `Key/${event.kid}`,
    digest: digestOfEvent(record),
  };
  const done = await commit({
    guards: [nextEvent(event.kid, count)],
    records: [{ kind: 'put', recordKind: KIND, id, value: record, lookup: [`kid:${event.kid}`, ...(count === 0 ? [`owner:${owner}`] : [])] }],
    log: [logRow(entry)],
  });
  if (done.kind === 'conflict') throw new AssentError('conflict', count === 0 ? 'This key is registered already.' : undefined);
}

/** base64url SHA-256 of the exact text. */
export function digestOfEvent(record: string): string {
  return createHash('sha256').update(record).digest('base64url');
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

function actorOf({ client, actor }: Caller): { readonly client: string; readonly actor: string } {
  return { client, actor };
}
