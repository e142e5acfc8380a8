/**
 * Published data that is not ours to keep in the repository: ASSENT_TEST_DATA names the folder that holds it. Only suites under test/published
 * read it; vitest.config.ts leaves them out where the setting is absent, and once it is there a missing folder is a failure.
 */
import { join } from 'node:path';

export function published(...names: string[]): string {
  const folder = process.env['ASSENT_TEST_DATA'];
  if (folder === undefined || folder === '') throw new Error('ASSENT_TEST_DATA names the folder of published data.');
  return join(folder, ...names);
}
