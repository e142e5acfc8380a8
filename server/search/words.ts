/**
 * Takes text apart into the words by which `_text` and `_content` find it. https://hl7.org/fhir/R4/search.html#text
 *
 * Words are runs of letters and digits of the folded text (text.ts). Scripts that are written without spaces have none: there every character
 * with the one after it is a term. A run's last character is one alone, so a single character begins a term wherever it stands.
 * Frozen with the index keys.
 */
import { foldText } from './text.ts';

const PLAIN = /^[0-9a-z]+(?: [0-9a-z]+)*$/;
const SPACELESS = String.raw`\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}\p{scx=Bopomofo}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}`;
const RUNS = new RegExp(String.raw`[[\p{L}\p{N}]&&[${SPACELESS}]]+|[[\p{L}\p{N}]--[${SPACELESS}]]+`, 'gv');
const IS_SPACELESS = new RegExp(`^[${SPACELESS}]`, 'v');
/** 7.2 is not 72: in a number the point parts digits, where folding would drop it. */
const POINT = /(?<=\p{Nd})[.．](?=\p{Nd})/gu;

/** Words, and runs of a script without spaces, in their order. */
export function runsOf(text: string): readonly string[] {
  const folded = foldText(text.includes('.') || text.includes('．') ? text.replace(POINT, ' ') : text);
  // Folding takes Hangul apart.
  return PLAIN.test(folded) ? folded.split(' ') : (folded.normalize('NFC').match(RUNS) ?? []);
}

export function isSpaceless(run: string): boolean {
  return run > '\u02ff' && IS_SPACELESS.test(run);
}

/** What stands in the index for a run. */
export function termsOf(run: string): readonly string[] {
  if (!isSpaceless(run)) return [run];
  const characters = [...run];
  return characters.map((character, i) => character + (characters[i + 1] ?? ''));
}

const APART = ' | '; // no word has it, so no phrase reaches over it

/** Texts as what a phrase is looked for in. */
export function packRuns(texts: readonly (readonly string[])[]): string {
  const packed = texts.flatMap((runs) => (runs.length > 0 ? [runs.join(' ')] : [])).join(APART);
  return packed === '' ? '' : ` ${packed} `;
}

/** What packed texts contain that have these runs one after the other. In a script without spaces a run may go on to either side. */
export function packedPhrase(runs: readonly string[]): string {
  const edge = (run: string | undefined) => (run === undefined || isSpaceless(run) ? '' : ' ');
  return `${edge(runs[0])}${runs.join(' ')}${edge(runs.at(-1))}`;
}
