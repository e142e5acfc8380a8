/** Run as a process of its own: writes log rows and has them numbered until its stdin ends; says how many were acknowledged. */
import { systemClock } from '../../../server/clock.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';

const [, , uri = '', name = ''] = process.argv;
const { resources } = await createMongoEngine({ uri, clock: systemClock });
let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
process.stdout.write('0\n');
let written = 0;
while (!ended) {
  const log = Array.from({ length: 10 }, (_, i) => ({ key: `${name}-${written + i}`, entry: name }));
  await resources.commit({ guards: [], resources: [], records: [], log, bumpEpoch: false });
  written += log.length;
  await resources.readLog(Math.max(0, written - 10), 5);
}
await resources.close();
process.stdout.write(`${written}\n`);
