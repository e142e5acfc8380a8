/** The command line drives a running server over HTTP, with nothing but DATA_DIR/bootstrap.json. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ensureBootstrap } from '../../server/authz/bootstrap.ts';
import { endpointsOf } from '../../server/authz/endpoints.ts';
import { client } from '../../server/commands/client.ts';
import { key } from '../../server/commands/key.ts';
import { type AuthorizationBench, createAuthorizationBench } from '../support/authorization.ts';

let bench: AuthorizationBench;
let folder: string;
let config: { readonly DATA_DIR: string };
let printed: string;

beforeEach(async () => {
  bench = await createAuthorizationBench();
  folder = await mkdtemp(join(tmpdir(), 'assent-command-'));
  config = { DATA_DIR: folder };
  await bench.app.listen({ port: 0, host: '127.0.0.1' });
  const origin = `http://127.0.0.1:${(bench.app.server.address() as AddressInfo).port}`;
  await ensureBootstrap({ dataDir: folder, endpoints: endpointsOf(origin), clients: bench.clients });
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await bench.app.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the command printed, as JSON. */
async function run(command: typeof client, ...args: string[]): Promise<Record<string, unknown> & readonly Record<string, unknown>[]> {
  printed = '';
  expect(await command(config, args)).toBe(0);
  return (printed === '' ? {} : JSON.parse(printed)) as Record<string, unknown> & readonly Record<string, unknown>[];
}

describe('assent client', () => {
  test('adds, shows, lists, updates and removes', async () => {
    const made = await run(
      client,
      'add',
      '--id',
      'insurer',
      '--name',
      'Insurer',
      '--scope',
      'system/*.rs',
      '--actor',
      'Organization/1',
      '--purposes',
      'HPAYMT,TREAT',
      '--chooses-ids',
    );
    expect(made).toMatchObject({ client_id: 'insurer', purposes: ['HPAYMT', 'TREAT'], choosesIds: true });
    expect(String(made['client_secret']).length).toBeGreaterThan(40);

    const shown = await run(client, 'show', 'insurer');
    expect(shown['client_secret']).toBeUndefined();
    expect(await run(client, 'list')).toContainEqual(shown);

    const file = join(folder, 'insurer.json');
    await writeFile(file, JSON.stringify({ ...shown, client_name: 'Renamed' }));
    expect(await run(client, 'update', 'insurer', '--file', file)).toMatchObject({ client_name: 'Renamed' });

    await run(client, 'remove', 'insurer');
    await expect(client(config, ['show', 'insurer'])).rejects.toThrow('404: No such client.');
  });

  test('says what is wrong with a registration', async () => {
    await expect(client(config, ['add', '--name', 'Insurer', '--scope', 'system/*.sr', '--actor', 'Insurer', '--purposes', 'TREAT'])).rejects.toThrow(
      /400: scope .*actor /,
    );
  });

  test('without a verb it knows prints how it is used', async () => {
    expect(await client(config, ['destroy'])).toBe(2);
    expect(await client(config, [])).toBe(2);
  });
});

describe('assent key', () => {
  test('adds, lists and revokes', async () => {
    const file = join(folder, 'key.json');
    await writeFile(file, JSON.stringify(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })));
    const made = await run(key, 'add', '--owner', 'Organization/1', '--jwk', file, '--proofing', 'on file', '--role', 'requester');
    expect(made).toMatchObject({ owner: 'Organization/1', role: 'requester' });
    const revoked = await run(key, 'revoke', String(made['kid']), '--reason', 'stolen', '--compromised-since', '2026-01-01T00:00:00Z');
    expect(revoked['revoked']).toMatchObject({ reason: 'stolen', compromisedSince: '2026-01-01T00:00:00.000Z' });
    expect(await run(key, 'list', '--owner', 'Organization/1')).toEqual([revoked]);
    await expect(key(config, ['revoke', `-${'0'.repeat(42)}`, '--reason', 'begins with a dash'])).rejects.toThrow('404');
  });
});

test('a server that is not running is said to be so', async () => {
  await bench.app.close();
  await expect(client(config, ['list'])).rejects.toThrow('is it running?');
});
