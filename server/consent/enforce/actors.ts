/**
 * Actors that a Consent names by identifier: where exactly one entry of the directory has it, the Consent that is signed holds its reference.
 * consent.md §2 rule 12
 *
 * Invariant: only what is open to every token is looked through; an identifier tells nobody that a person or a team is stored.
 */
import { isObject, type ResourceDocument, type ResourceValue } from '../../fhir/resource.ts';
import { withMembers } from '../../fhir/json-text.ts';
import { and } from '../../search/expression.ts';
import { namesNobody } from '../built-in.ts';
import { elements } from '../compile.ts';
import type { Directory } from './directory.ts';
import { newestFirst } from './view.ts';

const DIRECTORY = ['Organization', 'Practitioner', 'PractitionerRole'] as const;

/** The Consent as sent where no actor is named so, or where the name is not that of exactly one. */
export async function withActors(directory: Pick<Directory, 'resources' | 'where'>, consent: ResourceDocument): Promise<ResourceDocument> {
  const found = new Map<string, string>();
  for (const reference of referencesIn(consent.value['provision'])) {
    const named = identifierOf(reference);
    const actor = named && (await theOne(directory, named));
    if (actor !== undefined) found.set(JSON.stringify(reference), actor);
  }
  if (found.size === 0) return consent;
  const provision = replaced(consent.value['provision'], found);
  return { value: { ...consent.value, provision } as ResourceValue, text: withMembers(consent.text, { provision }) };
}

type Element = Readonly<Record<string, unknown>>;
type Identifier = { readonly type: string | undefined; readonly system: string; readonly value: string };

function referencesIn(provision: unknown): Element[] {
  if (!isObject(provision)) return [];
  const own = elements(provision['actor']).flatMap(({ reference }) => (isObject(reference) ? [reference] : []));
  return [...own, ...elements(provision['provision']).flatMap(referencesIn)];
}

function identifierOf({ reference, type, identifier }: Element): Identifier | undefined {
  if (reference !== undefined || !isObject(identifier)) return undefined;
  const { system, value } = identifier;
  if (typeof value !== 'string' || value === '' || typeof system !== 'string' || system === '') return undefined;
  return { type: typeof type === 'string' ? type : undefined, system, value };
}

async function theOne(
  { resources, where }: Pick<Directory, 'resources' | 'where'>,
  { type, system, value }: Identifier,
): Promise<string | undefined> {
  const escape = (text: string) => text.replace(/[\\,|$]/g, '\\$&');
  const query = new URLSearchParams([['identifier', `${escape(system)}|${escape(value)}`]]).toString();
  const found: string[] = [];
  for (const each of DIRECTORY) {
    if (type !== undefined && type !== each) continue;
    const rows = await resources.find({
      type: each,
      where: and([where(each, query), namesNobody]),
      scope: 'internal',
      order: newestFirst,
      limit: 2,
      bodies: false,
    });
    if (rows.kind !== 'rows') return undefined;
    found.push(...rows.rows.map(({ id }) => `${each}/${id}`));
  }
  return found.length === 1 ? found[0] : undefined;
}

function replaced(provision: unknown, found: ReadonlyMap<string, string>): unknown {
  if (!isObject(provision)) return provision;
  const { actor, provision: nested } = provision;
  return {
    ...provision,
    ...(Array.isArray(actor) ? { actor: actor.map((each: unknown) => (isObject(each) ? withReference(each, found) : each)) } : {}),
    ...(Array.isArray(nested) ? { provision: nested.map((each) => replaced(each, found)) } : {}),
  };
}

function withReference(actor: Element, found: ReadonlyMap<string, string>): Element {
  const reference = found.get(JSON.stringify(actor['reference']));
  return reference === undefined ? actor : { ...actor, reference: { ...(actor['reference'] as Element), reference } };
}
