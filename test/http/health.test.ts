/** Health, metrics and logs, and what they must not say. */
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createHealthPlugin } from '../../server/http/health.ts';
import { createMetrics } from '../../server/http/metrics.ts';
import { call, createHttpApp, type HttpApp } from '../support/http-app.ts';

let http: HttpApp;
beforeAll(async () => {
  http = await createHttpApp();
});
afterAll(async () => http.app.close());

describe('health', () => {
  it('is up, and ready while every check passes', async () => {
    expect((await call(http, 'GET', '/healthz', { token: '' })).status).toBe(200);
    expect((await call(http, 'GET', '/readyz', { token: '' })).json).toEqual({ ready: true, checks: { store: 'ok' } });
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

describe('metrics and logs', () => {
  it('count by interaction and class, and never hold what a caller sent', async () => {
    http.logs.length = 0;
    await call(http, 'POST', 'Patient', { body: { resourceType: 'Patient', gender: 'secret-body' } });
    await call(http, 'GET', 'Patient?gender=secret-query');
    await call(http, 'GET', 'Patient/secret-id');
    await call(http, 'GET', '/secret-path');
    await call(http, 'GET', '/fhir/Patient/%E0%secret');
    const undo = http.record.override({ read: async () => JSON.parse('{"secret-text"') });
    expect((await call(http, 'GET', 'Patient/a')).status).toBe(500);
    undo();
    const { text, headers } = await call(http, 'GET', '/metrics', { token: '' });
    expect(headers['content-type']).toContain('version=0.0.4');
    expect(text).toContain('assent_requests_total{interaction="create",status="2xx"} 1');
    expect(text).toContain('assent_requests_total{interaction="read",status="4xx"} 1');
    expect(text).toContain('assent_requests_total{interaction="read",status="5xx"} 1');
    expect(text).toContain('assent_request_seconds_bucket{interaction="search-type",le="+Inf"} 1');
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
    const logged = http.logs.join('');
    expect(logged).toContain('"interaction":"search-type"');
    expect(logged).toContain('SyntaxError');
    for (const page of [text, logged]) expect(page).not.toMatch(/secret/);
  });

  it('a fault says nothing to its caller', async () => {
    const undo = http.record.override({ read: async () => Promise.reject(new Error('secret')) });
    const answer = await call(http, 'GET', 'Patient/a');
    undo();
    expect([answer.status, answer.json.issue[0].code]).toEqual([500, 'exception']);
    expect(answer.text).not.toContain('secret');
  });
});
