/** The console: what its pages need of the other rooms. */
import type { FastifyInstance } from 'fastify';
import type { Anchoring } from '../anchoring/anchoring.ts';
import type { Endpoints } from '../authz/endpoints.ts';
import type { Authenticator } from '../authz/token.ts';
import type { Clock } from '../clock.ts';
import type { GateFor } from '../consent/gate.ts';
import { roles } from '../consent/model.ts';
import type { Explain } from '../http/explain.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import { type WebDependencies, webPlugin } from '../web/plugin.ts';
import { isErasedIn } from './erased.ts';

type Parts = {
  readonly anchoring: Anchoring;
  readonly gateFor: GateFor;
  readonly search: Search;
  readonly cursors: Cursors;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly authenticate: Authenticator['authenticate'];
  readonly status: WebDependencies['status'];
  readonly explain: Explain;
  readonly custodians: WebDependencies['custodians'];
};

export function consolePlugin(server: FastifyInstance, parts: Parts): ReturnType<typeof webPlugin> {
  const { anchoring, endpoints, authenticate, gateFor, search, cursors, clock, status, explain } = parts;
  return webPlugin({
    gateFor,
    signIn: signInOver(server),
    callerOf: (token) => authenticate({ headers: { authorization: `Bearer ${token}` } }),
    status,
    isErased: (version) => isErasedIn(anchoring.tail, version),
    search,
    cursors,
    explain,
    custodians: parts.custodians,
    trailFile: anchoring.trails.file,
    origin: new URL(endpoints.issuer).origin,
    clock,
  });
}

/** Of these a client gets what it is registered for. */
const SCOPE = ['system/*.rs', 'admin', ...roles.map((role) => `admin/${role}`)].join(' ');

/** At our own token endpoint: one place decides who is an administrator. */
function signInOver(server: FastifyInstance): WebDependencies['signIn'] {
  return async (id, secret) => {
    const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
    const answer = await server.inject({
      method: 'POST',
      url: '/auth/token',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }).toString(),
    });
    return answer.statusCode === 200 ? answer.json<{ access_token: string }>().access_token : undefined;
  };
}
