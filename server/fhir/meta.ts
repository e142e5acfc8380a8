/**
 * Adds to and takes from a resource's profiles, tags and security labels. https://hl7.org/fhir/R4/resource-operation-meta-add.html
 * Invariant: everything else in the resource stays the text it was, to the last digit.
 */
import { elementTexts, memberText, objectText, withMemberTexts } from './json-text.ts';

/** The parts of a Meta that are sets. */
const SETS = ['profile', 'security', 'tag'] as const;

type Coding = { readonly system?: unknown; readonly code?: unknown };

/** The text of the resource's meta, or of an empty one. */
export function metaText(text: string): string {
  return memberText(text, 'meta') ?? '{}';
}

/** Profiles by their URL, labels and tags by system and code: what is there already stays as it is. */
export function withMetaAdded(text: string, meta: string): string {
  return changed(text, (name, present) => {
    const known = new Set(present.map(identityOf));
    const added: string[] = [];
    for (const item of setOf(meta, name)) {
      if (known.has(identityOf(item))) continue;
      known.add(identityOf(item));
      added.push(item);
    }
    return [...present, ...added];
  });
}

export function withMetaTaken(text: string, meta: string): string {
  const taken = (name: string) => {
    const identities = new Set(setOf(meta, name).map(identityOf));
    return (item: string) => identities.has(identityOf(item));
  };
  const isTakenProfile = taken('profile');
  const profiles = setOf(metaText(text), 'profile');
  // What _profile says of a profile stands at the same place, and goes with it.
  const said = setOf(metaText(text), '_profile').filter((_, i) => !isTakenProfile(profiles[i] ?? 'null'));
  const without = changed(text, (name, present) => present.filter((item) => !taken(name)(item)));
  if (memberText(metaText(text), '_profile') === undefined) return without;
  const kept = said.some((item) => item !== 'null') ? `[${said.join(',')}]` : undefined;
  return withMemberTexts(without, { meta: withMemberTexts(metaText(without), { _profile: kept }, []) }, []);
}

/** Everything that is in one of several metas, each once, as the text of a Meta. */
export function mergedMeta(metas: Iterable<string>): string {
  const sets = new Map<string, Map<string, string>>(SETS.map((name) => [name, new Map()]));
  for (const meta of metas) {
    for (const [name, items] of sets) {
      for (const item of setOf(meta, name)) {
        const identity = identityOf(item);
        if (!items.has(identity)) items.set(identity, item);
      }
    }
  }
  return objectText([...sets].map(([name, items]) => [name, items.size > 0 ? `[${[...items.values()].join(',')}]` : undefined]));
}

/** Whether a Meta, as parsed, has only what these operations are about, each in its form; what says which version it was is passed over. */
export function isSetsOnly(meta: unknown): boolean {
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta)) return false;
  return Object.entries(meta).every(([name, value]) => name === 'versionId' || name === 'lastUpdated' || isSet(name, value));
}

function isSet(name: string, value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false;
  if (name === 'profile') return value.every((item) => typeof item === 'string' && item !== '');
  return (name === 'security' || name === 'tag') && value.every(isCoding);
}

function isCoding(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { system, code } = value as Coding;
  return typeof code === 'string' && code !== '' && (system === undefined || typeof system === 'string');
}

function changed(text: string, change: (name: string, present: readonly string[]) => readonly string[]): string {
  const before = metaText(text);
  const after = Object.fromEntries(
    SETS.map((name) => {
      const items = change(name, setOf(before, name));
      return [name, items.length > 0 ? `[${items.join(',')}]` : undefined] as const;
    }),
  );
  return withMemberTexts(text, { meta: withMemberTexts(before, after, ['versionId', 'lastUpdated']) }, ['resourceType', 'id', 'meta']);
}

function setOf(meta: string, name: string): string[] {
  return elementTexts(memberText(meta, name) ?? '[]');
}

function identityOf(item: string): string {
  const value = JSON.parse(item) as string | Coding | null;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return JSON.stringify([value.system ?? null, value.code ?? null]);
}
