/**
 * What a token of a client would say, without one: to explain what such a caller's search does.
 * Invariant: nothing is disclosed to whoever asks; everything in it comes from the registration.
 */
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { Clients } from './clients.ts';
import { ADMIN_SCOPE, parseScope, roleOf } from './scopes.ts';

/** `purpose`: one of its own; absent: its first. Throws AssentError: not-found, invalid-request. */
export async function asClient(clients: Pick<Clients, 'find'>, id: string, purpose: string | undefined): Promise<Caller> {
  const client = await clients.find(id);
  if (!client) throw new AssentError('not-found', 'No such client.');
  if (purpose !== undefined && !client.purposes.includes(purpose))
    throw new AssentError('invalid-request', 'The client is not registered for this purpose.');
  const words = client.scope.split(' ');
  const roles = words.flatMap((word) => roleOf(word) ?? []);
  return {
    client: id,
    actor: client.actor,
    purpose: purpose ?? client.purposes[0] ?? '',
    scopes: words.flatMap((word) => parseScope(word) ?? []),
    admin: words.includes(ADMIN_SCOPE),
    choosesIds: client.choosesIds,
    ...(roles.length > 0 ? { roles } : {}),
    tokenId: '',
  };
}
