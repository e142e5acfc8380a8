/**
 * What the log proves of an AuditEvent or a Consent, for whoever may read it: its receipt, and of a Consent that it still stands. interface.md §4,
 * ledger.md §3, §6
 *
 * Invariant: nothing is in a proof that its caller may not read; that it was asked how a Consent stands is durable before the answer.
 */
import type { ResourceStore, StoredResource } from '../../store/port.ts';
import type { ReceiptResult } from '../gate.ts';
import { type Disclosure, recordDisclosure, recordMiss } from './disclose.ts';
import type { ConsentVersion, createEvidence, Evidence } from './evidence.ts';
import { inView, newestFirst, patientsOf, type View, type Views } from './view.ts';

export type LogProofs = {
  /** `fresh`: with what the map of Consents says of them, not older than a minute. */
  readonly receiptFor: (reference: string, evidence: Evidence, options?: { readonly fresh: true }) => Promise<ReceiptResult>;
  readonly erasures: {
    readonly isErased: (consent: ConsentVersion) => boolean;
    /** What the log says of the erasure: `proof` is a file, where there is one. */
    readonly erasureOf: (
      consent: ConsentVersion,
    ) => Promise<{ readonly kind: 'erased'; readonly proof: string | undefined } | { readonly kind: 'pending' }>;
  };
};

type Dependencies = LogProofs & { readonly resources: ResourceStore; readonly views: Views; readonly evidence: ReturnType<typeof createEvidence> };

export async function receipt(deps: Dependencies, type: 'AuditEvent' | 'Consent', id: string): Promise<ReceiptResult> {
  const row = await inView(deps.views, {
    read: (view) => find(deps, { type, id, view }),
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: async ({ rows }) => ({ found: rows[0] }),
  });
  return row.found ? proofOf(deps, row.found) : { kind: 'absent' };
}

export async function ledgerProof(deps: Dependencies & Disclosure, id: string): Promise<ReceiptResult> {
  const asked = { interaction: 'operation', type: 'Consent', id } as const;
  const row = await inView(deps.views, {
    read: (view) => find(deps, { ...asked, view }),
    restsOn: ({ rows }) => patientsOf(rows),
    async conclude({ rows }, view): Promise<{ readonly found: StoredResource | undefined } | undefined> {
      const [found] = rows;
      if (found) return (await recordDisclosure(deps, { interaction: asked.interaction, type: asked.type, rows: [found], view })) && { found };
      await recordMiss(deps, asked);
      return { found };
    },
  });
  return row.found ? proofOf(deps, row.found, { fresh: true }) : { kind: 'absent' };
}

type Asked = { readonly type: string; readonly id: string; readonly view: View };

function find({ resources }: Dependencies, { type, id, view }: Asked) {
  return resources.find({ type, where: { kind: 'id', ids: new Set([id]) }, scope: view.scope(type), order: newestFirst, limit: 1 });
}

async function proofOf(deps: Dependencies, row: StoredResource, options?: { readonly fresh: true }): Promise<ReceiptResult> {
  const found = await deps.evidence.of(row);
  const erased = found.missing.filter((consent) => deps.erasures.isErased(consent));
  return erased.length > 0 ? erasureOf(deps, erased) : deps.receiptFor(`${row.type}/${row.id}`, found, options);
}

async function erasureOf({ erasures }: LogProofs, consents: readonly ConsentVersion[]): Promise<ReceiptResult> {
  const found = await Promise.all(consents.map((consent) => erasures.erasureOf(consent)));
  if (found.some(({ kind }) => kind === 'pending')) return { kind: 'pending' };
  return { kind: 'erased', proofs: found.flatMap((one) => (one.kind === 'erased' && one.proof !== undefined ? [one.proof] : [])) };
}
