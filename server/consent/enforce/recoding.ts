/**
 * What is coded by its Medication follows it: codes of a prescription are made again when the Medication it names is coded otherwise. consent.md §2 rule 9
 *
 * Invariant: before the Medication changes, what names it has every code it had and will have, and is permitted by those alone that it keeps; so at no
 * moment, and not after a crash between the two, is it easier to see than it is or will be.
 */
import type { ResourceValue } from '../../fhir/resource.ts';
import type { ResourceStore, StoredResource } from '../../store/port.ts';
import { ANY_CODE, facetsOf, PATIENT, REFERS_TO, SEALED, UNKNOWN_CODE, UNKNOWN_PATIENT } from '../facets.ts';
import { isForSomebody, storedAt } from './concepts.ts';

type Deps = { readonly resources: Pick<ResourceStore, 'find'>; readonly base: string };

const PRIMARY = '~code/';
const MEDICATION = `${REFERS_TO}Medication/`;

function isCode(key: string): boolean {
  return key.startsWith(PRIMARY) || key.startsWith(ANY_CODE) || key === UNKNOWN_CODE;
}

/** Whether what names this Medication is coded otherwise from now on. */
export function recodes(row: StoredResource, replaced: StoredResource | undefined): boolean {
  if (row.type !== 'Medication') return false;
  const codes = ({ keys, deleted }: Pick<StoredResource, 'keys' | 'deleted'>) =>
    deleted ? undefined : keys.filter((key) => isCode(key) || key.startsWith(PATIENT) || key === UNKNOWN_PATIENT).sort();
  return JSON.stringify(replaced && codes(replaced)) !== JSON.stringify(codes(row));
}

/** Its keys with the codes of the Medications it names. `coming`: one that is not stored yet; what is told then holds before and after. */
export async function recoded({ resources, base }: Deps, stored: StoredResource, coming?: StoredResource): Promise<readonly string[]> {
  const names = stored.keys.filter((key) => key.startsWith(MEDICATION)).map((key) => key.slice(REFERS_TO.length));
  if (names.length === 0 || stored.keys.includes(SEALED)) return stored.keys;
  const found = await storedAt(resources, names, { bodies: true });
  if (coming) found.set(`${coming.type}/${coming.id}`, coming);
  const lookup = (reference: string): ResourceValue | undefined => {
    const medication = found.get(reference);
    // One that was made for somebody is not known here: referencedConcepts.
    return medication && !isForSomebody(medication) ? (JSON.parse(medication.body) as ResourceValue) : undefined;
  };
  const fresh = facetsOf(JSON.parse(stored.body) as ResourceValue, { writer: '', base, lookup }).filter(isCode);
  const before = stored.keys.filter(isCode);
  const kept = coming ? fresh.filter((key) => !key.startsWith(PRIMARY) || before.includes(key)) : fresh;
  const denied = coming ? before.filter((key) => !key.startsWith(PRIMARY)) : [];
  return [...new Set([...stored.keys.filter((key) => !isCode(key)), ...kept, ...denied])];
}
