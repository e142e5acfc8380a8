import type { Anchoring } from '../anchoring/anchoring.ts';

/** A version of a Consent (`Consent/x/_history/1`): its entry, or by an earlier server only its text. */
export function isErasedIn(tail: Anchoring['tail'], version: string): boolean {
  return tail.isErased(version) || tail.latest(version.split('/_history/')[0] ?? '')?.kind === 'erasure';
}
