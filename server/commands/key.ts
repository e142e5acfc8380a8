/** `assent key add|list|revoke`: the command-line twin of /admin/keys. interface.md §2 */
import { parseArgs } from 'node:util';
import type { Config } from '../config.ts';
import { type AdminApi, connectAdminApi, print, readJson } from './admin-api.ts';

const usage = `Usage:
  assent key add    --owner Patient/1 --jwk FILE|- --proofing in-person [--role requester]   (a public key: P-256 or Ed25519)
  assent key list   --owner Patient/1
  assent key revoke KID --reason TEXT [--compromised-since INSTANT]
`;

const options = {
  owner: { type: 'string' },
  jwk: { type: 'string' },
  proofing: { type: 'string' },
  role: { type: 'string' },
  reason: { type: 'string' },
  'compromised-since': { type: 'string' },
} as const;

type Flags = { readonly [name in keyof typeof options]?: string | undefined };

export async function key(config: Pick<Config, 'DATA_DIR'>, [verb = '', ...args]: readonly string[]): Promise<number> {
  const run = verbs[verb];
  if (!run) {
    process.stderr.write(usage);
    return 2;
  }
  // Any character of base64url may come first, a dash as well, which is no option then.
  const kids = args.slice(0, 1).filter((arg) => KID.test(arg));
  const { values, positionals } = parseArgs({ args: args.slice(kids.length), options, allowPositionals: true });
  print(await run(await connectAdminApi(config), values, [...kids, ...positionals]));
  return 0;
}

/** A thumbprint: RFC 7638. */
const KID = /^[\w-]{43}$/;

const verbs: Readonly<Record<string, (api: AdminApi, flags: Flags, kids: readonly string[]) => Promise<unknown>>> = {
  add: (api, { owner, jwk = '-', proofing, role }) =>
    api('POST', '/admin/keys', { owner, jwk: readJson(jwk), proofing, ...(role === undefined ? {} : { role }) }),
  list: async (api, { owner = '' }) => ((await api('GET', `/admin/keys?owner=${encodeURIComponent(owner)}`)) as { readonly keys: unknown }).keys,
  revoke: (api, flags, [kid]) => {
    if (kid === undefined) throw new Error(`The key's kid is missing.\n${usage}`);
    const since = flags['compromised-since'];
    return api('POST', `/admin/keys/${encodeURIComponent(kid)}/revoke`, {
      reason: flags.reason,
      ...(since === undefined ? {} : { compromisedSince: since }),
    });
  },
};
