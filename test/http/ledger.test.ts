/** The public log over HTTP: the C2SP paths to the letter, what may be cached and what not, open to any origin. */
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgerPlugin, parseTilePath } from '../../server/http/ledger.ts';
import { createLogFixture, type LogFixture, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
let app: FastifyInstance;
beforeAll(async () => {
  log = await createLogFixture();
  app = fastify();
  await app.register(ledgerPlugin({ log: log.anchoring.publicLog, verifier: '' }), { prefix: '/ledger' });
});
afterAll(async () => {
  await app.close();
  await log.dispose();
});

const get = (path: string) => app.inject({ url: `/ledger/${path}`, headers: { origin: 'https://anyone.example' } });

describe('tile paths', () => {
  it.each([
    ['0/000', { level: 0, index: 0, width: 256 }],
    ['1/005.p/17', { level: 1, index: 5, width: 17 }],
    ['0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
    ['entries/x001/000.p/255', { level: 'entries', index: 1000, width: 255 }],
    ['63/000', { level: 63, index: 0, width: 256 }],
  ])('%s', (path, expected) => {
    expect(parseTilePath(path)).toEqual(expected);
  });

  it.each([
    '',
    '0',
    '00/000',
    '64/000',
    '0/0',
    '0/0000',
    '0/x000/001',
    '0/001/002',
    '0/x001',
    '0/000.p/0',
    '0/000.p/256',
    '0/000.p/01',
    '0/000.p/',
    '0/000/',
    '../0/000',
    'entries',
    '-1/000',
    '0/x1e/000',
    `0/${'x999/'.repeat(6)}999`,
  ])('%s is none', (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });
});

describe('/ledger', () => {
  it('has no checkpoint and no tiles before the first entry', async () => {
    expect((await get('checkpoint')).statusCode).toBe(404);
    expect((await get('tile/0/000.p/1')).statusCode).toBe(404);
    expect((await get('key')).body).toMatch(/^assent\.local\/[0-9a-f]{16}\+[0-9a-f]{8}\+\S+\n$/);
  });

  it('serves checkpoint, tiles and entries of the signed log, and nothing beyond', async () => {
    await log.append(...Array.from({ length: 300 }, (_, i) => someEntry(i, log.time.now)));
    await log.anchoring.sealer.flush();
    const checkpoint = await get('checkpoint');
    expect(checkpoint.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache',
      'access-control-allow-origin': '*',
    });
    expect(checkpoint.body.split('\n')[1]).toBe('300');
    const sizes = {
      'tile/0/000': 8192,
      'tile/0/001.p/44': 44 * 32,
      'tile/1/000.p/1': 32,
      'tile/entries/000': 256 * 34,
      'tile/entries/001.p/44': 44 * 34,
      'tile/0/000.p/255': 255 * 32,
    };
    for (const [path, size] of Object.entries(sizes)) {
      const tile = await get(path);
      expect([path, tile.statusCode, tile.rawPayload.length]).toEqual([path, 200, size]);
      expect(tile.headers).toMatchObject({
        'content-type': 'application/octet-stream',
        'cache-control': 'public, max-age=31536000, immutable',
        'access-control-allow-origin': '*',
      });
    }
    for (const path of [
      'tile/0/001',
      'tile/0/001.p/45',
      'tile/1/000',
      'tile/1/000.p/2',
      'tile/2/000.p/1',
      'tile/entries/001',
      'tile/entries/002.p/1',
      'tile/0/x',
      'other',
    ])
      expect([path, (await get(path)).statusCode]).toEqual([path, 404]);
  });

  it('keeps what is sealed but not signed to itself', async () => {
    await log.anchoring.sealer.start();
    await log.append(...Array.from({ length: 212 }, (_, i) => someEntry(1000 + i, log.time.now)));
    log.time.now += 250;
    await log.ring();
    await expect.poll(async () => (await log.anchoring.status()).logSize).toBe(512);
    expect((await get('tile/0/001')).statusCode).toBe(404);
    await log.anchoring.sealer.stop();
    expect((await get('tile/0/001')).statusCode).toBe(200);
    expect((await log.anchoring.status()).anchors).toMatchObject([{ name: 'embedded', size: 512 }]);
  });
});
