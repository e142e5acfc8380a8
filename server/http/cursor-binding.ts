/** A page link works for the caller it was given to, for the same question, and for nothing else. consent.md §3 */
import { askerOf } from './asker.ts';
import type { FhirRequest } from './interaction.ts';

/** `question`: the path and query of the page without its cursor. */
export function cursorBinding({ gate: { caller } }: FhirRequest, question: string): string {
  return JSON.stringify([askerOf(caller), question]);
}
