/**
 * Whether a resource says what `_text` or `_content` asks, by reading its texts from the beginning to the end, character by character: written
 * without regard to terms and packed texts, against which words.ts and criteria.ts are tested.
 */
import type { TextQuery } from './text-query.ts';
import { foldText } from './text.ts';

/** A word, or one character of a script without spaces. `goesOn`: it follows the one before it without a gap. */
type Unit = { readonly text: string; readonly spaceless: boolean; readonly goesOn: boolean };

export function saysWords(texts: readonly string[], query: TextQuery): boolean {
  switch (query.kind) {
    case 'not':
      return !saysWords(texts, query.of);
    case 'and':
      return query.of.every((part) => saysWords(texts, part));
    case 'or':
      return query.of.some((part) => saysWords(texts, part));
    case 'phrase': {
      const wanted = unitsOf(query.text);
      return texts.some((text) => standsIn(unitsOf(text), wanted));
    }
  }
}

function standsIn(units: readonly Unit[], wanted: readonly Unit[]): boolean {
  return units.some((_, start) =>
    wanted.every(({ text, spaceless, goesOn }, i) => {
      const unit = units[start + i];
      return unit?.text === text && (unit.goesOn === goesOn || (i === 0 && spaceless));
    }),
  );
}

const COUNTS = /^[\p{L}\p{N}]$/u;
const SPACELESS =
  /^(?:\p{scx=Han}|\p{scx=Hiragana}|\p{scx=Katakana}|\p{scx=Hangul}|\p{scx=Bopomofo}|\p{sc=Thai}|\p{sc=Lao}|\p{sc=Khmer}|\p{sc=Myanmar})$/u;
/** Inside a word they count for nothing. */
const SILENT = /^(?:['.\u2018\u2019\u02bc\u02b9\u201b\u2032\u00b7\u2027`]|\p{Cf}|\p{M})$/u;

function unitsOf(text: string): readonly Unit[] {
  const units: Unit[] = [];
  let word = '';
  let runs = false;
  const endWord = (): void => {
    if (word !== '') units.push({ text: word, spaceless: false, goesOn: false });
    word = '';
  };
  for (const character of charactersOf(text)) {
    if (SILENT.test(character)) continue;
    if (SPACELESS.test(character) && COUNTS.test(character)) {
      endWord();
      units.push({ text: character, spaceless: true, goesOn: runs });
      runs = true;
      continue;
    }
    runs = false;
    if (COUNTS.test(character)) word += character;
    else endWord();
  }
  endWord();
  return units;
}

/** Folded one by one; a point between two digits parts them. */
function charactersOf(text: string): readonly string[] {
  const written = [...text.toWellFormed()];
  const isDigit = (one: string | undefined) => one !== undefined && /^\p{Nd}$/u.test(one);
  return written.flatMap((one, i) => {
    if ((one === '.' || one === '．') && isDigit(written[i - 1]) && isDigit(written[i + 1])) return [' '];
    return [...one.normalize('NFKC')].flatMap((part) => (COUNTS.test(part) ? [...foldText(part).normalize('NFC')] : [part]));
  });
}
