/** What is registered, to be looked up: clients, organizations, keys; and the policies. Organizations come from the Gate, as to everybody. */
import type { FastifyReply } from 'fastify';
import type { SortPosition } from '../../consent/gate.ts';
import { knownError } from '../../http/error-handler.ts';
import type { WebDependencies } from '../plugin.ts';
import { type ConsolePage, type Opened, showTo } from './frame.ts';
import { clientsPage, keysPage, type ListedClient, organizationsPage, policiesPage, type PolicyRows, type RegisteredKey } from './registry.ts';

export type Registry = {
  readonly clients: (page: { readonly after?: string; readonly limit: number }) => Promise<readonly ListedClient[]>;
  /** Throws AssentError('invalid-request') for what owns no keys. */
  readonly keys: (filter: { readonly owner: string }) => Promise<readonly RegisteredKey[]>;
  readonly policies: PolicyRows;
};

const PAGE_SIZE = 50;

export function registryPages(page: ConsolePage, dependencies: WebDependencies): void {
  const { registry } = dependencies;
  page('GET /console/clients', (opened) => showClients(registry, opened));
  page('POST /console/clients', (opened) => showClients(registry, opened));
  page('GET /console/organizations', (opened) => showOrganizations(dependencies, opened));
  page('POST /console/organizations', (opened) => showOrganizations(dependencies, opened));
  page('GET /console/keys', async ({ session, reply }) => showTo(session, reply, { title: 'Keys', content: keysPage(session, { owner: '' }) }));
  page('POST /console/keys', (opened) => showKeys(registry, opened));
  page('GET /console/policies', async ({ session, reply }) =>
    showTo(session, reply, { title: 'Policies', content: policiesPage(registry.policies) }),
  );
}

async function showClients({ clients }: Registry, { session, form, reply }: Opened): Promise<FastifyReply> {
  const after = form.get('after');
  const found = await clients({ limit: PAGE_SIZE, ...(after === null ? {} : { after }) });
  const next = found.length === PAGE_SIZE ? found.at(-1)?.client_id : undefined;
  return showTo(session, reply, { title: 'Clients', content: clientsPage(session, found, next) });
}

async function showOrganizations({ gateFor, search, cursors, registry }: WebDependencies, { session, form, reply }: Opened): Promise<FastifyReply> {
  const query = `_sort=name&_count=${PAGE_SIZE}&_total=none`;
  const { where, order, count, total } = search.plan('Organization', new URLSearchParams(query), 'strict');
  const [bound, cursor] = ['console organizations', form.get('page')];
  const after = cursor === null ? {} : { after: cursors.open(cursor, bound) as SortPosition };
  const request = { type: 'Organization', where, order, count, total, query: `Organization?${query}`, ...after };
  const { rows, next } = await gateFor(session.caller).search(request);
  const owners = rows.map(({ id }) => `Organization/${id}`);
  const keys = await Promise.all(owners.map((owner) => registry.keys({ owner })));
  const custodians = new Set(owners.filter((_, i) => keys[i]?.some(({ role, revoked }) => role === 'custodian' && !revoked)));
  const content = organizationsPage(session, rows, { custodians, next: next && cursors.seal(next, bound) });
  return showTo(session, reply, { title: 'Organizations', content });
}

async function showKeys({ keys }: Registry, { session, form, reply }: Opened): Promise<FastifyReply> {
  const owner = (form.get('owner') ?? '').trim();
  try {
    return await showTo(session, reply, { title: 'Keys', content: keysPage(session, { owner, keys: await keys({ owner }) }) });
  } catch (error) {
    const { status } = knownError(error);
    if (status >= 500) throw error;
    const problem = 'Write an owner as its type and id, as in Patient/123 or Organization/123.';
    return showTo(session, reply.code(422), { title: 'Keys', content: keysPage(session, { owner: owner.slice(0, 80), problem }) });
  }
}
