/** `npm run test:e2e`: the console in a real browser. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    pool: 'threads',
    isolate: false,
    fileParallelism: false,
    // Nothing here measures time by it: what a busy machine slows down is not told at all.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: 120_000, interval: 20 } },
    passWithNoTests: false,
    allowOnly: false,
  },
});
