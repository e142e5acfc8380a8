/**
 * Registered clients: records of kind `client`. interface.md §2
 *
 * Invariants: a change or removal is one commit that gives the client a new generation (or none) and moves the epoch, so every token
 * issued before it is dead on its next use, and holds its AuditEvent and that one's log entry; a removed id is never given to anyone else, because the audit trail names clients by id.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { AdminAct, RecordCommit } from './commit.ts';
import { administers, authMethod, type Credential, type Registration, type RegistrationInput, readRegistration } from './registration.ts';
import { hashSecret } from './secret.ts';

const KIND = 'client';
const RETIRED = 'retired-client';

type StoredCredential = { readonly kind: 'secret'; readonly hash: string } | Exclude<Credential, { kind: 'secret' }>;

export type StoredClient = Registration & {
  readonly client_id: string;
  readonly credential: StoredCredential;
  /** Random, new with every change: a token names the one it was issued under. */
  readonly generation: string;
  /** ms since 1970. */
  readonly created: number;
  readonly updated: number;
};

/** What an administrator sees: everything but the credential's hash. */
export type ClientView = { readonly client_id: string; readonly [member: string]: unknown };

/** Who administers. `first-start`: the server itself, when nobody is registered yet. */
export type Registrar = (AdminAct['by'] & { readonly admin: boolean }) | 'first-start';

export type Clients = {
  /** Throws AssentError: invalid-request, conflict, forbidden. The answer is the only one that ever holds the client_secret. */
  add(input: unknown, by: Registrar): Promise<ClientView>;
  /** Without a credential in the input the present one stays. Throws: invalid-request, not-found, conflict. */
  replace(id: string, input: unknown, by: Registrar): Promise<ClientView>;
  /** Throws AssentError: not-found, conflict. */
  remove(id: string, by: Registrar): Promise<void>;
  show(id: string): Promise<ClientView>;
  /** In id order; `after` continues. */
  list(page: { readonly after?: string; readonly limit: number }): Promise<readonly ClientView[]>;
  find(id: string): Promise<StoredClient | undefined>;
  /** Whether the id belonged to a client that was removed. */
  isRetired(id: string): Promise<boolean>;
};

export type ClientsDeps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clock: Clock;
  readonly privateHosts: readonly string[];
};

export function createClients({ records, commit, clock, privateHosts }: ClientsDeps): Clients {
  const at = async (id: string) => {
    const record = await records.get(KIND, id);
    if (!record) throw new AssentError('not-found', 'No such client.');
    return { client: record.value as unknown as StoredClient, revision: record.revision };
  };
  const put = (client: StoredClient) => ({ kind: 'put' as const, recordKind: KIND, id: client.client_id, value: client as unknown as RecordValue });
  const guard = (id: string, revision: number | null, recordKind = KIND) => ({ kind: 'record' as const, recordKind, id, revision });

  return {
    async add(input, by) {
      const read = readRegistration(input, privateHosts);
      if (!read.credential)
        throw new AssentError('invalid-request', 'One of jwks, jwks_uri and client_secret is required, or token_endpoint_auth_method none.');
      requireMayMake([read.registration], by);
      const client = await newClient(read, read.credential, clock());
      const id = client.client_id;
      const act = actOn(client, 'registered', by);
      const done = await commit({ ...act, guards: [guard(id, null), guard(id, null, RETIRED)], records: [put(client)], log: [] });
      if (done.kind === 'conflict') throw new AssentError('conflict', 'This client_id is or was in use.');
      return { ...view(client), ...(read.credential.kind === 'secret' ? { client_secret: read.credential.secret } : {}) };
    },
    async replace(id, input, by) {
      const read = readRegistration(input, privateHosts);
      if (read.clientId !== undefined && read.clientId !== id) throw new AssentError('invalid-request', 'client_id is not the one of the path.');
      const { client: before, revision } = await at(id);
      requireMayMake([before, read.registration], by);
      const credential = read.credential ? await keep(read.credential) : before.credential;
      const client: StoredClient = { ...before, ...read.registration, credential, generation: randomUUID(), updated: clock() };
      const done = await commit({ ...actOn(client, 'changed', by), guards: [guard(id, revision)], records: [put(client)], log: [] });
      if (done.kind === 'conflict') throw new AssentError('conflict');
      return view(client);
    },
    async remove(id, by) {
      const { client, revision } = await at(id);
      requireMayMake([client], by);
      const retired = { kind: 'put' as const, recordKind: RETIRED, id, value: { removed: clock() } };
      const records = [{ kind: 'delete' as const, recordKind: KIND, id }, retired];
      const done = await commit({ ...actOn(client, 'removed', by), guards: [guard(id, revision)], records, log: [] });
      if (done.kind === 'conflict') throw new AssentError('conflict');
    },
    show: async (id) => view((await at(id)).client),
    list: async (page) => (await records.list(KIND, page)).map(({ value }) => view(value as unknown as StoredClient)),
    find: async (id) => (await records.get(KIND, id))?.value as unknown as StoredClient | undefined,
    isRetired: async (id) => (await records.get(RETIRED, id)) !== undefined,
  };
}

/** Nobody gives themselves duties, or takes them from others: that is for scope `admin`. Throws AssentError('forbidden'). */
function requireMayMake(registrations: readonly Pick<Registration, 'scope'>[], by: Registrar): void {
  if (by !== 'first-start' && !by.admin && registrations.some(administers))
    throw new AssentError('forbidden', 'Accounts of administration are made, changed and removed with scope "admin" only.');
}

/** A client that acts for a patient is told to that patient. Of one that is changed, whom it acts for from then on. */
function actOn({ client_id: id, actor }: StoredClient, how: 'registered' | 'changed' | 'removed', by: Registrar): { readonly act?: AdminAct } {
  if (by === 'first-start') return {};
  return { act: { by, patient: /^Patient\/(.+)$/.exec(actor)?.[1], what: `client ${how}: ${id}` } };
}

async function newClient(read: RegistrationInput, credential: Credential, now: number): Promise<StoredClient> {
  return {
    client_id: read.clientId ?? randomUUID(),
    ...read.registration,
    credential: await keep(credential),
    generation: randomUUID(),
    created: now,
    updated: now,
  };
}

async function keep(credential: Credential): Promise<StoredCredential> {
  return credential.kind === 'secret' ? { kind: 'secret', hash: await hashSecret(credential.secret) } : credential;
}

/** Can be sent back by PUT as it is. */
function view({ credential, generation: _generation, created: _created, updated: _updated, ...registration }: StoredClient): ClientView {
  return {
    ...registration,
    token_endpoint_auth_method: authMethod(credential),
    ...(credential.kind === 'jwks' ? { jwks: credential.jwks } : {}),
    ...(credential.kind === 'jwks_uri' ? { jwks_uri: credential.uri } : {}),
  };
}
