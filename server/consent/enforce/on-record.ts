/** What the record says about a patient, asked before somebody signs in their name: that they live, and who manages it. consent.md §5–§6 */
import { AssentError } from '../../errors.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { ResourceStore, StoredResource } from '../../store/port.ts';

type OnRecord = { readonly resources: Pick<ResourceStore, 'find'> };

/** The patient's managing organization and those above it; undefined: none is stated. */
export async function custodiansOf(deps: OnRecord, patient: string): Promise<ReadonlySet<string> | undefined> {
  const managing = ((await newest(deps, 'Patient', patient))?.['managingOrganization'] as { reference?: string } | undefined)?.reference;
  if (managing === undefined) return undefined;
  const custodians = new Set<string>();
  for (let reference: string | undefined = managing; reference !== undefined && !custodians.has(reference); ) {
    custodians.add(reference);
    const organization: ResourceValue | undefined = await newest(deps, 'Organization', reference.slice('Organization/'.length));
    reference = (organization?.['partOf'] as { reference?: string } | undefined)?.reference;
  }
  return custodians;
}

/**
 * Whoever holds the key of a patient who has died is not the patient: what was signed in life stays in force, and the custodian suspends it. Asked only
 * once a signature holds. Throws AssentError('invalid-signature').
 */
export async function requireLiving(deps: OnRecord, patient: string): Promise<void> {
  if (await isDeceased(deps, patient))
    throw new AssentError('invalid-signature', 'The record says that the patient has died: their key signs nothing more.');
}

/** As the stored Patient says now; of whom none is stored, not. */
export async function isDeceased(deps: OnRecord, patient: string): Promise<boolean> {
  const record = await newest(deps, 'Patient', patient);
  return record?.['deceasedBoolean'] === true || record?.['deceasedDateTime'] !== undefined;
}

/** Whether a Patient with this id is stored, and not known to have died. */
export async function isLiving(deps: OnRecord, patient: string): Promise<boolean> {
  return (await newest(deps, 'Patient', patient)) !== undefined && !(await isDeceased(deps, patient));
}

export async function newest(deps: OnRecord, type: string, id: string): Promise<ResourceValue | undefined> {
  const row = await storedById(deps, type, id);
  return row && (JSON.parse(row.body) as ResourceValue);
}

export async function storedById(deps: OnRecord, type: string, id: string): Promise<StoredResource | undefined> {
  const found = await deps.resources.find({
    type,
    where: { kind: 'id', ids: new Set([id]) },
    scope: 'internal',
    order: { by: 'instant', direction: 'newest-first' },
    limit: 1,
  });
  return found.kind === 'rows' ? found.rows[0] : undefined;
}
