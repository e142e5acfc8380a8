/**
 * The append-only key log: who signs with which public key, since when, until when. consent.md §6, interface.md §2
 *
 * Invariants: an event is never changed or removed; its record, its entry in the Merkle log and the move of the epoch are one commit,
 * and the entry holds the digest of the record's exact text; a key is registered once, for one owner, for ever.
 */
import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { NewLogRow, RecordStore } from '../store/port.ts';
import type { RecordCommit } from './commit.ts';
import { type Check, isObject, issue, readObject, referenceTo, refuse, text } from './input.ts';

const KIND = 'key-event';

/** What a key signs as. An Organization's is a custodian's unless it was registered as a requester's. */
export type KeyRole = 'patient' | 'related-person' | 'custodian' | 'requester';

export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };

export type KeyEvent =
  | {
      readonly event: 'registered';
      readonly kid: string;
      readonly owner: string;
      readonly role: KeyRole;
      readonly jwk: PublicJwk;
      readonly proofing: string;
      readonly enrolledBy: { readonly client: string; readonly actor: string };
      /** ISO instant. */
      readonly occurredAt: string;
    }
  | {
      readonly event: 'revoked';
      readonly kid: string;
      readonly reason: string;
      /** Signatures made since then are not trusted, even where they were accepted before. */
      readonly compromisedSince?: string;
      readonly revokedBy: { readonly client: string; readonly actor: string };
      readonly occurredAt: string;
    };

/** The state of one key: its events folded. Instants are ISO texts. */
export type RegisteredKey = {
  readonly kid: string;
  readonly owner: string;
  readonly role: KeyRole;
  readonly jwk: PublicJwk;
  readonly proofing: string;
  readonly registeredAt: string;
  readonly revoked?: { readonly at: string; readonly reason: string; readonly compromisedSince?: string };
};

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
};

const ownerTypes = ['Patient', 'Organization', 'RelatedPerson'];
const checkOwner = referenceTo(ownerTypes);
const line: Check = text(/^(?=.*\S).{1,200}$/, 'must be a line of at most 200 characters');

export function createKeyLog({ records, commit, clock, logRow }: KeyLogDeps): KeyLog {
  const events = async (kid: string) => (await records.list(KIND, { lookup: `kid:${kid}` })).map(({ value }) => String(value));
  const get = async (kid: string) => foldEvents(await events(kid));

  /** `count`: how many events of the key there are already; another one in between is a conflict. */
  async function append(event: KeyEvent, owner: string, count: number): Promise<void> {
    const id = `${event.kid}.${String(count).padStart(6, '0')}`;
    const record = JSON.stringify(event);
    const entry: KeyLogEntry = {
      kind: event.event === 'registered' ? 'key-registered' : 'key-revoked',
      occurredAt: event.occurredAt,
      subject: owner.startsWith('Patient/') ? owner : null,
      reference: `Key/${event.kid}`,
      digest: createHash('sha256').update(record).digest('base64url'),
    };
    const done = await commit({
      guards: [{ kind: 'record', recordKind: KIND, id, revision: null }],
      records: [{ kind: 'put', recordKind: KIND, id, value: record, lookup: [`kid:${event.kid}`, ...(count === 0 ? [`owner:${owner}`] : [])] }],
      log: [logRow(entry)],
    });
    if (done.kind === 'conflict') throw new AssentError('conflict', count === 0 ? 'This key is registered already.' : undefined);
  }

  return {
    async register(input, by) {
      const { owner, role, jwk, proofing } = readKey(input);
      const kid = await calculateJwkThumbprint(jwk);
      const occurredAt = new Date(clock()).toISOString();
      await append({ event: 'registered', kid, owner, role, jwk, proofing, enrolledBy: actorOf(by), occurredAt }, owner, 0);
      return { kid, owner, role, jwk, proofing, registeredAt: occurredAt };
    },
    async revoke(kid, input, by) {
      const { reason, compromisedSince } = readRevocation(input, clock());
      const before = await events(kid);
      const key = foldEvents(before);
      if (!key) throw new AssentError('not-found', 'No such key.');
      const since = key.revoked?.compromisedSince;
      // A lost key that turns out to be stolen is revoked once more; the same again is not an event.
      if (key.revoked && (compromisedSince === undefined || (since !== undefined && since <= compromisedSince)))
        throw new AssentError('conflict', 'The key is revoked already.');
      const occurredAt = new Date(clock()).toISOString();
      const event: KeyEvent = {
        event: 'revoked',
        kid,
        reason,
        ...(compromisedSince === undefined ? {} : { compromisedSince }),
        revokedBy: actorOf(by),
        occurredAt,
      };
      await append(event, key.owner, before.length);
      return foldEvents([...before, JSON.stringify(event)]) ?? key;
    },
    async list({ owner }) {
      const problem = checkOwner(owner);
      if (problem !== undefined) refuse([issue('owner', problem)]);
      const registered = await records.list(KIND, { lookup: `owner:${owner}` });
      const keys = await Promise.all(registered.map(({ value }) => get((JSON.parse(String(value)) as KeyEvent).kid)));
      return keys.filter((key) => key !== undefined);
    },
    get,
    events,
  };
}

/** Events of one key, in order. The first revocation ends its validity; a later one may only move `compromisedSince` back. */
export function foldEvents(texts: readonly string[]): RegisteredKey | undefined {
  let key: RegisteredKey | undefined;
  for (const event of texts.map((record) => JSON.parse(record) as KeyEvent)) {
    if (event.event === 'registered') {
      const { kid, owner, role, jwk, proofing, occurredAt } = event;
      key ??= { kid, owner, role, jwk, proofing, registeredAt: occurredAt };
    } else if (key) {
      const sinces = [key.revoked?.compromisedSince, event.compromisedSince].filter((since) => since !== undefined).sort();
      const { at, reason } = key.revoked ?? { at: event.occurredAt, reason: event.reason };
      key = { ...key, revoked: { at, reason, ...(sinces[0] === undefined ? {} : { compromisedSince: sinces[0] }) } };
    }
  }
  return key;
}

function readKey(input: unknown): { readonly owner: string; readonly role: KeyRole; readonly jwk: PublicJwk; readonly proofing: string } {
  const role = text(/^(custodian|requester)$/, 'must be custodian or requester');
  const body = readObject(input, { owner: checkOwner, jwk: checkJwk, proofing: line, role }, ['owner', 'jwk', 'proofing']);
  const owner = body['owner'] as string;
  const asked = body['role'] as KeyRole | undefined;
  if (asked !== undefined && !owner.startsWith('Organization/')) refuse([issue('role', 'is for keys of an Organization only')]);
  return {
    owner,
    role: asked ?? roleOf(owner),
    jwk: publicMembers(body['jwk'] as Readonly<Record<string, string>>),
    proofing: body['proofing'] as string,
  };
}

function roleOf(owner: string): KeyRole {
  if (owner.startsWith('Patient/')) return 'patient';
  return owner.startsWith('Organization/') ? 'custodian' : 'related-person';
}

function checkJwk(value: unknown): string | undefined {
  if (!isObject(value)) return 'must be a JSON Web Key';
  if (['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv'].some((name) => Object.hasOwn(value, name)))
    return 'must be a public key: private members were sent, so the key is no longer a secret';
  const algorithm =
    value['kty'] === 'EC' && value['crv'] === 'P-256' ? 'ES256' : value['kty'] === 'OKP' && value['crv'] === 'Ed25519' ? 'EdDSA' : undefined;
  if (algorithm === undefined) return 'must be an EC P-256 or an OKP Ed25519 key';
  if (value['alg'] !== undefined && value['alg'] !== algorithm && !(algorithm === 'EdDSA' && value['alg'] === 'Ed25519'))
    return 'has an alg that does not fit the key';
  if (value['use'] !== undefined && value['use'] !== 'sig') return 'is not for signatures';
  return isPoint(value as JsonWebKey) ? undefined : 'is not a valid public key';
}

function isPoint(jwk: JsonWebKey): boolean {
  // 32 bytes each, in the one base64url form: another spelling of the same key would have another thumbprint.
  const canonical = (value: unknown) =>
    typeof value === 'string' && /^[\w-]{43}$/.test(value) && Buffer.from(value, 'base64url').toString('base64url') === value;
  if (!canonical(jwk.x) || (jwk.kty === 'EC' && !canonical(jwk.y))) return false;
  if (jwk.kty === 'OKP' && isSmallOrder(Buffer.from(jwk.x ?? '', 'base64url'))) return false;
  try {
    createPublicKey({ key: jwk, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}

/** y coordinates of Ed25519's points of small order: under such a "key" one signature fits many messages. RFC 8032 §8, https://eprint.iacr.org/2020/1244 */
const smallOrder: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

function isSmallOrder(point: Buffer): boolean {
  const y = Buffer.from(point);
  y[31] = (y[31] ?? 0) & 0x7f; // the sign of x
  return smallOrder.has(y.toString('hex'));
}

function publicMembers({ kty, x = '', y = '' }: Readonly<Record<string, string>>): PublicJwk {
  return kty === 'EC' ? { kty, crv: 'P-256', x, y } : { kty: 'OKP', crv: 'Ed25519', x };
}

function readRevocation(input: unknown, now: number): { readonly reason: string; readonly compromisedSince: string | undefined } {
  const instant: Check = (value) => {
    const written =
      typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
    return written <= now ? undefined : 'must be an instant in the past, e.g. 2026-01-31T09:30:00Z';
  };
  const body = readObject(input, { reason: line, compromisedSince: instant }, ['reason']);
  const since = body['compromisedSince'] as string | undefined;
  return { reason: body['reason'] as string, compromisedSince: since === undefined ? undefined : new Date(since).toISOString() };
}

function actorOf({ client, actor }: Caller): { readonly client: string; readonly actor: string } {
  return { client, actor };
}
