/**
 * Of whom something is outside their bucket. A resource is astray when it names a patient whose bucket is not its own; the patient is marked
 * for resources of its type, once and for ever, in the commit that makes it so or before. docs/adr/0011-a-record-on-one-shard.md
 *
 * Invariant: in every snapshot in which a resource is astray its mark is. So where a snapshot has no mark for a type and a patient, every
 * resource of the type that names the patient, by whatever key, is in the patient's bucket.
 */
import type { ClientSession } from 'mongodb';
import { bucketOf } from '../../fhir/ids.ts';
import { patientOfKey } from '../../search/keys.ts';
import type { StoredResource } from '../port.ts';
import type { Collections } from './connection.ts';
import type { Mark } from './documents.ts';
import { isDuplicate } from './faults.ts';

export function markOf(type: string, patient: string): Mark {
  return { _id: `${type}/${patient}`, s: bucketOf('Patient', patient) };
}

/** The marks that have to be there when this resource is. A deletion counts: it keeps the keys that its content had. */
export function marksOf({ type, id, keys }: Pick<StoredResource, 'type' | 'id' | 'keys'>): Mark[] {
  const patients = new Set(keys.flatMap((key) => patientOfKey(key) ?? []));
  if (patients.size === 0) return [];
  const own = bucketOf(type, id);
  return [...patients].map((patient) => markOf(type, patient)).filter(({ s }) => s !== own);
}

/** Makes those that are not there. */
export async function mark({ astray }: Pick<Collections, 'astray'>, marks: readonly Mark[], session?: ClientSession): Promise<void> {
  const wanted = new Map(marks.map((one) => [one._id, one]));
  const writes = [...wanted.values()].map(({ _id, s }) => ({
    updateOne: { filter: { _id, s }, update: { $setOnInsert: { _id, s } }, upsert: true },
  }));
  if (writes.length === 0) return;
  try {
    await astray.bulkWrite(writes, session ? { session } : { ordered: false });
  } catch (error) {
    // Somebody else makes one at this moment. Asked again, the database confirms that a majority has it; a transaction is run again as a whole.
    if (session || !isDuplicate(error)) throw error;
    await mark({ astray }, marks);
  }
}

/**
 * Marks of which this process knows that they are there: committed ones only, so that whatever it commits after them comes after them. An
 * import then pays once for each patient and type.
 */
export type KnownMarks = { has(mark: Mark): boolean; add(marks: Iterable<Mark>): void };

const MOST_REMEMBERED = 200_000;

export function rememberMarks(): KnownMarks {
  const known = new Set<string>();
  return {
    has: ({ _id }) => known.has(_id),
    add: (marks) => {
      if (known.size >= MOST_REMEMBERED) known.clear();
      for (const { _id } of marks) known.add(_id);
    },
  };
}
