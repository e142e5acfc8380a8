/**
 * The signer's folder: the log's key, and what was signed last. Several server processes may share it. ledger.md §2
 *
 * Invariants: a key, once there, is never replaced, and is its owner’s alone; of several processes that advance the same state one succeeds and the others are told,
 * also when one of them slept in between; what was kept is on the disk, whole, before anybody is told that it is.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cosigner, type NoteSigner, newSignerKey, parseCosignerKey, parseSignerKey } from '../../ledger/note.ts';
import { fromBase64 } from '../../ledger/encoding.ts';
import { digestOf, sameBytes } from '../../ledger/hash.ts';
import { writeRotation } from '../../ledger/rotation.ts';
import { createFrontier } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import { createFile } from './create-file.ts';
import { emptyChain } from './row-chain.ts';

/** `chain`: the digest over all rows about Consents and keys (row-chain.ts), so that a starting process knows them again. */
export type SignerState = {
  readonly size: number;
  readonly root: Uint8Array;
  readonly frontier: readonly Uint8Array[];
  readonly chain: Uint8Array;
  /** The statements by which the log's key was replaced so far, in order. */
  readonly rotations?: readonly string[];
  /** The one that waits to be logged: until it is, nothing is signed. */
  readonly pending?: string;
  /** Digest of the verifier key that has signed as well; absent: none ever did. */
  readonly cosigner?: string;
  /** In the chain’s place, of a state kept by a server that did not erase entries: over the rows’ texts. */
  readonly textChain?: Uint8Array;
};

/** States are numbered: the next one is made under the next number, which only one process can do. */
export type KeptState = { readonly number: number; readonly state: SignerState };

export type SignerFiles = {
  /** With the key of the newest state. */
  readonly signer: NoteSigner;
  /** The log’s second key; undefined: not asked for. */
  readonly cosigner: Cosigner | undefined;
  /** With the key of this state, which is on the disk; the keys before are destroyed. */
  succeeded(state: SignerState): Promise<NoteSigner>;
  /** The newest state; `known` saves reading it again. Throws AssentError('unavailable') when it cannot be read. */
  newest(known?: KeptState): Promise<KeptState | undefined>;
  /** Undefined: another process has advanced the state since `before`. */
  advance(before: KeptState | undefined, state: SignerState): Promise<KeptState | undefined>;
};

/**
 * Makes the key, and with it the log's name, at the first start, and where `mlDsa` asks for the second key, that once. Throws AssentError('unavailable') when what is there
 * cannot be used.
 */
export async function openSignerFiles(directory: string, { mlDsa = false }: { readonly mlDsa?: boolean } = {}): Promise<SignerFiles> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const state = (await readState(directory))?.state;
  const signer = await readOrMakeKey(directory, rotationsIn(state));
  return {
    signer,
    cosigner: mlDsa ? await readOrMakeCosigner(directory, signer.verifierKey.name, state?.cosigner) : undefined,
    async succeeded(state) {
      const successor = await readOrMakeKey(directory, rotationsIn(state));
      // Of a key that was replaced nothing is left to steal.
      for (let old = 0; old < rotationsIn(state); old++) await rm(keyFile(directory, old), { force: true });
      return successor;
    },
    newest: (known) => readState(directory, known),
    advance: (before, state) => advance(directory, before, state),
  };
}

/** What was signed last, for checks beside a running server; undefined before the first. Throws AssentError('unavailable'). */
export async function readSignerState(directory: string): Promise<SignerState | undefined> {
  return (await readState(directory))?.state;
}

/** The verifier key beside a running server; undefined before the first start. */
export async function readVerifierKey(directory: string): Promise<string | undefined> {
  const text = await read(keyFile(directory, rotationsIn((await readState(directory))?.state)));
  return text === undefined ? undefined : parseSignerKey(text.trimEnd())?.verifierKey.text;
}

/** What a group and everybody may do with a file. */
const OTHERS = 0o077;

/** How often the key was replaced. */
function rotationsIn(state: SignerState | undefined): number {
  return state?.rotations?.length ?? 0;
}

function keyFile(directory: string, number: number): string {
  return join(directory, number === 0 ? 'key' : `key.${number}`);
}

/**
 * Makes the next key, and the statement that the present one signed the last tree it will have signed: from now on neither signs until it was logged. Again
 * after that, the same statement. Throws AssentError('unavailable') when nothing was signed yet, or somebody signs meanwhile.
 */
export async function beginRotation(directory: string): Promise<string> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const kept = await readState(directory);
    if (!kept || kept.state.textChain) throw new AssentError('unavailable', 'Nothing was signed yet: start the server once.');
    if (kept.state.pending !== undefined) return kept.state.pending;
    const number = rotationsIn(kept.state);
    const from = await readOrMakeKey(directory, number);
    await createFile(keyFile(directory, number + 1), `${newSignerKey(from.verifierKey.name)}\n`);
    const to = await readOrMakeKey(directory, number + 1);
    const pending = writeRotation({ from, to, ...kept.state });
    if (await advance(directory, kept, { ...kept.state, pending })) return pending;
  }
  throw new AssentError('unavailable', 'Other processes sign all the time.');
}

async function readOrMakeKey(directory: string, number: number): Promise<NoteSigner> {
  const file = keyFile(directory, number);
  if ((await read(file)) === undefined) {
    if (number > 0 || (await numbersIn(directory)).length > 0)
      throw new AssentError('unavailable', 'The log’s signing key is missing, but the signer’s state is there.');
    // Whoever is second at a first start uses the first one's.
    await createFile(file, `${newSignerKey(`assent.local/${randomBytes(8).toString('hex')}`)}\n`);
  }
  const signer = parseSignerKey(await readPrivate(file));
  if (!signer) throw new AssentError('unavailable', 'The log’s signing key cannot be read.');
  return signer;
}

async function readPrivate(file: string): Promise<string> {
  if (((await stat(file)).mode & OTHERS) !== 0)
    throw new AssentError('unavailable', 'The log’s signing key can be read by others: let its owner alone read it (chmod 600).');
  return (await read(file))?.trimEnd() ?? '';
}

const COSIGNER = 'key.ml-dsa-44';

/** `known`: digest of the one that has signed; another would be refused by whoever pinned it. */
async function readOrMakeCosigner(directory: string, name: string, known: string | undefined): Promise<Cosigner> {
  const file = join(directory, COSIGNER);
  if (known === undefined) await createFile(file, `${newSignerKey(name, 'ml-dsa-44')}\n`);
  else if ((await read(file)) === undefined) throw new AssentError('unavailable', 'The log’s second signing key is missing, but it has signed.');
  const cosigner = parseCosignerKey(await readPrivate(file));
  const { verifierKey } = cosigner ?? {};
  if (!cosigner || verifierKey?.type !== 'ml-dsa-44' || verifierKey.name !== name || (known ?? cosignerDigest(cosigner)) !== cosignerDigest(cosigner))
    throw new AssentError('unavailable', 'The log’s second signing key is not the one that has signed, or cannot be read.');
  return cosigner;
}

/** Nothing is left of the second key: whoever asks for one next gets another. Throws AssentError('unavailable') when somebody signs meanwhile. */
export async function destroyCosigner(directory: string): Promise<void> {
  const kept = await readState(directory);
  if (kept?.state.cosigner !== undefined) {
    const { cosigner: _destroyed, ...state } = kept.state;
    if (!(await advance(directory, kept, state))) throw new AssentError('unavailable', 'Another process signs.');
  }
  await rm(join(directory, COSIGNER), { force: true });
}

export function cosignerDigest({ verifierKey }: Cosigner): string {
  return digestOf(verifierKey.text);
}

const FIRST = 'state.json';
const LATER = /^state\.([1-9]\d*)\.json$/;

function stateFile(directory: string, number: number): string {
  return join(directory, number === 0 ? FIRST : `state.${number}.json`);
}

/** In ascending order. */
async function numbersIn(directory: string): Promise<number[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.flatMap((name) => (name === FIRST ? [0] : (LATER.exec(name)?.slice(1).map(Number) ?? []))).sort((a, b) => a - b);
}

const MOST_ATTEMPTS = 20;

async function readState(directory: string, known?: KeptState): Promise<KeptState | undefined> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const number = (await numbersIn(directory)).at(-1);
    if (number === undefined) return undefined;
    if (number === known?.number) return known;
    const text = await read(stateFile(directory, number));
    // Gone since the folder was listed: there is a newer one.
    if (text !== undefined) return { number, state: decode(text) };
  }
  throw unreadable();
}

async function advance(directory: string, before: KeptState | undefined, state: SignerState): Promise<KeptState | undefined> {
  const number = before === undefined ? 0 : before.number + 1;
  const file = stateFile(directory, number);
  if (!(await createFile(file, encode(state)))) return undefined;
  const numbers = await numbersIn(directory);
  if (numbers.at(-1) !== number) {
    // We slept: this number had been used before, and cleared away for a greater one.
    await rm(file, { force: true });
    return undefined;
  }
  for (const old of numbers) if (old < number) await rm(stateFile(directory, old), { force: true });
  return { number, state };
}

/** A state that is torn or inconsistent is worse than none: it is not taken for a fresh start. */
function decode(text: string): SignerState {
  try {
    const { size, root, frontier, rows, chain, rotations, pending, cosigner } = JSON.parse(text) as {
      size: number;
      root: string;
      frontier: string[];
      rows?: string;
      chain?: string;
      rotations?: string[];
      pending?: string;
      cosigner?: string;
    };
    const bytes = (hash: string) => fromBase64(hash) ?? Buffer.alloc(0);
    const hashes = frontier.map(bytes);
    const chains = rows === undefined ? { chain: emptyChain, textChain: bytes(chain ?? '') } : { chain: bytes(rows) };
    const keys = {
      ...(rotations ? { rotations } : {}),
      ...(pending === undefined ? {} : { pending }),
      ...(cosigner === undefined ? {} : { cosigner }),
    };
    const state = { size, root: bytes(root), frontier: hashes, ...chains, ...keys };
    if (sameBytes(createFrontier({ size, hashes }).root(), state.root)) return state;
  } catch {
    // Falls through: said below.
  }
  throw unreadable();
}

function encode({ size, root, frontier, chain, rotations, pending, cosigner }: SignerState): string {
  const text = (hash: Uint8Array) => Buffer.from(hash).toString('base64');
  return JSON.stringify({ size, root: text(root), frontier: frontier.map(text), rows: text(chain), rotations, pending, cosigner });
}

function unreadable(): AssentError {
  return new AssentError('unavailable', 'The signer’s state cannot be read.');
}

async function read(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
