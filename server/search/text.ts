/**
 * Folds text so that search does not depend on accents, case, width or spacing. https://hl7.org/fhir/R4/search.html#string
 *
 * Frozen with the index keys: folded text is what is stored in them.
 */

const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

/** NFKD, marks removed, lower case, white space collapsed. */
export function foldText(text: string): string {
  if (PLAIN.test(text)) return text.toLowerCase();
  const base = text
    .toWellFormed()
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
  return base
    .replaceAll('ς', 'σ')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
}

/** Control characters would collide with the separators of keys; unpaired surrogates have no UTF-8. */
export function cleanText(text: string): string {
  if (PLAIN.test(text)) return text;
  const visible = /[\u0000-\u001f\u007f]/.test(text) ? text.replace(/[\u0000-\u001f\u007f]/g, ' ') : text;
  return visible.isWellFormed() ? visible : visible.toWellFormed();
}
