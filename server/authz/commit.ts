/**
 * The one way authz changes what lasts: records and log rows in one commit that also moves the consent epoch, because a registration or
 * a key may change who sees what, and because cached tokens are re-checked when the epoch moves.
 */
import type { NewLogRow, RecordWrite } from '../store/port.ts';

/** The record is at this revision; null: there is no such record. */
export type RecordGuard = { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: number | null };

export type RecordCommit = (writes: {
  readonly guards: readonly RecordGuard[];
  readonly records: readonly RecordWrite[];
  readonly log: readonly NewLogRow[];
}) => Promise<{ readonly kind: 'committed' } | { readonly kind: 'conflict' }>;
