/**
 * What `provision.data` of meaning `related` reaches: the references of a resource, frozen when the Consent is prepared, so that nobody widens
 * a Consent by writing; and which of those resources a caller may see now. consent.md §2 rules 11, 21
 *
 * Invariant: who prepares a Consent learns nothing of the resources it names: what they refer to is signed as a salted digest.
 */
import { randomBytes } from 'node:crypto';
import { digestOf } from '../../../ledger/hash.ts';
import { literalReferences } from '../../fhir/literal-references.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { Query, ResourceStore, Scope } from '../../store/port.ts';
import type { Related } from '../compile.ts';
import { byType, storedAt } from './concepts.ts';
import { newestFirst } from './view.ts';

type Frozen = { readonly salt: string; readonly related: Related };
type Find = Pick<ResourceStore, 'find'>;

/** `text` is kept beside the Consent, its digest stands in the statement; undefined where nothing is named as related. */
export async function freezeRelated(
  { resources, base }: { readonly resources: Find; readonly base: string },
  anchors: readonly string[],
): Promise<{ readonly text: string; readonly digest: string } | undefined> {
  if (anchors.length === 0) return undefined;
  const stored = await storedAt(resources, anchors, { bodies: true });
  const related = Object.fromEntries([...new Set(anchors)].map((anchor) => [anchor, referencesOf(stored.get(anchor)?.body, base)]));
  const text = JSON.stringify({ salt: randomBytes(32).toString('base64url'), related } satisfies Frozen);
  return { text, digest: digestOf(text) };
}

function referencesOf(body: string | undefined, base: string): string[] {
  if (body === undefined) return [];
  return [...new Set(literalReferences(JSON.parse(body) as ResourceValue, base).map(({ target }) => target))];
}

/** Throws where the text is not the one that was signed. */
export function readRelated(text: string | undefined, digest: string | undefined): Related | undefined {
  if (text === undefined && digest === undefined) return undefined;
  if (text === undefined || digestOf(text) !== digest) throw new Error('What the Consent reaches is not what was signed.');
  return (JSON.parse(text) as Frozen).related;
}

/** Those of the references that the scopes let be seen; undefined: the epoch has moved. */
export async function visibleAmong(
  resources: Find,
  references: readonly string[],
  scopeOf: (type: string) => Scope,
  how: Pick<Query, 'deleted'> = {},
): Promise<ReadonlySet<string> | undefined> {
  const visible = new Set<string>();
  for (const [type, ids] of byType(references)) {
    const found = await resources.find({
      type,
      where: { kind: 'id', ids },
      scope: scopeOf(type),
      order: newestFirst,
      limit: ids.size,
      bodies: false,
      ...how,
    });
    if (found.kind !== 'rows') return undefined;
    for (const { id } of found.rows) visible.add(`${type}/${id}`);
  }
  return visible;
}
