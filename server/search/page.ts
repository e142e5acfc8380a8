/**
 * Sealed page links: where a page ended, encrypted and bound to who asked what. fhir.md §2 (paging), consent.md §3
 *
 * A position holds a sort value of the last row, so it must be unreadable and unusable to anyone but the caller it was made for.
 * Invariant: what open() returns was sealed by us for the same caller, type and query; everything else is invalid-cursor.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AssentError } from '../errors.ts';

export type Cursors = {
  /** `position`: JSON. `bound`: all that makes the link valid, as text: who asks (everything the decision rests on), the type, the search without its cursor. */
  seal(position: unknown, bound: string): string;
  /** Throws AssentError('invalid-cursor'). */
  open(cursor: string, bound: string): unknown;
};

const CIPHER = 'aes-256-gcm';
const NONCE = 12;
const TAG = 16;
/** A value of the last row for each sort key. */
const LONGEST = 8192;

/** `secret`: at least 16 random bytes, the same in every process of the service. */
export function createCursors({ secret }: { readonly secret: Uint8Array }): Cursors {
  if (secret.length < 16) throw new Error('The secret of page links is too short.');
  const key = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(), 'assent page cursor 1', 32));
  return {
    seal(position, bound) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(bound));
      const sealed = Buffer.concat([cipher.update(JSON.stringify(position), 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url');
    },
    open(cursor, bound) {
      if (cursor.length > LONGEST || !/^[\w-]+$/.test(cursor)) throw new AssentError('invalid-cursor');
      const bytes = Buffer.from(cursor, 'base64url');
      // The last character may hold bits that mean nothing: one link, one spelling.
      if (bytes.length <= NONCE + TAG || bytes.toString('base64url') !== cursor) throw new AssentError('invalid-cursor');
      try {
        const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE)).setAAD(Buffer.from(bound)).setAuthTag(bytes.subarray(-TAG));
        const opened = Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
        return JSON.parse(opened.toString('utf8')) as unknown;
      } catch (cause) {
        throw new AssentError('invalid-cursor', undefined, { cause });
      }
    },
  };
}
