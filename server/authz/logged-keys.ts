/**
 * Keys as far as the log knows them: one of whose events a single one was added, changed or taken out in the database by hand is no key.
 * ledger.md §3, consent.md §6
 *
 * Invariant: a key comes with the places of its events in the log, by which whatever it signed is judged.
 */
import type { RecordGuard } from './commit.ts';
import { foldEvents, type RegisteredKey } from './key-event.ts';
import { digestOfEvent, type KeyLog, nextEvent } from './key-log.ts';

export type LoggedKey = RegisteredKey & {
  readonly logged: { readonly registered: number; readonly revoked?: number };
  /** Holds in a commit as long as the key has no more events than now. */
  readonly unchanged: RecordGuard & { readonly revision: null };
};

type Entry = { readonly index: number; readonly kind: string; readonly digest: string };

export type LoggedKeysDeps = {
  readonly keyLog: Pick<KeyLog, 'events' | 'list'>;
  readonly tail: { catchUp(): Promise<void>; entries(reference: string): readonly Entry[] };
  /** A stored key is not the one in the log; given its newest entry there. */
  readonly alarm: (logIndex: number | undefined) => void;
};

export type LoggedKeys = {
  get(kid: string): Promise<LoggedKey | undefined>;
  list(owner: string): Promise<readonly LoggedKey[]>;
  /** The exact text of the key's registration. */
  registration(kid: string): Promise<string | undefined>;
};

/** Records and log are read one after the other: an event of just now may be in one and not yet in the other. */
const ATTEMPTS = 3;

export function createLoggedKeys({ keyLog, tail, alarm }: LoggedKeysDeps): LoggedKeys {
  const get = async (kid: string): Promise<LoggedKey | undefined> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const events = await keyLog.events(kid);
      if (events.length === 0) return undefined;
      if (attempt > 0) await tail.catchUp();
      const entries = tail.entries(`Key/${kid}`);
      if (areLogged(events, entries)) return placed(events, entries);
    }
    alarm(tail.entries(`Key/${kid}`).at(-1)?.index);
    return undefined;
  };
  return {
    get,
    list: async (owner) => (await Promise.all((await keyLog.list({ owner })).map(({ kid }) => get(kid)))).filter((key) => key !== undefined),
    registration: async (kid) => (await keyLog.events(kid))[0],
  };
}

function areLogged(events: readonly string[], entries: readonly Entry[]): boolean {
  return entries.length === events.length && events.every((event, i) => digestOfEvent(event) === entries[i]?.digest);
}

function placed(events: readonly string[], entries: readonly Entry[]): LoggedKey | undefined {
  const key = foldEvents(events);
  const indexOf = (kind: string) => entries.find((entry) => entry.kind === kind)?.index;
  const [registered, revoked] = [indexOf('key-registered'), indexOf('key-revoked')];
  if (!key || registered === undefined) return undefined;
  return { ...key, logged: { registered, ...(revoked === undefined ? {} : { revoked }) }, unchanged: nextEvent(key.kid, events.length) };
}
