/** A receipt as a file of gzip, and what is none, with stored blocks alone (RFC 1951 §3.2.4): so the bytes are the same whatever zlib writes them. */
import { crc32 } from 'node:zlib';
import type { Vector } from './vectors.ts';

const STORED = 0xffff;
/** deflate, no flags, no time, whatever system. RFC 1952 §2.3 */
const HEADER = Buffer.from('1f8b08000000000000ff', 'hex');

function number(value: number, bytes: 2 | 4): Buffer {
  const all = Buffer.alloc(bytes);
  all.writeUIntLE(value, 0, bytes);
  return all;
}

function block(data: Buffer, isLast: boolean): Buffer {
  return Buffer.concat([Buffer.from([isLast ? 1 : 0]), number(data.length, 2), number(data.length ^ STORED, 2), data]);
}

const trailer = (data: Buffer): Buffer => Buffer.concat([number(crc32(data), 4), number(data.length, 4)]);

function member(text: string, header = HEADER): Buffer {
  const data = Buffer.from(text);
  const blocks = Array.from({ length: Math.ceil(data.length / STORED) }, (_, i) => data.subarray(i * STORED, (i + 1) * STORED));
  return Buffer.concat([header, ...blocks.map((each, i) => block(each, i === blocks.length - 1)), trailer(data)]);
}

/** With a name, as `gzip FILE` writes it. */
const NAMED = Buffer.concat([Buffer.from('1f8b0808d2029649', 'hex'), Buffer.from([0, 3]), Buffer.from('receipt.json\0')]);

export function compressedOnes(text: string): Vector[] {
  const whole = member(text);
  const changed = (at: number): Buffer => {
    const copy = Buffer.from(whole);
    copy[at] = (copy[at] as number) ^ 1;
    return copy;
  };
  const vector = (name: string, verdict: Vector['verdict'], file: Buffer): Vector => ({
    name: `compressed: ${name}`,
    verdict,
    file: file.toString('base64'),
    encoding: 'base64',
  });
  return [
    vector('a receipt', 'proven', whole),
    vector('a receipt, under a name and with a time', 'proven', member(text, NAMED)),
    vector('a receipt with another member, refuted', 'refuted', member(text.replace('TREAT', 'ETREAT'))),
    vector('cut off', 'unreadable', whole.subarray(0, -1)),
    vector('another checksum', 'unreadable', changed(whole.length - 8)),
    vector('another length', 'unreadable', changed(whole.length - 1)),
    vector('another method', 'unreadable', changed(2)),
    vector('a byte behind it', 'unreadable', Buffer.concat([whole, Buffer.from([0])])),
    vector('a second member behind it', 'unreadable', Buffer.concat([whole, member('\n')])),
    vector('twice', 'unreadable', member(whole.toString('latin1'))),
    vector('nothing', 'unreadable', member('')),
    vector('two bytes', 'unreadable', whole.subarray(0, 2)),
  ];
}
