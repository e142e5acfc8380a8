/**
 * A witness for logs, ours or others': POST /add-checkpoint. https://c2sp.org/tlog-witness
 * Besides: GET /key, and GET /checkpoint/<SHA-256 of the origin in hex>, what was cosigned last, as its log signed it: whoever was set back finds
 * its own signature there.
 */
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { sha256 } from '../../ledger/hash.ts';
import type { Cosigner, VerifierKey } from '../../ledger/note.ts';
import { judgeCheckpoint, readAddCheckpoint, type WitnessVerdict } from '../../ledger/witness.ts';
import type { Clock } from '../clock.ts';
import type { Heads } from './heads.ts';

export type WitnessDependencies = {
  readonly logs: readonly VerifierKey[];
  readonly heads: Heads;
  readonly cosigner: Cosigner;
  readonly clock: Clock;
};

/** 63 hashes and a checkpoint with 32 signatures. */
const MOST_BYTES = 65_536;
const TEXT = 'text/plain; charset=utf-8';

export function witnessPlugin(dependencies: WitnessDependencies): (app: FastifyInstance) => Promise<void> {
  const { logs, heads, cosigner } = dependencies;
  const origins = new Map(logs.map(({ name }) => [sha256(name).toString('hex'), name]));
  return async (app) => {
    app.setErrorHandler<FastifyError>(({ statusCode = 500 }, _request, reply) =>
      reply
        .code(statusCode)
        .type(TEXT)
        .send(statusCode < 500 ? 'The request cannot be read.\n' : 'The witness failed.\n'),
    );
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: MOST_BYTES }, (_request, body, done) => done(null, body));
    app.post<{ Body: unknown }>('/add-checkpoint', { bodyLimit: MOST_BYTES }, async ({ body }, reply) =>
      send(reply, add(typeof body === 'string' ? body : '', dependencies)),
    );
    app.get('/key', async (_request, reply) => reply.type(TEXT).send(`${cosigner.verifierKey.text}\n`));
    app.get<{ Params: { hash: string } }>('/checkpoint/:hash', async ({ params }, reply) => {
      const origin = origins.get(params.hash);
      const head = origin === undefined ? undefined : heads.latest(origin);
      reply.header('cache-control', 'no-store').type(TEXT);
      return head ? reply.send(head.note) : reply.code(404).send('Nothing of this log was cosigned here.\n');
    });
  };
}

type Result = { readonly kind: 'cosigned'; readonly line: string } | Exclude<WitnessVerdict, { kind: 'consistent' }>;

function add(body: string, { logs, heads, cosigner, clock }: WitnessDependencies): Result {
  const request = readAddCheckpoint(body);
  if (!request) return { kind: 'malformed' };
  const verdict = judgeCheckpoint(request, { logs, latest: heads.latest });
  if (verdict.kind !== 'consistent') return verdict;
  const { origin, size, root } = verdict.checkpoint;
  if (!heads.advance(origin, request.oldSize, { size, root, note: request.note })) return { kind: 'conflict', size: heads.latest(origin)?.size ?? 0 };
  return { kind: 'cosigned', line: cosigner.line(verdict.text, Math.floor(clock() / 1000)) };
}

const refusals: Readonly<Record<Exclude<Result['kind'], 'cosigned' | 'conflict'>, readonly [status: number, sentence: string]>> = {
  malformed: [400, 'The request is not in the form of tlog-witness.'],
  'too-small': [400, 'The checkpoint is smaller than the tree its proof begins with.'],
  unsigned: [403, 'No key of this log signed the checkpoint.'],
  'unknown-log': [404, 'This log is not witnessed here.'],
  'other-root': [409, 'Another root of this size was cosigned.'],
  inconsistent: [422, 'The checkpoint does not continue the one cosigned last.'],
};

function send(reply: FastifyReply, result: Result): FastifyReply {
  reply.header('cache-control', 'no-store');
  if (result.kind === 'cosigned') return reply.type(TEXT).send(result.line);
  if (result.kind === 'conflict') return reply.code(409).type('text/x.tlog.size').send(`${result.size}\n`);
  const [status, sentence] = refusals[result.kind];
  return reply.code(status).type(TEXT).send(`${sentence}\n`);
}
