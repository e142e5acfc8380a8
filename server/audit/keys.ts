/**
 * Index keys and facets of AuditEvents without working out again what events have in common: every disclosure writes such events before it
 * answers, and keys cost more than the rest of it. What all events of one caller and interaction share is worked out once; of references and
 * of instants it is worked out once how their keys are made, with the place of the id and of the digits left open.
 *
 * Invariant: the same keys as of the whole event, because each comes from one element; only `entity`, `meta` and `recorded` vary, and the
 * latter two are of one instant.
 */
import { isResourceType } from '../fhir/resource-types.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Act } from './event.ts';

export type KeysOf = (event: ResourceValue, act: Act, own: boolean) => readonly string[];

type Entity = { readonly what?: { readonly reference?: unknown }; readonly role?: { readonly code?: string } };
/** A key before and after each place where the id or the digits stand. */
type Form = readonly string[];

/** Callers, interactions and roles in use at one time. */
const MOST_SHARED = 1_000;

/** `digitsOf`: how an instant, ms since 1970, stands in a key. */
export function createAuditKeys(keysOf: KeysOf, digitsOf: (instant: number) => string): KeysOf {
  const shared = new Map<string, readonly string[]>();
  const references = new Map<string, readonly Form[]>();
  let instants: readonly Form[] | undefined;

  function sharedKeys(event: ResourceValue, act: Act, own: boolean): readonly string[] {
    const roles = rolesOf(event);
    const { interaction, outcome, client, actor, purpose } = act;
    const name = JSON.stringify([interaction, outcome, client, actor, purpose, own, ...roles.keys()]);
    const known = shared.get(name);
    if (known) return known;
    const { id: _id, meta: _meta, recorded: _recorded, entity: _entity, ...rest } = event;
    const keys = keysOf(roles.size === 0 ? rest : { ...rest, entity: [...roles.values()].map((role) => ({ role })) }, act, own);
    if (shared.size >= MOST_SHARED) shared.clear();
    shared.set(name, keys);
    return keys;
  }

  /** What else such an event has for keys is shared by all. */
  function formsOf(elements: object, open: string): readonly Form[] {
    const keys = keysOf({ resourceType: 'AuditEvent', ...elements }, NOBODYS, false);
    return keys.filter((key) => key.includes(open)).map((key) => key.split(open));
  }

  function formsOfReference(type: string): readonly Form[] {
    let forms = references.get(type);
    if (!forms) references.set(type, (forms = formsOf({ entity: [{ what: { reference: `${type}/${OPEN_ID}/_history/1` } }] }, OPEN_ID)));
    return forms;
  }

  function addInstant(keys: Set<string>, recorded: string): void {
    const example = new Date(OPEN_INSTANT).toISOString();
    instants ??= formsOf({ meta: { lastUpdated: example }, recorded: example }, digitsOf(OPEN_INSTANT));
    fill(keys, instants, digitsOf(Date.parse(recorded)));
  }

  return (event, act, own) => {
    const { resourceType, recorded } = event;
    const keys = new Set(sharedKeys(event, act, own));
    addInstant(keys, recorded as string);
    const whats = entitiesOf(event).flatMap(({ what }) => (what ? [what] : []));
    const plain = whats.map(({ reference }) => REFERENCE.exec(String(reference)));
    if (plain.every((parts) => parts !== null && isResourceType(parts[1] as string)))
      for (const [, type = '', id = ''] of plain as RegExpExecArray[]) fill(keys, formsOfReference(type), id);
    // What one of these says may depend on there being no other.
    else for (const key of keysOf({ resourceType, entity: whats.map((what) => ({ what })) }, act, own)) keys.add(key);
    return [...keys];
  };
}

const OPEN_ID = '-open-';
const OPEN_INSTANT = Date.UTC(2001, 2, 4, 5, 6, 7, 89);
const NOBODYS: Act = { interaction: 'read', outcome: 'done', client: '', actor: '', purpose: '', patient: undefined, what: [], basis: [] };

/** Of a resource, perhaps of one version: that of another form is left to whoever reads references. */
const REFERENCE = /^([A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;

function fill(keys: Set<string>, forms: readonly Form[], text: string): void {
  for (const form of forms) keys.add(form.join(text));
}

function entitiesOf(event: ResourceValue): readonly Entity[] {
  return (event['entity'] as readonly Entity[] | undefined) ?? [];
}

function rolesOf(event: ResourceValue): ReadonlyMap<string, object> {
  const roles = new Map<string, object>();
  for (const { role } of entitiesOf(event)) if (role?.code !== undefined) roles.set(role.code, role);
  return roles;
}
