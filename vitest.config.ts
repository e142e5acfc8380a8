/**
 * `npm test`: every suite but the browser's. Threads without isolation start in a tenth of the time; suites therefore share one process and change
 * nothing global. Suites under test/published want data that is not in the repository (ASSENT_TEST_DATA). Of the suites that run on either engine
 * a few run on MongoDB as well; all of them do with ASSENT_TEST_ENGINE=mongodb.
 */
import { defineConfig } from 'vitest/config';
import { temporaryInMemory } from './test/support/in-memory.ts';
import { LongestFirst } from './test/support/longest-first.ts';
import { findMongod } from './test/support/mongod.ts';

/** Of the suites that run on either engine, those that `npm test` runs on MongoDB as well. */
const ON_BOTH = ['test/http/{consent-ceremony,edited-database}.test.ts', 'test/twins/twins.test.ts'];
const temporary = temporaryInMemory();
const embedded = { extends: true as const, test: { name: 'assent', include: ['test/**/*.test.ts'], env: temporary } };
const mongodb = {
  extends: true as const,
  test: {
    name: 'on MongoDB',
    include: ON_BOTH,
    env: { ...temporary, ASSENT_TEST_ENGINE: 'mongodb' },
  },
};

/**
 * With MongoDB chosen, not again: those that take a replica set or no store whichever is chosen, and whether twin servers find what is planted. With
 * ASSENT_TEST_AFTER_NPM_TEST neither what `npm test` has just run there.
 */
const onceOnly =
  process.env['ASSENT_TEST_ENGINE'] === 'mongodb'
    ? [
        'test/http/{several-servers,stored-parameters-processes}.test.ts',
        'test/{http/above-the-gate,matrix/decision-lines}.test.ts',
        'test/twins/leaks.test.ts',
        ...(process.env['ASSENT_TEST_AFTER_NPM_TEST'] ? ON_BOTH : []),
      ]
    : [];

export default defineConfig({
  test: {
    exclude: ['test/e2e/**', ...(process.env['ASSENT_TEST_DATA'] ? [] : ['test/published/**']), ...onceOnly],
    globalSetup: ['test/support/mongod-setup.ts'],
    setupFiles: ['test/support/say-uncaught.ts', 'test/support/remembered-scrypt.ts'],
    sequence: { sequencer: LongestFirst },
    pool: 'threads',
    isolate: false,
    // Left to itself it keeps one core free.
    maxWorkers: '100%',
    // Nothing here measures time by them: what hangs is told late, and what a busy machine slows down is not told at all.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: 120_000, interval: 20 } },
    passWithNoTests: false,
    allowOnly: false,
    projects: [embedded, ...(findMongod() && process.env['ASSENT_TEST_ENGINE'] === undefined ? [mongodb] : [])],
  },
});
