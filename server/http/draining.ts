/**
 * Stopping without waiting for callers: what is under way is answered, and then its connection is closed instead of being kept for a next
 * request that will not be answered. https://nodejs.org/api/http.html#servercloseidleconnections
 */
import type { FastifyInstance } from 'fastify';

/** For the composition root, before the server listens. */
export function installDraining(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  // On the bare server, so that answers written past Fastify (tokens) count too. Idle connections were closed when closing began.
  app.server.on('request', (_request, response) => {
    response.once('finish', () => {
      if (closing) setImmediate(() => app.server.closeIdleConnections());
    });
  });
}
