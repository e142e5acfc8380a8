/**
 * A query that is certain to be of one patient is asked only where that patient's record is, unless something of it is elsewhere. Behind a
 * router that is one shard instead of all; elsewhere nothing is gained, and nothing is done.
 *
 * Invariant: an aimed reader shows every resource that the query could match. The mark is read in the query's own snapshot; what is
 * counted outside of it is counted again where a mark has come meanwhile.
 */
import type { Expression } from '../../search/expression.ts';
import { patientOfKey } from '../../search/keys.ts';
import { markOf } from './astray.ts';
import { indexedKey } from './documents.ts';
import type { Reader } from './reader.ts';

/** `own`: the query's own key that names the patient, without its type. */
export type Aimed = Reader & { readonly own?: string };

export async function aim(reader: Reader, type: string, whole: Expression): Promise<Aimed> {
  const own = reader.routed ? keyOfPatient(whole) : undefined;
  const patient = own === undefined ? undefined : patientOfKey(own);
  if (own === undefined || patient === undefined) return reader;
  const mark = markOf(type, patient);
  if (await reader.isThere(mark, 'then')) return reader;
  const { s } = mark;
  return {
    ...reader,
    own,
    resources: (filter, options) => reader.resources({ ...filter, s }, options),
    size: async (filter, cap) => {
      // Of other keys most is elsewhere: to find this bucket's among them would be a walk without a bound.
      if (JSON.stringify(filter) !== JSON.stringify({ k: { $eq: indexedKey(type, own) } })) return reader.size(filter, cap);
      const size = await reader.size({ ...filter, s }, cap);
      return (await reader.isThere(mark, 'now')) ? reader.size(filter, cap) : size;
    },
  };
}

/** A key that everything the expression holds for has, and that names a patient. */
function keyOfPatient(whole: Expression): string | undefined {
  const parts = whole.kind === 'and' ? whole.of : [whole];
  for (const part of parts) {
    const [key, second] = part.kind === 'any' ? part.keys : [];
    if (key !== undefined && second === undefined && patientOfKey(key) !== undefined) return key;
  }
  return undefined;
}
