/**
 * Compiles a search parameter's FHIRPath expression into a function from resource to values: simple paths into closures, anything else
 * onto the FHIRPath engine of @medplum/core with the expression parsed once. https://hl7.org/fhir/R4/fhirpath.html
 *
 * Runs on every write, where the general engine would cost more than storing (storage.md §4). Invariant: both ways find the same
 * values, and no resource, however odd, makes it throw.
 */
import {
  AsAtom,
  type Atom,
  DotAtom,
  EqualsAtom,
  evalFhirPathTyped,
  FhirPathAtom,
  FunctionAtom,
  IndexerAtom,
  IsAtom,
  LiteralAtom,
  parseFhirPath,
  SymbolAtom,
  UnionAtom,
} from '@medplum/core';
import { referencedType } from '../fhir/references.ts';
import { choiceTypes } from '../fhir/search-parameters.ts';
import { isObject } from '../fhir/resource.ts';

type Element = Readonly<Record<string, unknown>>;
type Sink = (value: unknown) => void;
export type Extract = (resource: Element) => readonly unknown[];

/** The values the expression selects in a resource of this type, as plain JSON. */
export function compileExpression(expression: string, type: string): Extract {
  const parsed = parseFhirPath(expression);
  let found: unknown[] = [];
  const run = compile(parsed.child, { type, next: (value) => found.push(value) });
  if (!run) return general(parsed);
  return (resource) => {
    found = [];
    run(resource);
    return found;
  };
}

/** Whether the expression needs the general engine. */
export function isSimpleExpression(expression: string, type: string): boolean {
  return compile(parseFhirPath(expression).child, { type, next: () => undefined }) !== undefined;
}

export function general(parsed: FhirPathAtom): Extract {
  return (resource) => {
    try {
      return evalFhirPathTyped(parsed, [{ type: resource['resourceType'] as string, value: resource }]).map(({ value }) => value as unknown);
    } catch {
      return [];
    }
  };
}

type Target = { readonly type: string; readonly next: Sink };

/** Undefined: not one of the simple forms. */
function compile(atom: Atom, target: Target): Sink | undefined {
  if (atom instanceof SymbolAtom) return isRoot(atom.name, target.type) ? target.next : field(atom.name, target.next);
  if (atom instanceof UnionAtom) return both(compile(atom.left, target), compile(atom.right, target));
  if (atom instanceof DotAtom) return compileDot(atom, target);
  if (atom instanceof AsAtom) return atom.right instanceof SymbolAtom ? choice(atom.left, atom.right.name, target) : undefined;
  if (atom instanceof IndexerAtom && atom.expr instanceof LiteralAtom) return indexed(atom.left, Number(atom.expr.value.value), target);
  return undefined;
}

function compileDot({ left, right }: DotAtom, target: Target): Sink | undefined {
  if (right instanceof SymbolAtom) return compile(left, { ...target, next: field(right.name, target.next) });
  if (!(right instanceof FunctionAtom)) return undefined;
  const [argument] = right.args;
  if (right.args.length !== 1 || !argument) return undefined;
  if (right.name === 'ofType' || right.name === 'as') return argument instanceof SymbolAtom ? choice(left, argument.name, target) : undefined;
  if (right.name === 'extension' && argument instanceof LiteralAtom) {
    const url: unknown = argument.value.value;
    const matching: Sink = (value) => isObject(value) && value['url'] === url && target.next(value);
    return compile(left, { ...target, next: field('extension', matching) });
  }
  const keep = right.name === 'where' ? condition(argument) : undefined;
  return keep && compile(left, { ...target, next: (value) => keep(value) && target.next(value) });
}

/** `value.ofType(Quantity)` is the member `valueQuantity`. */
function choice(left: Atom, typeName: string, target: Target): Sink | undefined {
  const owner = left instanceof DotAtom ? left.left : undefined;
  const name = left instanceof DotAtom ? left.right : left;
  if (!(name instanceof SymbolAtom) || !choiceTypes[name.name]?.includes(typeName)) return undefined;
  const member = exactField(name.name + typeName[0]?.toUpperCase() + typeName.slice(1), target.next);
  return owner ? compile(owner, { ...target, next: member }) : member;
}

/** `where(resolve() is Patient)` and `where(system = 'phone')`. */
function condition(atom: Atom): ((value: unknown) => boolean) | undefined {
  if (atom instanceof IsAtom && atom.left instanceof FunctionAtom && atom.left.name === 'resolve' && atom.right instanceof SymbolAtom) {
    const { name } = atom.right;
    return (value) => isObject(value) && referencedType(value) === name;
  }
  if (atom instanceof EqualsAtom && atom.left instanceof SymbolAtom && atom.right instanceof LiteralAtom) {
    const member = atom.left.name;
    const expected: unknown = atom.right.value.value;
    return (value) => isObject(value) && value[member] === expected;
  }
  return undefined;
}

/** One item of the whole collection to the left, counted over all parents. */
function indexed(left: Atom, position: number, target: Target): Sink | undefined {
  let at = 0;
  const run = compile(left, { ...target, next: (value) => at++ === position && target.next(value) });
  return (
    run &&
    ((value) => {
      at = 0;
      run(value);
    })
  );
}

function both(left: Sink | undefined, right: Sink | undefined): Sink | undefined {
  if (!left || !right) return undefined;
  return (value) => {
    left(value);
    right(value);
  };
}

function field(name: string, next: Sink): Sink {
  const variants = choiceTypes[name]?.map((type) => name + type[0]?.toUpperCase() + type.slice(1));
  if (!variants) return exactField(name, next);
  return (value) => {
    if (!isObject(value)) return;
    if (value[name] !== undefined) return each(value[name], next);
    for (const variant of variants) if (value[variant] !== undefined) each(value[variant], next);
  };
}

function exactField(name: string, next: Sink): Sink {
  return (value) => {
    if (isObject(value)) each(value[name], next);
  };
}

function each(value: unknown, next: Sink): void {
  if (value === undefined || value === null) return;
  if (!Array.isArray(value)) return next(value);
  for (const item of value) if (item !== undefined && item !== null) next(item);
}

function isRoot(name: string, type: string): boolean {
  return name === type || name === 'Resource' || name === 'DomainResource';
}
