/**
 * Packages of definitions, cut down to what validation and search need. A package is a .tgz or a folder with a package.json; a folder
 * without one stands for the archives in it. https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
 *
 * Invariant: a package is on board whole or the server does not start, with a sentence that names the package and what is wrong.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readArchive } from './archive.ts';
import { CORE, slimProfile } from './slim.ts';

/** One definition. `text`: JSON, parsed only when it is needed; texts travel to threads cheaply. */
export type Definition = {
  readonly url: string;
  readonly version: string;
  readonly text: string;
  /** Of a profile that says only what differs: the address of what it stands on. */
  readonly base?: string;
  /** Of a profile of resources: the type they are of. */
  readonly type?: string;
};

export type Package = {
  readonly name: string;
  readonly version: string;
  readonly profiles: readonly Definition[];
  readonly valueSets: readonly Definition[];
  readonly codeSystems: readonly Definition[];
  readonly searchParameters: readonly Definition[];
};

const KINDS = { StructureDefinition: 'profiles', ValueSet: 'valueSets', CodeSystem: 'codeSystems', SearchParameter: 'searchParameters' } as const;
type Kind = (typeof KINDS)[keyof typeof KINDS];
type Json = Readonly<Record<string, unknown>>;

/** Throws Error with one sentence about the first package that cannot be used. */
export async function loadPackages(paths: readonly string[]): Promise<readonly Package[]> {
  const packages: Package[] = [];
  for (const path of paths.flatMap(expanded)) packages.push(await named(path, async () => packageOf(await filesOf(path))));
  for (const { name, profiles } of packages) await named(name, () => refuseMissingBases(profiles, packages));
  return packages;
}

/** Addresses of the profiles on board, by the type of resource they are for. */
export function profilesByType(packages: readonly Package[]): ReadonlyMap<string, readonly string[]> {
  const byType = new Map<string, Set<string>>();
  for (const { profiles } of packages)
    for (const { url, type } of profiles) if (type !== undefined) byType.set(type, (byType.get(type) ?? new Set()).add(url));
  return new Map([...byType].map(([type, urls]) => [type, [...urls].toSorted()]));
}

function refuseMissingBases(profiles: readonly Definition[], packages: readonly Package[]): void {
  const missing = profiles.find(
    ({ base }) =>
      base !== undefined && !base.startsWith(CORE) && !packages.some(({ profiles: all }) => all.some(({ url }) => url === base.replace(/\|.*$/, ''))),
  );
  if (missing) throw new Error(`its ${missing.url} has no snapshot and stands on ${missing.base}, which no package on board has`);
}

async function named<T>(path: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (fault) {
    throw new Error(`The package ${path} cannot be used: ${fault instanceof Error ? fault.message : 'unknown fault'}.`, { cause: fault });
  }
}

function expanded(path: string): readonly string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory() || statSync(join(path, 'package.json'), { throwIfNoEntry: false })) return [path];
  const archives = readdirSync(path).filter((name) => name.endsWith('.tgz'));
  if (archives.length === 0) throw new Error(`The folder ${path} holds no package: neither a package.json nor .tgz files.`);
  return archives.sort().map((name) => join(path, name));
}

async function filesOf(path: string): Promise<ReadonlyMap<string, string>> {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return readArchive(path);
  const names = readdirSync(path).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
  return new Map(names.map((name) => [name, readFileSync(join(path, name), 'utf8')]));
}

function packageOf(files: ReadonlyMap<string, string>): Package {
  const manifest = parsed('package.json', files.get('package.json') ?? '');
  const { name, version } = manifest;
  if (typeof name !== 'string' || typeof version !== 'string') throw new Error('its package.json says no name and version');
  refuseOtherReleases(manifest);
  const content: Record<Kind, Definition[]> = { profiles: [], valueSets: [], codeSystems: [], searchParameters: [] };
  for (const [file, text] of files) {
    const [, type] = /"resourceType"\s*:\s*"(StructureDefinition|ValueSet|CodeSystem|SearchParameter)"/.exec(text) ?? [];
    if (type === undefined || file === 'package.json') continue;
    const resource = parsed(file, text);
    const kind = KINDS[resource['resourceType'] as keyof typeof KINDS] as Kind | undefined;
    if (kind) content[kind].push(definitionOf(file, resource, kind));
  }
  return { name, version, ...content };
}

function refuseOtherReleases({ fhirVersions, 'fhir-version-list': list }: Json): void {
  const versions = (fhirVersions ?? list) as unknown;
  if (!Array.isArray(versions) || versions.length === 0) return;
  if (!versions.some((version) => typeof version === 'string' && version.startsWith('4.0')))
    throw new Error('it is for another release of FHIR than 4.0.1');
}

function parsed(file: string, text: string): Json {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null) return value as Json;
  } catch {
    // The sentence below says it.
  }
  throw new Error(text === '' ? `it has no ${file}` : `its ${basename(file)} is not JSON`);
}

function definitionOf(file: string, resource: Json, kind: Kind): Definition {
  const { url, version } = resource;
  if (typeof url !== 'string') throw new Error(`its ${basename(file)} has no url`);
  const named = { url, version: typeof version === 'string' ? version : '' };
  if (kind !== 'profiles') return { ...named, text: JSON.stringify(slimTerms(resource, kind)) };
  const profile = readProfile(file, resource);
  if (profile.elements.length === 0 && profile.derivation === 'constraint')
    throw new Error(`its ${basename(file)} has neither a snapshot nor a differential`);
  const base = profile.isWhole || profile.derivation !== 'constraint' ? undefined : profile.baseDefinition;
  const isOfResources = profile.kind === 'resource' && profile.derivation === 'constraint';
  return { ...named, text: JSON.stringify(profile), ...(base === undefined ? {} : { base }), ...(isOfResources ? { type: profile.type } : {}) };
}

function readProfile(file: string, resource: Json): ReturnType<typeof slimProfile> {
  try {
    return slimProfile(resource);
  } catch (cause) {
    throw new Error(`its ${basename(file)} is not written as a StructureDefinition is`, { cause });
  }
}

function slimTerms(resource: Json, kind: Kind): object {
  const { text: _text, description: _description, contact: _contact, ...rest } = resource;
  if (kind === 'valueSets') return { compose: rest['compose'], expansion: rest['expansion'], useContext: rest['useContext'] };
  if (kind === 'codeSystems') return { content: rest['content'], caseSensitive: rest['caseSensitive'], concept: slimConcepts(rest['concept']) };
  return rest;
}

function slimConcepts(concepts: unknown): object[] | undefined {
  if (!Array.isArray(concepts)) return undefined;
  return concepts.map(({ code, concept, property }: Json) => ({ code, property, ...(concept ? { concept: slimConcepts(concept) } : {}) }));
}
