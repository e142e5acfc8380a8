/**
 * Keys as far as the log knows them: one of whose events a single one was added, changed or taken out in the database by hand is no key.
 * ledger.md §3, consent.md §6
 *
 * Invariants: a key comes with the places of its events in the log, by which whatever it signed is judged; one that was registered by a key which was
 * in other hands by then was never its owner's.
 */
import type { RecordGuard } from './commit.ts';
import { authorizersOf, foldEvents, foldRecovery, type KeyRecovery, PASSKEY, type RegisteredKey } from './key-event.ts';
import { type KeyLog, nextEvent } from './key-log.ts';
import { type EventEntry, type EventTail, readLogged } from './logged-events.ts';

export type LoggedKey = RegisteredKey & {
  /** Keys by whose signature it was registered, and those they rest on. */
  readonly restsOn?: readonly string[];
  readonly logged: { readonly registered: number; readonly revoked?: number };
  /** Holds in a commit as long as the key has no more events than now. */
  readonly unchanged: RecordGuard & { readonly revision: null };
};

/** Of a recovery, where it was opened. */
export type LoggedRecovery = KeyRecovery & { readonly openedIndex: number; readonly unchanged: LoggedKey['unchanged'] };

export type LoggedKeysDeps = {
  readonly keyLog: Pick<KeyLog, 'events' | 'kids' | 'kidOf'>;
  readonly tail: EventTail;
  /** A stored key is not the one in the log; given its newest entry there. */
  readonly alarm: (logIndex: number | undefined) => void;
};

export type LoggedKeys = {
  /** By its kid, or `passkey:` and the id of its credential. */
  get(kid: string): Promise<LoggedKey | undefined>;
  list(owner: string): Promise<readonly LoggedKey[]>;
  /** The passkey with this credential. */
  ofCredential(credentialId: string): Promise<LoggedKey | undefined>;
  /** Undefined: no recovery is about this key. */
  recovery(kid: string): Promise<LoggedRecovery | undefined>;
  recoveries(owner: string): Promise<readonly LoggedRecovery[]>;
  /** The exact text of the key's registration. */
  registration(kid: string): Promise<string | undefined>;
};

export function createLoggedKeys({ keyLog, tail, alarm }: LoggedKeysDeps): LoggedKeys {
  const logged = <T>(kid: string, made: (events: readonly string[], entries: readonly EventEntry[]) => T | undefined): Promise<T | undefined> =>
    readLogged({ tail, alarm }, { reference: `Key/${kid}`, events: () => keyLog.events(kid), made });
  const byKid = async (kid: string): Promise<LoggedKey | undefined> => {
    const placed = await logged(kid, placedKey);
    // Each was registered before the next: it comes to an end.
    const behind = placed && (await Promise.all(placed.authorizedBy.map(get)));
    return placed && behind && asAuthorized(placed, behind);
  };
  async function ofCredential(credentialId: string): Promise<LoggedKey | undefined> {
    const kid = await keyLog.kidOf(credentialId);
    const key = kid === undefined ? undefined : await byKid(kid);
    // The look-up leads there; what the log knows decides.
    return key?.passkey?.credentialId === credentialId ? key : undefined;
  }
  const get = (name: string) => (name.startsWith(PASSKEY) ? ofCredential(name.slice(PASSKEY.length)) : byKid(name));
  const recovery = (kid: string) => logged(kid, placedRecovery);
  const each = async <T>(owner: string, one: (kid: string) => Promise<T | undefined>): Promise<T[]> =>
    (await Promise.all((await keyLog.kids(owner)).map(one))).filter((found) => found !== undefined);
  return {
    get,
    list: (owner) => each(owner, byKid),
    ofCredential,
    recovery,
    recoveries: (owner) => each(owner, recovery),
    registration: async (kid) => (await keyLog.events(kid)).find((event) => event.startsWith('{"event":"registered"')),
  };
}

/** `authorizedBy`: the other keys that signed its registration; `authorizedAt`: where in the log they did. */
type PlacedKey = { readonly key: LoggedKey; readonly authorizedBy: readonly string[]; readonly authorizedAt: number };

function asAuthorized({ key, authorizedBy, authorizedAt }: PlacedKey, behind: readonly (LoggedKey | undefined)[]): LoggedKey {
  if (authorizedBy.length === 0) return key;
  const restsOn = [...authorizedBy, ...behind.flatMap((each) => (each ? [each.kid, ...(each.restsOn ?? [])] : []))];
  const sound = behind.every((each) => each && (each.revoked?.compromisedFromIndex ?? Number.POSITIVE_INFINITY) > authorizedAt);
  if (sound) return { ...key, restsOn };
  const { at, reason } = key.revoked ?? { at: key.registeredAt, reason: 'registered by a key that was in other hands' };
  return { ...key, restsOn, revoked: { ...key.revoked, at, reason, compromisedFromIndex: 0 } };
}

function placedKey(events: readonly string[], entries: readonly EventEntry[]): PlacedKey | undefined {
  const key = foldEvents(events);
  const indexOf = (kind: string) => entries.find((entry) => entry.kind === kind)?.index;
  const [registered, revoked] = [indexOf('key-registered'), indexOf('key-revoked')];
  if (!key || registered === undefined) return undefined;
  return {
    key: { ...key, logged: { registered, ...(revoked === undefined ? {} : { revoked }) }, unchanged: nextEvent(key.kid, events.length) },
    authorizedBy: authorizersOf(events).filter((name) => name !== key.kid && name !== `${PASSKEY}${key.passkey?.credentialId}`),
    authorizedAt: entries[0]?.index ?? registered,
  };
}

function placedRecovery(events: readonly string[], entries: readonly EventEntry[]): LoggedRecovery | undefined {
  const recovery = foldRecovery(events);
  const openedIndex = entries.find(({ kind }) => kind === 'key-recovery-opened')?.index;
  return recovery && openedIndex !== undefined ? { ...recovery, openedIndex, unchanged: nextEvent(recovery.kid, events.length) } : undefined;
}
