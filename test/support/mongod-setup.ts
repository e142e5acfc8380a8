/** Before all suites: finds or fetches a mongod, once, and starts it where all of them run on it. After them: says in the last lines what the MongoDB
 * suites and those of published data ran on, or that they did not. */
import { findMongod, shareReplicaSet } from './mongod.ts';

export async function setup(): Promise<() => Promise<void>> {
  const found = findMongod();
  const name = found && ('uri' in found ? 'the replica set of ASSENT_TEST_MONGODB_URI' : `mongod from ${found.from}`);
  const data = process.env['ASSENT_TEST_DATA'];
  const stop = process.env['ASSENT_TEST_ENGINE'] === 'mongodb' ? await shareReplicaSet() : undefined;
  return async () => {
    await stop?.();
    process.stdout.write(data ? `Published data: ${data}\n` : 'Published data: NOT RUN, ASSENT_TEST_DATA names the folder that holds it\n');
    process.stdout.write(
      name ? `MongoDB suites: ${name}\n` : 'MongoDB suites: NOT RUN, no mongod was found; MONGOD or ASSENT_TEST_MONGODB_URI names one\n',
    );
  };
}
