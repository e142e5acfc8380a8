/**
 * What a handler may ask of the record, made for one caller and purpose: the only way to patient data outside the
 * composition root. There is no method without a consent decision in it, so a handler cannot forget one.
 * Implemented by enforce.ts; this file is types only.
 */
import type { ResourceDocument, ResourceValue } from '../fhir/resource.ts';
import type { Expression } from '../search/expression.ts';
import type { Condition, Include } from '../search/join.ts';
import type { Caller } from './model.ts';

export type { ResourceDocument, ResourceValue } from '../fhir/resource.ts';

/** One visible version. `body` is '' when deleted. */
export type Row = {
  readonly type: string;
  readonly id: string;
  readonly version: string;
  /** ms since 1970. */
  readonly lastUpdated: number;
  readonly deleted: boolean;
  readonly body: string;
};

export type SortPosition = { readonly sort: number | readonly (string | null)[]; readonly id: string };

/** `receipt`: id of the AuditEvent whose receipt proves this disclosure; undefined where nothing about a patient was disclosed. */
export type ReadResult =
  | { readonly kind: 'found'; readonly row: Row; readonly receipt: string | undefined }
  /** Deleted, and the caller could have read its last content. */
  | { readonly kind: 'gone'; readonly row: Row; readonly receipt: string | undefined }
  /** Absent, denied or deleted-and-denied: indistinguishable. */
  | { readonly kind: 'absent' };

/** True: exact, or the search is refused. `if-told`: exact or none. `at-least`: what was counted within the budget. */
export type TotalWanted = boolean | 'if-told' | 'at-least';

export type SearchRequest = {
  readonly type: string;
  /** With joins: they are resolved in the caller's view. */
  readonly where: Condition;
  /** What to send along with the rows of the page. */
  readonly includes?: readonly Include[];
  readonly order:
    | { readonly by: 'instant'; readonly direction: 'newest-first' | 'oldest-first' }
    | {
        readonly by: 'keys';
        readonly keys: readonly { readonly prefix: string; readonly direction: 'ascending' | 'descending' }[];
        readonly ids: 'ascending' | 'descending';
      };
  /** 0 = only the total. */
  readonly count: number;
  readonly after?: SortPosition;
  /** The page that ends before `after`, or the last one. */
  readonly back?: boolean;
  readonly total: TotalWanted;
  /** The search as sent (path and query), for the audit record; never shown to anyone but its sender, the patient and auditors. */
  readonly query: string;
};

/** All orders are the same but for the prefixes of their keys. A position's id is `Type/id`, by which ties go. */
export type SeveralRequest = Omit<SearchRequest, 'type' | 'where' | 'order'> & {
  readonly interaction: 'search-type' | 'search-system';
  readonly parts: readonly Pick<SearchRequest, 'type' | 'where' | 'order'>[];
};

export type SearchResult = {
  readonly rows: readonly Row[];
  /** Sent along: each once, none that is a row of the page. */
  readonly included: readonly Row[];
  /** More was to be included than one page takes. */
  readonly cut: boolean;
  readonly next: SortPosition | undefined;
  /** The page before; without a place: the last page. */
  readonly previous: { readonly after?: SortPosition } | undefined;
  readonly total: number | undefined;
  readonly receipt: string | undefined;
};

export type VersionPlace = { readonly lastUpdated: number; readonly type: string; readonly id: string; readonly version: string };

export type HistoryRequest = {
  /** Versions of one resource (one type and its id), of one type, or of these types: those the token may search. */
  readonly types: readonly string[];
  readonly id?: string;
  readonly count: number;
  readonly since?: number;
  /** Versions that were current, in the caller's view, at some instant of this span, ends included. */
  readonly at?: { readonly from: number; readonly to: number };
  readonly direction: 'newest-first' | 'oldest-first';
  readonly after?: VersionPlace;
  /** Whether to count: every page costs it anew, so the first page's total is carried along. */
  readonly total: boolean;
  /** The request as sent, for the audit record of a history that is not of one resource. */
  readonly query: string;
};
export type HistoryResult =
  | {
      readonly kind: 'found';
      readonly rows: readonly Row[];
      readonly next: VersionPlace | undefined;
      /** In the caller's view; undefined where it was not asked for or is more than is counted. */
      readonly total: number | undefined;
      readonly receipt: string | undefined;
    }
  /** Of one resource: nothing of it is visible. */
  | { readonly kind: 'absent' };

export type GatherPlace = { readonly part: number; readonly sort: number; readonly id: string };

/** Several typed searches as one answer. */
export type GatherRequest = {
  readonly interaction: 'operation';
  /** The one type all parts are of, if there is one. */
  readonly type: string | undefined;
  /** What it is about: absent to the caller, the answer is `absent`. */
  readonly subject?: { readonly type: string; readonly id: string };
  /** Walked in this order, each oldest first. */
  readonly parts: readonly { readonly type: string; readonly where: Expression }[];
  readonly count: number;
  readonly after?: GatherPlace;
  /** Only what is dated in this span, ends included, or has no date. ms since 1970 */
  readonly during?: { readonly from?: number; readonly to?: number };
  /** What the rows refer to is answered as well, as far as it is of one of these types, matches there, and was not sent before. */
  readonly follow?: { readonly types: ReadonlyMap<string, Expression>; readonly sent: (reference: string) => boolean; readonly hops?: number };
  /** The request as sent, for the audit record. */
  readonly query: string;
};

export type GatherResult =
  | {
      readonly kind: 'found';
      readonly rows: readonly Row[];
      readonly followed: readonly Row[];
      readonly next: GatherPlace | undefined;
      readonly receipt: string | undefined;
    }
  | { readonly kind: 'absent' };

/** The newest `perCode` Observations of each code; more than `most` in all are too costly. */
export type LatestRequest = { readonly where: Expression; readonly perCode: number; readonly most: number; readonly query: string };
export type LatestResult = { readonly rows: readonly Row[]; readonly receipt: string | undefined };

/**
 * `resource` is validated already; its text carries any id and meta the sender gave: the Gate writes id, meta.versionId
 * and meta.lastUpdated into it. `id` of a create was made by newId() and `version` by newVersion() so that references inside a transaction could use them.
 *
 * `madeFrom`, `ifMatched: 'conflict'` and the `ifNoneExist` of an update are what the operation itself rests on: where they do not hold any
 * more, the Gate throws `conflict` and its maker looks again. `ifMatch` and `ifNoneMatch` are the caller's conditions: version-mismatch.
 */
export type WriteOperation =
  | {
      readonly kind: 'create';
      readonly id: string;
      readonly resource: ResourceDocument;
      /** Made by newVersion(); absent: the Gate makes one. */
      readonly version?: string;
      readonly ifNoneExist?: Condition;
      /** What a match of `ifNoneExist` means; absent: it stands in for the new resource. */
      readonly ifMatched?: 'conflict';
      /** Made by the server of what this caller was shown: whatever it speaks of, they named nothing themselves. */
      readonly ofShown?: true;
    }
  | {
      readonly kind: 'update';
      readonly id: string;
      readonly resource: ResourceDocument;
      readonly version?: string;
      readonly ifMatch?: string;
      /** Only where there is none yet. */
      readonly ifNoneMatch?: '*';
      readonly ifNoneExist?: Condition;
      /** The version this content was made from, or was chosen by. */
      readonly madeFrom?: string;
      /** For the audit trail. */
      readonly byPatch?: true;
    }
  | { readonly kind: 'delete'; readonly type: string; readonly id: string; readonly ifMatch?: string; readonly madeFrom?: string }
  /** Nothing is written; it still is what the other operations rest on. */
  | { readonly kind: 'keep'; readonly type: string; readonly id: string; readonly madeFrom: string };

export type WriteResult = { readonly kind: 'created' | 'updated' | 'deleted' | 'unchanged'; readonly row: Row };

export type PreparedConsent = {
  /** The final Consent, exact text. */
  readonly consent: string;
  /** What each signer signs: the UTF-8 bytes of this string. */
  readonly statement: string;
  /** base64url SHA-256 of the statement. */
  readonly digest: string;
  /** ms since 1970. */
  readonly expires: number;
};

/** `jws`: compact JWS with its payload detached, or a passkey's assertion in its one spelling (workflow.ts, webauthnSignature). */
export type Signatures = readonly { readonly who: string; readonly jws: string }[];
/** `digest`: base64url SHA-256 of the statement. `state`: proposed, active, withdrawn, … */
export type ConsentStatement = {
  readonly statement: string;
  readonly digest: string;
  readonly state: string;
  /** By the patient, or in their place. */
  readonly signed: boolean;
  /** Somebody asks for it by $request, until `deadline` (ms since 1970): it may be refused. */
  readonly asked?: { readonly by: string; readonly deadline: number };
};
/** `signature`: a compact JWS that holds what it signs, or a passkey's assertion over `statement`. */
export type SignedEnd = { readonly signature: string; readonly statement?: string };
export type SignedConsent = { readonly kind: 'activated' | 'proposed' | 'already-active'; readonly row: Row };

/** What was signed about keys, as its exact text, and the detached JWS over it. */
export type KeyRequest = { readonly statement: string; readonly signatures: readonly string[] };
export type KeyChanged =
  | { readonly kind: 'registered' | 'stopped' | 'revoked'; readonly kid: string }
  /** `due`: ms since 1970, from when the recovery can be completed. */
  | { readonly kind: 'pending'; readonly kid: string; readonly due: number };

/** `id`: of the authority, as the log names it. */
export type AuthorityChanged = { readonly kind: 'granted' | 'ended'; readonly id: string };

/** One patient, by logical id, until an instant in ms since 1970. */
export type BrokenGlass = NonNullable<Caller['breakGlass']>;

export type ReceiptResult =
  | { readonly kind: 'ready'; readonly receipt: string }
  /** Not yet in a signed checkpoint. */
  | { readonly kind: 'pending' }
  /** Something it would rest on was erased. `proofs`: of that, as files to be verified offline. */
  | { readonly kind: 'erased'; readonly proofs: readonly string[] }
  | { readonly kind: 'absent' };

/** A number of rows; few are not told apart, so that nobody's record is felt out by it. */
export type Told = number | 'under 50';

/** What was walked or looked at: named as its parameter is, never by its value. */
export type ExplainedDriver = { readonly of: string; readonly kind: 'ids' | 'keys' | 'range'; readonly size?: string };

export type ExplainedRead = {
  /** In the order in which they ran: what joins go through, the page or its total, what is included. */
  readonly step: 'join' | 'page' | 'include';
  readonly type: string;
  readonly considered: readonly ExplainedDriver[];
  /** Empty: nothing narrows it, all of the type is walked. */
  readonly chosen: readonly ExplainedDriver[];
  readonly why: string;
  readonly ways: readonly string[];
  readonly walked: Told;
  readonly checked: Told;
  readonly matched: Told;
  /** Rows that may be walked; more is refused. */
  readonly budget: number;
  readonly outcome: 'read' | 'too much';
  readonly thread: string;
  readonly ms: { readonly plan: number; readonly walk: number; readonly load: number };
};

export type Explained = {
  readonly consent: {
    /** Patients of whom a Consent speaks to the caller. */
    readonly patients: Told;
    /** What the caller's scope does in the page's own read. */
    readonly scope: 'shows nothing' | 'hides nothing' | 'drives: what it permits is walked' | 'is checked on each row';
  };
  readonly reads: readonly ExplainedRead[];
  /** The sentence of the refusal, where the search would be refused. */
  readonly refused?: string;
  readonly ms: { readonly consent: number; readonly reads: number; readonly audit: number };
};

export type AccessRequest = {
  readonly type: string;
  readonly id: string;
  /** Reference of who would ask; absent: those whom the Consents name, and anyone else. */
  readonly actor?: string | undefined;
  /** Code of v3-PurposeOfUse; absent: those that the Consents name, and treatment. */
  readonly purpose?: string | undefined;
  /** Of the words, BCP 47. */
  readonly language: string;
  /** The request as sent, for the audit record. */
  readonly query: string;
};

/** What one patient's Consents and the policies come to. Texts are sentences for that patient. */
export type AccessGround = {
  /** Logical id. */
  readonly patient: string | undefined;
  /** Undefined: it depends on what may not be told. */
  readonly permitted: boolean | undefined;
  readonly ground: string;
  /** Name of the built-in or implicit policy that decides. */
  readonly policy: string | undefined;
  readonly text: string;
  /** `path`: of the provision, as FHIRPath. */
  readonly clauses: readonly { readonly consent: string; readonly path: string; readonly type: 'permit' | 'deny'; readonly text: string }[];
  readonly silent: readonly { readonly consent: string; readonly because: string; readonly text: string }[];
};

/** `actor` undefined: anyone whom no Consent names. */
export type Access = {
  readonly actor: string | undefined;
  readonly purpose: string;
  readonly permitted: boolean | undefined;
  readonly text: string;
  readonly grounds: readonly AccessGround[];
};

export type AccessResult =
  | {
      readonly kind: 'explained';
      /** It names other patients, who have to permit as well: what they say is not told. */
      readonly others: boolean;
      /** The Consents name more than is answered at once. */
      readonly cut: boolean;
      readonly accesses: readonly Access[];
      readonly receipt: string | undefined;
    }
  | { readonly kind: 'absent' };

/**
 * `from`: index of the log entry to begin with; absent: the newest. `event`: id of the AuditEvent to begin with instead. `wordless`: no AuditEvent stands
 * in the statement that holds words of who acted, for whoever is to read no clinical content.
 */
export type DisclosuresRequest = {
  readonly id: string;
  readonly count: number;
  readonly from?: number | undefined;
  readonly event?: string;
  readonly wordless?: boolean;
};

/** One entry of the chain about a patient. `number`: from 1. `event`: text of the AuditEvent, as far as this caller may see it. */
export type RecordedEntry = {
  readonly number: number;
  readonly index: number;
  /** As of the log (ledger/entry.ts), or `erased`. */
  readonly kind: string;
  readonly occurredAt: string | undefined;
  readonly reference: string | undefined;
  readonly event: string | undefined;
};

export type DisclosuresResult =
  | {
      readonly kind: 'found';
      /** Newest first, without a gap. */
      readonly entries: readonly RecordedEntry[];
      /** Of the log, when it was read. */
      readonly size: number;
      readonly next: number | undefined;
      /** The file that proves it (ledger/disclosures.ts). */
      readonly statement: string;
      readonly receipt: string;
    }
  /** Nothing is under a signed checkpoint yet. */
  | { readonly kind: 'pending' }
  | { readonly kind: 'absent' };

export type Gate = {
  readonly caller: Caller;
  read(type: string, id: string): Promise<ReadResult>;
  readVersion(type: string, id: string, version: string): Promise<ReadResult>;
  history(request: HistoryRequest): Promise<HistoryResult>;
  search(request: SearchRequest): Promise<SearchResult>;
  /** Several types as one list. */
  searchSeveral(request: SeveralRequest): Promise<SearchResult>;
  /**
   * How a search runs: in this caller's view, or in another's. Nothing of what it finds is told, and the asking is recorded as this caller's.
   * For administrators: throws AssentError('forbidden').
   */
  explain(request: SearchRequest | SeveralRequest, as?: Caller): Promise<Explained>;
  /**
   * Who may see one resource and why, or why one actor may not: told to a patient of their own record, and to administrators as far as it does not
   * depend on what the record holds. Throws AssentError: forbidden, invalid-request.
   */
  explainAccess(request: AccessRequest): Promise<AccessResult>;
  /** Everything recorded about a patient, for the patient and for administrators; absent for everybody else. */
  disclosures(request: DisclosuresRequest): Promise<DisclosuresResult>;
  gather(request: GatherRequest): Promise<GatherResult>;
  latest(request: LatestRequest): Promise<LatestResult>;
  /**
   * All or nothing, in the order given; results in that order. Throws AssentError: not-found, version-mismatch, multiple-matches,
   * sealed-resource, forbidden (rule 21 types), conflict. Of several, the one to blame is named: the expression is `operation[i]`.
   */
  write(operations: readonly WriteOperation[]): Promise<readonly WriteResult[]>;
  /** consent.md §4, interface.md §3. Throws AssentError: invalid-consent, invalid-signature, not-found. */
  prepareConsent(request: { readonly consent: ResourceDocument; readonly language: string; readonly supersedes?: string }): Promise<PreparedConsent>;
  signConsent(request: { readonly statement: string; readonly signatures: Signatures }): Promise<SignedConsent>;
  /** The same for a Consent sent as it was prepared, beside its signatures. */
  signPreparedConsent(request: { readonly consent: ResourceValue; readonly signatures: Signatures }): Promise<SignedConsent>;
  withdrawConsent(id: string, signed: SignedEnd): Promise<Row>;
  /** What is signed of a Consent about the caller, who must be the patient; undefined for everybody else, and where there is none. */
  statementOf(id: string): Promise<ConsentStatement | undefined>;
  /**
   * consent.md §5. Whoever asks gets their Task, whether or not there is such a patient. `deadline`: ms since 1970. Throws AssentError: invalid-consent,
   * rate-limited.
   */
  requestConsent(request: { readonly consent: ResourceDocument; readonly language: string; readonly deadline: number }): Promise<Row>;
  /** The statement of a request, signed; or a signed refusal, which resolves with the Consent. Throw AssentError('invalid-signature'). */
  approveConsent(id: string, signatures: Signatures): Promise<SignedConsent>;
  refuseConsent(id: string, signed: SignedEnd, reason?: string): Promise<Row>;
  /**
   * Less of what is asked for: `types` that are left, `until` the last day. For the patient, who signs it by signConsent in place of the request's
   * statement. Throws AssentError: not-found, invalid-consent.
   */
  narrowRequest(
    id: string,
    less: { readonly types?: readonly string[] | undefined; readonly until?: string | undefined; readonly language: string },
  ): Promise<PreparedConsent>;
  /** Ends the requests whose deadline has passed; the server does this itself. Resolves with how many. */
  expireRequests(): Promise<number>;
  /** Before a Consent is erased; the server does this itself. Whoever asked for it keeps their Task and is told as of any other end. */
  endBeforeErasure(consent: string): Promise<void>;
  /** consent.md §7. Recorded and told to the patient when this resolves. Throws AssentError: forbidden, invalid-request. */
  breakGlass(request: { readonly patient: string; readonly reason: string }): Promise<BrokenGlass>;
  /** consent.md §6. Throw AssentError: invalid-signature, invalid-request, conflict, forbidden (a recovery takes scope admin). */
  rotateKey(request: KeyRequest): Promise<KeyChanged>;
  revokeKey(request: KeyRequest): Promise<KeyChanged>;
  recoverKey(request: KeyRequest): Promise<KeyChanged>;
  /** Completes the recoveries whose delay is over; the server does this itself. Resolves with how many. */
  completeRecoveries(): Promise<number>;
  stopRecovery(request: KeyRequest): Promise<KeyChanged>;
  /** The same; what an institution attests takes scope admin. */
  grantAuthority(request: KeyRequest): Promise<AuthorityChanged>;
  endAuthority(request: KeyRequest): Promise<AuthorityChanged>;
  /**
   * A mark of everything this caller's view rests on now: Consents, roles, policies and where their periods stand. While it is the same, what was
   * released may still be handed out. `shown`: what was, as `Type/id`; the mark is empty where one of these is hidden by now, by a label for instance.
   */
  standing(shown?: readonly string[]): Promise<string>;
  /** Whether this Consent of the caller, who must be the patient, is in force and permits something now. */
  permitsNow(consent: string): Promise<boolean>;
  /** The receipt of an AuditEvent or Consent the caller may see. */
  receipt(type: 'AuditEvent' | 'Consent', id: string): Promise<ReceiptResult>;
  /** The receipt of a Consent the caller may read, with the proof that nothing had taken its place at most a minute ago; the asking is recorded. */
  ledgerProof(id: string): Promise<ReceiptResult>;
};

/** `wanted`: aborted when the caller has gone before the answer; then what is read for it ends with `abandoned`. */
export type GateFor = (caller: Caller, wanted?: () => AbortSignal) => Gate;
