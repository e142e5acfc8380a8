/**
 * Validation as the rest of the server uses it: small work on the calling thread, large work in the pool. fhir.md §4
 *
 * Invariant: the same document gets the same issues on either way.
 */
import type { Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { createPool, type PoolOptions } from './pool.ts';
import { createCheck } from './validate.ts';

export type Validator = {
  /**
   * Issues of each document, in order; no issues means acceptable. Throws AssentError('unavailable') with retryAfter when too much is
   * waiting or a thread died.
   */
  validate(documents: readonly ResourceDocument[]): Promise<readonly (readonly Issue[])[]>;
  /** Compiles what these types need, one type per turn of the event loop, so that the first request does not wait for it. */
  warm(resourceTypes: Iterable<string>): Promise<void>;
  close(): Promise<void>;
};

/** Above either of these the work takes longer than other callers should wait for the event loop. */
const INLINE_CHARACTERS = 32_768;
const INLINE_DOCUMENTS = 20;

export function createValidator(options: PoolOptions): Validator {
  const { check, warm } = createCheck();
  const pool = createPool(options);
  return {
    async validate(documents) {
      const characters = documents.reduce((sum, { text }) => sum + text.length, 0);
      if (characters <= INLINE_CHARACTERS && documents.length <= INLINE_DOCUMENTS) return documents.map(check);
      return pool.run(documents.map(({ text }) => text));
    },
    async warm(resourceTypes) {
      for (const resourceType of resourceTypes) {
        await new Promise((resolve) => setImmediate(resolve));
        warm(resourceType);
      }
    },
    close: () => pool.close(),
  };
}
