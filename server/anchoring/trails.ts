/**
 * Audit trails as signed files, from the texts of the AuditEvents that were told. ledger/trail.ts
 * Invariant: of an AuditEvent a file holds who, when, why and which resources; never a query, nor the words of who acted.
 */
import { actOf, isAskedFor, type TrailAsked, writeTrail } from '../../ledger/trail.ts';

export type { TrailAsked } from '../../ledger/trail.ts';

/** `events`: exact texts, newest first. `statements`: of disclosures, newest first; none where it is not about one patient. */
export type TrailInput = { readonly asked: TrailAsked; readonly events: readonly string[]; readonly statements: readonly string[] };

export type Trails = {
  /** The file. Throws AssentError('unavailable') when the signer refuses. */
  file(input: TrailInput): Promise<string>;
};

export function createTrails({
  verifierKey,
  lineFor,
}: {
  readonly verifierKey: string;
  readonly lineFor: (text: string) => Promise<string>;
}): Trails {
  return {
    async file({ asked, events, statements }) {
      const acts = events.flatMap((event) => actOf(event) ?? []).filter((act) => isAskedFor(act, asked));
      return writeTrail({ log: verifierKey, asked, acts, statements }, lineFor);
    },
  };
}
