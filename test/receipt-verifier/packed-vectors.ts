/** A receipt as a packed file, and what is none: deflated by hand (RFC 1951 §3.2.4 and §3.2.6), so that the bytes are the same whatever zlib writes them. */
import { literalsOf } from '../../ledger/packed.ts';
import { framed, packed, shortened } from '../../ledger/packing.ts';
import type { Vector } from './vectors.ts';

/** 36 bytes from 36 bytes back, which is in the dictionary, and the end of the block: length code 273 and 1 more, distance code 10 and 3 more. */
const FROM_THE_DICTIONARY = ['0', '10', '0010001', '100', '01010', '1100', '0000000'].join('');
const TAKEN = '{"format":"assent-receipt-1","log":"';

/** `text`: begins as the dictionary ends. */
function deflated(text: string): Buffer {
  if (!text.startsWith(TAKEN)) throw new Error('It begins otherwise.');
  const rest = Buffer.from(text.slice(TAKEN.length));
  const bits = `${FROM_THE_DICTIONARY}100`;
  const head = bits.match(/.{8}/g)?.map((byte) => Number.parseInt([...byte].reverse().join(''), 2)) ?? [];
  const lengths = Buffer.alloc(4);
  lengths.writeUInt16LE(rest.length, 0);
  lengths.writeUInt16LE(rest.length ^ 0xffff, 2);
  return Buffer.concat([Uint8Array.from(head), lengths, rest]);
}

export function packedOnes(text: string): Vector[] {
  const { short, raw } = shortened(text);
  const of = (changed: string, bytes: Uint8Array = raw): Uint8Array => framed(bytes, deflated(changed));
  const whole = of(short);
  const changed = (at: number): Uint8Array => whole.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const vector = (name: string, verdict: Vector['verdict'], file: Uint8Array): Vector => ({
    name: `packed: ${name}`,
    verdict,
    file: Buffer.from(file).toString('base64'),
    encoding: 'base64',
  });
  const firstDigest = /\u0005[0-9]+\u0005/;
  const itself = literalsOf(short).findIndex((literal) => firstDigest.test(literal));
  return [
    vector('a receipt', 'proven', whole),
    vector('a receipt, nothing shortened in it', 'proven', of(text, Buffer.alloc(0))),
    vector('a receipt with another member, refuted', 'refuted', of(short.replace('TREAT', 'ETREAT'))),
    vector(
      'a hash with a bit turned',
      'refuted',
      of(
        short,
        raw.map((byte, i) => (i === raw.length - 1 ? byte ^ 1 : byte)),
      ),
    ),
    vector('the digest of another text', 'refuted', of(short.replace(firstDigest, '\u00050\u0005'))),
    vector('the digest of a text that is not there', 'unreadable', of(short.replace(firstDigest, '\u00059999\u0005'))),
    vector('the digest of itself', 'unreadable', of(short.replace(firstDigest, `\u0005${itself}\u0005`))),
    vector('a sign that is none', 'unreadable', of(short.replace(firstDigest, '\u0006'))),
    vector('more bytes than are named', 'unreadable', of(short, Buffer.concat([raw, Buffer.alloc(1)]))),
    vector('fewer bytes than are named', 'unreadable', of(short, raw.subarray(1))),
    vector('cut off', 'unreadable', whole.subarray(0, -1)),
    vector('a byte behind it', 'unreadable', framed(raw, Buffer.concat([deflated(short), Buffer.from([0])]))),
    vector('without its end', 'unreadable', framed(raw, deflated(short).subarray(0, -1))),
    vector('another way of packing', 'unreadable', changed(1)),
    vector('another check', 'unreadable', changed(2)),
    vector('another length', 'unreadable', changed(13)),
    vector('two bytes', 'unreadable', whole.subarray(0, 2)),
    vector('twice', 'unreadable', framed(Buffer.alloc(0), deflated(`${TAKEN}${Buffer.from(packed(text)).toString('latin1')}`))),
  ];
}
