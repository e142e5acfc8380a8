/**
 * The append-only events of authorities to act for a patient: granted, ended. consent.md §6
 *
 * Invariants: an event is never changed or removed, and its entry in the Merkle log holds the digest of its exact text; an authority whose events are
 * not those in the log is none; an end can only be added to, and only in the direction of less trust.
 */
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import type { NewLogRow, RecordStore } from '../store/port.ts';
import type { RecordGuard } from './commit.ts';
import { digestOfEvent } from './event-digest.ts';
import type { KeyWrites } from './key-log.ts';
import { type EventEntry, type EventTail, readLogged } from './logged-events.ts';

const KIND = 'authority-event';

/** The exact text a key signed, and its signature as detached compact JWS. */
type Signed = { readonly statement: string; readonly signature: string };
type Actor = { readonly client: string; readonly actor: string };

type AuthorityEvent =
  | (Signed & {
      readonly event: 'granted';
      /** base64url SHA-256 of the statement. */
      readonly id: string;
      readonly patient: string;
      readonly delegate: string;
      /** ISO instants, of a guardian's: as the record said when it was attested. */
      readonly majorityAt?: string;
      readonly adolescenceAt?: string;
      readonly grantedBy: Actor;
      readonly occurredAt: string;
    })
  | (Signed & {
      readonly event: 'ended';
      readonly id: string;
      /** What was done under it since then is not trusted, even where it was accepted before. */
      readonly compromisedSince?: string;
      /** The same as a place in the log. */
      readonly compromisedFromIndex?: number;
      readonly endedBy: Actor;
      readonly occurredAt: string;
    });

/** A row of the Merkle log, before it is encoded. */
type AuthorityLogEntry = {
  readonly kind: 'authority-granted' | 'authority-ended';
  readonly occurredAt: string;
  readonly subject: string;
  readonly reference: string;
  readonly digest: string;
};

export type LoggedAuthority = Signed & {
  readonly id: string;
  readonly majorityAt?: string;
  readonly adolescenceAt?: string;
  readonly ended?: { readonly compromisedFromIndex?: number };
  readonly logged: { readonly granted: number; readonly ended?: number };
  readonly unchanged: RecordGuard & { readonly revision: null };
};

export type Granting = Signed & { readonly id: string; readonly patient: string; readonly delegate: string } & Pick<
    LoggedAuthority,
    'majorityAt' | 'adolescenceAt'
  >;

export type AuthorityLog = {
  get(id: string): Promise<LoggedAuthority | undefined>;
  /** Of a `RelatedPerson/id`, or for a `Patient/id`. */
  list(reference: string): Promise<readonly LoggedAuthority[]>;
  /** The exact text of the grant. */
  grantOf(id: string): Promise<string | undefined>;
  /** Parts of a commit that hold only as long as there are no other events. */
  grant(granting: Granting, by: Caller): KeyWrites;
  /** `since`: ms since 1970, in other hands. */
  end(ending: Signed & { readonly id: string; readonly patient: string; readonly since?: number }, by: Caller): Promise<KeyWrites>;
};

export type AuthorityLogDeps = {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logRow: (entry: AuthorityLogEntry) => NewLogRow;
  readonly tail: EventTail & { indexAt(instant: number): number };
  /** A stored authority is not the one in the log; given its newest entry there. */
  readonly alarm: (logIndex: number | undefined) => void;
};

export function createAuthorityLog(deps: AuthorityLogDeps): AuthorityLog {
  const { records, tail, clock } = deps;
  const textsOf = async (lookup: string) => (await records.list(KIND, { lookup })).flatMap(({ value }) => (typeof value === 'string' ? [value] : []));
  const events = (id: string) => textsOf(`authority:${id}`);
  const stamp = () => new Date(clock()).toISOString();
  const get = async (id: string) => {
    await tail.catchUp();
    return readLogged(deps, { reference: `Authority/${id}`, events: () => events(id), made: foldAuthority });
  };
  return {
    get,
    async list(reference) {
      const ids = (await textsOf(`party:${reference}`)).map((text) => (JSON.parse(text) as AuthorityEvent).id);
      return (await Promise.all(ids.map(get))).filter((found) => found !== undefined);
    },
    grantOf: async (id) => (await events(id))[0],
    grant(granting, by) {
      const event: AuthorityEvent = { event: 'granted', ...granting, grantedBy: actorOf(by), occurredAt: stamp() };
      return writesOf(deps, event, { count: 0, patient: granting.patient });
    },
    async end({ id, statement, signature, patient, since }, by) {
      const compromise =
        since === undefined ? {} : { compromisedSince: new Date(since).toISOString(), compromisedFromIndex: await indexAt(tail, since) };
      const event: AuthorityEvent = { event: 'ended', id, statement, signature, ...compromise, endedBy: actorOf(by), occurredAt: stamp() };
      return writesOf(deps, event, { count: (await events(id)).length, patient });
    },
  };
}

async function indexAt(tail: AuthorityLogDeps['tail'], instant: number): Promise<number> {
  await tail.catchUp();
  return tail.indexAt(instant);
}

/** `count`: how many events of the authority there are already; another one in between is a conflict. */
function writesOf(
  { logRow }: AuthorityLogDeps,
  event: AuthorityEvent,
  { count, patient }: { readonly count: number; readonly patient: string },
): KeyWrites {
  const guard = nextEvent(event.id, count);
  const record = JSON.stringify(event);
  const entry = {
    kind: `authority-${event.event}`,
    occurredAt: event.occurredAt,
    subject: patient,
    reference: `Authority/${event.id}`,
    digest: digestOfEvent(record),
  } as const;
  const parties = event.event === 'granted' ? [`party:${event.patient}`, `party:${event.delegate}`] : [];
  const lookup = [`authority:${event.id}`, ...parties];
  return { guards: [guard], records: [{ kind: 'put', recordKind: KIND, id: guard.id, value: record, lookup }], log: [logRow(entry)] };
}

function nextEvent(id: string, count: number): LoggedAuthority['unchanged'] {
  return { kind: 'record', recordKind: KIND, id: `${id}.${String(count).padStart(6, '0')}`, revision: null };
}

function foldAuthority(texts: readonly string[], entries: readonly EventEntry[]): LoggedAuthority | undefined {
  const [granted, ...ends] = texts.map((text) => JSON.parse(text) as AuthorityEvent);
  if (granted?.event !== 'granted') return undefined;
  const { id, statement, signature, majorityAt, adolescenceAt } = granted;
  const indexOf = (kind: string) => entries.find((entry) => entry.kind === kind)?.index;
  const [grantedIndex = 0, endedIndex] = [indexOf('authority-granted'), indexOf('authority-ended')];
  const compromises = ends.flatMap((end) => (end.event === 'ended' && end.compromisedFromIndex !== undefined ? [end.compromisedFromIndex] : []));
  return {
    id,
    statement,
    signature,
    ...(majorityAt === undefined ? {} : { majorityAt }),
    ...(adolescenceAt === undefined ? {} : { adolescenceAt }),
    ...(ends.length === 0 ? {} : { ended: compromises.length === 0 ? {} : { compromisedFromIndex: Math.min(...compromises) } }),
    logged: { granted: grantedIndex, ...(endedIndex === undefined ? {} : { ended: endedIndex }) },
    unchanged: nextEvent(id, texts.length),
  };
}

function actorOf({ client, actor }: Caller): Actor {
  return { client, actor };
}
