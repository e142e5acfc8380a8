/**
 * Which patients have something outside their bucket. A resource is astray when it names a patient whose bucket is not its own; the patient is
 * marked, once and for ever, in the commit that makes it so or before. docs/adr/0011-a-record-on-one-shard.md
 *
 * Invariant: in every snapshot in which a resource is astray the patient has the mark. So where a snapshot has no mark, all that names
 * the patient, by whatever key, is in the patient's bucket.
 */
import type { ClientSession } from 'mongodb';
import { bucketOf } from '../../fhir/ids.ts';
import { patientOfKey } from '../../search/keys.ts';
import type { StoredResource } from '../port.ts';
import type { Collections } from './connection.ts';
import type { Mark } from './documents.ts';
import { isDuplicate } from './faults.ts';

/** Ids of the patients that this resource marks. A deletion counts: it keeps the keys that its content had. */
export function markedBy({ type, id, keys }: Pick<StoredResource, 'type' | 'id' | 'keys'>): string[] {
  const patients = new Set(keys.flatMap((key) => patientOfKey(key) ?? []));
  if (patients.size === 0) return [];
  const own = bucketOf(type, id);
  return [...patients].filter((patient) => bucketOf('Patient', patient) !== own);
}

export function markOf(patient: string): Mark {
  return { _id: patient, s: bucketOf('Patient', patient) };
}

/** Does nothing where they are marked. */
export async function mark({ astray }: Pick<Collections, 'astray'>, patients: Iterable<string>, session?: ClientSession): Promise<void> {
  const writes = [...new Set(patients)].map((patient) => {
    const { _id, s } = markOf(patient);
    return { updateOne: { filter: { _id, s }, update: { $setOnInsert: { _id, s } }, upsert: true } };
  });
  if (writes.length === 0) return;
  try {
    await astray.bulkWrite(writes, session ? { session } : { ordered: false });
  } catch (error) {
    // Somebody else makes one at this moment. Asked again, the database confirms that a majority has it; a transaction is run again as a whole.
    if (session || !isDuplicate(error)) throw error;
    await mark({ astray }, patients);
  }
}

/**
 * Patients of whom this process knows that they are marked: of committed marks only, so that whatever it commits after them comes after them.
 * An import then pays once for each patient.
 */
export type KnownMarks = { has(patient: string): boolean; add(patients: Iterable<string>): void };

const MOST_REMEMBERED = 200_000;

export function rememberMarks(): KnownMarks {
  const known = new Set<string>();
  return {
    has: (patient) => known.has(patient),
    add: (patients) => {
      if (known.size >= MOST_REMEMBERED) known.clear();
      for (const patient of patients) known.add(patient);
    },
  };
}
