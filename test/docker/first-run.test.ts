/** What a new installation runs once: docker/make-secrets.sh for real, docker/mongo-initiate.js against a replica set that only remembers. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const docker = new URL('../../docker/', import.meta.url);
const run = promisify(execFile);

describe('make-secrets.sh', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'assent-secrets-'));
    await cp(new URL('make-secrets.sh', docker), join(folder, 'make-secrets.sh'));
    // A certificate of one's own: it must stay, and openssl is not needed.
    await mkdir(join(folder, 'secrets'), { mode: 0o755 });
    await writeFile(join(folder, 'secrets', 'tls-certificate'), 'mine');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const make = () => run('/bin/sh', [join(folder, 'make-secrets.sh')]);
  const secret = (name: string) => readFile(join(folder, 'secrets', name), 'utf8');

  test('makes passwords in a closed folder, prints none, and leaves what is there', async () => {
    const { stdout } = await make();
    const made = await Promise.all(['mongodb-root-password', 'mongodb-uri'].map(secret));
    expect(made[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(made[1]).toMatch(/^mongodb:\/\/assent:[0-9a-f]{64}@mongo-1:27017,mongo-2:27017,mongo-3:27017\/assent\?replicaSet=assent\n$/);
    expect(made[1]).not.toContain(made[0]);
    expect(stdout).not.toMatch(/[0-9a-f]{32}/);
    expect(((await stat(join(folder, 'secrets'))).mode & 0o777).toString(8)).toBe('700');
    expect((await make()).stdout).toBe('');
    expect(await Promise.all(['mongodb-root-password', 'mongodb-uri'].map(secret))).toEqual(made);
    expect(await secret('tls-certificate')).toBe('mine');
    expect((await readdir(join(folder, 'secrets'))).toSorted()).toEqual(['mongodb-root-password', 'mongodb-uri', 'tls-certificate']);
  });
});

/** As much of a replica set with access control as the script can tell. */
type Remembered = { initiated: number; readonly users: Map<string, { pwd: string; roles: unknown }>; signedIn: boolean };

function initiate(set: Remembered, secrets: Readonly<Record<string, string>>): string[] {
  const printed: string[] = [];
  const guard = () => {
    if (!set.signedIn && set.users.size > 0) throw new Error('requires authentication');
  };
  const database = (name: string) => ({
    auth(user: string, password: string) {
      if (set.users.get(`${name}.${user}`)?.pwd !== password) throw new Error('Authentication failed.');
      set.signedIn = true;
      return { ok: 1 };
    },
    getUser: (user: string) => (guard(), set.users.get(`${name}.${user}`) ?? null),
    createUser({ user, pwd, roles }: { user: string; pwd: string; roles: unknown }) {
      guard();
      set.users.set(`${name}.${user}`, { pwd, roles });
    },
    updateUser(user: string, change: { pwd: string; roles: unknown }) {
      guard();
      set.users.set(`${name}.${user}`, change);
    },
  });
  runInNewContext(readFileSync(new URL('mongo-initiate.js', docker), 'utf8'), {
    db: { hello: () => (set.initiated > 0 ? { setName: 'assent', isWritablePrimary: true } : {}), getSiblingDB: database },
    rs: { initiate: () => void set.initiated++ },
    sleep: () => undefined,
    print: (line: string) => void printed.push(line),
    require: () => ({ readFileSync: (path: string) => secrets[path.replace('/run/secrets/', '')] ?? '' }),
    decodeURIComponent,
  });
  return printed;
}

describe('mongo-initiate.js', () => {
  const fresh = (): Remembered => ({ initiated: 0, users: new Map(), signedIn: false });
  const uri = (password: string) => `mongodb://assent:${password}@mongo-1,mongo-2,mongo-3/records?retryWrites=true&replicaSet=assent\n`;
  const secrets = { 'mongodb-root-password': 'r00t\n', 'mongodb-uri': uri('p%40ss') };

  test('makes set, administrator and a user that reaches the one database of the URI', () => {
    const set = fresh();
    expect(initiate(set, secrets)).toEqual(['The replica set assent is ready.']);
    expect(set.initiated).toBe(1);
    expect(set.users.get('admin.root')?.pwd).toBe('r00t');
    expect(set.users.get('records.assent')).toEqual({
      pwd: 'p@ss',
      roles: [
        { role: 'readWrite', db: 'records' },
        { role: 'dbAdmin', db: 'records' },
      ],
    });
  });

  test('again changes nothing but the password that the secret now holds', () => {
    const set = fresh();
    initiate(set, secrets);
    set.signedIn = false;
    initiate(set, { ...secrets, 'mongodb-uri': uri('other') });
    expect(set.initiated).toBe(1);
    expect([...set.users.keys()]).toEqual(['admin.root', 'records.assent']);
    expect(set.users.get('records.assent')?.pwd).toBe('other');
  });

  test('another administrator password than the database has stops it', () => {
    const set = fresh();
    initiate(set, secrets);
    set.signedIn = false;
    expect(() => initiate(set, { ...secrets, 'mongodb-root-password': 'wrong' })).toThrow(/neither sign in nor be made/);
    expect(set.users.get('admin.root')?.pwd).toBe('r00t');
  });

  test('a URI without a user, a database or the set is refused, without showing it', () => {
    for (const bad of [
      'mongodb://mongo-1/records?replicaSet=assent',
      'mongodb://a:hush@mongo-1/?replicaSet=assent',
      'mongodb://a:hush@mongo-1/records',
    ])
      expect(() => initiate(fresh(), { ...secrets, 'mongodb-uri': bad })).toThrow(
        /^The secret mongodb-uri must read mongodb:\/\/USER:PASSWORD@HOSTS\/DATABASE\?replicaSet=assent$/,
      );
  });
});
