/**
 * Keys as far as the log knows them: one of whose events a single one was added, changed or taken out in the database by hand is no key.
 * ledger.md §3, consent.md §6
 *
 * Invariant: a key comes with the places of its events in the log, by which whatever it signed is judged.
 */
import type { RecordGuard } from './commit.ts';
import { foldEvents, foldRecovery, type KeyRecovery, type RegisteredKey } from './key-event.ts';
import { digestOfEvent, type KeyLog, nextEvent } from './key-log.ts';

export type LoggedKey = RegisteredKey & {
  readonly logged: { readonly registered: number; readonly revoked?: number };
  /** Holds in a commit as long as the key has no more events than now. */
  readonly unchanged: RecordGuard & { readonly revision: null };
};

/** Of a recovery, where it was opened. */
export type LoggedRecovery = KeyRecovery & { readonly openedIndex: number; readonly unchanged: LoggedKey['unchanged'] };

type Entry = { readonly index: number; readonly kind: string; readonly digest: string };

export type LoggedKeysDeps = {
  readonly keyLog: Pick<KeyLog, 'events' | 'kids'>;
  readonly tail: { catchUp(): Promise<void>; entries(reference: string): readonly Entry[] };
  /** A stored key is not the one in the log; given its newest entry there. */
  readonly alarm: (logIndex: number | undefined) => void;
};

export type LoggedKeys = {
  get(kid: string): Promise<LoggedKey | undefined>;
  list(owner: string): Promise<readonly LoggedKey[]>;
  /** Undefined: no recovery is about this key. */
  recovery(kid: string): Promise<LoggedRecovery | undefined>;
  recoveries(owner: string): Promise<readonly LoggedRecovery[]>;
  /** The exact text of the key's registration. */
  registration(kid: string): Promise<string | undefined>;
};

/** Records and log are read one after the other: an event of just now may be in one and not yet in the other. */
const ATTEMPTS = 3;

export function createLoggedKeys({ keyLog, tail, alarm }: LoggedKeysDeps): LoggedKeys {
  const logged = async <T>(kid: string, made: (events: readonly string[], entries: readonly Entry[]) => T | undefined): Promise<T | undefined> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const events = await keyLog.events(kid);
      if (events.length === 0) return undefined;
      if (attempt > 0) await tail.catchUp();
      const entries = tail.entries(`Key/${kid}`);
      if (areLogged(events, entries)) return made(events, entries);
    }
    alarm(tail.entries(`Key/${kid}`).at(-1)?.index);
    return undefined;
  };
  const get = (kid: string) => logged(kid, placedKey);
  const recovery = (kid: string) => logged(kid, placedRecovery);
  const each = async <T>(owner: string, one: (kid: string) => Promise<T | undefined>): Promise<T[]> =>
    (await Promise.all((await keyLog.kids(owner)).map(one))).filter((found) => found !== undefined);
  return {
    get,
    list: (owner) => each(owner, get),
    recovery,
    recoveries: (owner) => each(owner, recovery),
    registration: async (kid) => (await keyLog.events(kid)).find((event) => event.startsWith('{"event":"registered"')),
  };
}

function areLogged(events: readonly string[], entries: readonly Entry[]): boolean {
  return entries.length === events.length && events.every((event, i) => digestOfEvent(event) === entries[i]?.digest);
}

function placedKey(events: readonly string[], entries: readonly Entry[]): LoggedKey | undefined {
  const key = foldEvents(events);
  const indexOf = (kind: string) => entries.find((entry) => entry.kind === kind)?.index;
  const [registered, revoked] = [indexOf('key-registered'), indexOf('key-revoked')];
  if (!key || registered === undefined) return undefined;
  return { ...key, logged: { registered, ...(revoked === undefined ? {} : { revoked }) }, unchanged: nextEvent(key.kid, events.length) };
}

function placedRecovery(events: readonly string[], entries: readonly Entry[]): LoggedRecovery | undefined {
  const recovery = foldRecovery(events);
  const openedIndex = entries.find(({ kind }) => kind === 'key-recovery-opened')?.index;
  return recovery && openedIndex !== undefined ? { ...recovery, openedIndex, unchanged: nextEvent(recovery.kid, events.length) } : undefined;
}
