/** docker/start.sh outside Docker: what reaches the server, what stops the start, and that no shell stays between signals and the server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const script = new URL('../../docker/start.sh', import.meta.url).pathname;
const root = new URL('../../', import.meta.url);
const secret = 'mongodb://assent:p%40$$"\'`w0rd *@mongo-1/assent?replicaSet=assent';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assent-start-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Environment = Readonly<Record<string, string>>;
type Ended = { readonly code: number | null; readonly out: string; readonly complaint: string };

function begin(environment: Environment, command: readonly string[]): ChildProcess {
  return spawn('/bin/sh', [script, ...command], { cwd: root, env: { PATH: process.env['PATH'], ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(environment: Environment, command: readonly string[]): Promise<Ended> {
  const child = begin(environment, command);
  let out = '';
  let complaint = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')));
  child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, complaint };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o400 });
  return path;
}

/** Prints what it was given, as a server would see it. */
const show = [process.execPath, '-e', 'process.stdout.write(JSON.stringify({ args: process.argv.slice(1), env: process.env }))', '--'];
type Shown = { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> };
async function shown(environment: Environment, args: readonly string[] = []): Promise<Shown> {
  const { code, out, complaint } = await run(environment, [...show, ...args]);
  expect({ code, complaint }).toEqual({ code: 0, complaint: '' });
  return JSON.parse(out) as Shown;
}

describe('secrets from files', () => {
  test.each([
    ['as it is', secret],
    ['with a line end', `${secret}\n`],
    ['with the line end of another system', `${secret}\r\n`],
  ])('a value %s arrives whole, and the name of its file does not', async (name, text) => {
    const { env } = await shown({ ASSENT_MONGODB_URI_FILE: await file(name, text), ASSENT_PORT: '1' });
    expect(Object.entries(env).filter(([key]) => key.startsWith('ASSENT_'))).toEqual([
      ['ASSENT_PORT', '1'],
      ['ASSENT_MONGODB_URI', secret],
    ]);
  });

  test('several at once; other variables, also those ending in _FILE, are left alone', async () => {
    const { env } = await shown({
      ASSENT_MONGODB_URI_FILE: await file('uri', secret),
      ASSENT_LOG_LEVEL_FILE: await file('level', 'warn\n'),
      SSL_CERT_FILE: '/nowhere',
    });
    expect(env).toMatchObject({ ASSENT_MONGODB_URI: secret, ASSENT_LOG_LEVEL: 'warn', SSL_CERT_FILE: '/nowhere' });
  });

  test('a path with blanks and shell signs is a path', async () => {
    const { env } = await shown({ ASSENT_MONGODB_URI_FILE: await file('a $(exit 9) `b`; c', secret) });
    expect(env['ASSENT_MONGODB_URI']).toBe(secret);
  });

  test('a line inside a value is not a setting', async () => {
    const { env } = await shown({ ASSENT_PUBLIC_URL: 'x\nASSENT_MONGODB_URI_FILE=/etc/hostname' });
    expect(env['ASSENT_MONGODB_URI']).toBeUndefined();
  });

  test('arguments arrive as they are', async () => {
    expect((await shown({}, ['a b', '', '$HOME', '*'])).args).toEqual(['a b', '', '$HOME', '*']);
  });
});

describe('what stops the start', () => {
  const uri = 'ASSENT_MONGODB_URI';
  test.each([
    [
      'a file that is not there',
      () => ({ [`${uri}_FILE`]: join(folder, 'absent') }),
      /^ASSENT_MONGODB_URI_FILE names .*absent, which is not a file\.$/,
    ],
    ['a folder', () => ({ [`${uri}_FILE`]: folder }), /which is not a file\.$/],
    ['no name', () => ({ [`${uri}_FILE`]: '' }), /^ASSENT_MONGODB_URI_FILE is empty: it must name a file, or be unset\.$/],
    ['an empty file', async () => ({ [`${uri}_FILE`]: await file('empty', '\n') }), /which is empty\.$/],
    ['two lines', async () => ({ [`${uri}_FILE`]: await file('two', 'hush\nhush\n') }), /which holds more than one line\.$/],
    [
      'both ways at once',
      async () => ({ [uri]: 'hush', [`${uri}_FILE`]: await file('both', 'hush') }),
      /^ASSENT_MONGODB_URI and .* are both set: choose one\.$/,
    ],
  ])('%s: one sentence, no value, no server', async (_, environment, sentence) => {
    const { code, out, complaint } = await run(await environment(), show);
    expect(code).toBe(64);
    expect(out).toBe('');
    expect(complaint.trimEnd()).toMatch(sentence);
    expect(complaint).not.toContain('hush');
  });

  test('a file that this user may not read', async () => {
    const path = await file('closed', 'hush');
    await chmod(path, 0);
    const { code, complaint } = await run({ ASSENT_MONGODB_URI_FILE: path }, show);
    // Root reads everything: then the value arrives, which is right as well.
    if (process.getuid?.() === 0) expect(code).toBe(0);
    else expect(complaint).toMatch(/may not read\.$/m);
  });

  test('nothing to start', async () => {
    expect(await run({}, [])).toMatchObject({ code: 64, complaint: expect.stringContaining('Say what to start') });
  });
});

describe('the process', () => {
  const server = `
    process.on('SIGTERM', () => setTimeout(() => { console.log('drained'); process.exit(0); }, 20));
    setInterval(() => {}, 1000);
    console.log(process.pid);`;

  test('is the server itself: same number, SIGTERM drains it, its status is the status', async () => {
    const child = begin({ ASSENT_MONGODB_URI_FILE: await file('drain', secret) }, [process.execPath, '-e', server]);
    const closed = once(child, 'close');
    if (!child.stdout) throw new Error('no output');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect(Number((await lines.next()).value)).toBe(child.pid);
    child.kill('SIGTERM');
    expect((await lines.next()).value).toBe('drained');
    expect(await closed).toEqual([0, null]);
  });

  test('ends as the server ends', async () => {
    expect((await run({}, [process.execPath, '-e', 'process.exit(7)'])).code).toBe(7);
  });

  test('writes files for its own user only', async () => {
    const path = join(folder, 'written');
    await run({}, [process.execPath, '-e', `require('fs').writeFileSync(${JSON.stringify(path)}, '')`]);
    const { mode } = await import('node:fs/promises').then(({ stat }) => stat(path));
    expect((mode & 0o777).toString(8)).toBe('600');
  });
});

describe('with the real command line', () => {
  const assent = (environment: Environment, command: string) => run(environment, [process.execPath, 'server/main.ts', command]);

  test('a value from a file is judged like any other, and no _FILE name is left for the server to refuse', async () => {
    const { code, complaint } = await assent({ ASSENT_LOG_LEVEL_FILE: await file('loud', 'loud\n') }, 'migrate');
    expect(code).toBe(1);
    expect(complaint.trim()).toMatch(/^ASSENT_LOG_LEVEL must be one of [\w, ]+\.$/);
  });

  test('without the script the server would have refused the name', async () => {
    const child = spawn(process.execPath, ['server/main.ts', 'migrate'], {
      cwd: root,
      env: { ASSENT_LOG_LEVEL_FILE: 'x' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString('utf8')));
    await once(child, 'close');
    expect(complaint).toContain('ASSENT_LOG_LEVEL_FILE is not a setting');
  });

  test('migrates a data folder', async () => {
    const { code, complaint } = await assent(
      { ASSENT_DATA_DIR: join(folder, 'data'), ASSENT_LOG_LEVEL_FILE: await file('warn', 'warn\n') },
      'migrate',
    );
    expect({ code, complaint }).toEqual({ code: 0, complaint: '' });
  });

  test('the server starts, and SIGTERM to the script’s process drains it', async () => {
    const child = begin({ ASSENT_PORT: '0', ASSENT_DATA_DIR: join(folder, 'served'), ASSENT_LOG_LEVEL_FILE: await file('error', 'error\n') }, [
      process.execPath,
      'server/main.ts',
      'serve',
    ]);
    const closed = once(child, 'close');
    if (!child.stdout) throw new Error('no output');
    const first = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    expect(JSON.parse(String(first.value))).toMatchObject({ ready: true, pid: child.pid });
    child.kill('SIGTERM');
    expect(await closed).toEqual([0, null]);
  });
});
