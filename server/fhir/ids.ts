/**
 * Logical ids and version ids: 128 random bits in FHIR's id syntax. https://hl7.org/fhir/R4/datatypes.html#id
 *
 * Invariant: neither tells order, count or time; nobody can guess one (consent.md §3).
 */
import { randomFillSync } from 'node:crypto';

const LENGTH = 25; // 128 bits in base 36

export function newId(): string {
  return randomText();
}

export function newVersion(): string {
  return randomText();
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
