/**
 * Checks the stored log from end to end: entries against tiles and signed roots, rows against entries, subjects’ chains, and the
 * stored texts against the digests that were logged. ledger.md §7, §8
 *
 * Invariant: reads only, so that it may run beside a server; what is compared was read in an order in which the log can only be ahead.
 */
import { type AnchorLine, readAnchorFile } from '../../ledger/anchor/embedded.ts';
import { readAnchorNote } from '../../ledger/anchor/anchor-note.ts';
import { placeKinds } from '../../ledger/anchor/place.ts';
import { parseCheckpoint } from '../../ledger/checkpoint-text.ts';
import { openCheckpoint, type OpenedCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote, parseVerifierKey, type VerifierKey } from '../../ledger/note.ts';
import { checkLog, type KnownRoot } from '../../ledger/fsck.ts';
import { digestOf, sameBytes } from '../../ledger/hash.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import { anchorFile, signerFolder } from './folders.ts';
import { type LogKeys, openLogKeys } from './log-keys.ts';
import type { LogRows } from './log-port.ts';
import { readSignedIn, type Signed } from './log-signer.ts';
import { bundleEntries, checkRows, type Texts } from './fsck-rows.ts';
import { type CheckpointRecord, createLogRecords, type LogRecords } from './log-records.ts';
import { createRowChain, emptyChain, type RowChain } from './row-chain.ts';
import type { StampsFound } from './time-stamps.ts';
import { unlessDamaged } from './unless-damaged.ts';

export type FsckDependencies = {
  readonly log: LogRows;
  readonly records: RecordStore;
  readonly dataDir: string;
  /** PEM file by which time-stamps are checked; '': they are not. */
  readonly timeStampCertificates?: string;
  readonly texts: Texts;
  /** What the signer remembers; absent: as the data folder has it. */
  readonly signedBy?: () => Promise<Signed>;
  readonly seen?: (entries: number) => void;
};

/** `erased`: entries that a tombstone accounts for, or a problem. */
export type FsckResult = {
  readonly size: number;
  readonly signed: number;
  readonly anchored: number;
  /** The newest time-stamp; `at`: ms since 1970. */
  readonly stamped: { readonly size: number; readonly at: number } | undefined;
  readonly erased: number;
  /** Whom the log has a chain of entries about, and AuditEvents it has, by kind of entry. */
  readonly subjects: number;
  readonly acts: ReadonlyMap<string, number>;
  readonly problems: readonly string[];
};

const MOST_PROBLEMS = 100;

export async function checkStoredLog(deps: FsckDependencies): Promise<FsckResult> {
  const { log, records, dataDir, timeStampCertificates = '', texts, seen } = deps;
  const stored = createLogRecords(records);
  const anchors = await readAnchorFile(anchorFile(dataDir));
  const stamped = await stampsOf(dataDir, timeStampCertificates);
  const { state, verifierKey = '', second } = await (deps.signedBy ?? (() => readSignedIn(signerFolder(dataDir))))();
  const kept = await readKept(stored);
  const keys = await keysOf(verifierKey, { log, stored });
  const { checkpoint, witnessed } = kept;
  const size = kept.size ?? checkpoint?.size ?? state?.size ?? 0;
  const known = knownRoots({ anchors, stamped, checkpoint, witnessed, notes: kept.notes, keys, second });
  if (state) known.roots.push({ name: 'The signer', ...state });
  const entries = (index: number, width: number) => bundleEntries(stored, index, width);
  const problems = [...kept.problems, ...known.problems, ...(await checkLog({ size, tile: stored.tile, entries, roots: known.roots }, seen))];
  const { problems: ofRows, ...counts } = await checkRows({ log, stored, size, texts });
  problems.push(...ofRows, ...(state && state.size <= size ? await checkChain(state, createRowChain({ log, stored })) : []));
  if (kept.mapUpTo > counts.mapUpTo) problems.push('The record of the newest root of the map of Consents is ahead of the roots in the log.');
  return {
    size,
    signed: checkpoint?.size ?? 0,
    anchored: anchors.at(-1)?.size ?? 0,
    stamped: stamped.stamps.at(-1),
    ...counts,
    problems: problems.slice(0, MOST_PROBLEMS),
  };
}

/** What there is one of. `size` undefined: it cannot be read. */
type Kept = {
  readonly size: number | undefined;
  readonly checkpoint: CheckpointRecord | undefined;
  readonly witnessed: CheckpointRecord | undefined;
  readonly mapUpTo: number;
  readonly notes: readonly AnchorNote[];
  readonly problems: readonly string[];
};

/** Where the log is anchored by itself, as its key signed it. */
type AnchorNote = { readonly name: string; readonly note: string };

/** Before the rows, which can then only be ahead; how much is sealed comes last, since all the others are about what is. */
async function readKept(stored: LogRecords): Promise<Kept> {
  const problems: string[] = [];
  const read = async <T>(what: string, once: () => Promise<T>): Promise<T | undefined> => {
    const found = await unlessDamaged(async () => ({ value: await once() }));
    if (!found) problems.push(`The record of ${what} cannot be read: it is not as it was written.`);
    return found?.value;
  };
  const checkpoint = await read('the checkpoint', stored.checkpoint);
  const witnessed = await read('the witnessed checkpoint', stored.witnessed);
  const map = await read('the newest root of the map of Consents', stored.keptMap);
  const notes: AnchorNote[] = [];
  for (const kind of placeKinds) {
    const name = `note of the anchor (${kind})`;
    const note = await read(`the ${name}`, () => stored.keptAnchorNote(kind));
    if (note) notes.push({ name: `The ${name}`, note: note.value.note });
  }
  const size = await read('how many entries are sealed', stored.head);
  return { size, checkpoint, witnessed, mapUpTo: map?.value.upTo ?? -1, notes, problems };
}

/** What stamps are read by is loaded where there is something to check them with. */
async function stampsOf(dataDir: string, certificates: string): Promise<StampsFound> {
  if (certificates === '') return { stamps: [], problems: [] };
  return (await import('./time-stamps.ts')).readStamps({ DATA_DIR: dataDir, TSA_CERTIFICATES: certificates });
}

type Claims = {
  readonly anchors: readonly AnchorLine[];
  readonly stamped: StampsFound;
  readonly checkpoint: CheckpointRecord | undefined;
  readonly witnessed: CheckpointRecord | undefined;
  readonly notes: readonly AnchorNote[];
  /** A sentence: what is wrong with them. */
  readonly keys: LogKeys | string;
  /** Digest of the log’s second key. */
  readonly second: string | undefined;
};

/** The keys the log has had; none before the first start. */
async function keysOf(verifierKey: string, parts: { readonly log: LogRows; readonly stored: LogRecords }): Promise<LogKeys | string> {
  if (verifierKey === '') return { at: () => ({ log: '', rotations: [] }), before: () => [], all: [] };
  return openLogKeys({ ...parts, verifierKey }).catch((fault: unknown) =>
    fault instanceof AssentError ? fault.message : 'The replacements of the log’s key cannot be read.',
  );
}

/** By the key whose turn it was and no other of the log’s first keys; every line by one of `besides` must hold as well. */
function openByTurn(note: string, keys: LogKeys, besides: readonly VerifierKey[]): OpenedCheckpoint {
  const size = parseCheckpoint(parseNote(note)?.text ?? '')?.size ?? 0;
  const { log } = keys.at(size);
  const own = keys.all.filter(({ text }) => text === log);
  const opened = openCheckpoint(note, [...own, ...besides]);
  return opened.kind === 'signed' && !opened.by.some(({ key }) => own.includes(key)) ? { kind: 'unsigned' } : opened;
}

type Signers = { readonly witnesses?: readonly string[] };
/** `demanded`: digest of the log’s second key, where this must be by it. */
type StoredNote = Signers & { readonly name: string; readonly size: number; readonly note: string; readonly demanded?: string | undefined };

/** The keys that a record says have signed besides the log’s own. */
function namedIn({ witnesses = [] }: Signers): readonly VerifierKey[] {
  return witnesses.flatMap((text) => parseVerifierKey(text) ?? []);
}

/** What is wrong with who signed besides. */
function besidesProblem({ name, witnesses = [], demanded }: StoredNote, { by }: OpenedCheckpoint & { readonly kind: 'signed' }): string[] {
  const signed = new Set(by.map(({ key }) => key.text));
  if (witnesses.some((text) => !signed.has(text))) return [`${name} is not signed by all whom its record names.`];
  const isMissing = demanded !== undefined && !by.some(({ key }) => digestOf(key.text) === demanded);
  return isMissing ? [`${name} is not signed with the log’s second key.`] : [];
}

function knownRoots({ anchors, stamped, checkpoint, witnessed, notes: anchorNotes, keys, second }: Claims): {
  readonly roots: KnownRoot[];
  readonly problems: string[];
} {
  if (typeof keys === 'string') return { roots: [], problems: [keys, ...stamped.problems] };
  const [roots, problems]: [KnownRoot[], string[]] = [[], [...stamped.problems]];
  const notes: readonly StoredNote[] = [
    ...(checkpoint === undefined ? [] : [{ name: 'The checkpoint', demanded: second, ...checkpoint }]),
    ...(witnessed === undefined ? [] : [{ name: 'The witnessed checkpoint', ...witnessed }]),
    ...anchors.map((anchor) => ({ name: `The anchor at ${anchor.size}`, ...anchor })),
  ];
  // Lines of the file of checkpoints name nobody: the log’s second key is known from the records.
  const seconds = [...namedIn(checkpoint ?? {}), ...namedIn(witnessed ?? {})].filter(({ text }) => digestOf(text) === second);
  for (const stored of notes) {
    const { name, size, note } = stored;
    const opened = openByTurn(note, keys, [...namedIn(stored), ...seconds]);
    if (opened.kind === 'signed') roots.push({ name, size: opened.checkpoint.size, root: opened.checkpoint.root });
    else problems.push(`${name} is ${opened.kind}.`);
    if (opened.kind === 'signed') problems.push(...besidesProblem(stored, opened));
    if (opened.kind === 'signed' && opened.checkpoint.size !== size) problems.push(`${name} is of another size than its record says.`);
  }
  for (const { name, note } of anchorNotes) {
    const anchored = readAnchorNote(note, keys.all);
    if (anchored) roots.push({ name, ...anchored });
    else problems.push(`${name} is none that the log signed.`);
  }
  for (const { size, text } of stamped.stamps) {
    const checkpoint = parseCheckpoint(text);
    if (checkpoint?.size === size && checkpoint.origin === keys.all[0]?.name) roots.push({ name: `The time-stamp at ${size}`, ...checkpoint });
    else problems.push(`The time-stamp at ${size} is not of this log.`);
  }
  return { roots, problems };
}

/** What a starting server would find; the signer’s state was read before the rows, so they can only be ahead. */
async function checkChain({ size, chain, textChain }: NonNullable<Signed['state']>, rows: RowChain): Promise<string[]> {
  try {
    const same = textChain ? sameBytes(await rows.ofTexts(size), textChain) : sameBytes(await rows.extend(emptyChain, 0, size), chain);
    return same ? [] : ['The log rows about Consents and keys are not those that were signed.'];
  } catch (error) {
    return [error instanceof AssentError ? error.message : 'Log rows about Consents and keys cannot be read.'];
  }
}
