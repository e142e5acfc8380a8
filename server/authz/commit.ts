/**
 * The one way authz changes what lasts: records and log rows in one commit that also moves the consent epoch, because a registration or
 * a key may change who sees what, and because cached tokens are re-checked when the epoch moves.
 */
import type { Caller } from '../consent/model.ts';
import type { NewLogRow, RecordWrite } from '../store/port.ts';

/** The record is at this revision; null: there is no such record. */
export type RecordGuard = { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: number | null };

/** Who did it, to whom, and what, for the audit trail. `patient`: the logical id; undefined: it is nobody's record. */
export type AdminAct = { readonly by: Pick<Caller, 'client' | 'actor' | 'purpose'>; readonly patient: string | undefined; readonly what: string };

/** `act`: its AuditEvent is part of the commit. `opens`: false where nobody sees more or less by it, as when somebody signs in; then the epoch stays. */
export type RecordCommit = (writes: {
  readonly act?: AdminAct;
  readonly opens?: false;
  readonly guards: readonly RecordGuard[];
  readonly records: readonly RecordWrite[];
  readonly log: readonly NewLogRow[];
}) => Promise<{ readonly kind: 'committed' } | { readonly kind: 'conflict' }>;
