/**
 * Index keys and facets of AuditEvents without working out again what all events of one caller and interaction share: every disclosure
 * writes such an event before it answers, and keys cost more than the rest of it.
 *
 * Invariant: the same keys as of the whole event, because each comes from one element; only `entity`, `meta` and `recorded` vary.
 */
import type { ResourceValue } from '../fhir/resource.ts';
import type { Act } from './event.ts';

export type KeysOf = (event: ResourceValue, act: Act, own: boolean) => readonly string[];

type Entity = { readonly what?: object; readonly role?: { readonly code?: string } };

/** Callers, interactions and roles in use at one time. */
const MOST_SHARED = 1_000;

export function createAuditKeys(keysOf: KeysOf): KeysOf {
  const shared = new Map<string, readonly string[]>();

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

  return (event, act, own) => {
    const { resourceType, meta, recorded } = event;
    const what = entitiesOf(event).flatMap((entity) => (entity.what ? [{ what: entity.what }] : []));
    const keys = new Set(sharedKeys(event, act, own));
    for (const key of keysOf({ resourceType, meta, recorded, ...(what.length > 0 ? { entity: what } : {}) }, act, own)) keys.add(key);
    return [...keys];
  };
}

function entitiesOf(event: ResourceValue): readonly Entity[] {
  return (event['entity'] as readonly Entity[] | undefined) ?? [];
}

function rolesOf(event: ResourceValue): ReadonlyMap<string, object> {
  const roles = new Map<string, object>();
  for (const { role } of entitiesOf(event)) if (role?.code !== undefined) roles.set(role.code, role);
  return roles;
}
