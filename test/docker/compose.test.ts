/** docker/compose.yaml and the files it mounts: three members, two servers, a proxy, nobody root, nothing writable but volumes, no secret in sight. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { describeConfig } from '../../server/config.ts';

const folder = new URL('../../docker/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, folder), 'utf8');

type Service = {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly privileged?: boolean;
  readonly security_opt?: readonly string[];
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly deploy?: { readonly resources?: { readonly limits?: Readonly<Record<string, unknown>> } };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly ports?: readonly string[];
  readonly restart?: string;
  readonly command?: readonly string[];
};
type Compose = {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
};

const load = (text: string) => parse(text, { merge: true }) as Compose;
const text = read('compose.yaml');
const compose = load(text);

/** One sentence per broken rule. */
function problems({ services, secrets, volumes, networks }: Compose): string[] {
  return Object.entries(services).flatMap(([name, service]) => [
    ...hardening(name, service),
    ...named(name, service, { services, secrets, volumes, networks }),
  ]);
}

function hardening(name: string, service: Service): string[] {
  const found: string[] = [];
  const limits = service.deploy?.resources?.limits ?? {};
  const once = service.restart === 'no';
  if (!/^[1-9]\d*:[1-9]\d*$/.test(service.user ?? '')) found.push(`${name} may run as root.`);
  if (service.read_only !== true) found.push(`${name} can write to its image.`);
  if (service.cap_drop?.join() !== 'ALL' || service.cap_add || service.privileged) found.push(`${name} has capabilities.`);
  if (!service.security_opt?.includes('no-new-privileges:true')) found.push(`${name} may gain privileges.`);
  if (['cpus', 'memory', 'pids'].some((limit) => !(limit in limits))) found.push(`${name} has no bounds.`);
  if (!once && !service.healthcheck?.test && !service.build) found.push(`${name} has no health check.`);
  if (!once && service.restart !== 'unless-stopped') found.push(`${name} stays down.`);
  if (!/:(?!latest$)[\w.-]+$/.test(service.image ?? '')) found.push(`${name} has no fixed tag.`);
  return found;
}

function named(name: string, service: Service, { services, secrets, volumes, networks }: Compose): string[] {
  const found: string[] = [];
  const missing = (kind: string, wanted: readonly string[], there: object) =>
    wanted.filter((one) => !(one in there)).map((one) => `${name} names the ${kind} ${one}, which is nowhere.`);
  found.push(...missing('service', Object.keys(service.depends_on ?? {}), services));
  found.push(...missing('secret', service.secrets ?? [], secrets));
  found.push(...missing('network', service.networks ?? [], networks));
  for (const volume of service.volumes ?? []) {
    const [from = ''] = volume.split(':');
    if (!from.startsWith('.')) found.push(...missing('volume', [from], volumes));
    else if (!existsSync(new URL(from, folder))) found.push(`${name} mounts ${from}, which is not there.`);
    else if (!volume.endsWith(':ro')) found.push(`${name} can write to ${from}.`);
  }
  for (const [key, value] of Object.entries(service.environment ?? {})) {
    if (/PASSWORD|SECRET|TOKEN|URI|KEY/.test(key) && !key.endsWith('_FILE')) found.push(`${name} has a secret in ${key}.`);
    if (key.endsWith('_FILE') && !service.secrets?.includes(value.replace('/run/secrets/', ''))) found.push(`${name} lacks the secret of ${key}.`);
  }
  for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
    const once = services[other]?.restart === 'no';
    if ((condition === 'service_completed_successfully') !== once) found.push(`${name} waits for the wrong state of ${other}.`);
  }
  return found;
}

describe('the compose file', () => {
  test('keeps every rule', () => {
    expect(Object.keys(compose.services).length).toBe(9);
    expect(problems(compose)).toEqual([]);
  });

  test.each([
    ['root', 'proxy', { user: undefined }],
    ['a writable root', 'mongo-1', { read_only: false }],
    ['a capability', 'server-1', { cap_add: ['SYS_PTRACE'] }],
    ['privileges', 'server-1', { security_opt: [] }],
    ['no bounds', 'migrate', { deploy: {} }],
    ['no health check', 'mongo-2', { healthcheck: {} }],
    ['a floating tag', 'proxy', { image: 'nginx:latest' }],
    ['a secret in the environment', 'server-2', { environment: { ASSENT_MONGODB_URI: 'mongodb://a:b@c/d' } }],
    ['a secret that is not handed over', 'server-2', { secrets: [] }],
    ['an unknown secret', 'proxy', { secrets: ['nothing'] }],
    ['a mount that is not there', 'proxy', { volumes: ['./none.conf:/etc/nginx/nginx.conf:ro'] }],
    ['a writable mount', 'proxy', { volumes: ['./nginx.conf:/etc/nginx/nginx.conf'] }],
  ])('%s is noticed', (_, name, change) => {
    const services = { ...compose.services, [name]: { ...compose.services[name], ...change } as Service };
    expect(problems({ ...compose, services })).toHaveLength(1);
  });

  test('runs three members of one replica set with a key, and the initiation names the same', () => {
    const members = Object.entries(compose.services).filter(([, { command }]) => command?.[0] === 'mongod');
    expect(members.map(([name]) => name)).toEqual(['mongo-1', 'mongo-2', 'mongo-3']);
    for (const [name, { command, volumes, image }] of members) {
      expect(command).toEqual(expect.arrayContaining(['--replSet', 'assent', '--keyFile', '/data/configdb/keyfile']));
      expect(volumes).toEqual([`${name}:/data/db`, 'mongo-keyfile:/data/configdb:ro']);
      expect(image).toBe('mongo:8');
    }
    expect([...read('mongo-initiate.js').matchAll(/host: '(mongo-\d):27017'/g)].map(([, host]) => host)).toEqual(members.map(([name]) => name));
  });

  test('runs the server twice on the same image, data folder and database', () => {
    const { 'server-1': first, 'server-2': second } = compose.services;
    expect(second).toEqual({ ...first, depends_on: second?.depends_on });
    expect(first?.build).toEqual({ context: '..', dockerfile: 'docker/Dockerfile' });
    expect(first?.volumes).toEqual(['data:/data']);
  });

  test('sets settings that exist', () => {
    const known = describeConfig().map(({ name }) => name);
    const set = Object.values(compose.services).flatMap(({ environment }) =>
      Object.keys(environment ?? {}).filter((key) => key.startsWith('ASSENT_')),
    );
    expect(set.length).toBeGreaterThan(5);
    expect(set.filter((name) => !known.includes(name.replace(/_FILE$/, '')))).toEqual([]);
  });

  test('publishes the proxy alone, to this machine unless told otherwise; the database has no way out', () => {
    const open = Object.entries(compose.services).filter(([, { ports }]) => ports);
    expect(open.map(([name, { ports }]) => [name, ports])).toEqual([['proxy', ['${ASSENT_BIND:-127.0.0.1}:8443:8443']]]);
    expect(compose.networks['database']?.internal).toBe(true);
    const reaching = Object.entries(compose.services).filter(([, { networks }]) => networks?.includes('database') && networks.includes('edge'));
    expect(reaching.map(([name]) => name)).toEqual(['server-1', 'server-2']);
  });

  test('takes every secret from a file that the repository ignores', () => {
    expect(Object.values(compose.secrets).map(({ file }) => file.startsWith('./secrets/'))).toEqual([true, true, true, true]);
    expect(read('.gitignore')).toMatch(/^secrets\/$/m);
    for (const name of Object.keys(compose.secrets)) expect(read('make-secrets.sh'), name).toContain(`keep ${name}`);
  });

  test('holds no dollar that compose would take for a variable of its own', () => {
    expect([...text.matchAll(/\$\{?\w*/g)].map(([found]) => found)).toEqual(['${ASSENT_PUBLIC_URL', '${ASSENT_LOG_LEVEL', '${ASSENT_BIND']);
  });
});

describe('the proxy', () => {
  const conf = read('nginx.conf').replace(/^\s*#.*$/gm, '');

  test('knows both servers, by the port the image listens on', () => {
    const port = /ASSENT_PORT=(\d+)/.exec(read('Dockerfile'))?.[1];
    expect([...conf.matchAll(/server (server-\d:\d+) resolve/g)].map(([, server]) => server)).toEqual([`server-1:${port}`, `server-2:${port}`]);
  });

  test('logs no URL, no address and no header', () => {
    const format = /log_format quiet '([^']*)'/.exec(conf)?.[1];
    expect(format?.match(/\$\w+/g)).toEqual(['$time_iso8601', '$request_method', '$status', '$request_time', '$upstream_addr']);
    expect(conf.match(/access_log .*/g)).toEqual(['access_log /dev/stdout quiet;']);
    expect(conf.match(/error_log .*/g)).toEqual(['error_log /dev/stderr crit;']);
  });

  test('takes nothing a caller says about its address, and shows no operator page', () => {
    expect(conf).toContain('proxy_set_header X-Forwarded-For $remote_addr;');
    for (const page of ['/metrics', '/readyz']) expect(conf).toMatch(new RegExp(`location = ${page} \\{\\s*return 404;`));
  });

  test('answers for absent servers as a FHIR server would', () => {
    const body: unknown = JSON.parse(/return 503 '([^']*)'/.exec(conf)?.[1] ?? 'null');
    expect(body).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'transient' }] });
    expect(conf).toContain('add_header Retry-After 5 always;');
  });

  test('uses certificate and key as they are mounted, over TLS alone', () => {
    expect([...conf.matchAll(/\/run\/secrets\/([\w-]+)/g)].map(([, name = '']) => name).toSorted()).toEqual(
      compose.services['proxy']?.secrets?.toSorted(),
    );
    expect(conf.match(/listen .*/g)).toEqual(['listen 8443 ssl;']);
  });
});
