/**
 * The aggregate among the anchors: what it proves of this log is fetched, held against the log and against all it said before, and kept. ledger.md §5
 *
 * Invariants: nothing waits for it; only what holds is kept, and what is kept never gets older; what the aggregate says without a signature of this log’s own
 * key stops nothing.
 */
import { readFile } from 'node:fs/promises';
import { type Aggregated, aggregateKey, openPiece, proofName, readAggregateProof } from '../../ledger/aggregate.ts';
import { timeOnChain } from '../../ledger/anchor/evm/check.ts';
import { createNodes } from '../../ledger/anchor/evm/rpc.ts';
import { type Place } from '../../ledger/anchor/place.ts';
import type { Anchor } from '../../ledger/anchor/port.ts';
import { type Checkpoint, checkpointText } from '../../ledger/checkpoint-text.ts';
import { sameBytes } from '../../ledger/hash.ts';
import type { VerifierKey } from '../../ledger/note.ts';
import { verifyConsistency } from '../../ledger/proof.ts';
import type { AggregateAnchorPiece, AggregatePiece } from '../../ledger/receipt-format.ts';
import { createRemoteLog, readText, type RemoteLog, Unanswered } from '../../ledger/remote-log.ts';
import { consistencyProof, rootAt } from '../../ledger/tree.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import type { Alarms } from './alarms.ts';
import type { LogKeys } from './log-keys.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { type AggregateRecord, type CheckpointRecord, kinds, type LogRecords } from './log-records.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';
import type { Fetch } from './witnesses.ts';

export type AggregateConfig = Pick<
  Config,
  'AGGREGATE_URL' | 'AGGREGATE_KEY' | 'AGGREGATE_PLACES' | 'AGGREGATE_EVM_RPC' | 'AGGREGATE_TSA_CERTIFICATES'
>;

export type AggregateDependencies = RepeatedDependencies & {
  readonly log: LogStore;
  readonly stored: LogRecords;
  readonly keys: LogKeys;
  readonly raise: Alarms['raise'];
  readonly clock: Clock;
  readonly fetch: Fetch;
};

export type AggregateMember = Repeated & {
  /** One for each place where the aggregate must be anchored. */
  readonly anchors: readonly Anchor[];
  /** For a file that rests on this checkpoint and is about entries up to this index: where that is anchored. */
  piecesFor(index: number, checkpoint: Pick<CheckpointRecord, 'size'>): Promise<readonly AggregateAnchorPiece[]>;
  /** A sentence when the aggregate holds this log’s own signature under a history that is not the stored one. */
  contradiction(): Promise<string | undefined>;
};

const LOOK_MS = 60_000;
const MOST_PROOF_BYTES = 262_144;

/** Of what the aggregate signed or should prove: for the operator, and an alarm. */
class AggregateFault extends Error {}

function fault(sentence: string): never {
  throw new AggregateFault(sentence);
}

type Context = AggregateDependencies & {
  readonly config: AggregateConfig;
  readonly key: VerifierKey;
  readonly remote: RemoteLog;
};

/** Throws AssentError('unavailable') when the settings cannot be used. */
export function openAggregate(config: AggregateConfig, deps: AggregateDependencies): AggregateMember {
  const key = aggregateKey(config.AGGREGATE_KEY);
  if (!key) throw new AssentError('unavailable', 'ASSENT_AGGREGATE_KEY is not a verifier key.');
  const context: Context = { ...deps, config, key, remote: createRemoteLog(config.AGGREGATE_URL, deps.fetch) };
  const once = () => look(context).then(() => LOOK_MS);
  return {
    anchors: config.AGGREGATE_PLACES.map((kind) => ({
      name: `aggregate-${kind}`,
      anchor: async () => undefined,
      latest: async () => (await keptPlaces(deps)).find((place) => place.kind === kind),
    })),
    piecesFor: (index, checkpoint) => piecesFor(index, checkpoint, context),
    contradiction: () => contradiction(context),
    ...createRepeated({ once, retryMs: LOOK_MS, sentenceOf: (problem) => sentenceOf(problem, deps.raise) }, deps),
  };
}

function sentenceOf(problem: unknown, raise: Alarms['raise']): string {
  if (problem instanceof AssentError) return problem.message;
  if (!(problem instanceof AggregateFault)) return 'The aggregate cannot be read at the moment.';
  raise('aggregate');
  return problem.message;
}

type Held = { readonly piece: AggregatePiece; readonly held: Aggregated };

async function look(context: Context): Promise<void> {
  const kept = await context.stored.keptAggregate();
  const pieces = await fetchPieces(context, kept !== undefined);
  const [newest] = pieces;
  if (!newest) return;
  if (newest.piece.index < (kept?.value.index ?? 0)) fault('The aggregate has dropped this log: what it proves is older than what it proved before.');
  for (const { held } of pieces) await requireOwn(held.member, context);
  await requireOneAggregate(pieces, kept?.value, context);
  for (const { held } of pieces) await requirePlace(held, context);
  const before = kept?.value.places ?? [];
  const places = pieces.map(({ piece, held }) => {
    const kind: Place['kind'] | 'none' = held.place?.kind ?? 'none';
    const last = before.find((place) => place.kind === kind);
    return last && last.size >= held.member.size ? last : { kind, size: held.member.size, at: context.clock(), piece };
  });
  const others = before.filter(({ kind }) => !places.some((place) => place.kind === kind));
  const { size, root } = newest.held.aggregate;
  const value: AggregateRecord = { size, root: Buffer.from(root).toString('base64'), index: newest.piece.index, places: [...places, ...others] };
  const name = { recordKind: kinds.aggregate, id: kinds.aggregate };
  // Where another process was faster, what it kept is as good.
  await writeRecords(context.log, { ...name, revision: kept?.revision ?? null }, [{ kind: 'put', ...name, value }]);
}

/** Each proves by itself that a checkpoint this log signed is in what the aggregate signed. */
async function fetchPieces({ config, keys, key, fetch }: Context, known: boolean): Promise<readonly Held[]> {
  const origin = keys.all[0]?.name ?? '';
  const text = await readText(`${config.AGGREGATE_URL}/${proofName(origin)}`, fetch, MOST_PROOF_BYTES).catch((cause: unknown) => {
    if (!(cause instanceof Unanswered) || cause.status !== 404) throw cause;
    if (known) fault('The aggregate has dropped this log: it proves nothing of it any more.');
    throw new AssentError('unavailable', 'The aggregate holds nothing of this log yet.');
  });
  const proof = readAggregateProof(text);
  if (typeof proof === 'string' || proof.log !== key.text) throw new AssentError('unavailable', 'What the aggregate answers is no proof by its key.');
  return proof.pieces.map((piece) => {
    const held = openPiece(piece, key, keys.all);
    return typeof held === 'string' ? fault(held) : { piece, held };
  });
}

async function requireOwn(member: Checkpoint, context: Context): Promise<void> {
  const sentence = await ownContradiction(member, context);
  if (sentence === undefined) return;
  context.raise('log');
  throw new AssentError('unavailable', sentence);
}

async function ownContradiction({ size, root }: Checkpoint, { stored }: Pick<Context, 'stored'>): Promise<string | undefined> {
  if (size > (await stored.head())) return `The aggregate holds a checkpoint of ${size} entries signed by this log: the database is older.`;
  if (sameBytes(await rootAt(size, stored.tile), root)) return undefined;
  return 'The aggregate holds a checkpoint signed by this log with another history.';
}

/** An aggregate that does not answer says nothing. */
async function contradiction(context: Context): Promise<string | undefined> {
  try {
    for (const { held } of await fetchPieces(context, false)) {
      const sentence = await ownContradiction(held.member, context);
      if (sentence !== undefined) return sentence;
    }
  } catch {
    // What is wrong with it is told by the looks that follow.
  }
  return undefined;
}

/** The newest tree begins with the one known before, and with those under which the other pieces stand. */
async function requireOneAggregate(pieces: readonly Held[], kept: AggregateRecord | undefined, { remote }: Context): Promise<void> {
  const [newest, ...others] = pieces.map(({ held }) => held.aggregate);
  if (!newest) return;
  const known = kept ? [{ size: kept.size, root: Buffer.from(kept.root, 'base64') }] : [];
  for (const { size: oldSize, root: oldRoot } of [...known, ...others]) {
    if (oldSize > newest.size) fault(`The aggregate went back: it shows ${newest.size} entries after ${oldSize}.`);
    const proof = await consistencyProof(oldSize, newest.size, remote.tile);
    if (!verifyConsistency({ oldSize, oldRoot, ...newest }, proof))
      fault('The aggregate has changed what it held: its checkpoints are of two histories.');
  }
}

async function requirePlace({ place, stamp, aggregate }: Aggregated, { config, fetch }: Context): Promise<void> {
  if (place && !(await isThere(place, { stamp, aggregate, config, fetch })))
    fault(`The aggregate says that it is anchored (${place.kind}), and it is not.`);
}

type Claimed = Pick<Aggregated, 'stamp' | 'aggregate'> & Pick<Context, 'config' | 'fetch'>;

/** As far as the operator wants it to be looked at. */
async function isThere(place: Place, { stamp, aggregate, config, fetch }: Claimed): Promise<boolean> {
  if (place.kind === 'evm') {
    const rpc = config.AGGREGATE_EVM_RPC;
    return rpc.length === 0 || (await timeOnChain(createNodes(rpc, fetch), place, aggregate)) !== undefined;
  }
  if (config.AGGREGATE_TSA_CERTIFICATES === '' || !stamp) return true;
  const { certificatesIn, verifyTimeStamp } = await import('../../ledger/anchor/rfc3161/time-stamp.ts');
  const trusted = certificatesIn(await readFile(config.AGGREGATE_TSA_CERTIFICATES, 'utf8'));
  return (await verifyTimeStamp(stamp, { text: checkpointText(aggregate), trusted })).kind === 'stamped';
}

/** None where the record was damaged, which the next look tells. */
async function keptPlaces({ stored }: Pick<Context, 'stored'>): Promise<AggregateRecord['places']> {
  return (await stored.keptAggregate().catch(() => undefined))?.value.places ?? [];
}

async function piecesFor(
  index: number,
  { size }: Pick<CheckpointRecord, 'size'>,
  { stored, key, keys }: Context,
): Promise<readonly AggregateAnchorPiece[]> {
  const places = await keptPlaces({ stored });
  const covering = places.flatMap(({ kind, piece }) => {
    const held = openPiece(piece, key, keys.before(size));
    return typeof held === 'string' || held.member.size <= index ? [] : [{ kind, piece, member: held.member }];
  });
  const anchored = covering.filter(({ kind }) => kind !== 'none');
  return Promise.all(
    (anchored.length > 0 ? anchored : covering).map(async ({ piece, member }) => {
      const [older, newer] = [Math.min(member.size, size), Math.max(member.size, size)];
      const consistency = (await consistencyProof(older, newer, stored.tile)).map((hash) => Buffer.from(hash).toString('base64'));
      return { aggregate: key.text, ...piece, consistency };
    }),
  );
}
