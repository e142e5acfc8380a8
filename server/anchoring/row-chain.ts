/**
 * One digest over all rows about Consents and keys: none can be changed, hidden or added without changing it. ledger.md §3
 *
 * Invariant: of each row it takes what stays after an erasure as it is, and the rest behind the salt of its entry; so it is the same before and
 * after an erasure, and nothing in it, nor in what an erased row keeps, confirms a guess.
 */
import { fromBase64Url } from '../../ledger/encoding.ts';
import { coverOfDigest, type ErasedEntry, isErased, type LogEntry } from '../../ledger/entry.ts';
import { HASH_BYTES, sameBytes, sha256 } from '../../ledger/hash.ts';
import { TILE_WIDTH } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRow } from '../store/port.ts';
import { type LogRows, rowsBetween } from './log-port.ts';
import { type BatchRecord, type LogRecords, saltAt, tailedRow } from './log-records.ts';

export const emptyChain: Uint8Array = Buffer.alloc(HASH_BYTES);

/** A row as the chain takes it. `rest`: of an erased one its cover, else the digest of its text, which the salt will cover. */
export type Link = { readonly index: number; readonly open: Uint8Array; readonly rest: Uint8Array; readonly erased: boolean };

export function linkOf({ index, entry }: LogRow, row: LogEntry | ErasedEntry): Link {
  const { kind, occurredAt, subject, reference, version = null } = row;
  const open = sha256(`${index}\n${JSON.stringify([kind, occurredAt, subject, reference, version])}`);
  if (isErased(row)) return { index, open, rest: fromBase64Url(row.erased) ?? Buffer.alloc(0), erased: true };
  return { index, open, rest: sha256(entry), erased: false };
}

/** Undefined: the row is there, but the salt is not, so what it was cannot be told. */
function stepOf(link: Link, batches: readonly BatchRecord[]): Uint8Array | undefined {
  const salt = link.erased ? undefined : saltOf(link.index, batches);
  if (!link.erased && !salt) return undefined;
  return Buffer.concat([link.open, salt ? coverOfDigest(link.rest, salt) : link.rest]);
}

function extendChain(chain: Uint8Array, step: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([chain, step]));
}

function saltOf(index: number, batches: readonly BatchRecord[]): Uint8Array | undefined {
  const batch = batches.find(({ first, count }) => index >= first && index < first + count);
  return batch && saltAt(batch, index);
}

/** Over links that were read before: undefined when a salt is gone, perhaps since then. */
export async function chainOfLinks(links: readonly Link[], stored: Pick<LogRecords, 'batchesAround'>): Promise<Uint8Array | undefined> {
  let chain = emptyChain;
  let tile = -1;
  let batches: readonly BatchRecord[] = [];
  for (const link of links) {
    if (Math.floor(link.index / TILE_WIDTH) !== tile) batches = await stored.batchesAround(link.index);
    tile = Math.floor(link.index / TILE_WIDTH);
    const step = stepOf(link, batches);
    if (!step) return undefined;
    chain = extendChain(chain, step);
  }
  return chain;
}

export const STEP_BYTES = 2 * HASH_BYTES;

export type RowChain = {
  /** The chain at `to`, from what it was at `from`. Throws AssentError('unavailable'): a row or a salt is missing. */
  extend(before: Uint8Array, from: number, to: number): Promise<Uint8Array>;
  /** What it is extended by, one after the other: of each such row STEP_BYTES. */
  steps(from: number, to: number): AsyncIterable<Uint8Array>;
  /** What servers before erasure of entries signed: over the texts themselves. Holds as long as nothing was erased. */
  ofTexts(to: number): Promise<Uint8Array>;
};

export function createRowChain({ log, stored }: { readonly log: LogRows; readonly stored: Pick<LogRecords, 'batchesAround'> }): RowChain {
  async function* steps(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < to; at = nextTile(at)) {
      // Salts before rows: of a row that is there afterwards, the salt was there.
      const batches = await stored.batchesAround(at);
      for await (const row of rowsBetween(log, at, Math.min(nextTile(at), to))) {
        const entry = tailedRow(row);
        if (!entry) continue;
        const step = stepOf(linkOf(row, entry), batches);
        if (!step) throw new AssentError('unavailable', `The salt of log entry ${row.index} is gone without an erasure.`);
        yield step;
      }
    }
  }
  return {
    steps,
    extend: (before, from, to) => extendBy(before, steps(from, to)),
    async ofTexts(to) {
      let chain = emptyChain;
      for await (const row of rowsBetween(log, 0, to))
        if (tailedRow(row)) chain = sha256(Buffer.concat([chain, Buffer.from(`${row.index}\n${row.entry}`)]));
      return chain;
    },
  };
}

export async function extendBy(before: Uint8Array, steps: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let chain = before;
  for await (const step of steps) chain = extendChain(chain, step);
  return chain;
}

function nextTile(index: number): number {
  return index - (index % TILE_WIDTH) + TILE_WIDTH;
}

export function sameChain(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && sameBytes(a, b);
}
