/**
 * Every failure leaves as an OperationOutcome: our own errors, Fastify's, and those of the HTTP parser below it.
 * https://hl7.org/fhir/R4/http.html#summary
 * Invariant: never a stack trace, never a word of an unknown error's message; the log gets the code and the frames, not the message,
 * because messages quote data.
 */
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AssentError, type ErrorCode, outcomeOf } from '../errors.ts';
import { xmlText } from '../fhir/xml/write.ts';
import { FHIR_JSON, mediaTypes } from './content.ts';
import type { Body } from './interaction.ts';
import { formatForError } from './render.ts';

/** Fastify's own errors, by code; the rest of its 4xx are malformed requests. */
const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_INVALID_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_EMPTY_TYPE: 'unsupported-media-type',
  FST_ERR_MAX_PARAM_LENGTH: 'not-found',
  FST_ERR_NOT_FOUND: 'not-supported',
};

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = knownError(error);
  if (known.status >= 500) request.log.error({ fault: faultOf(known.cause ?? error) }, 'request failed');
  const { status, outcome } = outcomeOf(known);
  if (status === 401) reply.header('www-authenticate', request.headers.authorization === undefined ? 'Bearer' : 'Bearer error="invalid_token"');
  if (known.retryAfter !== undefined) reply.header('retry-after', String(known.retryAfter));
  reply.headers({ 'cache-control': 'private, no-store', 'x-content-type-options': 'nosniff' });
  const text = JSON.stringify(outcome);
  const format = formatForError(request.headers.accept, request.raw.url ?? '', bodyOf(request));
  void reply
    .code(status)
    .type(mediaTypes[format])
    .send(format === 'xml' ? xmlText(text) : text);
}

/** As far as it is one of ours: other plugins have bodies of their own. */
function bodyOf({ body }: FastifyRequest): Body | undefined {
  return (body as Partial<Body> | undefined)?.kind === 'form' ? (body as Body) : undefined;
}

export function knownError(error: unknown): AssentError {
  if (error instanceof AssentError) return error;
  const { code = '', statusCode = 500 } = (error ?? {}) as Partial<FastifyError>;
  const mapped = fastifyCodes[code];
  if (mapped) return new AssentError(mapped);
  if (statusCode >= 400 && statusCode < 500) return new AssentError('invalid-request');
  return new AssentError('internal', [], { cause: error });
}

/** What an operator may see of a fault: its kind and where it happened. */
export function faultOf(error: unknown): { readonly name: string; readonly code?: string; readonly at: readonly string[] } {
  if (!(error instanceof Error)) return { name: typeof error, at: [] };
  const code = (error as { readonly code?: unknown }).code;
  const at = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim());
  return { name: error.name, ...(typeof code === 'string' ? { code } : {}), at };
}

type Answering = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** For the composition root: every plugin below inherits these. `missingPage`: for a person in a browser at an address where nothing is. */
export function installErrorHandling(app: FastifyInstance, missingPage?: Answering): void {
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) =>
    missingPage && isBrowsing(request) ? missingPage(request, reply) : sendError(new AssentError('not-supported'), request, reply),
  );
}

/** Browsers ask for HTML by name where somebody opens an address; programs do not. */
function isBrowsing({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && /\btext\/html\b/.test(headers.accept ?? '');
}

/** URLs that cannot be decoded and parameters longer than any id: Fastify finds them before any route. */
export function frameworkErrors(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendError(
    error.code === 'FST_ERR_BAD_URL' ? new AssentError('invalid-request', 'The URL holds a malformed percent-encoding.') : error,
    request,
    reply,
  );
}

const parserErrors: Readonly<Record<string, { readonly line: string; readonly code: ErrorCode; readonly text: string }>> = {
  HPE_HEADER_OVERFLOW: {
    line: '431 Request Header Fields Too Large',
    code: 'too-large',
    text: 'The request line and headers are longer than the server accepts.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: { line: '408 Request Timeout', code: 'invalid-request', text: 'The request took too long to arrive.' },
};

/** What is not HTTP never becomes a request: the answer is written to the socket itself. */
export function clientErrorHandler(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const known = parserErrors[error.code ?? ''] ?? { line: '400 Bad Request', code: 'invalid-request' as const, text: 'This is not an HTTP request.' };
  const body = JSON.stringify(outcomeOf(new AssentError(known.code, known.text)).outcome);
  const head = [
    `HTTP/1.1 ${known.line}`,
    `Content-Type: ${FHIR_JSON}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
