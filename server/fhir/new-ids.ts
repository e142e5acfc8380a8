/**
 * Ids for resources that are about to be created: where all a resource names is of one patient, one that keeps it with the rest of that
 * patient's record in a store spread over machines (docs/adr/0011-a-record-on-one-shard.md).
 *
 * Invariant: nothing depends on the guess being right. A resource that turns out to name someone else is found all the same, more slowly.
 */
import type { BundleEntry } from './bundle.ts';
import { bucketOf, newId, newIdIn } from './ids.ts';
import { namedPatients } from './named-patients.ts';
import { parseReference } from './references.ts';
import type { ResourceValue } from './resource.ts';

/** What a reference in a transaction stands for: Type/id by fullUrl or conditional reference. */
type Links = ReadonlyMap<string, string>;

export function newIdFor(value: ResourceValue, base: string, links: Links = new Map()): string {
  // Where a Patient is follows from its own id alone.
  if (value.resourceType === 'Patient') return newId();
  const buckets = new Set([...namedPatients(value, base, links).ids].map((patient) => bucketOf('Patient', patient)));
  if (value.resourceType === 'Provenance') for (const bucket of bucketsOfTargets(value, base, links)) buckets.add(bucket);
  const [only, second] = buckets;
  return only === undefined || second !== undefined ? newId() : newIdIn(only);
}

/** A Provenance concerns the patients of its targets, whose places are known even where they are not. */
function bucketsOfTargets({ target }: ResourceValue, base: string, links: Links): string[] {
  return (Array.isArray(target) ? (target as readonly unknown[]) : []).flatMap((item) => {
    const reference = (item as { readonly reference?: unknown } | null)?.reference;
    const parsed = typeof reference === 'string' ? parseReference(links.get(reference) ?? reference, base) : undefined;
    return parsed?.kind === 'local' && parsed.type !== 'Patient' ? [bucketOf(parsed.type, parsed.id)] : [];
  });
}

type Known = {
  /** Ids that entries have already, by place. */
  readonly matched: ReadonlyMap<number, string>;
  readonly links: Links;
  readonly base: string;
};

/** The id of each entry that may create: of Patients first, as others name them, and of Provenances last. */
export function newIds(entries: readonly BundleEntry[], { matched, links: known, base }: Known): ReadonlyMap<number, string> {
  const links = new Map(known);
  const ids = new Map(matched);
  const order = (entry: BundleEntry): number => (typeOf(entry) === 'Patient' ? 0 : typeOf(entry) === 'Provenance' ? 2 : 1);
  for (const entry of entries.toSorted((a, b) => order(a) - order(b))) {
    const { index, method, url, fullUrl, resource } = entry;
    const named = /^[A-Za-z]+\/[^?]/.test(url);
    if (!named && resource && (method === 'POST' || method === 'PUT') && !ids.has(index)) ids.set(index, newIdFor(resource.value, base, links));
    if (fullUrl === undefined) continue;
    const id = ids.get(index);
    if (named) links.set(fullUrl, url);
    else if (id !== undefined) links.set(fullUrl, `${typeOf(entry)}/${id}`);
  }
  return ids;
}

function typeOf({ url }: BundleEntry): string {
  return /^[A-Za-z]*/.exec(url)?.[0] ?? '';
}
