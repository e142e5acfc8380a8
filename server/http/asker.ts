/**
 * Who asks, as one name: everything about a caller that an answer may depend on. A page link and a job are for whoever has the same: a token for less does
 * not go on with what one for more began. consent.md §3 (paging)
 */
import { createHash } from 'node:crypto';
import type { Caller } from './interaction.ts';

/** One Caller serves every request of its token. */
const names = new WeakMap<Caller, string>();

export function askerOf(caller: Caller): string {
  const known = names.get(caller);
  if (known !== undefined) return known;
  const { client, actor, purpose, admin, scopes, launch, breakGlass } = caller;
  const held = scopes.map(({ context, type, letters, query = '' }) => `${context}/${type}.${letters}?${query}`).sort();
  const name = createHash('sha256')
    .update(JSON.stringify([client, actor, purpose, admin, held, launch ?? null, breakGlass ?? null]))
    .digest('base64url');
  names.set(caller, name);
  return name;
}
