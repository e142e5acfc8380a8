/**
 * Who refers to whom, by index keys alone: from resources to an expression for those that refer to them, and for those they refer to.
 * https://hl7.org/fhir/R4/references.html#canonical
 *
 * Invariants: a reference under our own base is the relative one, one with a version means the resource whatever its version; a canonical
 * with a version means that version only, one without means each; a reference to elsewhere means nothing that is stored here.
 */
import { elementsOf } from '../fhir/elements/elements.ts';
import { parseReference } from '../fhir/references.ts';
import { type SearchParameter, searchParameters } from '../fhir/search-parameters.ts';
import { and, any, type Expression, none, not, or, startsWith } from './expression.ts';
import { referenceText } from './index-values.ts';
import type { Link } from './join.ts';
import { referenceKey, referencePrefix, tokenPrefix, tokensPrefix, uriKey, versionedKey } from './keys.ts';
import { codeOfKey, paramCode } from './param-codes.ts';

/** As much of a stored resource as links are made of. */
export type Linked = { readonly type: string; readonly id: string; readonly keys: readonly string[] };

/** Undefined for what holds no references that are indexed. `type`: of the resource the parameter is searched in. */
export function linkOf(parameter: SearchParameter, type: string): Link | undefined {
  const code = parameter.type === 'reference' ? paramCode(parameter) : undefined;
  return code === undefined ? undefined : { code, canonical: isCanonical(parameter.expression, type) };
}

const canonicals = new Map<string, boolean>();

/** Whether the first element the expression leads to holds text and not a Reference. */
function isCanonical(expression: string, type: string): boolean {
  const name = `${type} ${expression}`;
  const known = canonicals.get(name) ?? leafOf(expression, type) === 'string';
  canonicals.set(name, known);
  return known;
}

function leafOf(expression: string, type: string): string | undefined {
  const [first = ''] = expression.split('|');
  const path = first.replace(/ as (\w+)/g, '.ofType($1)').replace(/[()]*\.where\([^|]*?\)(?=\.|\s*$|\))/g, '');
  let at = type;
  let holds: string | undefined;
  for (const step of path.match(/ofType\(\w+\)|\w+/g) ?? []) {
    if (step === type || step === 'Resource' || step === 'DomainResource') continue;
    const chosen = /^ofType\((\w+)\)$/.exec(step)?.[1];
    if (chosen !== undefined) {
      holds = /^[a-z]/.test(chosen) ? 'string' : 'elements';
      continue;
    }
    const elements = elementsOf(at);
    const found = elements?.get(step) ?? [...(elements?.values() ?? [])].find(({ element }) => element === step);
    if (!found) return undefined;
    at = found.type;
    holds = found.holds;
  }
  return holds;
}

/** Above this many, a disjunction of url-and-version pairs costs more than it finds. */
export const MOST_CANONICAL = 200;

/** What refers to one of these. Undefined: more canonical resources than can be asked for. */
export function referrersOf(link: Link, targets: readonly Linked[], base: string): Expression | undefined {
  const byId = any(targets.map(({ type, id }) => referenceKey(link.code, `${type}/${id}`)));
  if (!link.canonical) return byId;
  if (targets.length > MOST_CANONICAL) return undefined;
  return or([byId, ...targets.flatMap((target) => canonicalReferrers(link, target, base))]);
}

function canonicalReferrers({ code }: Link, { type, keys }: Linked, base: string): Expression[] {
  const identity = identityOf(type);
  if (!identity) return [];
  const versions = keys.filter((key) => key.startsWith(tokensPrefix(identity.version))).map((key) => tokenText(key, identity.version));
  return valuesOf(keys, uriKey(identity.url, '')).map((url) => {
    const plain = any([referenceKey(code, referenceText(url, base) ?? url)]);
    const unversioned = and([plain, not(startsWith(versionedKey(code, `${url}|`)))]);
    return or([unversioned, any(versions.map((version) => versionedKey(code, `${url}|${version}`)))]);
  });
}

/** What of a type the rows refer to by a link. Undefined: more canonicals than can be asked for. */
export type Referred = (link: Link, type: string) => Expression | undefined;

/** Looks at all their keys once, however many links and types are asked for. `only`: of the one link that will be asked for. */
export function referredBy(rows: readonly Linked[], base: string, only?: Link): Referred {
  const references = referencesOf(rows, only?.code);
  return (link, type) => {
    const ids = references.get(link.code)?.get(type);
    const byId: Expression = ids ? { kind: 'id', ids } : none;
    const identity = link.canonical ? identityOf(type) : undefined;
    if (!identity) return byId;
    const branches = new Map<string, Expression>();
    for (const { keys } of rows) for (const [name, expression] of canonicalsOf(link, keys, { identity, base })) branches.set(name, expression);
    return branches.size > MOST_CANONICAL ? undefined : or([byId, ...branches.values()]);
  };
}

type References = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

/** By code and type, the ids. */
function referencesOf(rows: readonly Linked[], only: string | undefined): References {
  const found = new Map<string, Map<string, Set<string>>>();
  for (const { keys } of rows)
    for (const key of keys) {
      const code = only ?? codeOfKey(key);
      const prefix = referencePrefix(code);
      if (!key.startsWith(prefix)) continue;
      const slash = key.indexOf('/', prefix.length);
      const type = key.slice(prefix.length, Math.max(slash, prefix.length));
      const byType = found.get(code) ?? new Map<string, Set<string>>();
      const ids = byType.get(type) ?? new Set<string>();
      found.set(code, byType.set(type, ids.add(key.slice(slash + 1))));
    }
  return found;
}

/** The canonicals of one row, by their text. */
function canonicalsOf({ code }: Link, keys: readonly string[], at: { readonly identity: Identity; readonly base: string }): [string, Expression][] {
  const versioned = valuesOf(keys, versionedKey(code, ''));
  return valuesOf(keys, referenceKey(code, '')).flatMap((text) => {
    const local = parseReference(text).kind === 'local';
    const url = local ? `${at.base}/${text}` : text;
    const named = any([uriKey(at.identity.url, url)]);
    const versions = versioned.filter((canonical) => canonical.startsWith(`${url}|`)).map((canonical) => canonical.slice(url.length + 1));
    if (versions.length === 0) return [[url, named] as [string, Expression]];
    return versions.map((version): [string, Expression] => [
      `${url}|${version}`,
      and([named, startsWith(tokenPrefix(at.identity.version, 'token', version))]),
    ]);
  });
}

type Identity = { readonly url: string; readonly version: string };

/** Codes of the parameters by which a canonical names a resource of the type. */
function identityOf(type: string): Identity | undefined {
  const parameters = searchParameters(type);
  const [url, version] = ['url', 'version'].map((name) => parameters.get(name)).map((parameter) => parameter && paramCode(parameter));
  return url === undefined || version === undefined ? undefined : { url, version };
}

/** Whether resources of this type can be named by a canonical. */
export function hasCanonical(type: string): boolean {
  return identityOf(type) !== undefined;
}

function valuesOf(keys: readonly string[], prefix: string): string[] {
  return keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
}

function tokenText(key: string, code: string): string {
  return key.slice(tokensPrefix(code).length).split('\u0001')[0] ?? '';
}
