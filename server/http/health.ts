/**
 * GET /healthz (the process is up), /readyz (it can answer safely now), /metrics. interface.md §1
 * Invariant: names of checks and counts only; why a check failed is in the log.
 */
import type { FastifyInstance } from 'fastify';
import { faultOf } from './error-handler.ts';
import type { Metrics } from './metrics.ts';

/** `check` rejects when the part cannot do its work now. */
export type Check = { readonly name: string; readonly check: () => Promise<void> };

/** A part that does not answer is not ready. */
const CHECK_MS = 2000;

export function createHealthPlugin({
  checks,
  metrics,
}: {
  readonly checks: readonly Check[];
  readonly metrics: Metrics;
}): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    app.get('/healthz', { config: { interaction: 'health' } }, async (_request, reply) => reply.send({ status: 'up' }));
    app.get('/readyz', { config: { interaction: 'health' } }, async (request, reply) => {
      const results = await Promise.all(checks.map((check) => run(check, (fault) => request.log.error({ check: check.name, fault }, 'not ready'))));
      const ready = results.every(({ ok }) => ok);
      return reply
        .code(ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ ready, checks: Object.fromEntries(results.map(({ name, ok }) => [name, ok ? 'ok' : 'failed'])) });
    });
    app.get('/metrics', { config: { interaction: 'metrics' } }, async (_request, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.text()),
    );
  };
}

async function run({ name, check }: Check, report: (fault: unknown) => void): Promise<{ readonly name: string; readonly ok: boolean }> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('check timed out')), CHECK_MS);
  try {
    await Promise.race([check(), late]);
    return { name, ok: true };
  } catch (error) {
    report(faultOf(error));
    return { name, ok: false };
  } finally {
    clearTimeout(timer);
  }
}
