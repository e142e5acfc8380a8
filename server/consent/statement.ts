/**
 * What a patient signs: one canonical JSON text that holds the final Consent and everything it was signed under. consent.md §4
 * https://www.rfc-editor.org/rfc/rfc8785
 *
 * Invariant: the exact bytes are kept and are what is verified; they are never made again from a parsed Consent.
 */
import canonicalize from 'canonicalize';
import { AssentError } from '../errors.ts';
import type { ResourceValue } from '../fhir/resource.ts';

export const STATEMENT_TYPE = 'urn:assent:consent-statement:1';

export type Statement = {
  readonly type: typeof STATEMENT_TYPE;
  /** The reading of the Consent: policy.uri. */
  readonly semantics: string;
  /** FHIR base URL of the server it was made for. */
  readonly audience: string;
  /** The Consent as it will be in force, without meta.versionId and meta.lastUpdated. */
  readonly consent: ResourceValue;
  /** What was shown: its language and the base64url SHA-256 of the lines, joined by line feeds. */
  readonly shown: { readonly language: string; readonly digest: string };
  /** Who may read by it, each with the thumbprints (RFC 7638) of its registered keys. */
  readonly requesters: readonly { readonly reference: string; readonly keys: readonly string[] }[];
  readonly custodians: readonly string[];
  readonly purposes: readonly string[];
  /** The period of the whole Consent, as the Consent has it. */
  readonly period?: unknown;
  /** base64url, 16 random bytes. */
  readonly nonce: string;
  /** ISO instants; after `expires` no signature is accepted. */
  readonly created: string;
  readonly expires: string;
  /** The Consent this one replaces, and the digest of its statement. */
  readonly supersedes?: { readonly consent: string; readonly digest: string };
  /**
   * Of what the data named as `related` refer to: base64url SHA-256 of a text kept beside the Consent, salted, so that preparing tells nobody what
   * a resource refers to, or whether it exists.
   */
  readonly related?: string;
};

export function statementText(statement: Statement): string {
  return canonicalize(statement) as string;
}

/** The Consent of a statement: no version, no time of storage. */
export function unversioned(consent: ResourceValue): ResourceValue {
  const { versionId: _versionId, lastUpdated: _lastUpdated, ...meta } = (consent['meta'] ?? {}) as Record<string, unknown>;
  const { meta: _meta, ...rest } = consent;
  return (Object.keys(meta).length > 0 ? { ...rest, meta } : rest) as ResourceValue;
}

/** Throws AssentError('invalid-signature') when the text is not a statement for this server that may still be signed. */
export function readStatement(text: string, { audience, now }: { readonly audience: string; readonly now: number }): Statement {
  const refuse = (diagnostics: string) => new AssentError('invalid-signature', diagnostics);
  let statement: Statement;
  try {
    statement = JSON.parse(text) as Statement;
  } catch {
    throw refuse('The statement is not JSON.');
  }
  if (statement?.type !== STATEMENT_TYPE) throw refuse('This is not a consent statement.');
  if (statement.audience !== audience) throw refuse('The statement was made for another server.');
  if (!(Date.parse(statement.expires) > now)) throw refuse('The statement has expired; prepare it again.');
  return statement;
}
