/**
 * An aggregate over HTTP: GET /proof/<SHA-256 of a log’s origin in hex>, and as a log of its own what https://c2sp.org/tlog-tiles says, but for its entries.
 * Invariant: what is shown to whoever asks names no log; whoever has a log’s name gets what is proven of that one.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';

export function proofPlugin({ folder }: { readonly folder: string }): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    app.get<{ Params: { hash: string } }>('/proof/:hash', async ({ params: { hash } }, reply) => {
      const file = /^[0-9a-f]{64}$/.test(hash) ? await readFile(join(folder, 'proof', hash)).catch(() => undefined) : undefined;
      reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-cache');
      return file ? reply.type('application/json').send(file) : reply.code(404).type('text/plain').send('Nothing is proven of this log here.\n');
    });
  };
}
