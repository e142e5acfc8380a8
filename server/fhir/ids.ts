/**
 * Logical ids and version ids: 128 random bits in FHIR's id syntax. https://hl7.org/fhir/R4/datatypes.html#id
 *
 * Invariant: neither tells order, count or time; nobody can guess one (consent.md §3). An id made for one patient's resource tells which of
 * 256 buckets the patient falls in, so that a store spread over machines keeps a record together (docs/adr/0011-a-record-on-one-shard.md).
 */
import { hash, randomFillSync } from 'node:crypto';

const LENGTH = 25; // 128 bits in base 36

/** `patient`: logical id of the one patient that the new resource names. */
export function newId(patient?: string): string {
  return patient === undefined ? randomText() : newIdIn(bucketOf('Patient', patient));
}

export function newIdIn(bucket: string): string {
  return bucket + randomText();
}

export function newVersion(): string {
  return randomText();
}

const MADE_FOR_PATIENT = new RegExp(`^[0-9a-f]{2}[0-9a-z]{${LENGTH}}$`);

/**
 * Where a store that is spread over machines keeps a resource: two hexadecimal digits, from its type and id alone, so that whoever has the
 * reference knows the place. Frozen once released: it is stored with each resource.
 */
export function bucketOf(type: string, id: string): string {
  if (type !== 'Patient' && MADE_FOR_PATIENT.test(id)) return id.slice(0, 2);
  return hash('sha256', `${type}/${id}`).slice(0, 2);
}

// Asked of the system some hundred ids at a time; every byte is used once and then overwritten.
const pool = new BigUint64Array(512);
let used = pool.length;

function randomText(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const [high, low] = [pool[used] as bigint, pool[used + 1] as bigint];
  pool.fill(0n, used, used + 2);
  used += 2;
  return ((high << 64n) | low).toString(36).padStart(LENGTH, '0');
}

export function isId(text: string): boolean {
  return /^[A-Za-z0-9\-.]{1,64}$/.test(text);
}
