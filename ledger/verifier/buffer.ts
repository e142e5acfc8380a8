/** As much of Node's Buffer as the verifier asks for, for browsers. https://nodejs.org/api/buffer.html */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

class Bytes extends Uint8Array {
  equals(other: Uint8Array): boolean {
    return compare(this, other) === 0;
  }
  readBigUInt64BE(): bigint {
    return new DataView(this.buffer, this.byteOffset).getBigUint64(0);
  }
  writeBigUInt64BE(value: bigint): void {
    new DataView(this.buffer, this.byteOffset).setBigUint64(0, value);
  }
  override toString(encoding = 'utf8'): string {
    if (encoding === 'hex') return [...this].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    if (encoding === 'base64') return toBase64(this);
    if (encoding === 'base64url') return toBase64(this).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    return new TextDecoder().decode(this);
  }
}

export const Buffer = {
  from(source: string | ArrayLike<number>, encoding = 'utf8'): Bytes {
    if (typeof source !== 'string') return new Bytes(source);
    if (encoding === 'hex') return new Bytes(source.match(/[0-9a-f]{2}/gi)?.map((pair) => Number.parseInt(pair, 16)) ?? []);
    return new Bytes(encoding.startsWith('base64') ? fromBase64(source) : new TextEncoder().encode(source));
  },
  alloc: (length: number, fill = 0): Bytes => new Bytes(length).fill(fill),
  allocUnsafe: (length: number): Bytes => new Bytes(length),
  concat(parts: readonly Uint8Array[]): Bytes {
    const whole = new Bytes(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  },
  compare,
};

function compare(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? a.length - b.length : (a[at] ?? 0) - (b[at] ?? 0);
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const characters = [18, 12, 6, 0].map((shift) => ALPHABET[(group >> shift) & 63]).join('');
    text += characters.slice(0, bytes.length - at + 1).padEnd(4, '=');
  }
  return text;
}

/** Lax, as Node's is: whoever is strict writes it again and compares. */
function fromBase64(text: string): number[] {
  const values = [...text]
    .map((character) => ALPHABET.indexOf(character === '-' ? '+' : character === '_' ? '/' : character))
    .filter((value) => value >= 0);
  const bytes: number[] = [];
  for (let at = 0; at + 1 < values.length; at += 4) {
    const [a = 0, b = 0, c, d] = values.slice(at, at + 4);
    bytes.push((a << 2) | (b >> 4));
    if (c !== undefined) bytes.push(((b & 15) << 4) | (c >> 2));
    if (c !== undefined && d !== undefined) bytes.push(((c & 3) << 6) | d);
  }
  return bytes;
}
