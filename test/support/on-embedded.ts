import { it } from 'vitest';

/** A test of the database's own files, which MongoDB does not keep here: with it chosen there is none, rather than one that is skipped. */
export const itOnEmbedded = (name: string, test: () => Promise<void>): void => {
  if (process.env['ASSENT_TEST_ENGINE'] !== 'mongodb') it(name, test);
};
