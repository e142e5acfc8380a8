/** Health, metrics and logs, and what they must not say. */
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createHealthPlugin } from '../../server/http/health.ts';
import { createMetrics } from '../../server/http/metrics.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
beforeAll(async () => {
  http = await createServedApp({ ASSENT_LOG_LEVEL: 'info' });
});
afterAll(async () => http.stop());

describe('health', () => {
  it('is up, and ready while every check passes', async () => {
    expect((await call(http, 'GET', '/healthz', { token: '' })).status).toBe(200);
    expect((await call(http, 'GET', '/readyz', { token: '' })).json).toEqual({
      ready: true,
      checks: { store: 'ok', signer: 'ok', anchors: 'ok', proofs: 'ok' },
    });
  });

  it('is not ready when a check fails, and says why in words of our own only', async () => {
    const app = Fastify();
    const failing = async () => Promise.reject(new Error('secret path'));
    await app.register(
      createHealthPlugin({
        checks: [
          { name: 'store', check: failing },
          { name: 'log', check: async () => Promise.reject(new AssentError('unavailable', 'No majority of the replica set answers.')) },
          { name: 'signer', check: async () => undefined },
        ],
        metrics: createMetrics(),
      }),
    );
    const answer = await app.inject('/readyz');
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      { ready: false, checks: { store: 'failed', log: 'failed: No majority of the replica set answers.', signer: 'ok' } },
    ]);
    await app.close();
  });
});

describe('a check that is advice', () => {
  it('is told, and sends nobody away', async () => {
    const app = Fastify();
    const late = async () => Promise.reject(new AssentError('unavailable', 'What the log has grown by is not anchored: evm for 25 hours.'));
    const metrics = createMetrics();
    metrics.series('assent_anchor_size', 'Entries that are safe there.', { label: 'anchor', read: () => [['evm', 7] as const] });
    await app.register(createHealthPlugin({ checks: [{ name: 'anchors', check: late, advisory: true }], metrics }));
    const answer = await app.inject('/readyz');
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      { ready: true, checks: { anchors: 'failed: What the log has grown by is not anchored: evm for 25 hours.' } },
    ]);
    expect((await app.inject('/metrics')).body).toContain('assent_anchor_size{anchor="evm"} 7');
    await app.close();
  });
});

describe('metrics and logs', () => {
  it('count by interaction and class, and never hold what a caller sent', async () => {
    http.server.logs.length = 0;
    expect((await call(http, 'POST', 'Patient', { body: { resourceType: 'Patient', id: 'secret-body', gender: 'male' } })).status).toBe(201);
    await call(http, 'GET', 'Patient?name=secret-query');
    await call(http, 'GET', 'Patient/secret-id');
    await call(http, 'GET', '/secret-path');
    await call(http, 'GET', '/fhir/Patient/%E0%secret');
    const { text, headers } = await call(http, 'GET', '/metrics', { token: '' });
    expect(headers['content-type']).toContain('version=0.0.4');
    expect(text).toContain('assent_requests_total{interaction="create",status="2xx"} 1');
    expect(text).toContain('assent_requests_total{interaction="read",status="4xx"} 1');
    expect(text).toContain('assent_request_seconds_bucket{interaction="search-type",le="+Inf"} 1');
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
    await expect
      .poll(async () => (await call(http, 'GET', '/metrics', { token: '' })).text)
      .toMatch(/assent_anchor_age_seconds\{anchor="embedded"\} \d/);
    for (const of of ['checkpoint', 'map-root'])
      expect((await call(http, 'GET', '/metrics', { token: '' })).text).toContain(`assent_proof_age_seconds{of="${of}"} `);
    const logged = http.server.logs.join('');
    expect(logged).toContain('"interaction":"search-type"');
    for (const page of [text, logged]) expect(page).not.toMatch(/secret/);
  });

  it('a store that cannot write is a fault that says nothing to its caller, and is counted', async () => {
    const { json } = await call(http, 'POST', 'Patient', { body: { resourceType: 'Patient' } });
    const repair = await http.server.breakWrites('resources');
    const answer = await call(http, 'GET', `Patient/${json.id}`);
    await repair();
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect([answer.json.resourceType, answer.text.includes('disk full'), answer.text.includes('assent.')]).toEqual([
      'OperationOutcome',
      false,
      false,
    ]);
    expect((await call(http, 'GET', '/metrics', { token: '' })).text).toContain('assent_requests_total{interaction="read",status="5xx"} 1');
    expect((await call(http, 'GET', `Patient/${json.id}`)).status).toBe(200);
  });
});
