/**
 * If-Match, If-None-Match and If-Modified-Since. RFC 9110 §13, https://hl7.org/fhir/R4/http.html#concurrency
 * Invariant: nothing is compared before the Gate has permitted, so a condition never tells a hidden record from an absent one.
 */
import { AssentError } from '../errors.ts';
import type { Row } from '../consent/gate.ts';
import { etag } from './answer.ts';
import type { FhirRequest } from './interaction.ts';

/** The version named by If-Match, or nothing. Throws invalid-request when it is not one entity tag. */
export function expectedVersion(request: Pick<FhirRequest, 'header'>): { readonly ifMatch?: string } {
  const header = request.header('if-match');
  if (header === undefined) return {};
  const tag = /^\s*(?:W\/)?"([^"]*)"\s*$/.exec(header)?.[1];
  if (tag === undefined) throw new AssentError('invalid-request', 'If-Match takes one entity tag, like W/"1".');
  return { ifMatch: tag };
}

/** `If-None-Match: *` on a write: only where there is nothing yet (RFC 9110 §13.1.2). Other tags have no meaning there. */
export function createOnly(request: Pick<FhirRequest, 'header'>): { readonly ifNoneMatch?: '*' } {
  const header = request.header('if-none-match');
  if (header === undefined) return {};
  if (header.trim() !== '*') throw new AssentError('invalid-request', 'If-None-Match of a write can be * only.');
  return { ifNoneMatch: '*' };
}

/** Whether the copy the caller holds is this version. If-None-Match wins over If-Modified-Since (RFC 9110 §13.2.2). */
export function isUnchanged(request: FhirRequest, row: Row): boolean {
  const tags = request.header('if-none-match');
  if (tags !== undefined) return tags.trim() === '*' || tags.split(',').some((tag) => weak(tag.trim()) === etag(row.version));
  const since = Date.parse(request.header('if-modified-since') ?? '');
  return !Number.isNaN(since) && Math.floor(row.lastUpdated / 1000) * 1000 <= since;
}

/** A condition this interaction does not know must not pass unheard: the caller relies on it. */
export function refuseConditions(request: FhirRequest, names: readonly string[]): void {
  const found = names.find((name) => request.header(name) !== undefined);
  if (found !== undefined) throw new AssentError('invalid-request', `The header ${found} has no meaning for this interaction.`);
}

function weak(tag: string): string {
  return tag.startsWith('W/') ? tag : `W/${tag}`;
}
