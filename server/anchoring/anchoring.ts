/** The bridge between server and ledger, built whole: signer, sealer, tail, receipts, the public view and what the console shows. */
import { readFile } from 'node:fs/promises';
import { createEmbeddedAnchor } from '../../ledger/anchor/embedded.ts';
import type { Anchor, Anchored } from '../../ledger/anchor/port.ts';
import type { Schedule } from '../../ledger/batch.ts';
import { parseVerifierKey } from '../../ledger/note.ts';
import { parsePolicy, type Policy } from '../../ledger/policy.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import { type AlarmConfig, type Alarms, openAlarms } from './alarms.ts';
import { type AggregateConfig, type AggregateMember, openAggregate } from './aggregate.ts';
import { type AnchorAge, type AnchorWatch, createAnchorWatch } from './anchor-watch.ts';
import { type Chains, createChains } from './chains.ts';
import { type ChainConfig, openChain, outboxIn } from './evm-anchor.ts';
import { createErasureProofs, type ErasureProofs } from './erasure-proofs.ts';
import { createLogErasure, type LogErasure } from './erasure.ts';
import { anchorFile } from './folders.ts';
import { createHeldTail } from './held-tail.ts';
import { createLogHistory, type LogHistory } from './history.ts';
import type { LogStore } from './log-port.ts';
import { createConsentMap } from './consent-map.ts';
import { type CheckpointRecord, createLogRecords, type LogRecords } from './log-records.ts';
import { type LogKeys, openLogKeys } from './log-keys.ts';
import { openLogSigner } from './log-signer.ts';
import { createMapRoots, type MapRoots } from './map-roots.ts';
import { createOwnAnchors, type OwnAnchors } from './own-anchors.ts';
import { createProofWatch, type ProofAge } from './proof-watch.ts';
import { createPublicLog, type PublicLog } from './public-log.ts';
import { createReceipts, type Receipts } from './receipts.ts';
import type { Repeated } from './repeated.ts';
import { createRowChain } from './row-chain.ts';
import { createSealer, type Sealer } from './sealer.ts';
import type { SignerConfig } from './remote-signer.ts';
import type { Signer } from './signer.ts';
import { createStanding } from './standing.ts';
import { createTail, type Tail } from './tail.ts';
import { createTrails, type Trails } from './trails.ts';
import type { TimeStampConfig, TimeStamps } from './time-stamps.ts';
import { createWitnesses, type Fetch, type Witnesses } from './witnesses.ts';

export type LogStatus = {
  /** Entries sealed, signed or not yet. */
  readonly logSize: number;
  readonly checkpoint: { readonly size: number; readonly signedAt: number; readonly text: string } | undefined;
  /** The newest checkpoint a quorum has cosigned; undefined: none yet, or no witness is asked. */
  readonly witnessed: { readonly size: number; readonly signedAt: number; readonly by: number } | undefined;
  readonly anchors: readonly (Anchored & { readonly name: string })[];
};

export type Anchoring = {
  /** Its start also holds what the tail read against the signed log: nothing is to be disclosed before. */
  readonly sealer: Sealer;
  /** Its catchUp fails as check does: where the log is not the one it was, nothing is disclosed. */
  readonly tail: Tail;
  readonly mapRoots: Pick<MapRoots, 'ensure'>;
  readonly receipts: Receipts & ErasureProofs;
  readonly chains: Chains;
  readonly trails: Trails;
  readonly erasure: LogErasure;
  readonly publicLog: PublicLog;
  status(): Promise<LogStatus>;
  /** For /readyz. Throws AssentError('unavailable') with the reason when the signer refused or rows were changed before the start. */
  check(): Promise<void>;
  /** Throws AssentError('unavailable') when an anchor is late, which stops nothing. */
  checkAnchors(): Promise<void>;
  /** As looked at within the last minute. */
  anchorAges(): readonly AnchorAge[];
  /** Throws AssentError('unavailable') when checkpoints or roots of the map of Consents are late, which stops nothing. */
  checkProofs(): Promise<void>;
  /** As looked at within the last quarter of a minute. */
  proofAges(): readonly ProofAge[];
  readonly history: LogHistory;
  readonly anchorsSeen: AnchorWatch['seen'];
  /** Whoever finds that what is stored is not what was logged, raises it here. */
  readonly alarms: Pick<Alarms, 'raise' | 'counts'>;
};

export type AnchoringDependencies = {
  /** The engine's ResourceStore: only its log, its lease and its commits of records are used. */
  readonly log: LogStore;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly config: Pick<Config, 'DATA_DIR' | 'CHECKPOINT_INTERVAL_MS' | 'WITNESS_POLICY' | 'ANCHOR_MAX_AGE_HOURS'> &
    ChainConfig &
    TimeStampConfig &
    AlarmConfig &
    AggregateConfig &
    SignerConfig;
  readonly fetch?: Fetch;
  readonly report: (fault: unknown) => void;
};

/** Nothing is sealed before `sealer.start()`. Throws AssentError('unavailable') when the signer's files cannot be used. */
export async function createAnchoring(deps: AnchoringDependencies): Promise<Anchoring> {
  const { log, records, config } = deps;
  const refused = (): void => alarms.raise('log');
  const signer = await openLogSigner(config, refused);
  const stored = createLogRecords(records);
  const outside = { fetch: globalThis.fetch, ...deps };
  const alarms = await openAlarms(config, { ...outside, origin: signer.origin });
  const { verifierKey, cosignerKey } = signer;
  const keys = await openLogKeys({ log, stored, verifierKey });
  const { inChain, aggregate, anchored, anchors, watch, besides } = await openAnchors(outside, { stored, keys, signer, raise: alarms.raise });
  const witnesses = await witnessesFor(deps, { stored, verifierKey, keys });
  const signed = (checkpoint: CheckpointRecord): void => {
    witnesses?.offer(checkpoint);
    mapRoots.grown();
  };
  const sealer = createSealer({ ...deps, signer, anchors, signed });
  const { tail, check, hold } = createHeldTail({ ...deps, tail: createTail({ log }), signer, stored, tampered: refused });
  const map = createConsentMap({ tail, stored });
  const alarm = (logIndex: number): void => alarms.raise('log', logIndex);
  const mapRoots = createMapRoots({ ...deps, stored, tail, map, sealer, alarm });
  const proofs = createProofWatch({ ...deps, stored, tail });
  const standing = createStanding({ ...deps, stored, tail, map, alarm });
  return {
    sealer: {
      ...sealer,
      async start() {
        await signer.renew(createRowChain({ log, stored }));
        const contradiction = await contradictionOf([witnesses, aggregate, inChain]);
        if (contradiction !== undefined) {
          signer.refuse(contradiction);
          deps.report(new AssentError('unavailable', contradiction));
        }
        await sealer.start();
        for (const each of [alarms, proofs, ...besides]) each.start();
        await hold();
      },
      async stop() {
        await mapRoots.stop();
        await sealer.stop();
        await Promise.all([witnesses?.stop(), ...[alarms, proofs, ...besides].map((each) => each.stop())]);
      },
    },
    tail,
    mapRoots,
    receipts: { ...createReceipts({ log, records, keys, standing, anchored, mapRoots }), ...createErasureProofs({ log, records, keys }) },
    chains: createChains({ log, records, keys }),
    trails: createTrails({ verifierKey, lineFor: signer.lineFor }),
    erasure: createLogErasure({ log, records, flush: sealer.flush }),
    publicLog: createPublicLog({ records, verifierKey, cosignerKey }),
    status: () => statusOf(stored, { anchors, origin: signer.origin }),
    check,
    checkAnchors: watch.check,
    anchorAges: watch.ages,
    checkProofs: proofs.check,
    proofAges: proofs.ages,
    anchorsSeen: watch.seen,
    history: createLogHistory({ log, stored }),
    alarms,
  };
}

/** Somebody outside who may hold what the stored log has not. */
type Contradicting = { readonly contradiction: () => Promise<string | undefined> };

/** The first that is found, in this order. */
async function contradictionOf(places: readonly (Contradicting | undefined)[]): Promise<string | undefined> {
  for (const place of places) {
    const sentence = await place?.contradiction();
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}

type Anchors = {
  readonly inChain: Contradicting | undefined;
  readonly aggregate: AggregateMember | undefined;
  /** What receipts carry: of the log by itself, and of the aggregate. */
  readonly anchored: readonly (OwnAnchors | AggregateMember | undefined)[];
  readonly anchors: readonly Anchor[];
  readonly watch: AnchorWatch;
  /** What runs beside the sealer. */
  readonly besides: readonly Repeated[];
};

type Own = { readonly stored: LogRecords; readonly keys: LogKeys; readonly signer: Signer; readonly raise: Alarms['raise'] };

async function openAnchors(outside: AnchoringDependencies & { readonly fetch: Fetch }, parts: Own): Promise<Anchors> {
  const { config, clock } = outside;
  const outbox = (name: string) => outboxIn(outside, name);
  const [chain, timeStamps] = [await openChain(config, { ...outside, outbox }), await timeStampsFor(config, outside)];
  const inFile = createEmbeddedAnchor({ file: anchorFile(config.DATA_DIR), clock });
  const aggregate = config.AGGREGATE_URL === '' ? undefined : openAggregate(config, { ...outside, ...parts });
  const anchors = [inFile, ...(chain ? [chain.anchor] : []), ...(timeStamps ? [timeStamps.anchor] : []), ...(aggregate?.anchors ?? [])];
  const maxAgeMs = config.ANCHOR_MAX_AGE_HOURS * 3_600_000;
  const watch = createAnchorWatch({ ...outside, anchors, maxAgeMs, size: async () => (await parts.stored.checkpoint())?.size ?? 0 });
  const inChain = chain && { contradiction: async () => chain.contradiction(await parts.stored.head()) };
  const places = async () => [await chain?.anchor.place(), await timeStamps?.anchor.place()].flatMap((place) => place ?? []);
  const own = createOwnAnchors({ ...outside, ...parts, places });
  const besides = [watch, ...[chain, timeStamps, aggregate].flatMap((each) => each ?? []), ...(chain || timeStamps ? [own] : [])];
  return { inChain, aggregate, anchored: [own, aggregate], anchors, watch, besides };
}

async function statusOf(
  stored: LogRecords,
  { anchors, origin }: { readonly anchors: readonly Anchor[]; readonly origin: string },
): Promise<LogStatus> {
  const [checkpoint, witnessed] = await Promise.all([stored.checkpoint(), stored.witnessed()]);
  const latest = await Promise.all(anchors.map(async (anchor) => ({ name: anchor.name, latest: await anchor.latest() })));
  return {
    logSize: await stored.head(),
    checkpoint: checkpoint && { size: checkpoint.size, signedAt: checkpoint.signedAt, text: checkpoint.note },
    witnessed: witnessed && { size: witnessed.size, signedAt: witnessed.signedAt, by: strangersIn(witnessed.witnesses, origin) },
    anchors: latest.flatMap(({ name, latest: last }) => (last ? [{ name, size: last.size, at: last.at }] : [])),
  };
}

/** How many there are besides the log itself, which may sign with a second key. */
function strangersIn(keys: readonly string[], origin: string): number {
  return keys.filter((key) => !key.startsWith(`${origin}+`)).length;
}

/** Undefined: the operator names no authority, and what stamps are read by is not loaded. Throws AssentError('unavailable') when the settings cannot be used. */
async function timeStampsFor(config: TimeStampConfig, outside: AnchoringDependencies & { readonly fetch: Fetch }): Promise<TimeStamps | undefined> {
  return config.TSA_URL === '' ? undefined : (await import('./time-stamps.ts')).openTimeStamps(config, outside);
}

type Signing = { readonly stored: LogRecords; readonly verifierKey: string; readonly keys: LogKeys };

/** Undefined: the operator names none. Throws AssentError('unavailable') when the policy cannot be used. */
async function witnessesFor(
  { log, schedule, report, config, fetch = globalThis.fetch }: AnchoringDependencies,
  { stored, verifierKey, keys: { all: keys } }: Signing,
): Promise<Witnesses | undefined> {
  const policy = await readPolicy(config.WITNESS_POLICY);
  const key = parseVerifierKey(verifierKey);
  return policy && key && createWitnesses({ policy, key, keys, log, stored, schedule, fetch, report });
}

async function readPolicy(file: string): Promise<Policy | undefined> {
  if (file === '') return undefined;
  const policy = parsePolicy(await readFile(file, 'utf8').catch(() => '\r'));
  if (typeof policy === 'string') throw new AssentError('unavailable', `The witness policy cannot be used. ${policy}`);
  return policy;
}
