/**
 * Reads a request body into memory up to a limit that holds after decompression. RFC 9110 §8.4
 *
 * Invariant: an attacker controls length, encoding and content of the stream; never more than the limit is held, and what comes after
 * the limit is discarded as it arrives, so that memory stays flat and the sender still gets its 413.
 */
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { AssentError } from '../errors.ts';

const decoders = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress } as const;

export type Encoded = { readonly encoding: string | undefined; readonly length: string | undefined };

export async function readBody(stream: Readable, { encoding, length }: Encoded, limit: number): Promise<Buffer> {
  const name = (encoding ?? 'identity').trim().toLowerCase();
  if (Number(length) > limit) throw tooLarge(limit);
  if (name === 'identity' || name === '') return collect(stream, limit);
  if (!Object.hasOwn(decoders, name)) throw new AssentError('unsupported-media-type', 'Content-Encoding must be gzip, deflate or br.');
  return decode(stream, name as keyof typeof decoders, limit);
}

async function decode(stream: Readable, encoding: keyof typeof decoders, limit: number): Promise<Buffer> {
  const decoder = decoders[encoding]();
  let received = 0;
  // A stream of empty compressed blocks decodes to nothing for ever: what arrives is limited as well.
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > limit) decoder.destroy(tooLarge(limit));
  });
  stream.on('error', (error) => decoder.destroy(error));
  stream.on('aborted', () => decoder.destroy(interrupted()));
  stream.pipe(decoder);
  try {
    return await collect(decoder, limit);
  } catch (error) {
    stream.unpipe(decoder);
    decoder.destroy();
    throw error;
  }
}

function collect(source: Readable, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let chunks: Buffer[] = [];
  let size = 0;
  source.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) return void chunks.push(chunk);
    chunks = [];
    source.removeAllListeners('data');
    source.pause();
    reject(tooLarge(limit));
  });
  source.on('end', () => resolve(Buffer.concat(chunks, size)));
  source.on('error', (error) =>
    reject(error instanceof AssentError ? error : new AssentError('invalid-request', 'The body cannot be decoded as its Content-Encoding says.')),
  );
  source.on('close', () => reject(interrupted()));
  return promise;
}

/**
 * Lets the rest of the body run out unread, and fails then: after a failure the connection is closed, and a sender that is still sending would
 * read that it broke instead of why. What goes on and on is not waited for, nor what does not come.
 */
export async function discard(stream: Readable, reason: unknown, limit: number): Promise<never> {
  stream.removeAllListeners('data');
  if (!stream.readableEnded && !stream.destroyed) await runOut(stream, Math.max(MOST_DISCARDED * limit, LEAST_DISCARDED));
  throw reason;
}

/** Times the limit, but at least so many bytes. */
const MOST_DISCARDED = 4;
const LEAST_DISCARDED = 16 * 1_048_576;
const SILENCE_MS = 250;

function runOut(stream: Readable, most: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = most;
  let silence = setTimeout(resolve, SILENCE_MS);
  for (const event of ['end', 'close', 'error']) stream.once(event, resolve);
  stream.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) return resolve();
    clearTimeout(silence);
    silence = setTimeout(resolve, SILENCE_MS);
  });
  stream.resume();
  return promise.finally(() => {
    clearTimeout(silence);
    stream.removeAllListeners('data');
    stream.resume();
  });
}

function tooLarge(limit: number): AssentError {
  return new AssentError('too-large', `A body may have ${limit} bytes, after decompression.`);
}

function interrupted(): AssentError {
  return new AssentError('invalid-request', 'The body ended before it was complete.');
}
