/** `npm run attacks`: every attack on a real system, and who noticed. Exit 1 when one was not noticed, or somebody cried wolf. */
import { attacks as onTheServer, falseAlarms } from './attacks.ts';
import { onAggregate } from './on-aggregate.ts';
import { onChain } from './on-chain.ts';
import { falseAlarmsAboutStanding, onStanding } from './on-standing.ts';
import { onSecondKey } from './on-second-key.ts';
import { quietDay } from './quiet-day.ts';
import { setScene } from './scene.ts';

const told = (...columns: readonly string[]) => void process.stdout.write(`| ${columns.join(' | ')} |\n`);

const attacks = [...onTheServer, ...onStanding, ...onSecondKey, ...onChain, ...onAggregate];
const scene = await setScene();
let missed = 0;
try {
  const alarms = [...(await falseAlarms(scene)), ...(await falseAlarmsAboutStanding(scene)), ...(await quietDay())];
  told('attack', 'the attacker has', 'noticed by', 'seen');
  told('---', '---', '---', '---');
  for (const { name, powers, noticedBy, run } of attacks) {
    const seen = await run(scene);
    if (seen === '') missed++;
    told(name, powers, noticedBy, seen === '' ? 'NOTHING' : seen);
  }
  for (const alarm of alarms) process.stdout.write(`False alarm: ${alarm}\n`);
  process.stdout.write(`${attacks.length} attacks, ${attacks.length - missed} noticed, ${alarms.length} false alarms\n`);
  process.exitCode = missed === 0 && alarms.length === 0 && attacks.length > 0 ? 0 : 1;
} finally {
  await scene.stop();
}
