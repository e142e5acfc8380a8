/**
 * Every setting, in one table: type, default, meaning. The only reader of process.env.
 * An unknown or bad ASSENT_* variable stops the start with a sentence (interface.md §1).
 */
import { resolve } from 'node:path';

type Setting<T> = { readonly fallback: string; readonly type: string; readonly meaning: string; readonly parse: (text: string) => T };

const port: (text: string) => number = (text) => integer(0, 65_535)(text);
const url = (text: string): string => (text === '' ? '' : new URL(text).href.replace(/\/$/, ''));
const list = (text: string): readonly string[] =>
  text
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '');

function smtp(text: string): string {
  if (text === '') return '';
  const { protocol, hostname, password } = new URL(text);
  if ((protocol !== 'smtp:' && protocol !== 'smtps:') || hostname === '') throw new Error('must be smtp:// or smtps:// and a host');
  if (password !== '') throw new Error('must not hold the password; ASSENT_SMTP_PASSWORD_PATH names a file with it');
  return text;
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new Error(`must be a whole number from ${min} to ${max}`);
    return value;
  };
}

function oneOf<const T extends string>(...values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((v) => v === text);
    if (found === undefined) throw new Error(`must be one of ${values.join(', ')}`);
    return found;
  };
}

/** `0x` and so many hex digits, or nothing. */
function digits(count: number): (text: string) => string {
  return (text) => {
    if (text !== '' && !new RegExp(`^0x[0-9a-f]{${count}}$`, 'i').test(text)) throw new Error(`must be 0x and ${count} hex digits`);
    return text;
  };
}

/** A socket of this machine: what is said there is not encrypted. */
function signerAddress(text: string): string {
  if (text === '' || /^unix:\/.+$/.test(text) || /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost):\d{1,5}$/.test(text)) return text;
  throw new Error('must be unix:/path or http://127.0.0.1:port');
}

const settings = {
  PORT: { fallback: '8103', type: 'port', meaning: 'TCP port to listen on; 0 picks a free one.', parse: port },
  HOST: { fallback: '127.0.0.1', type: 'address', meaning: 'Address to listen on.', parse: String },
  PUBLIC_URL: {
    fallback: '',
    type: 'URL',
    meaning: 'Origin that clients see, e.g. https://fhir.example.org; empty: made from host and port.',
    parse: url,
  },
  DATA_DIR: {
    fallback: './data',
    type: 'path',
    meaning: 'Folder of the embedded database, bootstrap.json, keys and signer state.',
    parse: (s: string) => resolve(s),
  },
  MONGODB_URI: { fallback: '', type: 'URI', meaning: 'Replica set to store in; empty: the embedded engine.', parse: String },
  APPROVALS: {
    fallback: 'both',
    type: 'both | patient',
    meaning: 'Whose signatures a Consent needs before it acts.',
    parse: oneOf('both', 'patient'),
  },
  KEY_RECOVERY_HOURS: {
    fallback: '72',
    type: 'hours',
    meaning: 'How long a recovery of a patient’s keys waits, so that a key of theirs can stop it.',
    parse: integer(0, 8760),
  },
  MAJORITY_AGE: {
    fallback: '18',
    type: 'years',
    meaning: 'When patients come of age: no guardian acts for them any more, and what one signed permits nothing.',
    parse: integer(1, 30),
  },
  ADOLESCENCE_AGE: {
    fallback: '12',
    type: 'years',
    meaning: 'From when a guardian does not see what carries a label of ASSENT_GUARDIAN_EXCEPT.',
    parse: integer(0, 30),
  },
  GUARDIAN_EXCEPT: {
    fallback: 'ADOL,SEX,STD,HIV,SUD,MH,SDV,V',
    type: 'labels',
    meaning:
      'Labels that a guardian does not see of an adolescent, comma separated; each sensitivity with all below it, a confidentiality with all above it.',
    parse: list,
  },
  IMPLICIT_POLICY: {
    fallback: 'deny',
    type: 'deny | author-treatment | permit-except | break-glass',
    meaning: 'What holds where no Consent applies.',
    parse: oneOf('deny', 'author-treatment', 'permit-except', 'break-glass'),
  },
  IMPLICIT_EXCEPT: {
    fallback: '',
    type: 'labels',
    meaning: 'With permit-except: labels (R, V, HIV, …) it does not permit, comma separated; empty: permits all.',
    parse: list,
  },
  SENSITIVE_VALUE_SETS: {
    fallback: '',
    type: 'canonical URLs | none',
    meaning:
      'Value sets of the packages whose codes are labelled as sensitive, comma separated; empty: those of fhir-profiles; none: labels are those of the sources.',
    parse: list,
  },
  BREAK_GLASS_ACTORS: {
    fallback: '',
    type: 'references',
    meaning: 'Who may break the glass ($break-glass), e.g. Practitioner/7, comma separated; empty: nobody.',
    parse: list,
  },
  BREAK_GLASS_MINUTES: {
    fallback: '15',
    type: 'minutes',
    meaning: 'How long a record stays open after the glass was broken.',
    parse: integer(1, 60),
  },
  BREAK_GLASS_EXCEPT: {
    fallback: '',
    type: 'labels',
    meaning: 'Labels (V, PSYTHPN, …) that no broken glass opens, because law excludes them, comma separated.',
    parse: list,
  },
  JWKS_PRIVATE_HOSTS: {
    fallback: '',
    type: 'hosts',
    meaning: 'Hosts (with port) inside the private network whose jwks_uri may be fetched, comma separated.',
    parse: list,
  },
  OIDC_ISSUER: {
    fallback: '',
    type: 'URL',
    meaning: 'Issuer of an OpenID Connect provider at which persons sign in to let apps in. Empty: passkeys only.',
    parse: url,
  },
  OIDC_CLIENT_ID: { fallback: '', type: 'id', meaning: 'With OIDC_ISSUER: what this server is registered as there.', parse: String },
  OIDC_SECRET_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With OIDC_ISSUER: file with the client secret, used by client_secret_basic.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  OIDC_SCOPE: { fallback: 'openid fhirUser', type: 'scopes', meaning: 'With OIDC_ISSUER: what is asked of it.', parse: String },
  OIDC_USER_CLAIM: {
    fallback: 'fhirUser',
    type: 'claim',
    meaning: 'With OIDC_ISSUER: claim of the ID token that says who it is here, as in Practitioner/7 or Patient/1.',
    parse: String,
  },
  MAX_BODY_BYTES: { fallback: '67108864', type: 'bytes', meaning: 'Largest request body, after decompression.', parse: integer(1024, 1_073_741_824) },
  MAX_BYTES_IN_FLIGHT: {
    fallback: '100663296',
    type: 'bytes',
    meaning: 'Most bytes of bodies over 1 MiB that are worked on at once; more are asked to come again (503). Memory needed: some 25 times as much.',
    parse: integer(1024, 17_179_869_184),
  },
  MAX_JSON_DEPTH: { fallback: '64', type: 'levels', meaning: 'Deepest nesting accepted in a JSON body.', parse: integer(8, 1000) },
  MAX_BUNDLE_ENTRIES: { fallback: '30000', type: 'entries', meaning: 'Most entries of one batch or transaction.', parse: integer(1, 1_000_000) },
  MAX_CONDITIONAL_DELETES: {
    fallback: '100',
    type: 'resources',
    meaning: 'Most resources one conditional delete removes, all or none; 1: criteria must match a single one.',
    parse: integer(1, 10_000),
  },
  PACKAGES: {
    fallback: '',
    type: 'paths',
    meaning: 'Packages of profiles and value sets to validate with (.tgz files, or folders of them), comma separated.',
    parse: (text: string) => list(text).map((path) => resolve(path)),
  },
  UNKNOWN_PROFILES: {
    fallback: 'accept',
    type: 'accept | refuse',
    meaning: 'Resources that claim a profile no package brings: stored unchecked against it, or refused.',
    parse: oneOf('accept', 'refuse'),
  },
  REFERENTIAL_INTEGRITY: {
    fallback: 'off',
    type: 'off | on',
    meaning: 'On: in the view of who writes, references must name what is there, and what is referred to is not deleted.',
    parse: oneOf('off', 'on'),
  },
  VALIDATION_WORKERS: {
    fallback: '2',
    type: 'threads',
    meaning: 'Threads that validate large bundles off the event loop; started when first needed.',
    parse: integer(1, 64),
  },
  MAX_JOBS: { fallback: '2', type: 'jobs', meaning: 'Jobs one server process runs at once; more wait.', parse: integer(1, 64) },
  JOB_RESULT_MINUTES: { fallback: '60', type: 'minutes', meaning: 'How long the result of a job is kept.', parse: integer(1, 10_080) },
  MAX_JOB_RESULT_BYTES: {
    fallback: '268435456',
    type: 'bytes',
    meaning: 'Largest result of a job; one that would be larger fails.',
    parse: integer(1024, 17_179_869_184),
  },
  WITNESS_POLICY: {
    fallback: '',
    type: 'path',
    meaning: 'Policy file (c2sp.org/tlog-policy) naming the witnesses, with URLs, and the quorum that must cosign checkpoints; empty: none.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  EVM_RPC: {
    fallback: '',
    type: 'URLs',
    meaning: 'Nodes of an EVM chain to anchor checkpoints in, comma separated; what they do not all say does not count. Empty: none.',
    parse: (text: string): string[] => list(text).map(url),
  },
  EVM_CONTRACT: {
    fallback: '',
    type: 'address',
    meaning: 'With EVM_RPC: the ConsentAnchor contract, as `assent anchor deploy` prints it.',
    parse: digits(40),
  },
  EVM_LOG_ID: { fallback: '', type: 'hex', meaning: 'With EVM_RPC: the log’s id there, as `assent anchor deploy` prints it.', parse: digits(64) },
  EVM_KEY_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With EVM_RPC: file with the key of the writing account, 0x and 64 hex digits.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  EVM_INTERVAL_MINUTES: { fallback: '10', type: 'minutes', meaning: 'With EVM_RPC: least time between two anchors.', parse: integer(0, 10_080) },
  EVM_CONFIRMATIONS: {
    fallback: '12',
    type: 'blocks',
    meaning: 'With EVM_RPC: blocks on top of an anchor’s before it counts; 0 on chains whose blocks are final.',
    parse: integer(0, 100),
  },
  TSA_URL: {
    fallback: '',
    type: 'URL',
    meaning: 'Time-stamp authority (RFC 3161) to have checkpoints stamped by. Empty: none.',
    parse: url,
  },
  TSA_CERTIFICATES: {
    fallback: '',
    type: 'path',
    meaning: 'With TSA_URL: PEM file of the certificates that the authority’s must lead to.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  TSA_INTERVAL_MINUTES: { fallback: '60', type: 'minutes', meaning: 'With TSA_URL: least time between two time-stamps.', parse: integer(0, 10_080) },
  AGGREGATE_URL: {
    fallback: '',
    type: 'URL',
    meaning: 'Aggregate (`assent anchor aggregate`) that holds this log’s checkpoints among those of others. Empty: none.',
    parse: url,
  },
  AGGREGATE_KEY: { fallback: '', type: 'key', meaning: 'With AGGREGATE_URL: the aggregate’s verifier key, as it prints it.', parse: String },
  AGGREGATE_PLACES: {
    fallback: 'evm,rfc3161',
    type: 'places',
    meaning: 'With AGGREGATE_URL: where the aggregate must be anchored, of evm and rfc3161; what is late there is reported.',
    parse: (text: string) => list(text).map(oneOf('evm', 'rfc3161')),
  },
  AGGREGATE_EVM_RPC: {
    fallback: '',
    type: 'URLs',
    meaning:
      'With AGGREGATE_URL: nodes of the aggregate’s EVM chain, comma separated; what it says of the chain counts only if all of them say it too. Empty: it counts.',
    parse: (text: string): string[] => list(text).map(url),
  },
  AGGREGATE_TSA_CERTIFICATES: {
    fallback: '',
    type: 'path',
    meaning: 'With AGGREGATE_URL: PEM file of the certificates that its time-stamps must lead to. Empty: they are kept unread.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  ANCHOR_MAX_AGE_HOURS: {
    fallback: '24',
    type: 'hours',
    meaning: 'A log that has grown and was not anchored for longer, in any one of the places named, is reported; nothing waits for it.',
    parse: integer(1, 8760),
  },
  SIGNER: {
    fallback: '',
    type: 'address',
    meaning:
      'Where `assent signer` signs checkpoints: unix:/path or http://127.0.0.1:port. Empty: this process signs them, with the key in its folder.',
    parse: signerAddress,
  },
  SIGNER_SECRET_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With SIGNER: file with the secret that the signer made at its first start.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  LOG_MLDSA: {
    fallback: 'off',
    type: 'off | on',
    meaning:
      'On: checkpoints are signed a second time, with ML-DSA-44 (FIPS 204), by a key made once beside the log’s. With SIGNER: `assent signer --ml-dsa` has it.',
    parse: oneOf('off', 'on'),
  },
  ALARM_WEBHOOK: {
    fallback: '',
    type: 'URL',
    meaning: 'Where every finding that something stored is not what was logged is posted (standardwebhooks.com), until it is taken. Empty: nowhere.',
    parse: url,
  },
  ALARM_SECRET_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With ALARM_WEBHOOK: file with the secret it is signed with, 24 to 64 bytes in base64, perhaps after whsec_.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  NOTICE_WEBHOOK: {
    fallback: '',
    type: 'URL',
    meaning: 'Where it is posted (standardwebhooks.com) that somebody has something to look at, and never what. Empty: nowhere.',
    parse: url,
  },
  NOTICE_SECRET_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With NOTICE_WEBHOOK: file with the secret it is signed with, 24 to 64 bytes in base64, perhaps after whsec_.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  SMTP_URL: {
    fallback: '',
    type: 'URL',
    meaning:
      'Mail relay by which patients and organizations are told that there is something to look at: smtp://user@host or smtps://user@host. Empty: none.',
    parse: smtp,
  },
  SMTP_FROM: { fallback: '', type: 'address', meaning: 'With SMTP_URL: whom mail is from.', parse: String },
  SMTP_PASSWORD_PATH: {
    fallback: '',
    type: 'path',
    meaning: 'With a user in SMTP_URL: file with the password.',
    parse: (text: string) => (text === '' ? '' : resolve(text)),
  },
  MISS_QUANTUM_MS: {
    fallback: '',
    type: 'ms',
    meaning:
      'An answer that shows nothing leaves at a whole multiple of it after its request came, so that its time does not tell why; 0: at once; empty: 10, with MongoDB 40.',
    parse: (text: string) => (text === '' ? undefined : integer(0, 1000)(text)),
  },
  CHECKPOINT_INTERVAL_MS: { fallback: '1000', type: 'ms', meaning: 'How often a grown log gets a signed checkpoint.', parse: integer(10, 60_000) },
  LOG_LEVEL: {
    fallback: 'info',
    type: 'level',
    meaning: 'fatal, error, warn, info, debug, trace or silent; logs go to stderr.',
    parse: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  },
} satisfies Record<string, Setting<unknown>>;

type Name = keyof typeof settings;
export type Config = { readonly [N in Name]: ReturnType<(typeof settings)[N]['parse']> };

/** Throws Error with one sentence per wrong setting. */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const problems: string[] = [];
  for (const name of Object.keys(environment)) {
    if (name.startsWith('ASSENT_') && !name.startsWith('ASSENT_TEST_') && !(name.slice(7) in settings))
      problems.push(`${name} is not a setting; \`npm run assent -- config\` lists them all.`);
  }
  const entries = Object.entries(settings).map(([name, { parse, fallback }]) => {
    try {
      return [name, parse(environment[`ASSENT_${name}`] ?? fallback)];
    } catch (error) {
      problems.push(`ASSENT_${name} ${error instanceof Error ? error.message : 'is not usable'}.`);
      return [name, undefined];
    }
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const config = Object.fromEntries(entries) as Config;
  if (config.IMPLICIT_POLICY === 'break-glass' && config.BREAK_GLASS_ACTORS.length === 0)
    throw new Error('ASSENT_IMPLICIT_POLICY=break-glass needs ASSENT_BREAK_GLASS_ACTORS.');
  if (config.EVM_RPC.length > 0 && [config.EVM_CONTRACT, config.EVM_LOG_ID, config.EVM_KEY_PATH].includes(''))
    throw new Error('ASSENT_EVM_RPC needs ASSENT_EVM_CONTRACT, ASSENT_EVM_LOG_ID and ASSENT_EVM_KEY_PATH.');
  if (config.OIDC_ISSUER !== '' && [config.OIDC_CLIENT_ID, config.OIDC_SECRET_PATH].includes(''))
    throw new Error('ASSENT_OIDC_ISSUER needs ASSENT_OIDC_CLIENT_ID and ASSENT_OIDC_SECRET_PATH.');
  if (config.TSA_URL !== '' && config.TSA_CERTIFICATES === '') throw new Error('ASSENT_TSA_URL needs ASSENT_TSA_CERTIFICATES.');
  if (config.AGGREGATE_URL !== '' && config.AGGREGATE_KEY === '') throw new Error('ASSENT_AGGREGATE_URL needs ASSENT_AGGREGATE_KEY.');
  if (config.SIGNER !== '' && config.SIGNER_SECRET_PATH === '') throw new Error('ASSENT_SIGNER needs ASSENT_SIGNER_SECRET_PATH.');
  if (config.ALARM_WEBHOOK !== '' && config.ALARM_SECRET_PATH === '') throw new Error('ASSENT_ALARM_WEBHOOK needs ASSENT_ALARM_SECRET_PATH.');
  if (config.NOTICE_WEBHOOK !== '' && config.NOTICE_SECRET_PATH === '') throw new Error('ASSENT_NOTICE_WEBHOOK needs ASSENT_NOTICE_SECRET_PATH.');
  if (config.SMTP_URL !== '' && !config.SMTP_FROM.includes('@')) throw new Error('ASSENT_SMTP_URL needs ASSENT_SMTP_FROM.');
  if (/@/.test(config.SMTP_URL) && config.SMTP_PASSWORD_PATH === '') throw new Error('A user in ASSENT_SMTP_URL needs ASSENT_SMTP_PASSWORD_PATH.');
  return config;
}

/** The table that `npm run assent -- config` prints. */
export function describeConfig(): readonly { name: string; type: string; fallback: string; meaning: string }[] {
  return Object.entries(settings).map(([name, { type, fallback, meaning }]) => ({ name: `ASSENT_${name}`, type, fallback, meaning }));
}
