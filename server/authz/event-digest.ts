/** What the log holds of an event: the digest of its exact text. */
import { createHash } from 'node:crypto';

/** base64url SHA-256 of the exact text. */
export function digestOfEvent(record: string): string {
  return createHash('sha256').update(record).digest('base64url');
}
