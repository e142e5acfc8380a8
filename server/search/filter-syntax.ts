/**
 * The grammar of `_filter`: text in, tree out. https://hl7.org/fhir/R4/search_filter.html
 *
 * Invariant: the whole text is read or none of it, and what stops the reading is named with its place; depth and size are bounded before
 * anything is asked of the tree. `and` and `or` have one precedence and are taken from left to right, as R4 says.
 */
export const OPERATORS = [
  'eq', 'ne', 'co', 'sw', 'ew', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb', 'pr', 'po', 'ss', 'sb', 'in', 'ni', 're',
] as const; // biome-ignore format: one row of the table in R4
export type Operator = (typeof OPERATORS)[number];

/** `name`: of a parameter, with the type after a colon where one is named. `where`: what holds for that to which this step leads. */
export type Step = { readonly name: string; readonly where: FilterTree | undefined };
export type FilterTest = {
  readonly kind: 'test';
  /** At least one. */
  readonly path: readonly Step[];
  readonly operator: Operator;
  readonly value: string;
  /** Place in the text, from 1. */
  readonly at: number;
};
export type FilterTree =
  | FilterTest
  | { readonly kind: 'and' | 'or'; readonly of: readonly FilterTree[] }
  | { readonly kind: 'not'; readonly of: FilterTree };

/** Why a filter cannot be used: the rest of the sentence `The search parameter "_filter" …`. */
export type Unread = { readonly kind: 'unread'; readonly why: string };

const LONGEST = 4_000;
const MOST_TESTS = 50;
const DEEPEST = 10;

export function readFilterTree(text: string): FilterTree | Unread {
  if (text.length > LONGEST) return { kind: 'unread', why: `is longer than ${LONGEST} characters` };
  try {
    const reader: Reader = { text, at: 0, tests: 0 };
    const tree = readLogic(reader, 0);
    return skip(reader) === '' ? tree : fail(reader, '"and", "or" or the end is expected');
  } catch (error) {
    if (error instanceof SyntaxError) return { kind: 'unread', why: error.message };
    throw error;
  }
}

type Reader = { readonly text: string; at: number; tests: number };

function fail({ at }: Reader, why: string): never {
  throw new SyntaxError(`cannot be read at character ${at + 1}: ${why}`);
}

/** The next character that is not white space; '' at the end. */
function skip(reader: Reader): string {
  while (/\s/.test(reader.text[reader.at] ?? '')) reader.at++;
  return reader.text[reader.at] ?? '';
}

/** What the pattern, which is sticky, matches here. */
function take(reader: Reader, pattern: RegExp): string | undefined {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text)?.[0];
  if (found !== undefined) reader.at += found.length;
  return found;
}

function readLogic(reader: Reader, depth: number): FilterTree {
  if (depth > DEEPEST) fail(reader, `there are more than ${DEEPEST} filters inside each other`);
  let left = readOne(reader, depth);
  for (;;) {
    skip(reader);
    const word = take(reader, /(?:and|or)(?![^\s(])/y) as 'and' | 'or' | undefined;
    if (word === undefined) return left;
    const right = readOne(reader, depth);
    left = { kind: word, of: left.kind === word ? [...left.of, right] : [left, right] };
  }
}

function readOne(reader: Reader, depth: number): FilterTree {
  skip(reader);
  const negated = take(reader, /not(?=\s*\()/y) !== undefined;
  if (skip(reader) !== '(') return readPathTest(reader, depth);
  const inner = readInside(reader, ')', depth);
  // In a tree of its own, so that (a or b) or c stays as it was grouped; that says the same.
  return negated ? { kind: 'not', of: inner } : inner;
}

/** From an opening bracket to the closing one. */
function readInside(reader: Reader, close: ')' | ']', depth: number): FilterTree {
  reader.at++;
  const inner = readLogic(reader, depth + 1);
  if (skip(reader) !== close) fail(reader, `"${close}" is expected`);
  reader.at++;
  return inner;
}

const NAME = /[A-Za-z_][\w-]*(?::[A-Za-z]+)?/y;

function readPathTest(reader: Reader, depth: number): FilterTest {
  if (++reader.tests > MOST_TESTS) fail(reader, `there are more than ${MOST_TESTS} tests`);
  const at = reader.at + 1;
  const path: Step[] = [];
  for (;;) {
    const name = take(reader, NAME) ?? fail(reader, 'the name of a search parameter is expected');
    const where = reader.text[reader.at] === '[' ? readInside(reader, ']', depth) : undefined;
    path.push({ name, where });
    if (reader.text[reader.at] !== '.') {
      if (where) fail(reader, '"." is expected');
      break;
    }
    reader.at++;
  }
  if (!/\s/.test(reader.text[reader.at] ?? '')) fail(reader, 'a space and an operator are expected');
  skip(reader);
  const before = reader.at;
  const operator = take(reader, /[a-z]+(?=\s)/y);
  if (!isOperator(operator)) fail({ ...reader, at: before }, `one of ${OPERATORS.join(', ')} and a value are expected`);
  skip(reader);
  return { kind: 'test', path, operator, value: readText(reader), at };
}

function isOperator(text: string | undefined): text is Operator {
  return (OPERATORS as readonly (string | undefined)[]).includes(text);
}

function readText(reader: Reader): string {
  const quoted = take(reader, /"(?:[^"\\]|\\.)*"/sy);
  if (quoted === undefined) return take(reader, /[^\s)\]"][^\s)\]]*/y) ?? fail(reader, 'a value is expected');
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return fail(reader, 'the text before is no JSON string');
  }
}
