/** Failures inside a bundle name their entry, so that a person finds it among a thousand. */
import { AssentError } from '../errors.ts';
import { entryPath } from '../fhir/bundle.ts';

/** Runs a check of one entry; its failure names the entry. */
export function atEntry<T>(index: number, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw entryError(error, index);
  }
}

export async function atEntryAsync<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw entryError(error, index);
  }
}

function entryError(error: unknown, index: number): unknown {
  if (!(error instanceof AssentError)) return error;
  // What the server does not offer as an entry is a malformed bundle, not a missing page.
  const code = error.code === 'not-supported' || error.code === 'method-not-allowed' ? 'invalid-request' : error.code;
  const issues = error.issues.length > 0 ? error.issues : [{ diagnostics: error.message }];
  const issueCode = code === error.code ? {} : { code: 'not-supported' };
  return new AssentError(
    code,
    issues.map((issue) => ({ ...issueCode, ...issue, expression: [entryPath(index)] })),
  );
}
