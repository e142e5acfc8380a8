/**
 * The admin API as one table: clients, signing keys and how searches run, for administrators. interface.md §2
 *
 * Invariant: no row is reached without a token that holds its duty (duties.ts); what is written moves the consent epoch in the same commit.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import { type Endpoint, requireDuty } from './duties.ts';
import { type Explain, explainInput } from './explain.ts';

type ClientView = { readonly client_id: string };
type KeyView = { readonly kid: string };

/** What the authorization room offers; inputs are checked there and every problem named. */
export type AdminDeps = {
  readonly callerOf: (request: FastifyRequest) => Caller | Promise<Caller>;
  readonly clients: {
    add(input: unknown, by: Caller): Promise<ClientView>;
    replace(id: string, input: unknown, by: Caller): Promise<ClientView>;
    remove(id: string, by: Caller): Promise<void>;
    show(id: string): Promise<ClientView>;
    list(page: { readonly after?: string; readonly limit: number }): Promise<readonly ClientView[]>;
  };
  readonly keys: {
    register(input: unknown, by: Caller): Promise<KeyView>;
    revoke(kid: string, input: unknown, by: Caller): Promise<KeyView>;
    list(filter: { readonly owner: string }): Promise<readonly KeyView[]>;
    get(kid: string): Promise<KeyView | undefined>;
  };
  readonly enrolments: { issue(input: unknown, by: Caller): Promise<object> };
  /** New keys of patients who lost theirs, to be signed by their custodian. */
  readonly recoveries: { list(filter: { readonly owner: string }): Promise<readonly object[]> };
  readonly explain: Explain;
  readonly launches: { open(input: unknown, by: Caller): Promise<object> };
};

type Call = {
  readonly deps: AdminDeps;
  readonly caller: Caller;
  readonly id: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
};
type Answer = { readonly status: 200 | 201 | 204; readonly body?: unknown; readonly location?: string };
type Row = {
  readonly endpoint: Endpoint;
  readonly query: readonly string[];
  readonly run: (call: Call) => Promise<Answer>;
};

const MOST_BODY_BYTES = 256 * 1024;
const PAGE = 1000;

// biome-ignore format: one row, one line
const rows: readonly Row[] = [
  { endpoint: 'POST /admin/clients',           query: [],          run: addClient },
  { endpoint: 'GET /admin/clients',            query: ['after'],   run: listClients },
  { endpoint: 'GET /admin/clients/:id',        query: [],          run: async ({ deps, id }) => ok(await deps.clients.show(id)) },
  { endpoint: 'PUT /admin/clients/:id',        query: [],          run: async ({ deps, caller, id, body }) => ok(await deps.clients.replace(id, body, caller)) },
  { endpoint: 'DELETE /admin/clients/:id',     query: [],          run: removeClient },
  { endpoint: 'POST /admin/keys',              query: [],          run: addKey },
  { endpoint: 'GET /admin/keys',               query: ['owner'],   run: listKeys },
  { endpoint: 'GET /admin/keys/:id',           query: [],          run: showKey },
  { endpoint: 'POST /admin/enrolments',        query: [],          run: async ({ deps, body, caller }) => ({ status: 201, body: await deps.enrolments.issue(body, caller) }) },
  { endpoint: 'GET /admin/recoveries',         query: ['owner'],   run: listRecoveries },
  { endpoint: 'POST /admin/launches',          query: [],          run: async ({ deps, body, caller }) => ({ status: 201, body: await deps.launches.open(body, caller) }) },
  { endpoint: 'POST /admin/explain',           query: [],          run: async ({ deps, body, caller }) => ok(await deps.explain(caller, explainInput(body))) },
  { endpoint: 'POST /admin/keys/:id/revoke',   query: [],          run: async ({ deps, id, body, caller }) => ok(await deps.keys.revoke(id, body, caller)) },
];

export async function adminPlugin(app: FastifyInstance, deps: AdminDeps): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: MOST_BODY_BYTES }, (_request, text, done) =>
    parse(String(text), done),
  );
  for (const row of rows) {
    const [method = '', url = ''] = row.endpoint.split(' ');
    app.route({
      method,
      url,
      config: { interaction: 'admin' },
      handler: (request, reply) => answer({ row, deps, request, reply }),
      onRequest: (request) => admit(request, row, deps),
    });
  }
}

/** Before the body is read: a stranger's body is not worth reading. */
async function admit(request: FastifyRequest, { endpoint }: Row, deps: AdminDeps): Promise<void> {
  requireDuty(endpoint, await deps.callerOf(request));
}

async function answer({
  row,
  deps,
  request,
  reply,
}: {
  readonly row: Row;
  readonly deps: AdminDeps;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}): Promise<FastifyReply> {
  const query = request.query as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(query).find((name) => !row.query.includes(name));
  if (unknown !== undefined)
    throw new AssentError('invalid-request', `This request takes ${row.query.length === 0 ? 'no parameters' : row.query.join(', ')}.`);
  const { id = '' } = request.params as { id?: string };
  const { status, body, location } = await row.run({ deps, caller: await deps.callerOf(request), id, query, body: request.body });
  if (location !== undefined) void reply.header('location', location);
  void reply.code(status).header('cache-control', 'no-store');
  return body === undefined ? reply.send() : reply.type('application/json').send(JSON.stringify(body));
}

async function addClient({ deps, body, caller }: Call): Promise<Answer> {
  const client = await deps.clients.add(body, caller);
  return { status: 201, body: client, location: `/admin/clients/${client.client_id}` };
}

async function listClients({ deps, query }: Call): Promise<Answer> {
  const { after } = query;
  const clients = await deps.clients.list({ limit: PAGE, ...(typeof after === 'string' ? { after } : {}) });
  const last = clients.length === PAGE ? clients.at(-1)?.client_id : undefined;
  return ok({ clients, ...(last === undefined ? {} : { next: `/admin/clients?after=${encodeURIComponent(last)}` }) });
}

async function removeClient({ deps, id, caller }: Call): Promise<Answer> {
  await deps.clients.remove(id, caller);
  return { status: 204 };
}

async function addKey({ deps, body, caller }: Call): Promise<Answer> {
  const key = await deps.keys.register(body, caller);
  return { status: 201, body: key, location: `/admin/keys/${key.kid}` };
}

async function listKeys({ deps, query }: Call): Promise<Answer> {
  return ok({ keys: await deps.keys.list({ owner: ownerIn(query) }) });
}

async function listRecoveries({ deps, query }: Call): Promise<Answer> {
  return ok({ recoveries: await deps.recoveries.list({ owner: ownerIn(query) }) });
}

function ownerIn({ owner }: Call['query']): string {
  if (typeof owner !== 'string') throw new AssentError('invalid-request', [{ diagnostics: 'owner is required, once.', expression: ['owner'] }]);
  return owner;
}

async function showKey({ deps, id }: Call): Promise<Answer> {
  const key = await deps.keys.get(id);
  if (!key) throw new AssentError('not-found', 'No such key.');
  return ok(key);
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function parse(text: string, done: (error: Error | null, body?: unknown) => void): void {
  try {
    done(null, JSON.parse(text));
  } catch {
    done(new AssentError('invalid-json'));
  }
}
