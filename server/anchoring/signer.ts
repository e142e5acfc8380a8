/**
 * Signs checkpoints, and remembers outside the database what it signed. ledger.md §2
 *
 * Invariants: a checkpoint is signed only if its tree begins with the whole tree signed last, computed here from the frontier kept here and
 * from the stored bytes of every entry since; what was signed is on the disk before the signature leaves; once it has refused, it
 * refuses until the server is started again. A database restored from an older copy gets no signature. All this holds for the processes
 * that share a folder as if they were one.
 */
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { openCheckpoint, signCheckpoint } from '../../ledger/checkpoint.ts';
import { type Cosigner, type NoteSigner } from '../../ledger/note.ts';
import { commitmentOf, type PrivateEntry } from '../../ledger/entry.ts';
import { digestOf, leafHash, sameBytes } from '../../ledger/hash.ts';
import { readRotation, rotationReference } from '../../ledger/rotation.ts';
import { createFrontier, type Frontier } from '../../ledger/tree.ts';
import { type Clock, systemClock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import { emptyChain, type RowChain } from './row-chain.ts';
import { isSignedAlone } from './signer-protocol.ts';
import { cosignerDigest, type KeptState, openSignerFiles, type SignerFiles, type SignerState } from './signer-files.ts';

export type SignRequest = {
  /** The tree as the sealer has it. */
  readonly size: number;
  readonly root: Uint8Array;
  /** The checkpoint the database holds now. */
  readonly published: string | undefined;
  /** Stored entries [from, to), in order. */
  readonly entries: (from: number, to: number) => AsyncIterable<Uint8Array>;
  readonly rows: RowChain;
  /** The root at an earlier size, from the stored tiles. */
  readonly rootAt: (size: number) => Promise<Uint8Array>;
  /** The entry, among those to be signed, by which the log's key is replaced: the new key signs. */
  readonly rotated?: PrivateEntry;
  /** How many entries are stored by now: more than `size` when another process went on sealing. */
  readonly head: () => Promise<number>;
};

export type SignResult =
  | { readonly kind: 'signed'; readonly note: string }
  /** Another process has sealed and signed more: nothing is wrong, and nothing is to be signed here. */
  | { readonly kind: 'overtaken' }
  | { readonly kind: 'refused'; readonly reason: string };

export type SignerStatus = { readonly kind: 'ready'; readonly size: number } | { readonly kind: 'refused'; readonly reason: string };

export type Signer = {
  readonly origin: string;
  /** The text people pin. */
  readonly verifierKey: string;
  /** Of the key with which every checkpoint is signed as well; undefined: none. */
  readonly cosignerKey: string | undefined;
  sign(request: SignRequest): Promise<SignResult>;
  /** Brings a state kept by an earlier server into today’s form, once its rows were found to be those it knew. */
  renew(rows: RowChain): Promise<void>;
  /** The signature line for a trail's text (ledger/trail.ts) or for where the log is anchored (ledger/anchor/anchor-note.ts), and for no other. Throws AssentError('unavailable') once the signer refused. */
  lineFor(text: string): Promise<string>;
  /** Once it has refused, it refuses until the server is started again. */
  refuse(reason: string): void;
  status(): SignerStatus;
  /** What was signed last. */
  head(): SignedHead | undefined;
};

export type SignedHead = Pick<SignerState, 'size' | 'root' | 'chain'>;

const MOST_ATTEMPTS = 20;

type SignerOptions = {
  readonly directory: string;
  /** Told once, when it begins to refuse. */
  readonly refused?: (reason: string) => void;
  /** The rows are elsewhere: a state that has to be compared with them cannot be used. */
  readonly apart?: boolean;
  /** Checkpoints are signed with ML-DSA-44 as well, by a key of its own. */
  readonly mlDsa?: boolean;
  readonly clock?: Clock;
};

/** Makes the key, and with it the log's name, at the first start. Throws AssentError('unavailable') when what is there cannot be used. */
export async function openSigner(options: SignerOptions): Promise<Signer> {
  const { directory, refused: told = () => undefined, apart = false, mlDsa = false, clock = systemClock } = options;
  const files = await openSignerFiles(directory, { mlDsa });
  const { signer, cosigner } = files;
  let kept = await files.newest();
  if (apart && kept?.state.textChain) throw new AssentError('unavailable', OLD_STATE);
  const rotations = kept?.state.rotations?.length ?? 0;
  let refused: string | undefined;
  const refuse = (reason: string): void => {
    if (refused === undefined) told(reason);
    refused ??= reason;
  };

  const attempt = async (request: SignRequest): Promise<SignResult | undefined> => {
    // Other processes sign too: what they have signed last is what has to be continued.
    kept = await renewed(await files.newest(kept), request.rows, files);
    if (kept?.state.textChain) refuse(CHANGED_ROWS);
    if (refused !== undefined) return { kind: 'refused', reason: refused };
    const state = kept?.state;
    const rotated = state?.pending === undefined ? undefined : request.rotated;
    const hindrance = isReplaced(state, { rotations, cosigner }) ? REPLACED : rotationProblem(state, rotated, request.size);
    const grown = hindrance ?? (await continuation(rotated ? requiring(rotated, request) : request, state, signer));
    if (grown === 'overtaken') return { kind: 'overtaken' };
    if (typeof grown === 'string') {
      refuse(grown);
      return { kind: 'refused', reason: grown };
    }
    const next = {
      size: grown.size,
      root: grown.root(),
      frontier: grown.hashes,
      chain: await request.rows.extend(state?.chain ?? emptyChain, state?.size ?? 0, grown.size),
      ...keysAfter(state, { rotated, cosigner }),
    };
    if (!state || next.size > state.size || next.cosigner !== state.cosigner) {
      const advanced = await files.advance(kept, next);
      if (!advanced) return undefined;
      kept = advanced;
    }
    return { kind: 'signed', note: noteOf(next, { signer: rotated ? await files.succeeded(next) : signer, cosigner, clock }) };
  };
  const sign = async (request: SignRequest): Promise<SignResult> =>
    refused === undefined ? repeatedly(() => attempt(request)) : { kind: 'refused', reason: refused };
  const queued = createQueue();
  return {
    origin: signer.verifierKey.name,
    verifierKey: signer.verifierKey.text,
    cosignerKey: cosigner?.verifierKey.text,
    sign: (request) => queued(() => sign(request)),
    renew: (rows) =>
      queued(async () => {
        kept = await renewed(await files.newest(kept), rows, files);
        if (kept?.state.textChain) refuse(CHANGED_ROWS);
      }),
    refuse,
    lineFor: async (text) => lineFor(text, signer, refused),
    head: () => kept?.state,
    status: () => (refused === undefined ? { kind: 'ready', size: kept?.state.size ?? 0 } : { kind: 'refused', reason: refused }),
  };
}

async function repeatedly(attempt: () => Promise<SignResult | undefined>): Promise<SignResult> {
  for (let i = 0; i < MOST_ATTEMPTS; i++) {
    const result = await attempt();
    if (result) return result;
  }
  throw new AssentError('unavailable', 'Other processes sign all the time.');
}

type Signing = { readonly signer: NoteSigner; readonly cosigner: Cosigner | undefined; readonly clock: Clock };

/** The log’s own key first: it is the one that C2SP clients look for. */
function noteOf({ size, root }: SignerState, { signer, cosigner, clock }: Signing): string {
  const checkpoint = { origin: signer.verifierKey.name, size, root };
  return signCheckpoint(checkpoint, [signer]) + (cosigner?.line(checkpointText(checkpoint), Math.floor(clock() / 1000)) ?? '');
}

const REPLACED = 'The log’s key was replaced: start this process again.';
const UNFINISHED = 'The log’s key is being replaced: run `assent rotate` to its end, then start this process again.';

/** Why nothing is signed while a new key waits, or not what says so. */
function rotationProblem(state: SignerState | undefined, entry: PrivateEntry | undefined, size: number): string | undefined {
  const rotation = state?.pending === undefined ? undefined : readRotation(state.pending);
  if (!state || state.pending === undefined) return undefined;
  if (!entry || !rotation) return UNFINISHED;
  const named = entry.kind === 'log-key-rotated' && entry.reference === rotationReference(rotation) && entry.digest === digestOf(state.pending);
  return named && entry.index >= state.size && entry.index < size ? undefined : 'What was logged is not the replacement of the log’s key that waits.';
}

/** Since this process was started. */
function isReplaced(state: SignerState | undefined, { rotations, cosigner }: { rotations: number; cosigner: Cosigner | undefined }): boolean {
  const known = cosigner && cosignerDigest(cosigner);
  return (state?.rotations?.length ?? 0) !== rotations || (known !== undefined && (state?.cosigner ?? known) !== known);
}

function keysAfter(
  state: SignerState | undefined,
  { rotated, cosigner }: { readonly rotated: PrivateEntry | undefined; readonly cosigner: Cosigner | undefined },
): Pick<SignerState, 'rotations' | 'cosigner'> {
  const done = [...(state?.rotations ?? []), ...(rotated && state?.pending !== undefined ? [state.pending] : [])];
  const digest = cosigner ? cosignerDigest(cosigner) : state?.cosigner;
  return { ...(done.length === 0 ? {} : { rotations: done }), ...(digest === undefined ? {} : { cosigner: digest }) };
}

/** The same request, whose stored entries count only if this one is among them. */
function requiring(entry: PrivateEntry, request: SignRequest): SignRequest {
  return {
    ...request,
    async *entries(from, to) {
      let at = from;
      for await (const stored of request.entries(from, to)) {
        // Cut short it is missing, which is refused.
        if (at++ === entry.index && !sameBytes(stored, commitmentOf(entry))) return;
        yield stored;
      }
    },
  };
}

/** One piece of work after the other. */
function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let queue: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = queue.then(work);
    queue = done.catch(() => undefined);
    return done;
  };
}

function lineFor(text: string, { line }: NoteSigner, refused: string | undefined): string {
  if (refused !== undefined) throw new AssentError('unavailable', refused);
  if (!isSignedAlone(text)) throw new AssentError('internal', 'What is neither a trail nor a place is not signed so.');
  return line(text);
}

/** The frontier of the tree to sign, 'overtaken', or why it is not a continuation of what was signed. */
async function continuation(request: SignRequest, state: SignerState | undefined, signer: NoteSigner): Promise<Frontier | string> {
  const { size, root, published, entries, head } = request;
  const behind = published === undefined ? undefined : publishedProblem(published, state, signer);
  if (behind !== undefined) return behind;
  const from = state?.size ?? 0;
  // What another process sealed is stored before it is signed, so the order of these two readings tells a slow process from an old database.
  if (size < from && (await head()) >= from) return 'overtaken';
  if (size < from) return `The log has ${size} entries, but ${from} were signed: the database is older than the signer.`;
  const frontier = createFrontier(state && { size: state.size, hashes: state.frontier });
  for await (const entry of entries(from, size)) frontier.append(leafHash(entry));
  if (frontier.size !== size) return `Entries of the log are missing: ${frontier.size} of ${size} are stored.`;
  if (!sameBytes(frontier.root(), root)) return 'The log is not a continuation of the last signed checkpoint.';
  return frontier;
}

const OLD_STATE = 'The signer’s state was kept by an earlier version: start the server once with this folder in its data folder.';
const CHANGED_ROWS = 'The log rows about Consents and keys are not those that were signed.';

/** Still with its `textChain`: the rows are others. */
async function renewed(kept: KeptState | undefined, rows: RowChain, files: SignerFiles): Promise<KeptState | undefined> {
  if (!kept?.state.textChain) return kept;
  const { textChain, ...state } = kept.state;
  if (!sameBytes(await rows.ofTexts(state.size), textChain)) return kept;
  const next = { ...state, chain: await rows.extend(emptyChain, 0, state.size) };
  return (await files.advance(kept, next)) ?? renewed(await files.newest(), rows, files);
}

/** Signs of a signer that was replaced or set back. */
function publishedProblem(published: string, state: SignerState | undefined, signer: NoteSigner): string | undefined {
  const before = (state?.rotations ?? []).flatMap((note) => readRotation(note)?.from ?? []);
  const opened = openCheckpoint(published, [signer.verifierKey, ...before]);
  if (opened.kind !== 'signed') return 'The checkpoint in the database was not signed by this signer’s key.';
  if (!state || state.size < opened.checkpoint.size) return 'The signer’s state is older than the checkpoint in the database.';
  return undefined;
}
