/** The console: what its pages need of the other rooms. */
import type { FastifyInstance } from 'fastify';
import type { Anchoring } from '../anchoring/anchoring.ts';
import type { Clients } from '../authz/clients.ts';
import type { Endpoints } from '../authz/endpoints.ts';
import type { KeyLog } from '../authz/key-log.ts';
import type { Authenticator } from '../authz/token.ts';
import type { Clock } from '../clock.ts';
import { policyRows } from '../commands/policies.ts';
import type { Config } from '../config.ts';
import type { GateFor } from '../consent/gate.ts';
import { roles } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { Explain } from '../http/explain.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import { type WebDependencies, webPlugin } from '../web/plugin.ts';
import { lateness, raisedAlarms } from './alarms.ts';
import { isErasedIn } from './erased.ts';

type Check = { readonly name: string; readonly check: () => Promise<void> };
type Operations = WebDependencies['operations'];

type Parts = {
  readonly anchoring: Anchoring;
  readonly gateFor: GateFor;
  readonly search: Search;
  readonly cursors: Cursors;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly authenticate: Authenticator['authenticate'];
  /** Of readiness, each with its name. */
  readonly checks: readonly Check[];
  readonly jobs: Pick<Jobs, 'list'>;
  readonly registry: { readonly clients: Pick<Clients, 'list'>; readonly keyLog: Pick<KeyLog, 'list'> };
  readonly config: Config;
  readonly explain: Explain;
  readonly custodians: WebDependencies['custodians'];
  readonly clientName: WebDependencies['clientName'];
};

export function consolePlugin(server: FastifyInstance, parts: Parts): ReturnType<typeof webPlugin> {
  const { anchoring, endpoints, authenticate, gateFor, search, cursors, clock, explain, registry } = parts;
  return webPlugin({
    gateFor,
    signIn: signInOver(server),
    callerOf: (token) => authenticate({ headers: { authorization: `Bearer ${token}` } }),
    status: async () => ({ ...(await anchoring.status()), ready: (await problemsOf(parts.checks)).length === 0 }),
    isErased: (version) => isErasedIn(anchoring.tail, version),
    search,
    cursors,
    explain,
    custodians: parts.custodians,
    clientName: parts.clientName,
    operations: operationsOf(parts),
    registry: { clients: registry.clients.list, keys: registry.keyLog.list, policies: policyRows(parts.config) },
    trailFile: anchoring.trails.file,
    origin: new URL(endpoints.issuer).origin,
    clock,
  });
}

const MOST_JOBS = 200;
const MOST_POINTS = 60;

function operationsOf({ anchoring, checks, jobs }: Parts): Operations {
  return {
    async history(since) {
      const seen = anchoring.anchorsSeen();
      const names = [...new Set(seen.flatMap(({ places }) => places.map(({ name }) => name)))];
      const anchors = names.map((name) => ({
        name,
        points: seen.flatMap(({ at, places }) => places.flatMap((place) => (place.name === name ? [{ at, value: place.size }] : []))),
      }));
      return { log: await anchoring.history.growth({ since, most: MOST_POINTS }), anchors };
    },
    async alarms() {
      return [...(await problemsOf([...checks, ...lateness(anchoring)])), ...raisedAlarms(anchoring)];
    },
    jobs: () => jobs.list(MOST_JOBS),
  };
}

/** What is wrong, in words of ours. */
async function problemsOf(checks: readonly Check[]): Promise<readonly string[]> {
  const results = await Promise.allSettled(checks.map(({ check }) => check()));
  return results.flatMap((result, i) => {
    if (result.status === 'fulfilled') return [];
    return [result.reason instanceof AssentError ? result.reason.message : `The check of the ${checks[i]?.name} fails.`];
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
