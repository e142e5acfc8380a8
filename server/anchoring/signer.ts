/**
 * Signs checkpoints, and remembers outside the database what it signed. ledger.md §2
 *
 * Invariants: a checkpoint is signed only if its tree begins with the whole tree signed last, computed here from the frontier kept here and
 * from the stored bytes of every entry since; what was signed is on the disk before the signature leaves; once it has refused, it
 * refuses until the server is started again. A database restored from an older copy gets no signature.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type NoteSigner, newSignerKey, openCheckpoint, parseSignerKey, signCheckpoint } from '../../ledger/checkpoint.ts';
import { fromBase64 } from '../../ledger/encoding.ts';
import { leafHash, sameBytes } from '../../ledger/hash.ts';
import { createFrontier, type Frontier } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRow } from '../store/port.ts';
import { emptyChain, extendChain, tailedEntry } from './log-records.ts';

export type SignRequest = {
  /** The tree as the sealer has it. */
  readonly size: number;
  readonly root: Uint8Array;
  /** The checkpoint the database holds now. */
  readonly published: string | undefined;
  /** Stored entries [from, to), in order. */
  readonly entries: (from: number, to: number) => AsyncIterable<Uint8Array>;
  /** Log rows [from, to), in order. */
  readonly rows: (from: number, to: number) => AsyncIterable<LogRow>;
};

export type SignResult = { readonly kind: 'signed'; readonly note: string } | { readonly kind: 'refused'; readonly reason: string };

export type SignerStatus = { readonly kind: 'ready'; readonly size: number } | { readonly kind: 'refused'; readonly reason: string };

export type Signer = {
  readonly origin: string;
  /** The text people pin. */
  readonly verifierKey: string;
  sign(request: SignRequest): Promise<SignResult>;
  status(): SignerStatus;
  /** What was signed last. */
  head(): Pick<State, 'size' | 'root' | 'chain'> | undefined;
};

/** `chain`: the digest over all rows about Consents and keys, so that a starting process knows them again. */
type State = { readonly size: number; readonly root: Uint8Array; readonly frontier: readonly Uint8Array[]; readonly chain: Uint8Array };

/** Makes the key, and with it the log's name, at the first start. Throws AssentError('unavailable') when what is there cannot be used. */
export async function openSigner({ directory }: { readonly directory: string }): Promise<Signer> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const [keyFile, stateFile] = [join(directory, 'key'), join(directory, 'state.json')];
  const signer = await readKey(keyFile, stateFile);
  let state = await readState(stateFile);
  let refused: string | undefined;

  const sign = async (request: SignRequest): Promise<SignResult> => {
    const grown = refused ?? (await continuation(request, state, signer));
    if (typeof grown === 'string') {
      refused = grown;
      return { kind: 'refused', reason: grown };
    }
    const next = { size: grown.size, root: grown.root(), frontier: grown.hashes, chain: await chainOf(request, state) };
    if (!state || next.size > state.size) await writeState(stateFile, next);
    state = next;
    return { kind: 'signed', note: signCheckpoint({ origin: signer.verifierKey.name, size: next.size, root: next.root }, [signer]) };
  };
  let queue: Promise<unknown> = Promise.resolve();
  return {
    origin: signer.verifierKey.name,
    verifierKey: signer.verifierKey.text,
    sign(request) {
      const done = queue.then(() => sign(request));
      queue = done.catch(() => undefined);
      return done;
    },
    head: () => state,
    status: () => (refused === undefined ? { kind: 'ready', size: state?.size ?? 0 } : { kind: 'refused', reason: refused }),
  };
}

/** The frontier of the tree to sign, or why it is not a continuation of what was signed. */
async function continuation(request: SignRequest, state: State | undefined, signer: NoteSigner): Promise<Frontier | string> {
  const { size, root, published, entries } = request;
  const behind = published === undefined ? undefined : publishedProblem(published, state, signer);
  if (behind !== undefined) return behind;
  const from = state?.size ?? 0;
  if (size < from) return `The log has ${size} entries, but ${from} were signed: the database is older than the signer.`;
  const frontier = createFrontier(state && { size: state.size, hashes: state.frontier });
  for await (const entry of entries(from, size)) frontier.append(leafHash(entry));
  if (frontier.size !== size) return `Entries of the log are missing: ${frontier.size} of ${size} are stored.`;
  if (!sameBytes(frontier.root(), root)) return 'The log is not a continuation of the last signed checkpoint.';
  return frontier;
}

async function chainOf({ rows, size }: SignRequest, state: State | undefined): Promise<Uint8Array> {
  let chain = state?.chain ?? emptyChain;
  for await (const row of rows(state?.size ?? 0, size)) if (tailedEntry(row)) chain = extendChain(chain, row);
  return chain;
}

/** Signs of a signer that was replaced or set back. */
function publishedProblem(published: string, state: State | undefined, signer: NoteSigner): string | undefined {
  const opened = openCheckpoint(published, [signer.verifierKey]);
  if (opened.kind !== 'signed') return 'The checkpoint in the database was not signed by this signer’s key.';
  if (!state || state.size < opened.checkpoint.size) return 'The signer’s state is older than the checkpoint in the database.';
  return undefined;
}

async function readKey(keyFile: string, stateFile: string): Promise<NoteSigner> {
  let text = await read(keyFile);
  if (text === undefined) {
    if ((await read(stateFile)) !== undefined)
      throw new AssentError('unavailable', 'The log’s signing key is missing, but the signer’s state is there.');
    text = newSignerKey(`assent.local/${randomBytes(8).toString('hex')}`);
    await writeDurably(keyFile, `${text}\n`);
  }
  const signer = parseSignerKey(text.trimEnd());
  if (!signer) throw new AssentError('unavailable', 'The log’s signing key cannot be read.');
  return signer;
}

/** A state that is torn or inconsistent is worse than none: it is not taken for a fresh start. */
async function readState(file: string): Promise<State | undefined> {
  const text = await read(file);
  if (text === undefined) return undefined;
  try {
    const { size, root, frontier, chain } = JSON.parse(text) as { size: number; root: string; frontier: string[]; chain: string };
    const decode = (hash: string) => fromBase64(hash) ?? Buffer.alloc(0);
    const hashes = frontier.map(decode);
    const state = { size, root: decode(root), frontier: hashes, chain: decode(chain) };
    if (sameBytes(createFrontier({ size, hashes }).root(), state.root)) return state;
  } catch {
    // Falls through: said below.
  }
  throw new AssentError('unavailable', 'The signer’s state cannot be read.');
}

function writeState(file: string, { size, root, frontier, chain }: State): Promise<void> {
  const encode = (hash: Uint8Array) => Buffer.from(hash).toString('base64');
  return writeDurably(file, JSON.stringify({ size, root: encode(root), frontier: frontier.map(encode), chain: encode(chain) }));
}

async function read(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Whole or not at all, also when the power fails in between. */
async function writeDurably(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  const folder = await open(join(file, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The last (size, root) that was signed, for checks beside a running server; undefined before the first. Throws AssentError('unavailable'). */
export async function readSignerState(directory: string): Promise<{ readonly size: number; readonly root: Uint8Array } | undefined> {
  return readState(join(directory, 'state.json'));
}

/** The verifier key beside a running server; undefined before the first start. */
export async function readVerifierKey(directory: string): Promise<string | undefined> {
  const text = await read(join(directory, 'key'));
  return text === undefined ? undefined : parseSignerKey(text.trimEnd())?.verifierKey.text;
}
