/**
 * The log's signer over HTTP: GET /head, POST /sign, POST /line, for those who know its secret. ledger.md §2
 *
 * Invariants: whoever has the secret gets a signature under what continues the tree signed last, under the digest of a trail, under a place where a tree is anchored, and under nothing else; what was signed is on
 * the disk before the answer leaves (server/anchoring/signer.ts).
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyError, FastifyInstance } from 'fastify';
import { sha256 } from '../../ledger/hash.ts';
import { extendBy, type RowChain } from '../anchoring/row-chain.ts';
import {
  HEAD_PATH,
  LINE_PATH,
  MOST_REQUEST_BYTES,
  readCall,
  readText,
  SIGN_PATH,
  type SignAnswer,
  type SignCall,
  writeAnswer,
  writeHead,
} from '../anchoring/signer-protocol.ts';
import type { Signer, SignRequest } from '../anchoring/signer.ts';
import { AssentError } from '../errors.ts';

export type SignerPluginOptions = { readonly signer: Signer; readonly secret: string };

export function signerPlugin({ signer, secret }: SignerPluginOptions): (app: FastifyInstance) => Promise<void> {
  const expected = sha256(`Bearer ${secret}`);
  return async (app) => {
    app.setErrorHandler<FastifyError>(({ statusCode = 500 }, _request, reply) => reply.code(statusCode).send({ kind: 'failed' }));
    app.addHook('onRequest', async ({ headers }, reply) => {
      if (!timingSafeEqual(sha256(headers.authorization ?? ''), expected)) return reply.code(401).send({ kind: 'unknown' });
    });
    app.get(HEAD_PATH, async () => {
      const status = signer.status();
      const { verifierKey, cosignerKey } = signer;
      return writeHead({ verifierKey, cosignerKey, head: signer.head(), refused: status.kind === 'refused' ? status.reason : undefined });
    });
    app.post(SIGN_PATH, { bodyLimit: MOST_REQUEST_BYTES }, async ({ body }, reply) => {
      const call = readCall(body);
      if (!call) return reply.code(400).send({ kind: 'malformed' });
      const answer = await sign(call, signer);
      return reply.code(answer.kind === 'moved' ? 409 : 200).send(writeAnswer(answer));
    });
    app.post(LINE_PATH, async ({ body }, reply) => {
      const text = readText(body);
      return text === undefined ? reply.code(400).send({ kind: 'malformed' }) : { line: await signer.lineFor(text) };
    });
  };
}

async function sign(call: SignCall, signer: Signer): Promise<SignAnswer> {
  try {
    const result = await signer.sign(requestOf(call, signer));
    const head = signer.head();
    if (result.kind === 'signed' && head) return { kind: 'signed', note: result.note, head };
    return result.kind === 'refused' ? result : { kind: 'moved' };
  } catch (fault) {
    if (fault instanceof AssentError && fault.code === 'conflict') return { kind: 'moved' };
    throw fault;
  }
}

/** What was sent, in the place of what a signer beside the database reads there. */
function requestOf({ from, size, root, published, entries, steps }: SignCall, signer: Signer): SignRequest {
  const requireFrom = (): void => {
    if ((signer.head()?.size ?? 0) !== from) throw new AssentError('conflict', 'More was signed meanwhile.');
  };
  async function* sent(all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    requireFrom();
    yield* all;
  }
  const elsewhere = async (): Promise<never> => {
    throw new AssentError('unavailable', 'The rows are not here.');
  };
  const rows: RowChain = { steps: () => sent(steps), extend: (before) => extendBy(before, sent(steps)), ofTexts: elsewhere };
  return {
    size,
    root,
    published,
    rows,
    rootAt: elsewhere,
    entries: () => sent(entries),
    // Asked only where the tree is smaller than the one signed: it is older, unless the asker knew of another.
    head: async () => {
      requireFrom();
      return size;
    },
  };
}
