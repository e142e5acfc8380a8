/** Vectors of checkpoints that the log signed with ML-DSA-44 as well. https://c2sp.org/tlog-cosignature */
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { sha256 } from '../../ledger/hash.ts';
import { type Cosigner, parseVerifierKey, signatureLine } from '../../ledger/note.ts';
import { type Receipt, writeReceipt } from '../../ledger/receipt-format.ts';
import { signatureTypes, uint64 } from '../../ledger/signature-types.ts';
import type { Vector } from './vectors.ts';

type Open = Omit<Receipt, 'format'>;
type Tools = {
  readonly log: string;
  readonly seen: number;
  readonly seedOf: (name: string) => Buffer;
  readonly made: (cosigners: readonly { readonly cosigner: Cosigner; readonly time: number }[]) => Promise<Open>;
};

/** Its signatures come out the same each time: FIPS 204 §3.4, the deterministic variant. */
function mlDsaKey(name: string, seed: Buffer, publicName = name): Cosigner {
  const { publicKey, secretKey } = ml_dsa44.keygen(seed);
  const typed = Buffer.concat([Buffer.from([0x06]), publicKey]);
  const id = sha256(Buffer.concat([Buffer.from(`${publicName}\n`), typed])).toString('hex', 0, 4);
  const verifierKey = parseVerifierKey(`${publicName}+${id}+${typed.toString('base64')}`);
  if (!verifierKey) throw new Error('A fixed key is none.');
  const line = (text: string, time: number): string => {
    const message = signatureTypes['ml-dsa-44'].message({ text, name, time }) ?? Buffer.alloc(0);
    const signature = Buffer.concat([uint64(time), ml_dsa44.sign(message, secretKey, { extraEntropy: false })]);
    return signatureLine({ name: publicName, id, signature });
  };
  return { verifierKey, line };
}

/** The bytes of the ML-DSA signature in the checkpoint, changed. */
function resigned(receipt: Open, { verifierKey: { name, id } }: Cosigner, change: (signature: Buffer) => Buffer | number): Open {
  const checkpoint = receipt.checkpoint.replace(/^— (\S+) (\S+)$/gmu, (line, by: string, encoded: string) => {
    const bytes = Buffer.from(encoded, 'base64');
    if (by !== name || bytes.toString('hex', 0, 4) !== id) return line;
    const signature = Buffer.from(bytes.subarray(4));
    const changed = change(signature);
    return signatureLine({ name, id, signature: typeof changed === 'number' ? signature : changed }).trimEnd();
  });
  if (checkpoint === receipt.checkpoint) throw new Error('The signature was not changed.');
  return { ...receipt, checkpoint };
}

export async function secondKeys({ log, seen, seedOf, made }: Tools): Promise<Vector[]> {
  const [name = ''] = log.split('+');
  const own = mlDsaKey(name, seedOf('the log’s ML-DSA-44 key'));
  const thief = mlDsaKey(name, seedOf('an ML-DSA-44 key under the log’s name'));
  const misnamed = mlDsaKey('assent.example/other', seedOf('the log’s ML-DSA-44 key'), name);
  const [witness, plain] = [mlDsaKey('witness.example', seedOf('a witness’s ML-DSA-44 key')), await made([])];
  const good = await made([{ cosigner: own, time: seen }]);
  const by = (cosigner: Cosigner, time = seen): Promise<Open> => made([{ cosigner, time }]);
  const vector = (verdict: Vector['verdict'], what: string, receipt: Open, trust?: string): Vector => {
    return { name: `the log signed with ML-DSA-44 as well${what}`, verdict, file: writeReceipt(receipt), ...(trust === undefined ? {} : { trust }) };
  };
  const pinned = `${log}\n${own.verifierKey.text}`;
  const bent = (change: (signature: Buffer) => Buffer | number): Open => resigned(good, own, change);
  const [timed, hints, count] = [8, 8 + 2336, 8 + 2336 + 80];
  return [
    vector('proven', '', good),
    vector('proven', ', and both keys are pinned', good, pinned),
    vector('proven', ', and its first key alone is pinned', good, log),
    vector('proven', ', and says nothing of the time', await by(own, 0), pinned),
    vector('proven', ', and a witness did', await by(witness), `${log}\n${witness.verifierKey.text}`),
    vector('refuted', ': pinned, and not there', plain, pinned),
    vector('refuted', ': pinned, and by another key under its name', await by(thief), pinned),
    vector('refuted', ': its key left out', { ...good, witnesses: [] }),
    vector('refuted', ': its line left out', { ...good, checkpoint: plain.checkpoint }),
    vector('refuted', ': under another name of the key', await by(misnamed)),
    vector(
      'refuted',
      ': over another time',
      bent((bytes) => bytes.writeUInt8((bytes[7] ?? 0) ^ 1, 7)),
    ),
    vector(
      'refuted',
      ': with another challenge',
      bent((bytes) => bytes.writeUInt8((bytes[timed] ?? 0) ^ 1, timed)),
    ),
    vector(
      'refuted',
      ': with a response out of bounds',
      bent((bytes) => bytes.fill(0, timed + 32, timed + 35)),
    ),
    // Two hints of one row change places: they say the same, in another spelling.
    vector(
      'refuted',
      ': with hints out of order',
      bent((bytes) => bytes.writeUInt16LE(bytes.readUInt16BE(hints), hints)),
    ),
    vector(
      'refuted',
      ': with a hint behind the last',
      bent((bytes) => bytes.writeUInt8(255, count - 1)),
    ),
    vector(
      'refuted',
      ': with more hints than there may be',
      bent((bytes) => bytes.writeUInt8(81, count + 3)),
    ),
    vector(
      'refuted',
      ': with a byte too many',
      bent((bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
    ),
  ];
}
