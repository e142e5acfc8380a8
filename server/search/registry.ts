/**
 * R4's search parameters and those of packages of definitions (SearchParameter resources). https://hl7.org/fhir/R4/searchparameter.html
 *
 * Invariant: a parameter R4 has keeps R4's meaning; a definition that cannot be used is named and changes nothing.
 */
import { parseFhirPath } from '@medplum/core';
import { isResourceType } from '../fhir/resource-types.ts';
import { type SearchParameter, searchParameters, type SearchParameters, type SearchParameterType } from '../fhir/search-parameters.ts';
import { KEY_RULES } from './keys.ts';
import { paramCode } from './param-codes.ts';

export type Registry = {
  readonly parameters: SearchParameters;
  /** Why definitions were left out, a sentence each. */
  readonly refused: readonly string[];
  /** Which keys are written by it: another text, other keys. */
  readonly keyRules: string;
  /** Addresses of the definitions. */
  readonly urls: ReadonlySet<string>;
};

type Json = Readonly<Record<string, unknown>>;
export type Definition = {
  readonly url: string;
  readonly code: string;
  readonly type: SearchParameterType;
  readonly bases: readonly string[];
  readonly expression: string;
  readonly targets: readonly string[] | undefined;
  readonly components: readonly Json[];
};

export const TYPES: ReadonlySet<string> = new Set(['number', 'date', 'string', 'token', 'reference', 'composite', 'quantity', 'uri']);
/** Names that begin with `_` are R4's own. */
const NAME = /^(?:_(?:id|lastUpdated|tag|profile|security|source)|[A-Za-z][\w-]{0,63})$/;

/** `definitions`: SearchParameter resources, read from outside. */
export function createParameters(definitions: readonly unknown[]): Registry {
  const added = new Map<string, Map<string, SearchParameter>>();
  const refused: string[] = [];
  const read = definitions.flatMap((one) => readDefinition(one as Json, refused));
  // Composites name others, so they come last.
  for (const definition of read.toSorted((a, b) => Number(a.type === 'composite') - Number(b.type === 'composite'))) {
    for (const base of definition.bases) {
      if (searchParameters(base).has(definition.code)) continue;
      const own = added.get(base) ?? new Map<string, SearchParameter>();
      const parameter = parameterOf(definition, base, (name) => own.get(name) ?? searchParameters(base).get(name));
      if (parameter) added.set(base, own.set(definition.code, parameter));
      else refused.push(`The search parameter ${definition.url} cannot be used for ${base}: its expression or its components cannot be read.`);
    }
  }
  const merged = new Map([...added].map(([type, own]) => [type, new Map([...searchParameters(type), ...own])]));
  const own = [...added.values()].flatMap((byName) => [...byName.values()].flatMap((parameter) => paramCode(parameter) ?? []));
  return {
    parameters: (type) => merged.get(type) ?? searchParameters(type),
    refused,
    keyRules: [KEY_RULES, ...own.sort()].join(' '),
    urls: new Set(read.map(({ url }) => url)),
  };
}

function readDefinition(resource: Json, refused: string[]): Definition[] {
  const { url, code, type, base, expression, target, component } = resource;
  const bases = (Array.isArray(base) ? base : []).filter((one): one is string => typeof one === 'string' && isResourceType(one));
  const usable = typeof url === 'string' && typeof code === 'string' && NAME.test(code) && typeof type === 'string' && TYPES.has(type);
  if (!usable || typeof expression !== 'string' || bases.length === 0) {
    refused.push(
      `The search parameter ${String(url).slice(0, 200)} cannot be used: it needs a url, code, type, base and expression this server knows.`,
    );
    return [];
  }
  const targets = Array.isArray(target) ? target.filter((one): one is string => typeof one === 'string' && isResourceType(one)) : [];
  const components = Array.isArray(component) ? (component as Json[]) : [];
  return [{ url, code, type: type as SearchParameterType, bases, expression, targets: targets.length > 0 ? targets : undefined, components }];
}

type ByName = (name: string) => SearchParameter | undefined;

/** Undefined: what it needs cannot be read. `known`: the parameters of the base that its components may name. */
export function parameterOf(
  { url, code, type, expression, targets, components }: Definition,
  base: string,
  known: ByName,
): SearchParameter | undefined {
  const own = type === 'token' ? withSystems(partsFor(base, expression)) : partsFor(base, expression);
  if (own === '' || !isPath(own)) return undefined;
  const plain = { base, name: code, type, expression: own, targets, system: undefined, definition: `${url} ${type} ${own}` };
  if (type !== 'composite') return plain;
  const parts = components.map((one) => {
    const part = componentOf(one, known);
    return part && unlessAlone(part, known(part.name), own);
  });
  if (parts.length < 2 || !parts.every((part) => part !== undefined)) return undefined;
  const made = parts.map((part) => `${String(paramCode(part))} ${part.expression}`);
  return { ...plain, definition: [plain.definition, ...made].join(' '), components: parts };
}

/** A path to the bare code of a Coding loses its system, without which `system|code` would find nothing: the Coding itself is meant. */
function withSystems(expression: string): string {
  return expression.replace(/\.coding\.code$/, '').replace(/(\.extension(?:\.where\([^()]*\))?\.value)\.code$/, '$1.ofType(Coding)');
}

/** A component names its parameter by an address whose last part is `Type-name`, `clinical-name` or the like. */
export function componentOf({ definition, expression }: Json, known: ByName): SearchParameter | undefined {
  const id = typeof definition === 'string' ? (definition.split('/').at(-1) ?? '') : '';
  const names = [...id.matchAll(/-/g)].map(({ index }) => id.slice(index + 1));
  const found = names.map(known).find((one) => one !== undefined && one.type !== 'composite');
  return found && typeof expression === 'string' && isPath(expression) ? { ...found, expression } : undefined;
}

/** Says of a component that its parameter, asked alone, may miss what the component finds, unless the two are seen to lead to the same. */
function unlessAlone(component: SearchParameter, alone: SearchParameter | undefined, whole: string): SearchParameter {
  const path = component.expression.startsWith('%resource.') ? component.expression.slice('%resource.'.length) : `${whole}.${component.expression}`;
  const isSame = alone !== undefined && pathsOf(alone.expression, component.base).some((one) => pathsOf(path, component.base).includes(one));
  return isSame ? component : { ...component, definition: component.definition ?? 'component' };
}

function pathsOf(expression: string, base: string): string[] {
  return expression.split('|').map((part) =>
    part
      .trim()
      .replace(/^\((.*) as (\w+)\)/, '$1.ofType($2)')
      .replace(/\.as\((\w+)\)/g, '.ofType($1)')
      .replace(new RegExp(`^(?:${base}\\.)*`), ''),
  );
}

function isPath(expression: string): boolean {
  try {
    parseFhirPath(expression);
    return true;
  } catch {
    return false;
  }
}

/** The parts of a union that can apply to the type. */
function partsFor(type: string, expression: string): string {
  const parts = expression.split('|');
  const own = parts.filter((part) => {
    const root = /^[\s(]*([A-Z]\w*)/.exec(part)?.[1];
    return root === undefined || root === type || root === 'Resource' || root === 'DomainResource';
  });
  // A | inside a word of the expression is no union.
  if (own.length < parts.length && !own.every((part) => isPath(part))) return expression;
  return own.map((part) => part.trim().replace(/^(Domain)?Resource\./, '')).join(' | ');
}
