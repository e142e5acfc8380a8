/**
 * The two checks before any handler: is this a resource type of R4, and does the token's scope hold it. consent.md §3
 * Invariant: both look at the request and the token only, never at what is stored; so a 403 or this 404 tells nothing about a record.
 */
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { Caller, Route } from './interaction.ts';
import type { Allows } from './services.ts';

export function checkAccess(route: Route, type: string, caller: Caller, allows: Allows): void {
  checkType(route, type);
  if (route.scope === 'public') return;
  if (caller.roles) throw new AssentError('forbidden', 'An account with duties of administration has the console and the admin API, and no FHIR.');
  if (route.scope === 'token') return;
  if (!allows(caller, route.scope, type)) throw new AssentError('forbidden', `The token holds no scope for "${route.interaction}" on this type.`);
}

/** A path with two slashes has an empty type, which is not the whole system. */
function checkType({ path }: Route, type: string): void {
  const known = type === '' ? !path.startsWith('/:type') : isResourceType(type);
  if (!known) throw new AssentError('not-supported', 'This is no FHIR R4 resource type and no operation of this server.');
}
