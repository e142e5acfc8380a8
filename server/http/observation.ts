/**
 * One log line and one count for each answered request.
 * Invariant: request id, interaction, status and milliseconds; never a URL, an id, a header or a body.
 */
import type { FastifyInstance } from 'fastify';
import type { Metrics } from './metrics.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Name in logs and metrics. */
    readonly interaction?: string;
  }
}

/** For the composition root, before any route. */
export function installObservation(app: FastifyInstance, { metrics }: { readonly metrics: Metrics }): void {
  app.addHook('onResponse', async (request, reply) => {
    const interaction = request.routeOptions.config.interaction ?? 'other';
    metrics.observe(interaction, reply.statusCode, reply.elapsedTime / 1000);
    request.log.info({ interaction, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'answered');
  });
  app.addHook('onClose', async () => metrics.close());
}
