/**
 * Validation as the rest of the server uses it: small work on the calling thread, large work in the pool. fhir.md §4
 *
 * Invariant: the same document gets the same issues on either way.
 */
import type { Issue } from '../errors.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import type { Packages } from './packages/claims.ts';
import { createPool, type PoolOptions } from './pool.ts';
import { createCheck, NO_PACKAGES } from './validate.ts';

export type Validator = {
  /**
   * Issues of each document, in order; no error among them means acceptable. `profiles`: what each must meet besides what it claims. Throws
   * AssentError('unavailable') with retryAfter when too much is
   * waiting or a thread died.
   */
  validate(documents: readonly ResourceDocument[], profiles?: readonly string[]): Promise<readonly (readonly Issue[])[]>;
  /** Compiles what these types need, one type per turn of the event loop, so that the first request does not wait for it. */
  warm(resourceTypes: Iterable<string>): Promise<void>;
  close(): Promise<void>;
};

/** Above either of these the work takes longer than other callers should wait for the event loop. */
const INLINE_CHARACTERS = 65_536;
const INLINE_DOCUMENTS = 64;

type ValidatorOptions = Omit<PoolOptions, 'workerData'> & { readonly packages?: Packages };

export function createValidator({ packages = NO_PACKAGES, ...options }: ValidatorOptions): Validator {
  const { check, warm } = createCheck(packages);
  const pool = createPool({ ...options, workerData: packages });
  return {
    async validate(documents, profiles = []) {
      const characters = documents.reduce((sum, { text }) => sum + text.length, 0);
      if (characters <= INLINE_CHARACTERS && documents.length <= INLINE_DOCUMENTS) return documents.map((document) => check(document, profiles));
      return pool.run(
        documents.map(({ text }) => text),
        profiles,
      );
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
