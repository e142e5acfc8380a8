/**
 * What nobody caught is said at once: where a thread dies of it, the report that would have named it is never made.
 */
import { writeSync } from 'node:fs';
import { inspect } from 'node:util';

const MARK = Symbol.for('assent.test.says-uncaught');
const threads = globalThis as { [MARK]?: true };

if (!threads[MARK]) {
  threads[MARK] = true;
  process.on('uncaughtExceptionMonitor', (error: unknown, origin) => void writeSync(2, `\n${origin}: ${inspect(error)}\n`));
}
