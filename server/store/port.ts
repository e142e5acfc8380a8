/**
 * The two ports every engine implements: ResourceStore (versioned FHIR resources, index keys and the log) and
 * RecordStore (small keyed records). `test/contract/` is their meaning; both engines pass it unchanged.
 *
 * Invariants: a query cannot be built without a scope; what a write set contains becomes visible together or not at all;
 * log rows are numbered without gaps in commit order; an acknowledged commit survives kill -9.
 */
import type { Expression } from '../search/expression.ts';

/** One version of one resource. `body` is the exact JSON text that is served; empty for a deletion. */
export type StoredResource = {
  readonly type: string;
  readonly id: string;
  /** Opaque, random: says nothing about how many versions there were. */
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly lastUpdated: number;
  /** Default sort instant, ms since 1970: the main clinical date, else lastUpdated. */
  readonly instant: number;
  readonly deleted: boolean;
  readonly body: string;
  /** Index keys and consent facets. A deletion keeps the keys of the last content: they decide who may see that it is gone. */
  readonly keys: readonly string[];
};

/**
 * What the caller may see: the compiled consent for one resource type, valid for one consent epoch. The store answers `stale`
 * when its epoch has moved on, in the same snapshot in which it read, so a withdrawal holds from the very next request.
 */
export type Scope = { readonly epoch: number; readonly where: Expression };

/** 'internal' is for the server's own bookkeeping (referential look-ups, migrations); no answer to a caller is built from it. */
export type ScopeOrInternal = Scope | 'internal';

export type Order =
  /** By the resource's sort instant. `newest-first` breaks ties by id ascending; `oldest-first` is its exact reversal. */
  | { readonly by: 'instant'; readonly direction: 'newest-first' | 'oldest-first' }
  /**
   * By each of these keys in turn; resources with none of a sort key come last in both directions. Ties, and all where there are no keys:
   * by id.
   */
  | { readonly by: 'keys'; readonly keys: readonly SortKey[]; readonly ids: 'ascending' | 'descending' };

/**
 * By the least (ascending) or greatest (descending) of a resource's keys with this prefix. `ranges`: keys with this one in its place, all equally long,
 * stand just behind those that begin alike with the prefix. `within`, `rangesWithin`: whoever matches has each of these keys a second time with this one in
 * the place of the prefix, and no other has any with it: it leads along them alone, in the same order.
 */
export type SortKey = {
  readonly prefix: string;
  readonly direction: 'ascending' | 'descending';
  readonly ranges?: string;
  readonly within?: string;
  readonly rangesWithin?: string;
};

/** A row's place in an order: its sort instant, or its value for each sort key (null: it has none), and its id. */
export type Position = { readonly sort: number | readonly (string | null)[]; readonly id: string };

export type Query = {
  readonly type: string;
  readonly where: Expression;
  readonly scope: ScopeOrInternal;
  readonly order: Order;
  readonly after?: Position;
  /** From the end of the order towards its beginning: rows, `after` and `next` are those of the exact reversal. */
  readonly reversed?: boolean;
  readonly limit: number;
  /** Most rows to walk before giving up with `budget`; the engine has a default. */
  readonly budget?: number;
  /** Count all matches as well, in the snapshot of the page. */
  readonly total?: Counting;
  /** Aborted: nobody waits for the answer; the call rejects with `abandoned` as soon as it notices. */
  readonly signal?: AbortSignal;
  /** Whether deletions count as rows. Only id look-ups ask for it. */
  readonly deleted?: boolean;
  /** True: the answer says how it was come by. */
  readonly explain?: boolean;
  /** False: rows come without their text, for what is decided by keys alone. */
  readonly bodies?: boolean;
  /** False: rows may come without their keys, for whoever needs the text alone. */
  readonly keys?: boolean;
};

export type Counting = {
  /** Most rows to walk for it, besides those of the page. */
  readonly budget?: number;
  /** Counted no further, and so not exact, once there are more; what an index answers alone is counted all the same. */
  readonly most?: number;
  /** The answer names what follows this prefix in the keys of all that was counted: whom the number is about. */
  readonly naming?: string;
};

/**
 * Several types as one list in one order, ties by type and id: a Position names its row as `Type/id` and has the sort values without their
 * prefixes, which may differ between the parts; nothing else of their orders does. All scopes are of one epoch. `budget` is for all types together.
 */
export type SeveralQuery = Pick<Query, 'after' | 'reversed' | 'limit' | 'budget' | 'total' | 'signal' | 'explain'> & {
  readonly parts: readonly Pick<Query, 'type' | 'where' | 'scope' | 'order'>[];
};

/** A driver's `heads` say which parameters its keys are of; `size` counts its entries up to `cap`. */
export type DriverTrace = { readonly kind: 'ids' | 'keys' | 'range'; readonly heads: readonly string[]; readonly names: number };
export type SizedDriver = DriverTrace & { readonly size: number; readonly cap: number };

/** What the engine did to answer a query that asked it to say so: names of keys, numbers and times, never a value. */
export type ReadTrace = {
  /** Whose size was looked at. */
  readonly considered: readonly SizedDriver[];
  /** What was walked; empty: all of the type. */
  readonly chosen: readonly DriverTrace[];
  /** How, in words, in the order in which it was done. */
  readonly ways: readonly string[];
  readonly walked: number;
  readonly budget: number;
  /** Rows whose other criteria were looked at, and those for which they held. */
  readonly checked: number;
  readonly matched: number;
  readonly ms: { readonly plan: number; readonly walk: number; readonly load: number };
  readonly thread: string;
};

/** What was done for one of several types. */
export type PartTrace = ReadTrace & { readonly type: string };

/** Of a query with `explain`; of several types, `parts`. */
export type Traced = { readonly trace?: ReadTrace; readonly parts?: readonly PartTrace[] };

/** `exact` false: there are at least so many. */
export type Total = { readonly count: number; readonly exact: boolean } & Named;

/** Of what was counted `naming`. */
export type Named = { readonly named?: readonly string[] };

/** More would have to be walked. `by`: heads (parameter codes) of the keys that were walked; none where it was all of the type. */
export type OverBudget = { readonly kind: 'budget'; readonly walked: number; readonly by: readonly string[] } & Traced;

export type FindResult =
  | ({
      readonly kind: 'rows';
      readonly rows: readonly StoredResource[];
      /** The place of the first row, to go back from; undefined: there is no row, or never one before it. */
      readonly first: Position | undefined;
      readonly next: Position | undefined;
      readonly walked: number;
      /** Where it was asked for. */
      readonly total?: Total;
    } & Traced)
  | { readonly kind: 'stale' }
  | OverBudget;

export type CountResult =
  | ({ readonly kind: 'count'; readonly total: number } & Named & Traced)
  | { readonly kind: 'stale' }
  /** `total`: so many were found by then. */
  | (OverBudget & { readonly total: number } & Named);

/** A version's place in the order of all histories. */
export type VersionPlace = { readonly lastUpdated: number; readonly type: string; readonly id: string; readonly version: string };

/**
 * Versions of one resource, of a type or of everything, newest first (ties by type, id, version). A version is a row only if the scope
 * holds for it and for the resource's newest content.
 */
export type HistoryQuery = {
  readonly type?: string;
  /** With `type`. */
  readonly id?: string;
  /** One exact version. */
  readonly version?: string;
  /** Of everything: these types only. */
  readonly types?: readonly string[];
  readonly scope: { readonly epoch: number; readonly where: (type: string) => Expression } | 'internal';
  /** Written at this instant or later. */
  readonly since?: number;
  /**
   * Current at some instant of this span, ends included, as far as the scope shows: written before it is over, not replaced when it begins. A
   * deletion counts at its own instant only.
   */
  readonly at?: { readonly from: number; readonly to: number };
  /** `oldest-first` is the exact reversal. */
  readonly direction?: 'newest-first' | 'oldest-first';
  /** Where the page before ended. */
  readonly after?: VersionPlace;
  readonly limit: number;
  /** False: rows say which versions there are, without text and keys. */
  readonly bodies?: boolean;
  /** Most versions to walk in this call; the engine has a default. */
  readonly budget?: number;
  /** As in a Query. */
  readonly signal?: AbortSignal;
};

/**
 * `next`: where to go on, undefined at the end. Given as well before the limit: when the budget ran out, or it is others' turn; what follows it
 * may hold no row.
 */
export type HistoryResult =
  | { readonly kind: 'rows'; readonly rows: readonly StoredResource[]; readonly next: VersionPlace | undefined; readonly walked: number }
  | { readonly kind: 'stale' };

/** All must hold inside the write transaction, or nothing is written. */
export type Guard =
  /** The newest version is this one (a deletion counts); null: the id was never used. */
  | { readonly kind: 'version'; readonly type: string; readonly id: string; readonly version: string | null }
  /** Conditional create: no live resource in this scope matches. */
  | { readonly kind: 'no-match'; readonly type: string; readonly where: Expression; readonly scope: ScopeOrInternal }
  /**
   * Of these types no live resource has the key, but for such as `allowed` says of its type: those that its `where` or its scope leaves out.
   * So resources a caller cannot see never stand in the way.
   */
  | { readonly kind: 'unused'; readonly key: string; readonly types: readonly string[]; readonly allowed: readonly Allowed[] }
  | { readonly kind: 'epoch'; readonly epoch: number }
  /**
   * The record is at this revision; null: there is no such record. `shared`: many rely on it at once, without waiting for one another; whoever
   * changes it says so as well.
   */
  | { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: number | null; readonly shared?: true };

export type Allowed = { readonly type: string; readonly where: Expression; readonly scope: ScopeOrInternal };

/** One entry for the Merkle log, not yet numbered. The same idempotency key is numbered once. */
export type NewLogRow = { readonly key: string; readonly entry: string };
export type LogRow = NewLogRow & { readonly index: number };

export type RecordWrite =
  | {
      readonly kind: 'put';
      readonly recordKind: string;
      readonly id: string;
      readonly value: RecordValue;
      readonly lookup?: readonly string[];
      readonly expires?: number;
      /** There are guards that share it. */
      readonly shared?: true;
    }
  | { readonly kind: 'delete'; readonly recordKind: string; readonly id: string };

export type WriteSet = {
  readonly guards: readonly Guard[];
  readonly resources: readonly StoredResource[];
  readonly records: readonly RecordWrite[];
  readonly log: readonly NewLogRow[];
  /**
   * Resources that are no more, in any version: nothing of them can be read from the store or from its files again, as far as the engine
   * governs these. After the resources of the same set.
   */
  readonly erase?: readonly { readonly type: string; readonly id: string }[];
  /** Numbered rows that get this key and text for good, under the same number; of what they were, the same holds as of `erase`. */
  readonly redact?: readonly LogRow[];
  /** True when the commit may change who may see what: Consents, keys, registrations, and the resources actors are resolved through. */
  readonly bumpEpoch: boolean;
};

export type Rekeyed = { readonly keys: readonly string[]; readonly instant: number };
/** `next`: the id to go on behind; undefined at the end of the type. */
export type Reindexed = { readonly read: number; readonly written: number; readonly next: string | undefined };

export type CommitResult = { readonly kind: 'committed' } | { readonly kind: 'conflict'; readonly guard: Guard };

export type CountQuery = Pick<Query, 'type' | 'where' | 'scope' | 'signal' | 'explain'> & Counting;

export type ResourceStore = {
  find(query: Query): Promise<FindResult>;
  /** As `find`, of several types at once. `limit` 0: only the total. */
  findSeveral(query: SeveralQuery): Promise<FindResult>;
  /** Counts up to `cap` (absent: all). */
  count(query: CountQuery, cap?: number): Promise<CountResult>;
  /** Those of the types that have a live resource with this (indexed) key, whoever may see it: what an `unused` guard has to allow for. */
  carriers(key: string, types: readonly string[]): Promise<readonly string[]>;
  history(query: HistoryQuery): Promise<HistoryResult>;
  /** Resolves once the write set is durable. */
  commit(writes: WriteSet): Promise<CommitResult>;
  /** The consent epoch as every process sees it: grows with each commit that has `bumpEpoch`. */
  epoch(): Promise<number>;
  /**
   * The same number as long as the database has been written to through this store alone: asked before something was read and again, it tells that
   * nobody else has changed that meanwhile. What goes past the database, into its files, it does not see. Absent where others write by right.
   */
  writtenByOthers?(): Promise<number>;
  /** Log rows from index `from` on, in order, at most `limit`. */
  readLog(from: number, limit: number): Promise<readonly LogRow[]>;
  /** Whether this process may seal and number log rows now; a fencing number that grows with every change of holder, or undefined. */
  lease(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  /**
   * Recomputes the keys of some live resources of a type, in id order from behind the id `after` on, or of those with these ids. A resource changed
   * meanwhile has new keys already; one whose keys another call rewrote meanwhile is given to `keysOf` once more. `guard` holds in the commit of the slice; where it does not, AssentError('conflict') and nothing is written.
   */
  reindex(
    slice: { readonly type: string; readonly after?: string; readonly ids?: readonly string[]; readonly guard?: Guard & { kind: 'record' } },
    keysOf: (resource: StoredResource) => Rekeyed | Promise<Rekeyed>,
  ): Promise<Reindexed>;
  /**
   * Ids of a type’s resources, at most `most`, whose index entries are not those of their keys: somebody edited the database. Reads all of the type, and an
   * engine in this process answers nobody else meanwhile.
   */
  misindexed(type: string, most: number): Promise<readonly string[]>;
  /** Throws AssentError('unavailable') unless the store can read and write now. */
  check(): Promise<void>;
  close(): Promise<void>;
};

/** JSON or bytes. */
export type RecordValue = Uint8Array | string | number | boolean | null | { readonly [key: string]: unknown } | readonly unknown[];
export type StoredRecord = { readonly id: string; readonly value: RecordValue; readonly revision: number; readonly expires: number | undefined };

export type RecordStore = {
  /** An expired record is absent. */
  get(recordKind: string, id: string): Promise<StoredRecord | undefined>;
  /** `revision`: number = must be at it, null = must not exist, absent = whatever is there. `lookup`: secondary keys for `list`. `expires`: ms since 1970. */
  put(
    recordKind: string,
    id: string,
    value: RecordValue,
    options?: { readonly revision?: number | null; readonly lookup?: readonly string[]; readonly expires?: number },
  ): Promise<{ readonly kind: 'written'; readonly revision: number } | { readonly kind: 'conflict' }>;
  /** Resolves with whether this call removed it: the atomic way to use something once. */
  delete(recordKind: string, id: string): Promise<boolean>;
  /** In id order. With `lookup`: only records that named this secondary key. */
  list(
    recordKind: string,
    options?: { readonly lookup?: string; readonly after?: string; readonly limit?: number },
  ): Promise<readonly StoredRecord[]>;
};

/** One engine: both ports over one database. */
export type Engine = {
  readonly resources: ResourceStore;
  readonly records: RecordStore;
  /**
   * Calls `wake` soon after any process has committed log rows, until the engine is closed. A hint only: it may come late, twice or never, and
   * `report` is told when it cannot come. Absent where no other process can commit.
   */
  watchLog?(wake: () => void, report: (fault: unknown) => void): void;
};
