/**
 * Runs an entry of a bundle through the table, as if it had come by itself: the same row, the same checks, the same handler. fhir.md §1
 * Invariant: there is no second way to an interaction.
 */
import { AssentError } from '../errors.ts';
import { checkAccess } from './access.ts';
import type { Answer, Route, Target } from './interaction.ts';
import type { InnerCall, Services } from './services.ts';

export async function dispatch(call: InnerCall, services: Services): Promise<Answer> {
  const { route, target, query } = locate(call.method, call.url, services);
  if (route.scope === 'public') return route.handler(services);
  if (route.interaction === 'transaction') throw new AssentError('not-supported', 'A bundle cannot be an entry of a bundle.');
  checkAccess(route, target.type, call.gate.caller, services.allows);
  const { gate, url, header, body } = call;
  return route.handler({ ...target, gate, query, url, header, body }, services);
}

/** The row for a method and a URL relative to the base (or an absolute one below it). */
export function locate(
  method: string,
  url: string,
  { router, base }: Pick<Services, 'router' | 'base'>,
): { readonly route: Route; readonly target: Target; readonly query: URLSearchParams } {
  const relative = url.startsWith(`${base}/`) ? url.slice(base.length) : url;
  const [path, query] = splitOnce(relative, '?');
  const found = router(method, path);
  if (found.kind === 'other-method') throw new AssentError('method-not-allowed', `Allowed here: ${found.allow.join(', ')}.`);
  if (found.kind === 'none') throw new AssentError('not-supported');
  return { route: found.route, target: found.target, query: new URLSearchParams(query) };
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
