/**
 * Profiles on board by their canonical address, compiled when first named. https://hl7.org/fhir/R4/references.html#canonical
 *
 * Invariant: an address with a version names exactly that version; without one the version of the package that asks, else the newest on board.
 */
import type { StructureDefinition } from '@medplum/fhirtypes';
import type { Shapes } from '../shapes.ts';
import type { Package } from './package.ts';
import { buildRules, pruneRoot, type Rules, unversioned } from './rules.ts';
import { CORE, type ProfileSource, type SlimElement, slimProfile } from './slim.ts';

export type Profile = {
  readonly url: string;
  /** The address with its version, to name in findings. */
  readonly label: string;
  /** Resource or data type it is for. */
  readonly type: string;
  readonly root: Rules;
  readonly of: Package;
};

export type Profiles = {
  /** `near`: the profile that names it; its own package comes first. Undefined when it is not on board. */
  find(canonical: string, near?: Profile): Profile | undefined;
  /** The type a profile (or a type's own definition) is for; undefined when it is not on board. */
  typeOf(canonical: string, near?: Profile): string | undefined;
};

type Entry = {
  readonly url: string;
  readonly version: string;
  readonly of: Package;
  readonly source: () => ProfileSource;
  profile?: Profile | undefined;
};

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** What R4 itself publishes, asked for when no package has it. */
const R4: Package = { name: 'hl7.fhir.r4.core', version: '4.0.1', profiles: [], valueSets: [], codeSystems: [], searchParameters: [] };

type Known = { readonly shapes: Shapes; readonly core: (name: string) => StructureDefinition | undefined };

export function createProfiles(packages: readonly Package[], { shapes, core }: Known): Profiles {
  const entries = new Map<string, Entry[]>();
  const add = (entry: Entry): Entry => {
    entries.set(entry.url, [...(entries.get(entry.url) ?? []), entry]);
    return entry;
  };
  for (const of of packages)
    for (const { url, version, text } of of.profiles) add({ url, version, of, source: once(() => JSON.parse(text) as ProfileSource) });
  const asked = new Set<string>();
  const lookUp = (canonical: string, near: Package | undefined): Entry | undefined => {
    const [url = '', version] = canonical.split('|');
    const found = pick(entries.get(url) ?? [], version, near);
    // Only names R4 could have are looked up, and each of them once: what callers send must not fill the memory.
    if (found || asked.has(url) || !/^[\w-]{1,64}$/.test(url.slice(CORE.length)) || !url.startsWith(CORE)) return found;
    const definition = core(url.slice(CORE.length));
    if (!definition) return undefined;
    asked.add(url);
    add({ url, version: R4.version, of: R4, source: once(() => slimProfile(definition as unknown as Readonly<Record<string, unknown>>)) });
    return lookUp(canonical, near);
  };
  const compile = (entry: Entry): Profile | undefined => {
    const { url, version, type, kind, derivation } = entry.source();
    if (derivation !== 'constraint' || !(kind === 'resource' || kind === 'complex-type' || kind === 'primitive-type')) return undefined;
    const root = buildRules(type, elementLists(entry, lookUp));
    const profile: Profile = { url, label: version === '' ? url : `${url}|${version}`, type, root, of: entry.of };
    pruneRoot(root, shapeOf(type, shapes), shapes);
    return profile;
  };
  const find = (canonical: string, near?: Profile): Profile | undefined => {
    const entry = lookUp(canonical, near?.of);
    if (entry && !('profile' in entry)) entry.profile = compile(entry);
    return entry?.profile;
  };
  return {
    find,
    typeOf(canonical, near) {
      const url = unversioned(canonical);
      const name = url.startsWith(CORE) ? url.slice(CORE.length) : '';
      if (name === 'Resource' || shapes.resource(name)) return name;
      return lookUp(canonical, near?.of)?.source().type;
    },
  };
}

function shapeOf(type: string, shapes: Shapes): ReturnType<Shapes['resource']> {
  return /^[A-Z]/.test(type) && !['Resource', 'DomainResource'].includes(type) ? (shapes.resource(type) ?? shapes.dataType(type)) : undefined;
}

function pick(entries: readonly Entry[], version: string | undefined, near: Package | undefined): Entry | undefined {
  if (version !== undefined) return entries.find((entry) => entry.version === version);
  return entries.find(({ of }) => of === near) ?? entries.toSorted((a, b) => compareVersions(b.version, a.version))[0];
}

/** By semantic version: numbers by size, a pre-release before its release. */
export function compareVersions(a: string, b: string): number {
  const parts = (version: string) => (version.split('-', 1)[0] ?? '').split('.').map(Number);
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0 && !Number.isNaN(difference)) return difference;
  }
  return Number(b.includes('-')) - Number(a.includes('-')) || (a < b ? -1 : a > b ? 1 : 0);
}

const LONGEST_CHAIN = 20;

/** A snapshot says everything; a differential stands on its base, which is asked for in turn. */
function elementLists(entry: Entry, lookUp: (canonical: string, near: Package) => Entry | undefined): readonly (readonly SlimElement[])[] {
  const lists: (readonly SlimElement[])[] = [];
  for (let at: Entry | undefined = entry, left = LONGEST_CHAIN; at && left > 0; left--) {
    const { isWhole, elements, baseDefinition, type } = at.source();
    lists.unshift(elements);
    if (isWhole || baseDefinition === undefined || baseDefinition === CORE + type) break;
    at = lookUp(baseDefinition, at.of);
    // Rules without those they stand on are not the profile.
    if (!at) throw new Error(`${entry.url} stands on ${baseDefinition}, which is not on board`);
  }
  return lists;
}
