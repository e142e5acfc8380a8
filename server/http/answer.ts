/**
 * Answers and their headers: ETag, Last-Modified, Location, Assent-Receipt. https://hl7.org/fhir/R4/http.html#versioning
 * Invariant: absent and denied get the same answer, which holds nothing but the words of the error table.
 */
import { AssentError, type OperationOutcome } from '../errors.ts';
import type { Row } from '../consent/gate.ts';
import type { Answer } from './interaction.ts';

export const RECEIPT_HEADER = 'assent-receipt';

export function etag(version: string): string {
  return `W/"${version}"`;
}

export function versionHeaders(row: Row): Record<string, string> {
  return { etag: etag(row.version), 'last-modified': new Date(row.lastUpdated).toUTCString() };
}

export function versionUrl(base: string, { type, id, version }: Pick<Row, 'type' | 'id' | 'version'>): string {
  return `${base}/${type}/${id}/_history/${version}`;
}

/** Where the proof of this disclosure will be; nothing where nothing about a patient was disclosed. */
export function receiptHeaders(base: string, receipt: string | undefined): Record<string, string> {
  return receipt === undefined ? {} : { [RECEIPT_HEADER]: `${base}/AuditEvent/${receipt}/$receipt` };
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: JSON.stringify(value) };
}

export function informed(text: string): OperationOutcome {
  return { resourceType: 'OperationOutcome', issue: [{ severity: 'information', code: 'informational', diagnostics: text }] };
}

/** The one answer for absent, denied and deleted-but-denied. */
export function notFound(): AssentError {
  return new AssentError('not-found');
}
