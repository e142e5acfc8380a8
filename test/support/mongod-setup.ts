/** Before all suites: finds or fetches a mongod, once. After them: says in the last line what the MongoDB suites ran on, or that they did not. */
import { findMongod } from './mongod.ts';

export function setup(): () => void {
  const found = findMongod();
  const name = found && ('uri' in found ? 'the replica set of ASSENT_TEST_MONGODB_URI' : `mongod from ${found.from}`);
  return () => {
    process.stdout.write(
      name ? `MongoDB suites: ${name}\n` : 'MongoDB suites: NOT RUN, no mongod was found; MONGOD or ASSENT_TEST_MONGODB_URI names one\n',
    );
  };
}
