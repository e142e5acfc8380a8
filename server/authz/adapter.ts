/**
 * oidc-provider's storage over RecordStore: one record kind per model, expiry by the store.
 * https://github.com/panva/node-oidc-provider/blob/main/example/my_adapter.js
 *
 * Clients are read from the registrations and carry a snapshot of theirs, so that a token is made from the very registration its client
 * authenticated with. A code is consumed by compare-and-swap: of two processes, one wins.
 */
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { Clients, StoredClient } from './clients.ts';
import type { RecordCommit } from './commit.ts';
import { authMethod } from './registration.ts';

/** The name under which a client of oidc-provider carries its registration. */
export const REGISTRATION = 'assent_registration';

/** What a person allowed a client; as long as it is there, the tokens made under it live. */
export const GRANT = 'oidc-Grant';

export type AdapterDeps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clients: Pick<Clients, 'find'>;
  readonly clock: Clock;
};

export function createAdapter(deps: AdapterDeps): AdapterFactory {
  return (name) => {
    if (name === 'Client') return clientAdapter(deps.clients);
    const adapter = recordAdapter(deps, `oidc-${name}`);
    return name === 'Grant' ? { ...adapter, destroy: (id) => endGrant(deps.commit, id) } : adapter;
  };
}

/** Moves the epoch: whoever remembers a token of this grant looks again at its next use. */
async function endGrant(commit: RecordCommit, id: string): Promise<void> {
  await commit({ guards: [], records: [{ kind: 'delete', recordKind: GRANT, id }], log: [] });
}

function recordAdapter({ records, clock }: AdapterDeps, kind: string): Adapter {
  const found = async (lookup: string) => {
    const [record] = await records.list(kind, { lookup, limit: 1 });
    return record?.value as AdapterPayload | undefined;
  };
  return {
    async upsert(id, payload, expiresIn) {
      const expires = expiresIn === undefined ? {} : { expires: clock() + expiresIn * 1000 };
      await records.put(kind, id, payload as RecordValue, { lookup: lookupsOf(payload), ...expires });
    },
    find: async (id) => (await records.get(kind, id))?.value as AdapterPayload | undefined,
    findByUid: (uid) => found(`uid:${uid}`),
    findByUserCode: (userCode) => found(`code:${userCode}`),
    async consume(id) {
      const record = await records.get(kind, id);
      if (!record) throw new Error('Already used or expired.');
      const value = { ...(record.value as AdapterPayload), consumed: Math.floor(clock() / 1000) };
      const expires = record.expires === undefined ? {} : { expires: record.expires };
      const put = await records.put(kind, id, value as RecordValue, { revision: record.revision, lookup: lookupsOf(value), ...expires });
      if (put.kind === 'conflict') throw new Error('Already used.');
    },
    async destroy(id) {
      await records.delete(kind, id);
    },
    async revokeByGrantId(grantId) {
      // Page by page: a long-lived grant may have more tokens than one list holds.
      for (
        let page = await records.list(kind, { lookup: `grant:${grantId}` });
        page.length > 0;
        page = await records.list(kind, { lookup: `grant:${grantId}` })
      ) {
        for (const { id } of page) await records.delete(kind, id);
      }
    },
  };
}

function lookupsOf({ uid, userCode, grantId }: AdapterPayload): string[] {
  return [...(uid ? [`uid:${uid}`] : []), ...(userCode ? [`code:${userCode}`] : []), ...(grantId ? [`grant:${grantId}`] : [])];
}

/** Registrations are written through the admin API alone, so everything but `find` is refused. */
function clientAdapter(clients: AdapterDeps['clients']): Adapter {
  const refuse = async () => {
    throw new Error('Clients are registered through the admin API.');
  };
  return {
    find: async (id) => {
      const client = await clients.find(id);
      return client ? metadataOf(client) : undefined;
    },
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
    upsert: refuse,
    consume: refuse,
    destroy: refuse,
    revokeByGrantId: refuse,
  };
}

function metadataOf(client: StoredClient): AdapterPayload {
  const { credential } = client;
  return {
    client_id: client.client_id,
    client_name: client.client_name,
    grant_types: [...client.grant_types],
    redirect_uris: [...client.redirect_uris],
    response_types: client.grant_types.includes('authorization_code') ? ['code'] : [],
    token_endpoint_auth_method: authMethod(credential),
    // The hash takes the secret's place; the comparison in provider.ts knows it.
    ...(credential.kind === 'secret' ? { client_secret: credential.hash } : {}),
    ...(credential.kind === 'jwks' ? { jwks: credential.jwks } : {}),
    ...(credential.kind === 'jwks_uri' ? { jwks_uri: credential.uri } : {}),
    [REGISTRATION]: client,
  } as AdapterPayload;
}
