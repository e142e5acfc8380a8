/** docker/Dockerfile: what can be held against it without an engine, and its health check run against a server that answers, and one that does not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { describeConfig } from '../../server/config.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
type Step = { readonly stage: number; readonly name: string; readonly rest: string };

/** Instructions with continued lines joined and comments left out; the stage each belongs to. */
function steps(text: string): Step[] {
  let stage = -1;
  return text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      if (name === 'FROM') stage++;
      return { stage, name, rest };
    });
}

/** One sentence per broken rule. */
function problems(text: string): string[] {
  const all = steps(text);
  const last = all.filter(({ stage }) => stage === all.at(-1)?.stage);
  const rest = (name: string) => last.filter((step) => step.name === name).map((step) => step.rest);
  const names = new Set(all.filter(({ name }) => name === 'FROM').map((step) => / AS (\S+)$/.exec(step.rest)?.[1]));
  const found: string[] = [];
  for (const { name, rest: said } of all) {
    if (name === '') found.push('A line is no instruction.');
    const image = name === 'FROM' ? (said.split(' ')[0] ?? '') : '';
    if (image !== '' && !names.has(image) && !/:(?!latest)[\w.-]+$/.test(image)) found.push(`${image} has no fixed tag.`);
    if (name === 'ADD') found.push('ADD unpacks and downloads: COPY.');
    if ((name === 'ENV' || name === 'ARG') && /(PASSWORD|SECRET|TOKEN|_KEY|URI)\w*=/i.test(said)) found.push('A secret would stay in the image.');
    if (name === 'COPY' && !said.startsWith('--from') && said.split(' ').includes('.')) found.push('COPY takes the whole folder.');
    if (/\b(curl|wget|sudo|apt-get|chmod -R 777)\b/.test(said)) found.push(`${name} needs more than Node.`);
    if ((name === 'CMD' || name === 'ENTRYPOINT') && !said.startsWith('[')) found.push(`${name} goes through a shell.`);
  }
  const user = rest('USER').at(-1) ?? 'root';
  if (!/^[1-9]\d*:[1-9]\d*$/.test(user)) found.push(`Runs as ${user}.`);
  if (!rest('HEALTHCHECK').some((said) => said.includes('/healthz'))) found.push('No health check.');
  if (!rest('VOLUME').includes('/data')) found.push('The data folder is no volume.');
  if (!all.some(({ rest: said }) => said.includes('npm ci --omit=dev'))) found.push('Development dependencies are installed.');
  return found;
}

const dockerfile = read('docker/Dockerfile');
const all = steps(dockerfile);
const copied = all.filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from')).flatMap(({ rest }) => rest.split(' ').slice(0, -1));

describe('the image', () => {
  test('keeps every rule', () => {
    expect(all.length).toBeGreaterThan(12);
    expect(problems(dockerfile)).toEqual([]);
  });

  test.each([
    ['root', (text: string) => text.replace(/^USER .*$/m, '')],
    ['a user by name', (text: string) => text.replace(/^USER .*$/m, 'USER node')],
    ['a floating tag', (text: string) => text.replace('node:24-slim AS', 'node:latest AS')],
    ['no tag', (text: string) => text.replace(/node:24-slim$/m, 'node')],
    ['no health check', (text: string) => text.replace('/healthz', '/')],
    ['a secret', (text: string) => `${text}ENV ASSENT_MONGODB_URI=mongodb://a:b@c/d\n`],
    ['everything copied', (text: string) => `${text}COPY . .\n`],
    ['development dependencies', (text: string) => text.replace('--omit=dev', '')],
    ['a shell before the server', (text: string) => text.replace('CMD ["serve"]', 'CMD serve')],
  ])('%s is noticed', (_, spoil) => {
    expect(problems(spoil(dockerfile))).toHaveLength(1);
  });

  test('copies what exists, and leaves out nothing the server is made of', () => {
    expect(copied.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
    const profiles = new URL('fhir-profiles', root);
    // An empty folder is not in a clone.
    const made = ['server', 'ledger', 'migrations', ...(existsSync(profiles) && readdirSync(profiles).length > 0 ? ['fhir-profiles'] : [])];
    expect(made.filter((folder) => !copied.includes(folder))).toEqual([]);
  });

  test('its ignore file lets in exactly what is copied', () => {
    const lines = read('docker/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines[0]).toBe('*');
    expect(
      lines
        .slice(1)
        .map((line) => line.replace(/^!/, ''))
        .toSorted(),
    ).toEqual([...new Set(copied)].toSorted());
  });

  test('is the Node that npm brings elsewhere', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const majors = all.filter(({ name }) => name === 'FROM').map(({ rest }) => /^node:(\d+)-slim/.exec(rest)?.[1]);
    expect(majors).toEqual([dependencies['node']?.split('.')[0], dependencies['node']?.split('.')[0]]);
  });

  test('no production dependency needs the install script that is not run', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { hasInstallScript?: true; dev?: true; optional?: true }>;
    };
    const scripted = Object.entries(packages).filter(([, { hasInstallScript, dev, optional }]) => hasInstallScript && !dev && !optional);
    expect(scripted.map(([path]) => path)).toEqual(['node_modules/node']);
  });

  test('what the sources import at run time is a production dependency', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const files = ['server', 'ledger', 'migrations'].flatMap((folder) =>
      readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => `${folder}/${name}`)
        // Sources of a page that is bundled and committed.
        .filter((path) => !path.startsWith('ledger/verifier/')),
    );
    const imported = files.flatMap((path) =>
      [
        ...read(path).matchAll(/^(?:import|export) (?!type )[^;]*?from '((?:@[\w-]+\/)?[\w-]+)[^']*'|\bimport\('((?:@[\w-]+\/)?[\w-]+)[^']*'\)/gm),
      ].map(([, a, b]) => a ?? b ?? ''),
    );
    const packages = new Set(imported.filter((name) => name !== 'node' && name !== ''));
    expect(packages.size).toBeGreaterThan(4);
    expect([...packages].filter((name) => !(name in dependencies))).toEqual([]);
  });

  test('sets settings that exist', () => {
    const known = describeConfig().map(({ name }) => name);
    const set = all.filter(({ name }) => name === 'ENV').flatMap(({ rest }) => [...rest.matchAll(/(ASSENT_\w+)=/g)].map(([, name = '']) => name));
    expect(set.length).toBe(3);
    expect(set.filter((name) => !known.includes(name))).toEqual([]);
  });

  test('starts a script that exists, and a command of the command line', () => {
    const entry = JSON.parse(all.find(({ name }) => name === 'ENTRYPOINT')?.rest ?? '[]') as string[];
    expect(entry).toEqual(['/bin/sh', '/app/docker/start.sh', 'node', 'server/main.ts']);
    const command = JSON.parse(all.find(({ name }) => name === 'CMD')?.rest ?? '[]') as string[];
    expect(read('server/main.ts')).toContain(`  ${command[0]}: {`);
  });
});

describe('the health check', () => {
  const said = all.find(({ name }) => name === 'HEALTHCHECK')?.rest ?? '';
  const [, code = ''] = (JSON.parse(said.slice(said.indexOf('['))) as string[]).slice(1);

  async function check(status: number | undefined): Promise<number | null> {
    const asked: string[] = [];
    const server = createServer((request, reply) => {
      asked.push(request.url ?? '');
      reply.writeHead(status ?? 200).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    if (status === undefined) server.close();
    const [ended] = (await once(spawn(process.execPath, ['-e', code], { env: { ASSENT_PORT: String(port) } }), 'close')) as [number | null];
    server.close();
    expect(asked).toEqual(status === undefined ? [] : ['/healthz']);
    return ended;
  }

  test.each([
    ['healthy', 200, 0],
    ['unhealthy when the server says so', 503, 1],
    ['unhealthy when nobody listens', undefined, 1],
  ])('%s', async (_, status, expected) => {
    expect(await check(status)).toBe(expected);
  });
});
