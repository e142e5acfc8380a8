/**
 * Every way a request can fail, in one table: code ↔ HTTP status ↔ OperationOutcome issue type.
 * https://hl7.org/fhir/R4/operationoutcome.html, https://hl7.org/fhir/R4/valueset-issue-type.html
 *
 * Invariant: what leaves the server is built from this table and from `diagnostics` written by us; never a stack
 * trace, never a value of a patient's record.
 */

type Row = { readonly status: number; readonly issue: string; readonly text: string };

const table = {
  'invalid-json': { status: 400, issue: 'structure', text: 'The body is not valid JSON.' },
  'invalid-xml': { status: 400, issue: 'structure', text: 'The body is not valid XML.' },
  'invalid-request': { status: 400, issue: 'invalid', text: 'The request cannot be understood.' },
  'invalid-search': { status: 400, issue: 'invalid', text: 'A search parameter cannot be used as given.' },
  'invalid-cursor': { status: 400, issue: 'invalid', text: 'This page link is not valid for this caller.' },
  'invalid-resource': { status: 422, issue: 'invariant', text: 'The resource does not follow its definition.' },
  'broken-reference': { status: 422, issue: 'not-found', text: 'A reference names no resource.' },
  'patch-failed': { status: 422, issue: 'processing', text: 'The patch cannot be applied to the resource.' },
  'invalid-consent': { status: 422, issue: 'business-rule', text: 'The Consent cannot be accepted.' },
  'invalid-signature': { status: 422, issue: 'security', text: 'The signatures do not establish this Consent.' },
  'sealed-resource': { status: 422, issue: 'business-rule', text: 'A signed or recorded resource cannot be changed this way.' },
  unauthenticated: { status: 401, issue: 'login', text: 'A valid access token is required.' },
  forbidden: { status: 403, issue: 'forbidden', text: 'The token does not allow this interaction on this type.' },
  'not-found': { status: 404, issue: 'not-found', text: 'No such resource.' },
  gone: { status: 410, issue: 'deleted', text: 'The resource has been deleted.' },
  'not-supported': { status: 404, issue: 'not-supported', text: 'The server does not offer this.' },
  'method-not-allowed': { status: 405, issue: 'not-supported', text: 'The method is not allowed here.' },
  'not-acceptable': { status: 406, issue: 'not-supported', text: 'The server cannot answer in the format asked for.' },
  conflict: { status: 409, issue: 'conflict', text: 'The resource was changed by someone else at the same time.' },
  'still-referenced': { status: 409, issue: 'conflict', text: 'Other resources refer to this one.' },
  'version-mismatch': { status: 412, issue: 'conflict', text: 'The resource is not what a condition of the request names.' },
  'multiple-matches': { status: 412, issue: 'multiple-matches', text: 'The criteria match more than one resource.' },
  'too-large': { status: 413, issue: 'too-long', text: 'The body is larger than the server accepts.' },
  'unsupported-media-type': { status: 415, issue: 'not-supported', text: 'The media type is not supported.' },
  'too-costly': { status: 422, issue: 'too-costly', text: 'The search would read too much; narrow it.' },
  abandoned: { status: 408, issue: 'timeout', text: 'The caller went away before the answer was ready.' },
  'rate-limited': { status: 429, issue: 'throttled', text: 'Too many requests.' },
  unavailable: { status: 503, issue: 'transient', text: 'The server cannot answer safely at the moment.' },
  internal: { status: 500, issue: 'exception', text: 'The server failed; nothing was changed.' },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof table;

/** Without a severity an issue is an error; only errors stand in the way of what was asked. */
export type Issue = {
  readonly severity?: 'error' | 'warning' | 'information';
  readonly code?: string;
  readonly diagnostics: string;
  readonly expression?: readonly string[];
};

/** The only exception the server throws on purpose. `diagnostics` is shown to the caller: no patient data in it. */
export class AssentError extends Error {
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];
  /** Seconds, for the Retry-After header. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, issues?: string | readonly Issue[], options: { retryAfter?: number; cause?: unknown } = {}) {
    const list = typeof issues === 'string' ? [{ diagnostics: issues }] : (issues ?? []);
    super(list[0]?.diagnostics ?? table[code].text, { cause: options.cause });
    this.name = 'AssentError';
    this.code = code;
    this.issues = list;
    this.retryAfter = options.retryAfter;
  }

  get status(): number {
    return table[this.code].status;
  }
}

export type OperationOutcome = {
  resourceType: 'OperationOutcome';
  issue: { severity: 'error' | 'warning' | 'information'; code: string; details?: { text: string }; diagnostics?: string; expression?: string[] }[];
};

/** The OperationOutcome that stands for an error; anything unknown becomes `internal` and says nothing more. */
export function outcomeOf(error: unknown): { status: number; outcome: OperationOutcome } {
  const known = error instanceof AssentError ? error : new AssentError('internal');
  const row = table[known.code];
  const issues: readonly Issue[] = known.issues.length > 0 ? known.issues : [{ diagnostics: row.text }];
  const issue = issues.map(({ severity = 'error', code, diagnostics, expression }) => ({
    severity,
    code: code ?? row.issue,
    details: { text: row.text },
    diagnostics,
    ...(expression && expression.length > 0 ? { expression: [...expression] } : {}),
  }));
  return { status: row.status, outcome: { resourceType: 'OperationOutcome', issue } };
}
