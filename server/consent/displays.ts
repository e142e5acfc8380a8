/**
 * What the pinned codes mean, for people: the words HL7 publishes and Chinese ones. server/consent/code-systems.ts
 * Invariant: a code that has no words here stands for itself, and beside words always stands the code, which is what counts.
 */
import table from './displays.json' with { type: 'json' };

export type Coded = 'purposes' | 'sensitivities' | 'ranks';

/** `language`: a BCP 47 code; English for those that are not spoken here. */
export function displayOf(kind: Coded, code: string, language: string): string {
  const displays: Readonly<Record<string, readonly string[]>> = table[kind];
  const [english, chinese] = (Object.hasOwn(displays, code) ? displays[code] : undefined) ?? [code, code];
  return (/^zh\b/i.test(language) ? chinese : english) ?? code;
}

/** `treatment (TREAT)`. */
export function withCode(kind: Coded, code: string, language: string): string {
  const display = displayOf(kind, code, language);
  if (display === code) return code;
  return /^zh\b/i.test(language) ? `${display}（${code}）` : `${display} (${code})`;
}
