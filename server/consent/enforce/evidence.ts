/** What a receipt holds beside log proofs: the AuditEvent, the Consents it rested on with their signatures, and the signers' keys. ledger.md §6 */
import type { RecordStore, ResourceStore, StoredResource } from '../../store/port.ts';
import { parseSignature } from '../signature.ts';
import type { AuthorityRecords } from './authorities.ts';
import { type ConsentRecord, SIGNED } from './ceremony.ts';

export type ConsentVersion = { readonly reference: string; readonly version: string };

export type Evidence = {
  /** Exact text of the AuditEvent; absent for the receipt of a Consent. */
  readonly disclosure?: string;
  readonly consents: readonly {
    readonly reference: string;
    readonly consent: string;
    readonly statement: string;
    readonly signatures: readonly string[];
  }[];
  readonly keys: readonly { readonly kid: string; readonly key: string }[];
  /** What somebody signed under on behalf of the patient: the exact text of its grant, and the key that signed that. */
  readonly authorities: readonly { readonly id: string; readonly grant: string; readonly kid: string }[];
  /** Versions of Consents it rests on that are not there any more. */
  readonly missing: readonly ConsentVersion[];
};

export type EvidenceDeps = {
  readonly resources: Pick<ResourceStore, 'history'>;
  readonly records: Pick<RecordStore, 'get'>;
  readonly keys: {
    readonly get: (kid: string) => Promise<{ readonly kid: string } | undefined>;
    readonly registration: (kid: string) => Promise<string | undefined>;
  };
  readonly authorities: Pick<AuthorityRecords, 'get' | 'grantOf'>;
};

export function createEvidence(deps: EvidenceDeps): { of(row: StoredResource): Promise<Evidence> } {
  return {
    async of(row) {
      const references = row.type === 'Consent' ? [{ id: row.id, version: row.version }] : basisOf(row.body);
      const versions = await Promise.all(references.map(({ id, version }) => consentEvidence(deps, id, version)));
      const consents = versions.filter((each) => each !== undefined);
      const authorities = await grantsOf(deps, new Set(consents.flatMap(({ under }) => under)));
      const kids = new Set([...consents.flatMap(({ kids: signers }) => signers), ...authorities.map(({ kid }) => kid)]);
      const keys = await Promise.all([...kids].map(async (kid) => ({ kid, key: (await deps.keys.registration(kid)) ?? '' })));
      return {
        ...(row.type === 'AuditEvent' ? { disclosure: row.body } : {}),
        consents: consents.map(({ kids: _kids, under: _under, ...consent }) => consent),
        authorities,
        keys: keys.filter(({ key }) => key !== ''),
        missing: references.flatMap(({ id, version }, i) => (versions[i] ? [] : [{ reference: `Consent/${id}`, version }])),
      };
    },
  };
}

/** The Consent versions an AuditEvent names as what it rested on. */
function basisOf(event: string): { id: string; version: string }[] {
  const { entity = [] } = JSON.parse(event) as { entity?: readonly { what?: { reference?: string }; role?: { code?: string } }[] };
  return entity.flatMap(({ what, role }) => {
    const [, id, version] = /^Consent\/([^/]+)\/_history\/([^/]+)$/.exec(role?.code === '13' ? (what?.reference ?? '') : '') ?? [];
    return id !== undefined && version !== undefined ? [{ id, version }] : [];
  });
}

async function grantsOf({ authorities, keys }: EvidenceDeps, ids: ReadonlySet<string>): Promise<Evidence['authorities']> {
  const found = await Promise.all(
    [...ids].map(async (id) => {
      const [logged, grant] = [await authorities.get(id), await authorities.grantOf(id)];
      if (!logged || grant === undefined) return [];
      const { kid = '' } = (await keys.get(parseSignature(logged.signature).kid)) ?? {};
      return [{ id, grant, kid }];
    }),
  );
  return found.flat();
}

async function consentEvidence({ resources, records }: EvidenceDeps, id: string, version: string) {
  const found = await resources.history({ type: 'Consent', id, version, scope: 'internal', limit: 1 });
  const row = found.kind === 'rows' ? found.rows[0] : undefined;
  const kept = (await records.get(SIGNED, id))?.value as ConsentRecord | undefined;
  if (!row || !kept) return undefined;
  const { statement, approvals } = kept;
  return {
    reference: `Consent/${id}`,
    version,
    consent: row.body,
    statement,
    signatures: approvals.map(({ jws }) => jws),
    kids: approvals.map(({ kid }) => kid),
    under: approvals.flatMap(({ authority }) => authority ?? []),
  };
}
