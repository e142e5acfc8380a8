/**
 * What a FHIRPath expression of somebody else's leads to, found out before it is evaluated at every write: the data types of its values, by the
 * elements of R4. https://hl7.org/fhir/R4/fhirpath.html
 *
 * Invariant: what is accepted is evaluated in time that grows with the resource and no faster: no recursion over the tree, no pattern, no
 * condition within a condition, and nothing that looks at the whole resource again for each value.
 */
import {
  AndAtom,
  AsAtom,
  type Atom,
  DotAtom,
  EqualsAtom,
  FunctionAtom,
  IndexerAtom,
  IsAtom,
  LiteralAtom,
  NotEqualsAtom,
  OrAtom,
  parseFhirPath,
  SymbolAtom,
  UnionAtom,
} from '@medplum/core';
import { elementsOf } from '../fhir/elements/elements.ts';
import { isSimpleExpression } from './extract.ts';

/** `why`: a clause that goes on from "The expression". */
export type ExpressionTypes = { readonly types: ReadonlySet<string> } | { readonly why: string };

const LONGEST = 1_000;
const DEEPEST = 60;

/** `type`: where the expression begins, a resource type or what an expression before led to. */
export function typesOf(expression: string, type: string): ExpressionTypes {
  if (expression.length > LONGEST) return { why: `is longer than ${LONGEST} characters` };
  try {
    const atom = parseFhirPath(expression).child;
    const whole = isSimpleExpression(expression, type);
    return { types: walk(atom, { from: new Set([type]), root: type, inCondition: false, depth: 0, simple: whole }) };
  } catch (error) {
    return { why: error instanceof Unusable ? error.message : 'does not parse as FHIRPath' };
  }
}

/** Never leaves this file. */
class Unusable extends Error {}

type At = {
  readonly from: ReadonlySet<string>;
  /** What the expression begins with by name; undefined: no name begins it here. */
  readonly root: string | undefined;
  readonly inCondition: boolean;
  readonly depth: number;
  /** Compiled, and not for the general engine, which compares every value of a union with every other. */
  readonly simple: boolean;
};

const BOOLEAN: ReadonlySet<string> = new Set(['boolean']);

function walk(atom: Atom, given: At): ReadonlySet<string> {
  const at = { ...given, depth: given.depth + 1 };
  if (at.depth > DEEPEST) throw new Unusable('is nested too deeply');
  if (atom instanceof SymbolAtom) return symbol(atom.name, at);
  if (atom instanceof DotAtom) {
    const left = walk(atom.left, at);
    return step(atom.right, { ...at, from: left, root: undefined });
  }
  if (atom instanceof FunctionAtom) return step(atom, at);
  if (atom instanceof IndexerAtom) return indexed(atom, at);
  if (atom instanceof AsAtom) return narrowed(walk(atom.left, at), atom.right);
  if (atom instanceof IsAtom) return isOf(atom, at);
  if (atom instanceof UnionAtom) return union(atom, at);
  if (atom instanceof LiteralAtom) return new Set([atom.value.type]);
  if (atom instanceof EqualsAtom || atom instanceof NotEqualsAtom || atom instanceof AndAtom || atom instanceof OrAtom) {
    walk(atom.left, at);
    walk(atom.right, at);
    return BOOLEAN;
  }
  throw new Unusable('uses an operator that is not evaluated at every write: paths, where, exists, =, !=, and, or, is, as and | can be used');
}

function symbol(name: string, { from, root }: At): ReadonlySet<string> {
  if (root !== undefined && (name === root || name === 'Resource' || name === 'DomainResource')) return new Set([root]);
  if (!/^[a-z]\w*$/.test(name)) throw new Unusable(`begins at ${shown(name)}, which is not where it starts`);
  const found = [...from].flatMap((type) => childrenOf(type).flatMap((child) => (child.name === name || child.element === name ? [child.type] : [])));
  if (found.length === 0) throw new Unusable(`leads to ${shown(name)}, which is no element of ${[...from].slice(0, 3).join(' or ')}`);
  return new Set(found);
}

function childrenOf(type: string): { readonly name: string; readonly element: string; readonly type: string }[] {
  return [...(elementsOf(type)?.values() ?? [])];
}

/** What stands to the right of a point. */
function step(atom: Atom, at: At): ReadonlySet<string> {
  if (atom instanceof SymbolAtom) return symbol(atom.name, at);
  if (!(atom instanceof FunctionAtom)) throw new Unusable('has something other than an element or a function after a point');
  const [argument, ...more] = atom.args;
  if (more.length > 0) throw new Unusable(`gives ${shown(atom.name)} more than it takes`);
  switch (atom.name) {
    case 'where':
      if (!argument) throw new Unusable('has a where() without a condition');
      condition(argument, at);
      return at.from;
    case 'exists':
    case 'empty':
    case 'not':
    case 'hasValue':
      if (argument) condition(argument, at);
      return BOOLEAN;
    case 'first':
    case 'last':
    case 'single':
      if (argument) throw new Unusable(`gives ${shown(atom.name)} more than it takes`);
      return at.from;
    case 'ofType':
    case 'as':
      return narrowed(at.from, argument);
    case 'extension':
      if (!(argument instanceof LiteralAtom)) throw new Unusable('has an extension() without the url it is for');
      return new Set(['Extension']);
    default:
      throw new Unusable(`uses ${shown(atom.name)}(), which is not evaluated at every write`);
  }
}

/** Of a condition the elements are those of each value. */
function condition(atom: Atom, at: At): void {
  if (at.inCondition) throw new Unusable('has a condition within a condition: it would cost more than grows with the resource');
  walk(atom, { ...at, root: undefined, inCondition: true });
}

function narrowed(from: ReadonlySet<string>, wanted: Atom | undefined): ReadonlySet<string> {
  const name = wanted instanceof SymbolAtom ? wanted.name.replace(/^FHIR\./, '') : '';
  if (!from.has(name)) throw new Unusable(`asks for values of the type ${shown(name)}, which there are none of`);
  return new Set([name]);
}

/** `resolve() is Patient` looks at the text of the reference; nothing is read. */
function isOf({ left, right }: IsAtom, at: At): ReadonlySet<string> {
  if (!(right instanceof SymbolAtom)) throw new Unusable('has an is without the name of a type');
  const resolved = left instanceof FunctionAtom && left.name === 'resolve' && left.args.length === 0;
  if (!resolved) walk(left, at);
  return BOOLEAN;
}

function indexed({ left, expr }: IndexerAtom, at: At): ReadonlySet<string> {
  if (!(expr instanceof LiteralAtom)) throw new Unusable('has an index that is no number');
  return walk(left, at);
}

function union({ left, right }: UnionAtom, at: At): ReadonlySet<string> {
  if (!at.simple)
    throw new Unusable('is a union of parts that need more than a path with simple conditions: make them search parameters of their own');
  return new Set([...walk(left, at), ...walk(right, at)]);
}

/** A name comes from outside. */
function shown(name: string): string {
  return `"${name.slice(0, 40).replace(/[^\x20-\x7e]/g, '?')}"`;
}
