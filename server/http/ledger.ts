/**
 * The public log under /ledger: verifier key, checkpoint, tiles, entry bundles, and the page that proves receipts. https://c2sp.org/tlog-tiles, interface.md §4
 * Invariants: for anyone, from any origin, read only; one spelling per tile; what may be cached for ever never changes.
 */
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** Widths are 1 to 256; undefined: there is no such thing in the signed log. */
export type LogReader = {
  verifierKey(): string;
  keys(): readonly string[];
  checkpoint(): Promise<string | undefined>;
  witnessed(): Promise<string | undefined>;
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  entries(index: number, width: number): Promise<Uint8Array | undefined>;
};

export type TilePath = { readonly level: number | 'entries'; readonly index: number; readonly width: number };

const FULL = 256;
const TEXT = 'text/plain; charset=utf-8';
const PATH = /^(entries|0|[1-9]\d?)\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** `<L>/<N>[.p/<W>]` with N in groups of three digits, all but the last after an x; undefined for anything else. */
export function parseTilePath(path: string): TilePath | undefined {
  const [, name = '', groups = '', partial] = PATH.exec(path) ?? [];
  const digits = groups.replaceAll(/[x/]/g, '');
  const index = Number(digits);
  const width = partial === undefined ? FULL : Number(partial);
  // 000 is the first tile; x000/123 would be a second name for 123.
  const spelledOnce = digits.length === 3 || !groups.startsWith('x000');
  if (digits === '' || !spelledOnce || !Number.isSafeInteger(index) || (partial !== undefined && width >= FULL)) return undefined;
  const level = name === 'entries' ? name : Number(name);
  return level !== 'entries' && level > 63 ? undefined : { level, index, width };
}

/** `verifier`: the page that proves receipts. Register with `app.register(ledgerPlugin({ log, verifier }), { prefix: '/ledger' })`. */
export function ledgerPlugin({ log, verifier }: { readonly log: LogReader; readonly verifier: string }): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    await app.register(cors, { origin: '*', methods: ['GET', 'HEAD'] });
    const config = { interaction: 'ledger' };
    app.get('/key', { config }, async (_request, reply) => send(reply, `${log.verifierKey()}\n`, { type: TEXT, cache: 'public, max-age=3600' }));
    app.get('/keys', { config }, async (_request, reply) =>
      send(
        reply,
        log
          .keys()
          .map((key) => `${key}\n`)
          .join(''),
        { type: TEXT, cache: 'no-cache' },
      ),
    );
    app.get('/checkpoint', { config }, async (_request, reply) => send(reply, await log.checkpoint(), { type: TEXT, cache: 'no-cache' }));
    app.get('/witnessed', { config }, async (_request, reply) => send(reply, await log.witnessed(), { type: TEXT, cache: 'no-cache' }));
    app.get('/verify.html', { config }, async (_request, reply) => {
      // The rest of its policy stands in the page, so that a saved copy keeps it.
      reply.header('content-security-policy', "frame-ancestors 'none'").header('referrer-policy', 'no-referrer');
      return send(reply, verifier, { type: 'text/html; charset=utf-8', cache: 'no-cache' });
    });
    app.get<{ Params: { '*': string } }>('/tile/*', { config }, async ({ params }, reply) => {
      const path = parseTilePath(params['*']);
      const bytes = path && (await read(log, path));
      return send(reply, bytes && Buffer.from(bytes), { type: 'application/octet-stream', cache: 'public, max-age=31536000, immutable' });
    });
  };
}

function read(log: LogReader, { level, index, width }: TilePath): Promise<Uint8Array | undefined> {
  return level === 'entries' ? log.entries(index, width) : log.tile(level, index, width);
}

function send(
  reply: FastifyReply,
  body: string | Buffer | undefined,
  { type, cache }: { readonly type: string; readonly cache: string },
): FastifyReply {
  reply.header('x-content-type-options', 'nosniff');
  if (body === undefined) return reply.code(404).header('cache-control', 'no-store').type(TEXT).send('The log holds no such thing.\n');
  return reply.header('cache-control', cache).type(type).send(body);
}
