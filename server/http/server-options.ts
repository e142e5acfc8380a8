/**
 * How Fastify itself is set up: limits below the routes, quiet structured logs to stderr, errors in FHIR's form.
 * Invariant: what Fastify logs by itself holds no URL and no message of an unknown error.
 */
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { type FastifyHttpOptions, LogController } from 'fastify';
import { clientErrorHandler, faultOf, frameworkErrors } from './error-handler.ts';

const MAX_HEADER_BYTES = 16_384;
/** Longer than any id (64): what is longer names nothing. */
const MAX_SEGMENT = 200;

type Wanted = {
  readonly logLevel: string;
  readonly bodyBytes: number;
  /** Where log lines go; absent: stderr. */
  readonly logTo?: { write(line: string): void };
};

export function createServerOptions({ logLevel, bodyBytes, logTo = process.stderr }: Wanted) {
  return {
    logger: { level: logLevel, stream: logTo, base: null, serializers: { req: () => ({}), res: () => ({}), err: quietError } },
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    bodyLimit: bodyBytes,
    // While closing, requests already on a kept-alive connection are answered, not cut off.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: MAX_SEGMENT, ignoreTrailingSlash: true },
    http: { maxHeaderSize: MAX_HEADER_BYTES },
    frameworkErrors,
    clientErrorHandler,
  } as const satisfies FastifyHttpOptions<Server>;
}

/** Messages of unknown errors quote data (JSON.parse does): kind and frames only. */
function quietError(error: unknown): { readonly type: string; readonly message: string; readonly stack: string } {
  const { name, code, at } = faultOf(error);
  return { type: name, message: code ?? '', stack: at.join('\n') };
}
