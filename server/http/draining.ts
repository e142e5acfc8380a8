/**
 * Stopping without waiting for callers: what is under way is answered, and then its connection is closed instead of being kept for a next
 * request that will not be answered. https://nodejs.org/api/http.html#servercloseidleconnections
 *
 * Invariant: who connects and says nothing, as browsers and load balancers do, delays no stop: Node takes such a connection for a busy one until
 * its headers are overdue, a minute later.
 */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** For the composition root, before the server listens. */
export function installDraining(app: FastifyInstance): void {
  let closing = false;
  const silent = new Set<Socket>();
  app.addHook('preClose', async () => {
    closing = true;
    // What has arrived already is read first.
    await nextTurn();
    for (const socket of silent) socket.destroy();
  });
  app.server.on('connection', (socket: Socket) => {
    if (closing) return void socket.destroy();
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  app.server.on('request', ({ socket }) => silent.delete(socket));
  // On the bare server, so that answers written past Fastify (tokens) count too. Idle connections were closed when closing began.
  app.server.on('request', (_request, response) => {
    response.once('finish', () => {
      if (closing) setImmediate(() => app.server.closeIdleConnections());
    });
  });
}
