/**
 * Reads a value of `_text` and `_content`: words and "phrases", AND between them where nothing stands, OR, NOT, parentheses.
 * https://hl7.org/fhir/R4/search.html#text ("(bone OR liver) and metastases")
 *
 * Invariant: what cannot be read is named and refused; nothing in it is left out.
 */
import { runsOf, termsOf } from './words.ts';

/** `runs`: words one after the other. */
export type TextQuery =
  | { readonly kind: 'phrase'; readonly text: string; readonly runs: readonly string[] }
  | { readonly kind: 'and' | 'or'; readonly of: readonly TextQuery[] }
  | { readonly kind: 'not'; readonly of: TextQuery };

export type Why = { readonly why: string };

const MOST_CHARACTERS = 1_000;
const MOST_TERMS = 100;
const MOST_LEVELS = 10;

type Token = { readonly kind: '(' | ')' | 'and' | 'or' | 'not' } | { readonly kind: 'words'; readonly text: string };
type Reading = { readonly tokens: readonly Token[]; at: number; level: number };

export function readTextQuery(value: string): TextQuery | Why {
  if (value.length > MOST_CHARACTERS) return { why: `is longer than ${MOST_CHARACTERS} characters` };
  const tokens = tokensOf(value);
  if ('why' in tokens) return tokens;
  const reading: Reading = { tokens, at: 0, level: 0 };
  const found = readOr(reading);
  if ('why' in found) return found;
  if (reading.at < tokens.length) return { why: 'has a ) without a (' };
  return countOf(found) > MOST_TERMS ? { why: `asks for more than ${MOST_TERMS} words` } : found;
}

/** AND and OR are what they are in either case, as in the example of R4; "not" is a word of many texts, and only NOT is none. */
function tokensOf(value: string): readonly Token[] | Why {
  const tokens: Token[] = [];
  for (const [, bracket, phrase, open, word = ''] of value.matchAll(/([()])|"([^"]*)"|(")|([^\s()"]+)/g)) {
    if (open !== undefined) return { why: 'has a quotation mark that is not closed' };
    if (bracket !== undefined) tokens.push({ kind: bracket as '(' | ')' });
    else if (phrase !== undefined) tokens.push({ kind: 'words', text: phrase });
    else if (/^(?:and|or)$/i.test(word) || word === 'NOT') tokens.push({ kind: word.toLowerCase() as 'and' | 'or' | 'not' });
    else if (word.includes('*')) return { why: 'has a * in a word, and words are found whole' };
    else tokens.push({ kind: 'words', text: word });
  }
  return tokens;
}

function readOr(reading: Reading): TextQuery | Why {
  return readList(reading, 'or', (one) => readList(one, 'and', readOne));
}

/** What `kind` stands between; between the parts of an AND there may be nothing. */
function readList(reading: Reading, kind: 'and' | 'or', readPart: (reading: Reading) => TextQuery | Why): TextQuery | Why {
  const of: TextQuery[] = [];
  for (;;) {
    const part = readPart(reading);
    if ('why' in part) return part;
    of.push(part);
    const next = reading.tokens[reading.at]?.kind;
    if (next === kind) reading.at++;
    else if (kind === 'or' || next === undefined || next === 'or' || next === ')') break;
  }
  return of.length === 1 ? (of[0] as TextQuery) : { kind, of };
}

function readOne(reading: Reading): TextQuery | Why {
  const token = reading.tokens[reading.at++];
  switch (token?.kind) {
    case 'words': {
      const runs = runsOf(token.text);
      return runs.length === 0
        ? { why: 'has something with neither letters nor digits in place of a word' }
        : { kind: 'phrase', text: token.text, runs };
    }
    case 'not':
      return deeper(reading, (inner) => {
        const of = readOne(inner);
        return 'why' in of ? of : { kind: 'not', of };
      });
    case '(':
      return deeper(reading, (inner) => {
        const of = readOr(inner);
        if ('why' in of) return of;
        return inner.tokens[inner.at++]?.kind === ')' ? of : { why: 'has a ( that is not closed' };
      });
    default:
      return { why: 'needs a word or a phrase before, after and between AND, OR, NOT and parentheses' };
  }
}

function deeper(reading: Reading, read: (reading: Reading) => TextQuery | Why): TextQuery | Why {
  if (++reading.level > MOST_LEVELS) return { why: `goes more than ${MOST_LEVELS} levels deep` };
  const found = read(reading);
  reading.level--;
  return found;
}

function countOf(query: TextQuery): number {
  if (query.kind === 'phrase') return query.runs.reduce((sum, run) => sum + termsOf(run).length, 0);
  return query.kind === 'not' ? countOf(query.of) : query.of.reduce((sum, part) => sum + countOf(part), 0);
}
