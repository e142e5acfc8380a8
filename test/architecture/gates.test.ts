/** A gate that looked at nothing, or skipped part, does not pass: each is shown what its tool prints then. */
import { describe, expect, test } from 'vitest';
import { gates } from '../support/gates.ts';

const examined = (name: string, output: string) => gates.find((gate) => gate.name === name)?.examined(output);

describe('gates', () => {
  test.each([
    ['format', 'Checked 0 files in 12ms. No fixes applied.'],
    ['lint', 'Finished in 20ms on 0 files with 128 rules using 2 threads.'],
    ['lint', 'Finished in 20ms on 120 files with 0 rules using 2 threads.'],
    ['types', '/house/node_modules/typescript/lib/lib.es2024.d.ts\n'],
    ['architecture', 'No test files found, exiting with code 0'],
    ['tests', '      Tests  3 skipped (3)\n'],
    ['tests', '      Tests  40 passed | 1 skipped (41)\n'],
    ['tests', '      Tests  40 passed | 2 todo (42)\n'],
    ['dead code', 'Examined 0 files.'],
    ...gates.map(({ name }): [string, string] => [name, '']),
  ])('%s with %j does not count', (name, output) => {
    expect(examined(name, output)).toBe('');
  });

  test.each([
    ['format', 'Checked 160 files in 66ms. No fixes applied.', '160 files'],
    ['lint', 'Finished in 1.2s on 160 files with 128 rules using 2 threads.', '160 files with 128 rules'],
    ['types', '/house/node_modules/a.d.ts\n/house/server/app.ts\n', '1 files'],
    ['tests', ' Test Files  9 passed (9)\n      Tests  140 passed (140)\n', 'Tests  140 passed'],
    ['dead code', 'Examined 160 files.', 'Examined 160 files'],
  ])('%s with %j counts', (name, output, said) => {
    expect(examined(name, output)).toBe(said);
  });
});
