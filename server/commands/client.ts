/** `assent client add|list|show|update|remove`: the command-line twin of /admin/clients. interface.md §2 */
import { parseArgs } from 'node:util';
import { newSecret } from '../authz/secret.ts';
import type { Config } from '../config.ts';
import { type AdminApi, connectAdminApi, print, readJson } from './admin-api.ts';

const usage = `Usage:
  assent client add    --name NAME --scope 'system/*.rs' --actor Organization/1 --purposes TREAT[,…] [--id ID] [--chooses-ids]
                       [--jwks FILE | --jwks-uri URL | --secret SECRET]   (none of them: a secret is made and shown once)
  assent client add    --file FILE|-        the whole registration as JSON
  assent client list
  assent client show   ID
  assent client update ID --file FILE|-     replaces the registration; without a credential the present one stays
  assent client remove ID
`;

const options = {
  file: { type: 'string' },
  id: { type: 'string' },
  name: { type: 'string' },
  scope: { type: 'string' },
  actor: { type: 'string' },
  purposes: { type: 'string' },
  'chooses-ids': { type: 'boolean' },
  jwks: { type: 'string' },
  'jwks-uri': { type: 'string' },
  secret: { type: 'string' },
} as const;

type Flags = { readonly [name in keyof typeof options]?: string | boolean | undefined };

export async function client(config: Pick<Config, 'DATA_DIR'>, [verb = '', ...args]: readonly string[]): Promise<number> {
  const run = verbs[verb];
  if (!run) {
    process.stderr.write(usage);
    return 2;
  }
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  print(await run(await connectAdminApi(config), values, positionals));
  return 0;
}

const verbs: Readonly<Record<string, (api: AdminApi, flags: Flags, ids: readonly string[]) => Promise<unknown>>> = {
  add: (api, flags) => api('POST', '/admin/clients', flags.file === undefined ? registration(flags) : readJson(String(flags.file))),
  list: (api) => listAll(api),
  show: (api, _flags, ids) => api('GET', pathOf(ids)),
  update: (api, flags, ids) => api('PUT', pathOf(ids), readJson(String(flags.file ?? '-'))),
  remove: (api, _flags, ids) => api('DELETE', pathOf(ids)),
};

async function listAll(api: AdminApi): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  for (let next: string | undefined = '/admin/clients'; next !== undefined; ) {
    const page = (await api('GET', next)) as { readonly clients: readonly unknown[]; readonly next?: string };
    all.push(...page.clients);
    next = page.next;
  }
  return all;
}

function registration(flags: Flags): unknown {
  const credential =
    flags.jwks !== undefined
      ? { jwks: readJson(String(flags.jwks)) }
      : flags['jwks-uri'] !== undefined
        ? { jwks_uri: flags['jwks-uri'] }
        : { client_secret: flags.secret ?? newSecret() };
  return {
    client_name: flags.name,
    scope: flags.scope,
    actor: flags.actor,
    purposes: flags.purposes === undefined ? undefined : String(flags.purposes).split(','),
    choosesIds: flags['chooses-ids'] === true,
    ...(flags.id === undefined ? {} : { client_id: flags.id }),
    ...credential,
  };
}

function pathOf([id]: readonly string[]): string {
  if (id === undefined) throw new Error(`The client's id is missing.\n${usage}`);
  return `/admin/clients/${encodeURIComponent(id)}`;
}
