/**
 * FHIRPath that names places: a path is followed element by element, so what it selects can be edited; the criteria inside `where()` are
 * FHIRPath proper, evaluated by @medplum/core. https://hl7.org/fhir/R4/fhirpatch.html, https://hl7.org/fhirpath/N1/
 *
 * Invariant: an attacker controls the path. No function in it can take more than a look at each element (no regular expressions, no
 * descendants, no unions, no variables), the looks are paid from a budget, and it sees this one resource and nothing else.
 */
import * as fhirPath from '@medplum/core';
import { AssentError } from '../../errors.ts';
import { childrenOf, type Element, infosOf, type Slot } from './elements.ts';
import { textOf } from './tree.ts';

type Atom = fhirPath.FhirPathAtom['child'];

const LONGEST = 1000;
const SYMBOL = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Characters of the resource that criteria may look at. */
export type Budget = { characters: number };

/** Throws Unusable with words about the path alone. */
export function elementsAt(root: Element, path: string, budget: Budget): Element[] {
  return follow(parse(path), [root], { root, budget });
}

/** The list a path names: its parent and its name; the list itself may be absent. */
export function slotAt(root: Element, path: string, budget: Budget): Slot {
  const atom = parse(path);
  const context = { root, budget };
  const last = atom instanceof fhirPath.DotAtom ? atom.right : atom;
  if (!(last instanceof fhirPath.SymbolAtom) || !SYMBOL.test(last.name)) throw new Unusable('its path must end with the name of a list');
  const owners = atom instanceof fhirPath.DotAtom ? follow(atom.left, [root], context) : [root];
  const [owner] = owners;
  if (!owner || owners.length > 1) throw new Unusable(`the parent of its list must be one element, and here it is ${owner ? 'several' : 'none'}`);
  const [info, other] = infosOf(owner, last.name);
  if (!info || other || !info.many) throw new Unusable('its path does not name a list');
  return { owner, info };
}

/** What keeps an operation from being applied, in words that hold nothing of the resource. */
export class Unusable extends Error {}

function parse(path: string): Atom {
  if (path.length > LONGEST) throw new Unusable(`its path has more than ${LONGEST} characters`);
  try {
    return fhirPath.parseFhirPath(path).child;
  } catch {
    throw new Unusable('its path is no FHIRPath');
  }
}

type Context = { readonly root: Element; readonly budget: Budget };

function follow(atom: Atom, from: readonly Element[], context: Context): Element[] {
  if (atom instanceof fhirPath.DotAtom) return follow(atom.right, follow(atom.left, from, context), context);
  if (atom instanceof fhirPath.IndexerAtom) {
    const found = follow(atom.left, from, context)[wholeNumber(atom.expr)];
    return found ? [found] : [];
  }
  if (atom instanceof fhirPath.AsAtom) return ofType(follow(atom.left, from, context), atom.right);
  if (atom instanceof fhirPath.FunctionAtom) return call(atom, from, context);
  if (atom instanceof fhirPath.SymbolAtom) return step(atom.name, from, context);
  throw new Unusable('its path uses what names no place in the resource');
}

function step(name: string, from: readonly Element[], { root }: Context): Element[] {
  if (name === '$this' || (from.length === 1 && from[0] === root && isTypeOf(name, root))) return [...from];
  if (!SYMBOL.test(name)) throw new Unusable('its path uses what names no place in the resource');
  if (from.length > 0 && from.every((element) => infosOf(element, name).length === 0))
    throw new Unusable('its path names an element that R4 does not define there');
  return from.flatMap((element) => childrenOf(element, name));
}

function isTypeOf(name: string, { type }: Element): boolean {
  return name === type || name === 'Resource' || name === 'DomainResource';
}

function call({ name, args }: InstanceType<typeof fhirPath.FunctionAtom>, from: readonly Element[], context: Context): Element[] {
  const [first] = args;
  if (args.length === 0) {
    if (name === 'first' || name === 'single') return from.slice(0, name === 'single' ? 2 : 1);
    if (name === 'last') return from.slice(-1);
    if (name === 'tail') return from.slice(1);
  } else if (first && args.length === 1) {
    if (name === 'skip') return from.slice(wholeNumber(first));
    if (name === 'take') return from.slice(0, wholeNumber(first));
    if (name === 'ofType' || name === 'as') return ofType(from, first);
    if (name === 'where') return where(from, first, context);
    if (name === 'extension') return extensions(from, first);
  }
  throw new Unusable('its path uses a function that a patch cannot use there');
}

function wholeNumber(atom: Atom): number {
  const value: unknown = atom instanceof fhirPath.LiteralAtom ? atom.value.value : undefined;
  if (!Number.isInteger(value) || (value as number) < 0) throw new Unusable('its path needs a whole number there');
  return value as number;
}

/** `Quantity`, also written `FHIR.Quantity`. */
function ofType(from: readonly Element[], atom: Atom): Element[] {
  const symbol = atom instanceof fhirPath.DotAtom ? atom.right : atom;
  if (!(symbol instanceof fhirPath.SymbolAtom)) throw new Unusable('its path needs the name of a type there');
  return from.filter(({ type }) => type === symbol.name);
}

function extensions(from: readonly Element[], atom: Atom): Element[] {
  const url: unknown = atom instanceof fhirPath.LiteralAtom ? atom.value.value : undefined;
  if (typeof url !== 'string') throw new Unusable('extension() needs a URL');
  return from
    .flatMap((element) => childrenOf(element, 'extension'))
    .filter((extension) => childrenOf(extension, 'url').some(({ value }) => value && parsed(textOf(value)) === url));
}

function where(from: readonly Element[], criteria: Atom, { budget }: Context): Element[] {
  const size = checkCriteria(criteria);
  return from.filter((element) => {
    const text = element.value ? textOf(element.value) : 'null';
    budget.characters -= text.length * size;
    if (budget.characters < 0) throw new AssentError('too-costly', 'The criteria in the paths of this patch look at too much; make them narrower.');
    const typed = { type: element.type, value: parsed(text) };
    try {
      return fhirPath.toJsBoolean(criteria.eval({ variables: { $this: typed } }, typed.value === null ? [] : [typed]));
    } catch {
      throw new Unusable('the criteria in its path cannot be evaluated');
    }
  });
}

function parsed(text: string): unknown {
  return JSON.parse(text);
}

// biome-ignore format: one subject, one line
const FUNCTIONS = new Set([
  'where', 'exists', 'empty', 'not', 'count', 'first', 'last', 'tail', 'skip', 'take', 'single', 'all', 'hasValue',
  'ofType', 'as', 'is', 'extension', 'startsWith', 'endsWith', 'contains', 'lower', 'upper', 'length', 'trim',
]);

/** How many atoms there are; throws where one is none of those that only look. */
function checkCriteria(atom: Atom): number {
  if (atom instanceof fhirPath.LiteralAtom || atom instanceof fhirPath.EmptySetAtom) return 1;
  if (atom instanceof fhirPath.SymbolAtom && (atom.name === '$this' || SYMBOL.test(atom.name))) return 1;
  if (atom instanceof fhirPath.FunctionAtom && FUNCTIONS.has(atom.name)) return 1 + sum(atom.args.map(checkCriteria));
  if (atom instanceof fhirPath.IndexerAtom) return 1 + checkCriteria(atom.left) + checkCriteria(atom.expr);
  if (atom instanceof fhirPath.PrefixOperatorAtom) return 1 + checkCriteria(atom.child);
  if (atom instanceof fhirPath.InfixOperatorAtom && !(atom instanceof fhirPath.UnionAtom))
    return 1 + checkCriteria(atom.left) + checkCriteria(atom.right);
  throw new Unusable('the criteria in its path use what a patch cannot use');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
