/**
 * Logical ids and version ids: 128 random bits in FHIR's id syntax. https://hl7.org/fhir/R4/datatypes.html#id
 *
 * Invariant: neither tells order, count or time; nobody can guess one (consent.md §3).
 */
import { randomBytes } from 'node:crypto';

const LENGTH = 25; // 128 bits in base 36

export function newId(): string {
  return randomText();
}

export function newVersion(): string {
  return randomText();
}

function randomText(): string {
  return BigInt(`0x${randomBytes(16).toString('hex')}`)
    .toString(36)
    .padStart(LENGTH, '0');
}

export function isId(text: string): boolean {
  return /^[A-Za-z0-9\-.]{1,64}$/.test(text);
}
