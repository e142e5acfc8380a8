/**
 * The evaluator of expression.ts on packed keys as they stand: only the lines that begin as a criterion's keys do are looked at. Unpacking forty
 * keys to look at one costs more than all the rest of a row.
 *
 * Invariant: holdsPacked(expression, id, packKeys(keys)) equals holds(expression, id, keys).
 */
import { type Expression, holds } from '../search/expression.ts';
import { unpackKeys } from './packed-keys.ts';

/** Whether a resource with this id and these keys, packed by packKeys, satisfies the expression. */
export function holdsPacked(expression: Expression, id: string, packed: string): boolean {
  // An escaped key is another text than it was.
  return packed.includes('\\') ? holds(expression, id, unpackKeys(packed)) : checkOf(expression)(id, packed);
}

type Check = (id: string, packed: string) => boolean;

/** Searches of a row's keys for one criterion, since the process began: what a check takes of a thread's time, where hundreds of alternatives are asked. */
let searched = 0;
export const searchesOfKeys = (): number => searched;

/** Kept as long as the expression is: a scope serves every search of its view. */
const known = new WeakMap<Expression, Check>();

function checkOf(expression: Expression): Check {
  let check = known.get(expression);
  if (!check) known.set(expression, (check = made(expression)));
  return check;
}

function made(expression: Expression): Check {
  switch (expression.kind) {
    case 'all':
    case 'instants':
      return () => true;
    case 'none':
      return () => false;
    case 'id':
      return (id) => expression.ids.has(id);
    case 'any':
      return someOf(expression.keys);
    case 'every': {
      const other = someLine(expression.prefix, (key) => key.startsWith(expression.prefix) && !expression.keys.has(key));
      return (id, packed) => !other(id, packed);
    }
    case 'range':
      return someLine(sharedBeginning([expression.from, expression.to]), (key) => holds(expression, '', [key]));
    case 'interval':
    case 'contains':
    case 'ends':
    case 'tuple':
    case 'near':
      return someLine(expression.prefix, (key) => holds(expression, '', [key]));
    case 'and': {
      const parts = expression.of.map(checkOf);
      return (id, packed) => parts.every((part) => part(id, packed));
    }
    case 'or': {
      const parts = expression.of.map(checkOf);
      return (id, packed) => parts.some((part) => part(id, packed));
    }
    case 'not': {
      const part = checkOf(expression.of);
      return (id, packed) => !part(id, packed);
    }
  }
}

/** Each with what they share: names of patients and a mark of its own have nothing in common, and every line would have to be looked at. */
function someOf(keys: ReadonlySet<string>): Check {
  const alike = [...Map.groupBy(keys, ([first]) => first).values()];
  const checks = (alike.length <= MOST_APART ? alike : [[...keys]]).map((some) => someLine(sharedBeginning(some), (key) => keys.has(key)));
  return (id, packed) => checks.some((check) => check(id, packed));
}

const MOST_APART = 3;

function someLine(beginning: string, accept: (key: string) => boolean): Check {
  const lineFrom = startsRarely(beginning) ? rareLine : followingLine;
  return (_, packed) => {
    searched++;
    for (let at = packed.startsWith(beginning) ? 0 : lineFrom(packed, beginning, 0); at !== -1 && at < packed.length; ) {
      const end = packed.indexOf('\n', at);
      if (accept(packed.slice(at, end))) return true;
      at = lineFrom(packed, beginning, end);
    }
    return false;
  };
}

/** Facets, and what is kept aside: their first character stands nearly nowhere else, so that looking for it passes whole lines at once. */
function startsRarely(beginning: string): boolean {
  return beginning.startsWith('@') || beginning.startsWith('~');
}

function rareLine(packed: string, beginning: string, from: number): number {
  let at = packed.indexOf(beginning, from);
  while (at > 0 && packed[at - 1] !== '\n') at = packed.indexOf(beginning, at + 1);
  return at;
}

/** The keys with the beginning, and perhaps others. */
export function linesOf(packed: string, beginning: string): readonly string[] {
  if (packed.includes('\\')) return unpackKeys(packed);
  const lines: string[] = [];
  someLine(beginning, (key) => lines.push(key) === 0)('', packed);
  return lines;
}

/** Where the next line with the beginning begins; -1: there is none. */
function followingLine(packed: string, beginning: string, from: number): number {
  const at = packed.indexOf(`\n${beginning}`, from);
  return at === -1 ? -1 : at + 1;
}

/** UTF-16 units, which is what texts are compared by here. */
function sharedBeginning(texts: readonly string[]): string {
  const [first = ''] = texts;
  let length = first.length;
  for (const text of texts) {
    let same = 0;
    while (same < length && text.charCodeAt(same) === first.charCodeAt(same)) same++;
    length = same;
  }
  return first.slice(0, length);
}
