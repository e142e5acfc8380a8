/**
 * What a checkpoint says of the log: its name, size and root. https://c2sp.org/tlog-checkpoint
 * Invariant: whatever does not have exactly the specified form is malformed.
 */
import { fromBase64 } from './encoding.ts';
import { HASH_BYTES } from './hash.ts';
import { isSize } from './proof.ts';

export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array };

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
}

/** Extension lines are refused unless `extended`: nobody can audit them. */
export function parseCheckpoint(text: string, { extended = false } = {}): Checkpoint | undefined {
  const [origin = '', digits = '', encoded = '', ...rest] = text.split('\n');
  const isEnded = rest.pop() === '' && (rest.length === 0 || (extended && !rest.includes('')));
  const root = fromBase64(encoded);
  const size = Number(digits);
  if (origin === '' || !isEnded || !/^(0|[1-9]\d*)$/.test(digits) || !isSize(size) || root?.length !== HASH_BYTES) return undefined;
  return { origin, size, root };
}
