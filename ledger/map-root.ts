/**
 * A root of the map of Consents as an entry of the log: of whatever entry about a Consent was replaced among the first `upTo` entries, the map
 * holds the leaf, and under it the leaf of the entry that took its place. ledger.md §3
 *
 * Invariant: the text that the entry’s digest is of follows from the leaves and from which entries are about one Consent; nobody has to keep it.
 */
import { digestOf, HASH_BYTES } from './hash.ts';
import type { LogEntry } from './entry.ts';

/** What entries about the map stand under, as others under `Consent/x`. */
export const MAP_REFERENCE = 'Map/consents';

/** `root`: base64. */
export type MapRoot = { readonly upTo: number; readonly root: string };

/** What the digest is of. */
export function mapRootText({ upTo, root }: MapRoot): string {
  return JSON.stringify({ upTo, root });
}

export function mapRootOf(upTo: number, root: Uint8Array): MapRoot {
  if (root.length !== HASH_BYTES) throw new RangeError('A root is 32 bytes.');
  return { upTo, root: Buffer.from(root).toString('base64') };
}

/** `occurredAt`: an instant (ISO) before which nothing was committed that is not among the first `upTo` entries. */
export function mapRootEntry(root: MapRoot, occurredAt: string): LogEntry & { readonly kind: 'map-root' } {
  const digest = digestOf(mapRootText(root));
  return { kind: 'map-root', occurredAt, subject: null, reference: MAP_REFERENCE, version: String(root.upTo), digest };
}

/** Undefined: the entry is of something else, or does not say up to where. */
export function upToOf({ kind, subject, reference, version }: Pick<LogEntry, 'kind' | 'subject' | 'reference' | 'version'>): number | undefined {
  const upTo = Number(version);
  const isOne = kind === 'map-root' && subject === null && reference === MAP_REFERENCE;
  return isOne && Number.isSafeInteger(upTo) && upTo >= 0 && String(upTo) === version ? upTo : undefined;
}
