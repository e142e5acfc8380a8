/**
 * What every proof in a file rests on: a checkpoint that a log signed and witnesses may have cosigned, and that the log holds some entries.
 * ledger.md §6
 * Invariant: whatever does not hold refutes the whole file.
 */
import { openCheckpoint } from './checkpoint.ts';
import { fromBase64, fromBase64Url } from './encoding.ts';
import { commitmentOf, type PrivateEntry, SALT_BYTES } from './entry.ts';
import { digestOf, HASH_BYTES, leafHash, sameBytes } from './hash.ts';
import { parseNote, parseVerifierKey, type VerifierKey } from './note.ts';
import type { Policy } from './policy.ts';
import { rootOfJoint } from './proof.ts';
import type { OnLog, RotationPiece } from './receipt-format.ts';
import { readRotation, rotationReference } from './rotation.ts';

export class Refuted extends Error {}

export function refute(reason: string): never {
  throw new Refuted(reason);
}

/** What no log can have hashed refutes: half a surrogate pair, a number beyond all bounds. RFC 8785 has no form for them. */
export function canonical<T>(form: () => T): T {
  try {
    return form();
  } catch {
    return refute('It holds what no log can have hashed.');
  }
}

export type Cosignature = {
  readonly name: string;
  /** `<name>+<key id>` */
  readonly key: string;
  /** Seconds since 1970; 0: nothing is said of it. */
  readonly time: number;
  /** The reader's policy names it. */
  readonly known: boolean;
};

export type Log = {
  readonly origin: string;
  readonly key: string;
  /** Those it had, the first one first, the present one last. */
  readonly keys: readonly string[];
  /** Which key, replaced by which, was not to sign what is larger than this. */
  readonly replaced: readonly { readonly key: string; readonly by: string; readonly size: number }[];
  /** The entries of the replacements. */
  readonly rotated: readonly PrivateEntry[];
  readonly size: number;
  readonly root: Uint8Array;
  /** Of witnesses. */
  readonly cosignatures: readonly Cosignature[];
  /** By further keys of the log itself: keys for cosignatures with its name. */
  readonly besides: readonly Cosignature[];
};

/** `policy`: whom the reader trusts; absent: whatever log the file names. */
export function openLog({ log, checkpoint: note, witnesses = [], rotations = [] }: OnLog, policy: Policy | undefined): Log {
  const key = parseVerifierKey(log);
  if (key?.use !== 'note') refute('The log’s key is not a verifier key.');
  const succession = successionOf(rotations, key);
  if (policy && !policy.logs.some((known) => succession.keys.includes(known.key.text))) refute('The log is none of those trusted.');
  const opened = openCheckpoint(note, [key, ...witnesses.map(witnessKey)]);
  if (opened.kind !== 'signed') refute(`The checkpoint is ${opened.kind}.`);
  if (!opened.by.some((signed) => signed.key === key)) refute('The log did not sign the checkpoint.');
  // A signature nobody here can check would be a place to hide a change.
  if (parseNote(note)?.signatures.length !== opened.by.length) refute('The checkpoint carries a signature of an unknown key.');
  if (opened.by.length !== 1 + witnesses.length) refute('It names a witness that did not cosign.');
  if (opened.checkpoint.origin !== key.name) refute('The checkpoint is of another log.');
  if (policy && !policy.quorum(new Set(witnesses))) refute('Those who cosigned are not all whom the policy demands.');
  const known = new Set(policy?.witnesses.map((witness) => witness.key.text));
  const all = opened.by.flatMap(({ key: { name, id, text }, time }) =>
    time === undefined ? [] : [{ name, key: `${name}+${id}`, time, known: known.has(text) }],
  );
  const isOwn = ({ name }: Cosignature): boolean => name === key.name;
  return { ...opened.checkpoint, key: key.text, ...succession, cosignatures: all.filter((each) => !isOwn(each)), besides: all.filter(isOwn) };
}

/** From the first key to the one that signed the checkpoint, each named by the one before. */
function successionOf(pieces: readonly RotationPiece[], last: VerifierKey): Pick<Log, 'keys' | 'replaced' | 'rotated'> {
  const read = pieces.map(({ rotation, entry }) => {
    const { from, to, size } = readRotation(rotation) ?? refute('A replacement of the log’s key is not signed by both keys.');
    if (entry.kind !== 'log-key-rotated' || entry.digest !== digestOf(rotation)) refute('The log entry of a replacement is of something else.');
    if (entry.index < size) refute('The log’s key was replaced before its old key had ceased to sign.');
    requireSalt(entry);
    return { from, to, size, entry: { ...entry, reference: rotationReference({ to }) } };
  });
  for (const [i, { to, entry }] of read.entries()) {
    const next = read[i + 1];
    if ((next?.from ?? last).text !== to.text) refute('The replacements of the log’s key do not lead to the key that signed.');
    if (next && next.size <= entry.index) refute('The replacements of the log’s key are not in order.');
  }
  return {
    keys: [...read.map(({ from }) => from.text), last.text],
    replaced: read.map(({ from, to, size }) => ({ key: from.text, by: to.text, size })),
    rotated: read.map(({ entry }) => entry),
  };
}

function witnessKey(text: string): VerifierKey {
  const key = parseVerifierKey(text);
  return key?.use === 'cosignature' ? key : refute('A witness’s key is not one for cosignatures.');
}

/** What the checkpoint proves by those who signed it, and what it leaves open: sentences for people. `anchored`: others hold it too, and say so themselves. */
export function logSentences(
  log: Log,
  policy: Policy | undefined,
  anchored = false,
): { readonly proven: readonly string[]; readonly notProven: readonly string[] } {
  const { cosignatures, besides, keys } = log;
  const when = (time: number) => (time === 0 ? '' : ` (${new Date(time * 1000).toISOString()})`);
  const seen = cosignatures.map(({ name, time }) => `${name}${when(time)}`).join(', ');
  return {
    proven: [
      ...(keys.length === 1
        ? []
        : [`This key took the place of ${keys.slice(0, -1).join(', ')}: each was named by the one before, and the log says so.`]),
      ...besides
        .filter(({ known }) => known)
        .map(
          ({ key, time }) =>
            `It was signed with ${key}${when(time)} as well, which you pinned: whoever has the log’s other key alone cannot have made it.`,
        ),
      ...(cosignatures.length === 0 ? [] : [`As the one history of that log it was cosigned by ${seen}.`]),
    ],
    notProven: [
      ...(policy ? [] : ['That this is the log you mean: its key was not pinned (--trust).']),
      ...besides
        .filter(({ known }) => !known)
        .map(({ key }) => `That the log has a key ${key}, with which the checkpoint is signed as well: it was not pinned (--trust).`),
      ...(anchored
        ? []
        : cosignatures.length === 0
          ? ['That nobody was shown another log: the checkpoint carries no witness’s signature and no anchor outside the server.']
          : cosignatures.some(({ known }) => known)
            ? []
            : ['That nobody was shown another log: none of the witnesses is one you pinned (--trust).']),
    ],
  };
}

/** What a file says of the keys that signed, for files to be held against each other. */
export type SignedWith = Pick<Log, 'key' | 'size' | 'replaced'>;

/** Throws Refuted: a key signed more after it was replaced, as only a thief does, or it was replaced twice. */
export function requireKeys(logs: readonly SignedWith[]): void {
  const ends = new Map<string, SignedWith['replaced'][number]>();
  for (const end of logs.flatMap(({ replaced }) => replaced)) {
    const { by, size } = ends.get(end.key) ?? end;
    if (by !== end.by || size !== end.size) refute(`The key ${end.key} was replaced by two others.`);
    ends.set(end.key, end);
  }
  for (const { key, size } of logs) {
    const end = ends.get(key);
    if (end && size > end.size) refute(`A checkpoint of ${size} entries is signed with a key that was replaced after ${end.size}.`);
  }
}

export function requireSalt({ salt }: Pick<PrivateEntry, 'salt'>): void {
  if (fromBase64Url(salt)?.length !== SALT_BYTES) refute('A salt is not 32 bytes.');
}

/** `proof`: base64 hashes that lead from the entries to the root, from left to right; `more`: leaves of entries that are not shown, by index. */
export function requireInclusion(
  proof: readonly string[],
  { size, root, rotated }: Pick<Log, 'size' | 'root' | 'rotated'>,
  pieces: readonly PrivateEntry[],
  more: ReadonlyMap<number, Uint8Array> = new Map(),
): void {
  const entries = [...pieces, ...rotated];
  const leaves = new Map<number, Uint8Array>(entries.map((entry) => [entry.index, leafHash(canonical(() => commitmentOf(entry)))]));
  if (leaves.size !== entries.length) refute('Two pieces claim one place in the log.');
  for (const [index, leaf] of more) {
    if (!sameBytes(leaves.get(index) ?? leaf, leaf)) refute('Two pieces claim one place in the log.');
    leaves.set(index, leaf);
  }
  const hashes = proof.map((text) => fromBase64(text) ?? refute('A hash of the proof is not base64.'));
  if (hashes.some(({ length }) => length !== HASH_BYTES)) refute('A hash of the proof is not 32 bytes.');
  const computed = rootOfJoint(leaves, size, hashes);
  if (!computed || !sameBytes(computed, root)) refute('The log does not hold this: the proof does not lead to the signed root.');
}
