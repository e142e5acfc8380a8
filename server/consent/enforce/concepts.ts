/**
 * What a written resource says by naming others: the Medication whose code it is about (rule 9), and the targets of a Provenance, whose patients
 * it concerns (rule 17). consent.md §2
 *
 * Invariant: they are looked for whoever may see them, and what is found only ever adds patients and labels: a Provenance about a hidden resource is
 * shown to its writer as little as one about nothing.
 */
import { AssentError } from '../../errors.ts';
import { parseReference } from '../../fhir/references.ts';
import { opensByScopeAlone } from '../../fhir/resource-types.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import type { Query, ResourceStore, StoredResource } from '../../store/port.ts';
import { PATIENT, UNKNOWN_PATIENT } from '../facets.ts';
import type { WriteOperation } from '../gate.ts';
import { newestFirst } from './view.ts';

export type Concepts = {
  /** By `Type/id`. */
  readonly values: ReadonlyMap<string, ResourceValue>;
  /** Of those that are stored: patients and labels of earlier versions may be kept there only. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
  /** The epoch before they were looked up, where some were: it moves with each change of a Medication's codes. */
  readonly epoch: number | undefined;
};

type Deps = { readonly resources: Pick<ResourceStore, 'find' | 'epoch'>; readonly base: string };

/** What lies beside in the same write comes before what is stored. */
export async function referencedConcepts(deps: Deps, operations: readonly WriteOperation[]): Promise<Concepts> {
  const written = new Map<string, ResourceValue>();
  for (const operation of operations) {
    if ('resource' in operation)
      written.set(`${operation.resource.value.resourceType}/${operation.id}`, { ...operation.resource.value, id: operation.id });
  }
  const named = new Set([...written.values()].flatMap((value) => [...medicationOf(value), ...targetsOf(value, deps.base)]));
  const values = new Map([...written].filter(([reference]) => named.has(reference)));
  const keys = new Map<string, readonly string[]>();
  const elsewhere = [...named].filter((reference) => !written.has(reference));
  const epoch = elsewhere.length > 0 ? await deps.resources.epoch() : undefined;
  const stored = await storedAt(deps.resources, elsewhere, { bodies: true });
  for (const [reference, row] of stored) {
    if (row.type === 'Medication' && isForSomebody(row)) continue;
    values.set(reference, JSON.parse(row.body) as ResourceValue);
    keys.set(reference, row.keys);
  }
  return { values, keys, epoch };
}

/** A Medication that was made for somebody may be hidden from who writes, who could tell from what becomes of a prescription of it which code it has. */
export function isForSomebody({ keys }: Pick<StoredResource, 'keys'>): boolean {
  return keys.some((key) => key.startsWith(PATIENT) || key === UNKNOWN_PATIENT);
}

/** Keys of the stored targets of a Provenance. */
export function targetKeys(resource: ResourceValue, base: string, { keys }: Concepts): readonly string[] {
  // What is open by scope alone has labels that hide nothing.
  return targetsOf(resource, base).flatMap((reference) => (opensByScopeAlone(typeOf(reference)) ? [] : (keys.get(reference) ?? [])));
}

function typeOf(reference: string): string {
  return reference.slice(0, reference.indexOf('/'));
}

function medicationOf(value: ResourceValue): string[] {
  const reference = (value['medicationReference'] as { reference?: unknown } | undefined)?.reference;
  return typeof reference === 'string' && reference.startsWith('Medication/') ? [reference] : [];
}

function targetsOf(value: ResourceValue, base: string): string[] {
  const targets = value.resourceType === 'Provenance' ? value['target'] : undefined;
  return (Array.isArray(targets) ? (targets as readonly { readonly reference?: unknown }[]) : []).flatMap(({ reference }) => {
    const parsed = typeof reference === 'string' ? parseReference(reference, base) : undefined;
    return parsed?.kind === 'local' ? [`${parsed.type}/${parsed.id}`] : [];
  });
}

/** What is stored under these references, whoever may see it. Throws AssentError('unavailable'). */
export async function storedAt(
  resources: Pick<ResourceStore, 'find'>,
  references: Iterable<string>,
  how: Pick<Query, 'deleted' | 'bodies'>,
): Promise<Map<string, StoredResource>> {
  const stored = new Map<string, StoredResource>();
  for (const [type, ids] of byType(references)) {
    const found = await resources.find({ type, where: { kind: 'id', ids }, scope: 'internal', order: newestFirst, limit: ids.size, ...how });
    if (found.kind !== 'rows') throw new AssentError('unavailable');
    for (const row of found.rows) stored.set(`${type}/${row.id}`, row);
  }
  return stored;
}

/** Ids by the type of `Type/id`. */
export function byType(references: Iterable<string>): Map<string, Set<string>> {
  const ids = new Map<string, Set<string>>();
  for (const reference of references) {
    const { type, id } = typeAndId(reference);
    ids.set(type, (ids.get(type) ?? new Set()).add(id));
  }
  return ids;
}

export function typeAndId(reference: string): { readonly type: string; readonly id: string } {
  const [type = '', id = ''] = reference.split('/');
  return { type, id };
}
