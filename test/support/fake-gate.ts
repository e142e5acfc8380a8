/**
 * A Gate over a Map for tests of handlers alone: it decides by a given predicate instead of Consents, and remembers what it was asked.
 * The real one is tested in test/consent and through the whole app.
 */
import { randomUUID } from 'node:crypto';
import type { Gate, GateFor, Row, SearchRequest, WriteOperation, WriteResult } from '../../server/consent/gate.ts';
import type { Caller } from '../../server/consent/model.ts';
import { AssentError } from '../../server/errors.ts';
import { withMembers } from '../../server/fhir/json-text.ts';
import { holds } from '../../server/search/expression.ts';
import { type Condition, isPlain } from '../../server/search/join.ts';
import { indexKeys } from '../../server/search/index-values.ts';

export type FakeRecord = {
  /** Versions by `Type/id`, oldest first. */
  readonly versions: Map<string, Row[]>;
  /** Every call, for assertions. */
  readonly calls: { readonly method: string; readonly argument: unknown }[];
  readonly gateFor: GateFor;
  /** Replaces one method for a test; undo with the function returned. */
  override(methods: Partial<Gate>): () => void;
};

type Options = { readonly visible?: (caller: Caller, row: Row) => boolean; readonly now?: () => number };

export function createFakeRecord({ visible = () => true, now = () => Date.UTC(2024, 0, 2) }: Options = {}): FakeRecord {
  const versions = new Map<string, Row[]>();
  const calls: { method: string; argument: unknown }[] = [];
  let overrides: Partial<Gate> = {};
  const store = { versions, now };
  const gateFor: GateFor = (caller) => {
    const gate = createFakeGate(store, caller, (row) => visible(caller, row));
    const watched = Object.entries({ ...gate, ...overrides }).map(([method, call]) => {
      if (typeof call !== 'function') return [method, call];
      return [
        method,
        (...given: unknown[]) => {
          calls.push({ method, argument: given.length === 1 ? given[0] : given });
          return (call as (...args: unknown[]) => unknown)(...given);
        },
      ];
    });
    return Object.fromEntries(watched) as Gate;
  };
  return {
    versions,
    calls,
    gateFor,
    override(methods) {
      const before = overrides;
      overrides = { ...overrides, ...methods };
      return () => void (overrides = before);
    },
  };
}

type Store = { readonly versions: Map<string, Row[]>; readonly now: () => number };

function createFakeGate(store: Store, caller: Caller, sees: (row: Row) => boolean): Gate {
  const newest = (type: string, id: string): Row | undefined => {
    const row = store.versions.get(`${type}/${id}`)?.at(-1);
    return row && sees(row) ? row : undefined;
  };
  const found = (row: Row | undefined) =>
    row ? ({ kind: row.deleted ? 'gone' : 'found', row, receipt: 'audit-1' } as const) : ({ kind: 'absent' } as const);
  return {
    caller,
    read: async (type, id) => found(newest(type, id)),
    readVersion: async (type, id, version) => found(newest(type, id) && store.versions.get(`${type}/${id}`)?.find((row) => row.version === version)),
    history: async ({ types: [type = ''], id = '', count, after }) => {
      const all = [...(store.versions.get(`${type}/${id}`) ?? [])].reverse().filter(sees);
      const start = after ? all.findIndex(({ version }) => version === after.version) + 1 : 0;
      const rows = all.slice(start, start + count);
      const next = start + count < all.length ? rows.at(-1) : undefined;
      return all.length === 0 ? { kind: 'absent' } : { kind: 'found', rows, next, total: all.length, receipt: 'audit-2' };
    },
    search: async (request) => searchRows(store, request, sees),
    searchSeveral: async () => {
      throw new AssentError('not-supported');
    },
    explain: async () => {
      throw new AssentError('not-supported');
    },
    disclosures: async () => ({ kind: 'absent' }),
    explainAccess: async () => ({ kind: 'absent' }),
    gather: async () => ({ kind: 'absent' }),
    latest: async () => ({ rows: [], receipt: undefined }),
    write: async (operations) => writeAll(store, operations, newest),
    prepareConsent: async ({ consent }) => ({ consent: consent.text, statement: 'to sign', digest: 'digest', expires: store.now() }),
    signConsent: async () => ({ kind: 'activated', row: rowOf('Consent', 'c1', { body: '{"resourceType":"Consent","id":"c1"}', at: store.now() }) }),
    signPreparedConsent: async () => ({
      kind: 'activated',
      row: rowOf('Consent', 'c1', { body: '{"resourceType":"Consent","id":"c1"}', at: store.now() }),
    }),
    statementOf: async () => undefined,
    withdrawConsent: async (id) => rowOf('Consent', id, { body: `{"resourceType":"Consent","id":"${id}"}`, at: store.now() }),
    requestConsent: async () => rowOf('Task', 't1', { body: '{"resourceType":"Task","id":"t1"}', at: store.now() }),
    approveConsent: async (id) => ({
      kind: 'activated',
      row: rowOf('Consent', id, { body: `{"resourceType":"Consent","id":"${id}"}`, at: store.now() }),
    }),
    refuseConsent: async (id) => rowOf('Consent', id, { body: `{"resourceType":"Consent","id":"${id}"}`, at: store.now() }),
    narrowRequest: async () => ({ consent: '{}', statement: '{}', digest: 'digest', expires: store.now() }),
    expireRequests: async () => 0,
    endBeforeErasure: async () => undefined,
    completeRecoveries: async () => 0,
    standing: async () => 'as it was',
    permitsNow: async () => true,
    breakGlass: async ({ patient }) => ({ patient, until: store.now() }),
    rotateKey: async () => ({ kind: 'registered', kid: 'kid' }),
    revokeKey: async () => ({ kind: 'revoked', kid: 'kid' }),
    recoverKey: async () => ({ kind: 'pending', kid: 'kid', due: store.now() }),
    grantAuthority: async () => ({ kind: 'granted', id: 'id' }),
    endAuthority: async () => ({ kind: 'ended', id: 'id' }),
    stopRecovery: async () => ({ kind: 'stopped', kid: 'kid' }),
    receipt: async (_type, id) =>
      id === 'audit-1' ? { kind: 'ready', receipt: '{"format":"receipt"}' } : id === 'audit-2' ? { kind: 'pending' } : { kind: 'absent' },
    ledgerProof: async (id) => (id === 'c1' ? { kind: 'ready', receipt: '{"format":"receipt"}' } : { kind: 'absent' }),
  };
}

function keysOf({ body }: Row): readonly string[] {
  return indexKeys(JSON.parse(body) as { resourceType: string }).keys;
}

async function searchRows({ versions }: Store, { type, where, count, after, total }: SearchRequest, sees: (row: Row) => boolean) {
  const rows = [...versions.values()].flatMap((list) => list.at(-1) ?? []);
  // Joins are the real Gate's.
  if (!isPlain(where)) throw new AssentError('not-supported');
  const matching = rows.filter((row) => row.type === type && !row.deleted && sees(row) && holds(where, row.id, keysOf(row)));
  const sorted = matching.sort((a, b) => (a.id < b.id ? -1 : 1)).filter(({ id }) => after === undefined || id > after.id);
  const page = sorted.slice(0, count);
  const last = page.at(-1);
  const next = last && sorted.length > count ? { sort: [], id: last.id } : undefined;
  return { rows: page, included: [], cut: false, next, previous: undefined, total: total ? matching.length : undefined, receipt: 'audit-1' };
}

function writeAll(
  { versions, now }: Store,
  operations: readonly WriteOperation[],
  newest: (type: string, id: string) => Row | undefined,
): WriteResult[] {
  const planned = operations.map((operation): WriteResult => {
    const type = 'type' in operation ? operation.type : operation.resource.value.resourceType;
    const current = newest(type, operation.id);
    if ('madeFrom' in operation && operation.madeFrom !== current?.version) throw new AssentError('conflict');
    if (operation.kind === 'keep') return { kind: 'unchanged', row: current as Row };
    const match = 'ifNoneExist' in operation && operation.ifNoneExist ? matchOf(versions, type, operation.ifNoneExist) : undefined;
    if (match && ('ifMatched' in operation || operation.kind === 'update')) throw new AssentError('conflict');
    if (operation.kind === 'create') {
      return match ? { kind: 'unchanged', row: match } : { kind: 'created', row: written(operation, type, now()) };
    }
    if (operation.kind === 'delete' && !current) throw new AssentError('not-found');
    if (operation.ifMatch !== undefined && operation.ifMatch !== current?.version) throw new AssentError('version-mismatch');
    if ('ifNoneMatch' in operation && current && !current.deleted) throw new AssentError('version-mismatch');
    if (operation.kind === 'delete') return { kind: 'deleted', row: { ...rowOf(type, operation.id, { body: '', at: now() }), deleted: true } };
    return { kind: current ? 'updated' : 'created', row: written(operation, type, now()) };
  });
  for (const { kind, row } of planned) {
    if (kind === 'unchanged') continue;
    const key = `${row.type}/${row.id}`;
    versions.set(key, [...(versions.get(key) ?? []), row]);
  }
  return planned;
}

function matchOf(versions: ReadonlyMap<string, Row[]>, type: string, where: Condition): Row | undefined {
  if (!isPlain(where)) throw new AssentError('not-supported');
  return [...versions.values()]
    .flatMap((list) => list.at(-1) ?? [])
    .find((row) => row.type === type && !row.deleted && holds(where, row.id, keysOf(row)));
}

function written(operation: Extract<WriteOperation, { resource: unknown }>, type: string, at: number): Row {
  const row = rowOf(type, operation.id, { body: '', at });
  const meta = { versionId: row.version, lastUpdated: new Date(at).toISOString() };
  return { ...row, body: withMembers(operation.resource.text, { id: operation.id, meta }) };
}

function rowOf(type: string, id: string, { body, at }: { readonly body: string; readonly at: number }): Row {
  return { type, id, version: randomUUID(), lastUpdated: at, deleted: false, body };
}
