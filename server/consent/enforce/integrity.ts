/**
 * Referential integrity in the caller's view: what a write newly refers to is there, and what it deletes nothing refers to.
 * https://hl7.org/fhir/R4/references.html#integrity
 *
 * Invariants: absent, deleted and hidden targets are one answer; a referrer the caller does not see changes none. What was found holds in the
 * commit as well: a target is at the version that was looked at, and of what this epoch shows nothing else has come to refer. The server's own
 * evidence (sealed) speaks of what was and holds nothing.
 */
import { AssentError, type Issue } from '../../errors.ts';
import { type LiteralReference, literalReferences } from '../../fhir/literal-references.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import { and, any, type Expression, not } from '../../search/expression.ts';
import type { Allowed, Guard, ResourceStore, StoredResource } from '../../store/port.ts';
import { SEALED } from '../facets.ts';
import type { WriteOperation } from '../gate.ts';
import { sourceReferences } from '../sources.ts';
import { typeAndId } from './concepts.ts';
import { type Disclosure, recordDisclosure } from './disclose.ts';
import { inView, newestFirst, patientsOf, type View, type Views } from './view.ts';

/** By type and id. Kept apart from the keys of search parameters, which do not know every reference. */
const referrerKey = (target: string): string => `@ref/${target}`;

/** Keys by which a resource is found from what it refers to. */
export function referenceKeys(resource: ResourceValue, base: string): readonly string[] {
  // Acts are recorded by the thousand and hold nothing.
  if (resource.resourceType === 'AuditEvent') return [];
  return [...new Set(literalReferences(resource, base).map(({ target }) => referrerKey(target)))];
}

type Deps = Disclosure & { readonly base: string };

/** What one operation comes to. */
export type Change = {
  /** The version that is written, if one is. */
  readonly stored: StoredResource | undefined;
  /** The version before it, if the caller may know that one. */
  readonly before: () => Promise<StoredResource | undefined>;
  /** What stays as it is. */
  readonly kept: string | undefined;
};

/**
 * That what decides about the resource besides itself is there for its writer, whatever else integrity asks: a Binary's securityContext, what the
 * sections of a Composition speak of, also of one within a document, where that does not hold it (https://hl7.org/fhir/R4/documents.html#content). Who could name anything would learn from how their own is decided what is there, and how it is labelled (rules 8, 18,
 * 21). Throws broken-reference: absent and hidden are one answer.
 */
export async function sourceGuards(deps: Deps, operations: readonly WriteOperation[], changes: readonly Change[]): Promise<readonly Guard[]> {
  return changes.some(({ stored }) => stored && HAS_SOURCES.has(stored.type))
    ? targetGuards(deps, operations, { changes, referencesOf: sourcesNamed })
    : [];
}

/** Types about which others decide as well. A Provenance is looked after where its targets’ patients are found. */
export const HAS_SOURCES: ReadonlySet<string> = new Set(['Binary', 'Bundle', 'Composition']);

const SOURCES = /^(?:Binary\.securityContext|Composition(?:\.section\[\d+\])+\.entry\[\d+\])$/;

type ReferencesOf = (resource: ResourceValue, row: StoredResource, base: string) => readonly LiteralReference[];

const everyReference: ReferencesOf = (resource, _row, base) => literalReferences(resource, base);

/** What stands within others (the Composition of a document, one that is contained) is blamed as a whole. */
const sourcesNamed: ReferencesOf = (resource, { type: expression, keys }, base) => {
  const placed = literalReferences(resource, base).filter((reference) => SOURCES.test(reference.expression));
  const named = new Set(placed.map(({ target }) => target));
  const within = sourceReferences(keys).filter((target) => !named.has(target));
  return [...placed, ...within.map((target) => ({ target, ...typeAndId(target), expression }))];
};

/** What the write rests on. Throws broken-reference or still-referenced. */
export async function integrityGuards(deps: Deps, operations: readonly WriteOperation[], changes: readonly Change[]): Promise<readonly Guard[]> {
  const written = changes.flatMap(({ stored }) => (stored ? [stored] : []));
  const targets = await targetGuards(deps, operations, { changes, referencesOf: everyReference });
  const guards: Guard[] = [...targets];
  for (const [i, { stored }] of changes.entries()) {
    if (!stored?.deleted) continue;
    const blamed = operations.length > 1 ? { expression: [`operation[${i}]`] } : {};
    guards.push(await referrerGuard(deps, { deleted: stored, written, blamed }));
  }
  return guards;
}

/** `referencesOf`: those that count. */
type Asked = { readonly changes: readonly Change[]; readonly referencesOf: ReferencesOf };

async function targetGuards(deps: Deps, operations: readonly WriteOperation[], { changes, referencesOf }: Asked): Promise<readonly Guard[]> {
  const beside = new Map<string, boolean>();
  for (const { stored, kept } of changes) {
    if (stored) beside.set(`${stored.type}/${stored.id}`, !stored.deleted);
    if (kept !== undefined) beside.set(kept, true);
  }
  const asked: (LiteralReference & { readonly operation: number })[] = [];
  for (const [operation, change] of changes.entries()) {
    const made = operations[operation];
    if (!change.stored || !made || !('resource' in made)) continue;
    const references = referencesOf(made.resource.value, change.stored, deps.base).filter(({ target }) => beside.get(target) !== true);
    for (const reference of await newOf(deps, { references, referencesOf }, change)) asked.push({ ...reference, operation });
  }
  if (asked.length === 0) return [];
  const { found, epoch } = await targetsInView(deps, asked);
  const broken = asked.filter(({ target }) => beside.has(target) || !found.has(target));
  if (broken.length > 0) throw brokenReferences(broken, operations);
  const versions = [...found.values()].map(({ type, id, version }): Guard => ({ kind: 'version', type, id, version }));
  return [{ kind: 'epoch', epoch }, ...versions];
}

/** Less what the version before refers to as well: who knows that one is told nothing by keeping it, and may have lost sight of the target. */
async function newOf(
  deps: Deps,
  { references, referencesOf }: { readonly references: readonly LiteralReference[]; readonly referencesOf: ReferencesOf },
  { before }: Change,
): Promise<readonly LiteralReference[]> {
  const previous = references.length > 0 ? await before() : undefined;
  if (!previous || previous.deleted) return references;
  const known = new Set(referencesOf(JSON.parse(previous.body) as ResourceValue, previous, deps.base).map(({ target }) => target));
  return references.filter(({ target }) => !known.has(target));
}

type Targets = { readonly found: ReadonlyMap<string, StoredResource>; readonly epoch: number };

/** Those of the references that lead to what the caller sees, without its text. */
export async function targetsInView(
  { resources, views }: { readonly resources: Pick<ResourceStore, 'find'>; readonly views: Views },
  asked: Iterable<Pick<LiteralReference, 'type' | 'id'>>,
): Promise<Targets> {
  const ids = new Map<string, Set<string>>();
  for (const { type, id } of asked) ids.set(type, (ids.get(type) ?? new Set()).add(id));
  return inView(views, {
    read: async (view) => {
      const rows: StoredResource[] = [];
      for (const [type, named] of ids) {
        const where = { kind: 'id' as const, ids: named };
        const found = await resources.find({ type, where, scope: view.scope(type), order: newestFirst, limit: named.size, bodies: false });
        if (found.kind !== 'rows') return found;
        rows.push(...found.rows);
      }
      return { kind: 'rows' as const, rows };
    },
    restsOn: ({ rows }) => patientsOf(rows),
    conclude: async ({ rows }, { epoch }) => ({ found: new Map(rows.map((row) => [`${row.type}/${row.id}`, row])), epoch }),
  });
}

const MOST_NAMED = 10;
/** A referrer may be any of a great many that the caller does not see: they must not stand in the way by their number. */
const BUDGET = 1_000_000;

type Deleting = { readonly deleted: StoredResource; readonly written: readonly StoredResource[]; readonly blamed: Pick<Issue, 'expression'> };

/** That nothing in this view refers to what is deleted, but for what the same write deletes or takes the reference out of. */
async function referrerGuard(deps: Deps, { deleted, written, blamed }: Deleting): Promise<Guard> {
  const { resources } = deps;
  const target = `${deleted.type}/${deleted.id}`;
  const key = referrerKey(target);
  const types = await resources.carriers(key, resourceTypes);
  const whereOf = (type: string): Expression => {
    const settled = written.filter((row) => row.type === type && (row.deleted || !row.keys.includes(key))).map(({ id }) => id);
    return and([not(any([SEALED])), settled.length === 0 ? { kind: 'all' } : not({ kind: 'id', ids: new Set(settled) })]);
  };
  const { rows, allowed } = await inView(deps.views, {
    read: async (view) => {
      const seen: StoredResource[] = [];
      for (const type of types) {
        const where = and([any([key]), whereOf(type)]);
        const query = { type, where, scope: view.scope(type), order: newestFirst, limit: MOST_NAMED + 1 - seen.length, budget: BUDGET };
        const found = seen.length > MOST_NAMED ? undefined : await resources.find(query);
        if (found && found.kind !== 'rows') return found;
        seen.push(...(found?.rows ?? []));
      }
      return { kind: 'rows' as const, rows: seen };
    },
    restsOn: ({ rows: seen }) => patientsOf(seen),
    conclude: async ({ rows: seen }, view) => {
      if (seen.length > 0 && !(await recordReferrers(deps, target, { rows: seen, view }))) return undefined;
      return { rows: seen, allowed: types.map((type): Allowed => ({ type, where: whereOf(type), scope: view.scope(type) })) };
    },
  });
  if (rows.length > 0) throw stillReferenced(target, rows, blamed);
  return { kind: 'unused', key, types: resourceTypes, allowed };
}

/** Naming who refers tells what a search would tell, so it is recorded like one. */
function recordReferrers(deps: Deps, target: string, { rows, view }: { readonly rows: readonly StoredResource[]; readonly view: View }) {
  return recordDisclosure(deps, { interaction: 'search-type', type: undefined, rows: rows.slice(0, MOST_NAMED), view, query: `DELETE ${target}` });
}

function stillReferenced(target: string, rows: readonly StoredResource[], blamed: Pick<Issue, 'expression'>): AssentError {
  const named = rows.slice(0, MOST_NAMED).map(({ type, id }) => `${type}/${id}`);
  const more = rows.length > MOST_NAMED ? ' and others' : '';
  return new AssentError('still-referenced', [{ diagnostics: `${target} cannot be deleted: ${named.join(', ')}${more} refer to it.`, ...blamed }]);
}

const MOST_ISSUES = 50;

function brokenReferences(
  broken: readonly (LiteralReference & { readonly operation: number })[],
  operations: readonly WriteOperation[],
): AssentError {
  const issues = broken.slice(0, MOST_ISSUES).map(({ expression, operation }): Issue => {
    const inner = operations.length > 1 ? `operation[${operation}].resource${expression.slice(expression.indexOf('.'))}` : expression;
    return { diagnostics: 'This reference names no resource that is here.', expression: [inner] };
  });
  const rest = broken.length - issues.length;
  return new AssentError('broken-reference', rest === 0 ? issues : [...issues, { diagnostics: `${rest} more references are not shown.` }]);
}
