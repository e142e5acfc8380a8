/**
 * Append-only events beside their entries in the log: what was added, changed or taken out in the database by hand is found out. ledger.md §3
 */
import { digestOfEvent } from './event-digest.ts';

export type EventEntry = { readonly index: number; readonly kind: string; readonly digest: string };
export type EventTail = { catchUp(): Promise<void>; entries(reference: string): readonly EventEntry[] };

type Reading<T> = {
  /** What the log calls them. */
  readonly reference: string;
  /** Their exact texts, in order. */
  readonly events: () => Promise<readonly string[]>;
  readonly made: (events: readonly string[], entries: readonly EventEntry[]) => T | undefined;
};

type Watching = {
  readonly tail: EventTail;
  /** What is stored is not what was logged; given its newest entry there. */
  readonly alarm: (logIndex: number | undefined) => void;
};

/** Records and log are read one after the other: an event of just now may be in one and not yet in the other. */
const ATTEMPTS = 3;

/** Undefined where there are no events, or others than the log knows. */
export async function readLogged<T>({ tail, alarm }: Watching, { reference, events, made }: Reading<T>): Promise<T | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const texts = await events();
    if (texts.length === 0) return undefined;
    if (attempt > 0) await tail.catchUp();
    const entries = tail.entries(reference);
    if (areLogged(texts, entries)) return made(texts, entries);
  }
  alarm(tail.entries(reference).at(-1)?.index);
  return undefined;
}

function areLogged(events: readonly string[], entries: readonly EventEntry[]): boolean {
  return entries.length === events.length && events.every((event, i) => digestOfEvent(event) === entries[i]?.digest);
}
