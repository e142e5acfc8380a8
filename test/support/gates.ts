/**
 * The gates of `npm run check`, and how each proves that it examined something. A linter without rules or a test runner without files
 * exits 0 and proves nothing.
 */

export type Gate = {
  readonly name: string;
  readonly command: readonly string[];
  /** What the tool says it examined; empty when it says nothing or skipped some, which fails the gate. */
  readonly examined: (output: string) => string;
};

const positive = (output: string, pattern: RegExp): string => {
  const match = pattern.exec(output);
  return match?.slice(1).every((count) => Number(count) > 0) ? match[0] : '';
};
/** Skipped and todo tests examine nothing. */
const tests = (output: string): string => (/^\s*Tests\b.*(skipped|todo)/m.test(output) ? '' : positive(output, /^\s*Tests\b.*?(\d+) passed/m).trim());
const compiled = (output: string): string => {
  const count = output.split('\n').filter((line) => line.endsWith('.ts') && !line.includes('node_modules')).length;
  return count > 0 ? `${count} files` : '';
};

export const gates: readonly Gate[] = [
  { name: 'format', command: ['biome', 'format', '.', '--colors=off'], examined: (text) => positive(text, /(\d+) files/) },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'], examined: (text) => positive(text, /(\d+) files with (\d+) rules/) },
  { name: 'types', command: ['tsc', '-p', '.', '--listFiles'], examined: compiled },
  { name: 'architecture', command: ['vitest', 'run', '--no-color', 'test/architecture'], examined: tests },
  {
    name: 'dead code',
    command: ['knip', '--reporter', 'symbols', '--reporter', './test/support/knip-count.ts'],
    examined: (text) => positive(text, /Examined (\d+) files/),
  },
  { name: 'tests', command: ['vitest', 'run', '--no-color', '--exclude', 'test/architecture/**'], examined: tests },
];
