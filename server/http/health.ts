/**
 * GET /healthz (the process is up), /readyz (it can answer safely now), /metrics. interface.md §1
 * Invariant: names of checks, counts, and the sentence of an error of our own; everything else about a failure is in the log only.
 */
import type { FastifyInstance } from 'fastify';
import { AssentError } from '../errors.ts';
import { faultOf } from './error-handler.ts';
import type { Metrics } from './metrics.ts';

/** `check` rejects when the part cannot do its work now. `advisory`: which is told, but no reason to send nobody here. */
export type Check = { readonly name: string; readonly check: () => Promise<void>; readonly advisory?: true };

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
      const ready = results.every(({ state, advisory }) => advisory || state === 'ok');
      return reply
        .code(ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ ready, checks: Object.fromEntries(results.map(({ name, state }) => [name, state])) });
    });
    app.get('/metrics', { config: { interaction: 'metrics' } }, async (_request, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.text()),
    );
  };
}

type Result = Pick<Check, 'name' | 'advisory'> & { readonly state: string };

async function run({ check, ...about }: Check, report: (fault: unknown) => void): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('check timed out')), CHECK_MS);
  try {
    await Promise.race([check(), late]);
    return { ...about, state: 'ok' };
  } catch (error) {
    report(faultOf(error));
    // Our own errors are written for whoever operates the server; another's message may quote anything.
    return { ...about, state: error instanceof AssentError ? `failed: ${error.message}` : 'failed' };
  } finally {
    clearTimeout(timer);
  }
}
