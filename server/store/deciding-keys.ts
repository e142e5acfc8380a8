/**
 * The few keys that nearly every decision rests on: whom a resource names, how it is labelled, who wrote it, what is not known of it. Engines keep
 * them beside the index as well, apart from all the others, so that counting what a caller may see reads a hundred bytes of a row and not thousands.
 * Resources of one patient that are labelled alike have the same: each such text is judged once. docs/adr/0051-deciding-keys.md
 *
 * Invariant: a judgement is what the expression says of every resource with these deciding keys, or undefined. What differs from row to row (dates,
 * codes, references, ids) is not among them; where a Consent asks for it, the row's own keys are read.
 */
import { type Expression, holds } from '../search/expression.ts';
import { unpackKeys } from './packed-keys.ts';

/** Beginnings, frozen: stored with each resource. One more takes a migration. */
const BEGINNINGS = [
  '@patient/',
  '@writer/',
  '@own/',
  '@owner/',
  '~patient?',
  '~rank/',
  '~sens/',
  '~labelled/',
  '~sealed',
  '~part/',
  '~part?',
  '~refs',
  '~undated',
  '~any?',
  '~context',
  '~target?',
] as const;

export function isDeciding(key: string): boolean {
  return BEGINNINGS.some((beginning) => key.startsWith(beginning));
}

/** Of packed keys those that decide, packed. */
export function decidingPart(packed: string): string {
  let part = '';
  for (let at = 0, end = packed.indexOf('\n'); end !== -1; at = end + 1, end = packed.indexOf('\n', at)) {
    const first = packed[at];
    if (first !== '@' && first !== '~') continue;
    const key = packed.slice(at, end);
    if (isDeciding(key)) part += `${key}\n`;
  }
  return part;
}

/** Whether the expression may be judged by deciding keys; where it is not, they need not be read. */
export function mayBeJudged(expression: Expression): boolean {
  switch (expression.kind) {
    case 'all':
    case 'none':
      return true;
    case 'and':
      return expression.of.every(mayBeJudged);
    case 'or':
      return expression.of.some(mayBeJudged);
    case 'not':
      return mayBeJudged(expression.of);
    case 'any':
      return hasDeciding(expression.keys);
    default:
      return isWithin(expression);
  }
}

/** Asked for each search: the names of all patients are not gone through to find one. */
function hasDeciding(keys: ReadonlySet<string>): boolean {
  for (const key of keys) if (isDeciding(key)) return true;
  return false;
}

/** `deciding`: packed. Undefined: that depends on other keys, or on its id. */
export type Judge = (deciding: string) => boolean | undefined;

const MOST_REMEMBERED = 100_000;

/** With what it remembers, kept as long as the expression is. */
const judges = new WeakMap<Expression, Judge>();

export function judgeOf(expression: Expression): Judge {
  let judge = judges.get(expression);
  if (!judge) judges.set(expression, (judge = remembering(judging(expression))));
  return judge;
}

/** The same, remembering nothing. */
export function judgementOf(expression: Expression): Judge {
  const judge = judging(expression);
  return (deciding) => judge(unpackKeys(deciding));
}

type Judging = (keys: readonly string[]) => boolean | undefined;

/**
 * Kept as long as the expression is. A scope serves every search of its view, and may name every patient there is; each search makes a conjunction of it and
 * of its own criteria: another one each time, of the same parts.
 */
const judgings = new WeakMap<Expression, Judging>();

function judging(expression: Expression): Judging {
  let judge = judgings.get(expression);
  if (!judge) judgings.set(expression, (judge = judgingOf(expression)));
  return judge;
}

function remembering(judge: Judging): Judge {
  const known = new Map<string, boolean | undefined>();
  return (deciding) => {
    const before = known.get(deciding);
    if (before !== undefined || known.has(deciding)) return before;
    if (known.size >= MOST_REMEMBERED) known.clear();
    const judgement = judge(unpackKeys(deciding));
    known.set(deciding, judgement);
    return judgement;
  };
}

/** Three values: what is not known stays unknown unless the rest settles it. */
function judgingOf(expression: Expression): Judging {
  switch (expression.kind) {
    case 'id':
      return () => undefined;
    case 'and':
    case 'or': {
      const settles = expression.kind === 'or';
      const parts = expression.of.map(judging);
      return (keys) => {
        let judgement: boolean | undefined = !settles;
        for (const part of parts) {
          const one = part(keys);
          if (one === settles) return settles;
          if (one === undefined) judgement = undefined;
        }
        return judgement;
      };
    }
    case 'not': {
      const part = judging(expression.of);
      return (keys) => {
        const judgement = part(keys);
        return judgement === undefined ? undefined : !judgement;
      };
    }
    default: {
      if (isWithin(expression)) return (keys) => holds(expression, '', keys);
      // One key more can only break `every`, and only fulfil the others.
      const settled = expression.kind !== 'every';
      return (keys) => (holds(expression, '', keys) === settled ? settled : undefined);
    }
  }
}

/** Whether it looks at deciding keys alone. */
function isWithin(expression: Exclude<Expression, { readonly kind: 'and' | 'or' | 'not' }>): boolean {
  switch (expression.kind) {
    case 'all':
    case 'instants':
    case 'none':
      return true;
    case 'id':
      return false;
    case 'any':
      return [...expression.keys].every(isDeciding);
    case 'range':
      return BEGINNINGS.some((beginning) => expression.from.startsWith(beginning) && expression.to.startsWith(beginning));
    default:
      return isDeciding(expression.prefix);
  }
}
