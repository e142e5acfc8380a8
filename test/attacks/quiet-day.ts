/** A day on which nobody attacks, in the test's own time: whoever cries wolf is told off here. */
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { faultOf } from '../../server/http/error-handler.ts';
import { createLogFixture, someEntry } from '../support/log-fixture.ts';

const [MINUTE_MS, MINUTES, RESTART_EVERY] = [60_000, 24 * 60, 4 * 60];

/** What was reported in a day of one to three entries a minute, with a restart every four hours as kill -9 leaves it, and an fsck after each. */
export async function quietDay(): Promise<string[]> {
  const log = await createLogFixture();
  const said: string[] = [];
  let entries = 0;
  try {
    await log.anchoring.sealer.start();
    for (let minute = 1; minute <= MINUTES; minute++) {
      log.time.now += MINUTE_MS;
      for (let n = minute % 4; n > 0; n--) await log.append(someEntry(entries++, log.time.now));
      await log.ring();
      if (minute % RESTART_EVERY !== 0) continue;
      await log.anchoring.sealer.flush();
      await log.reopen();
      await log.anchoring.sealer.start();
      await log.anchoring.check();
      const { engine, dataDir } = log;
      const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
      const { size, problems } = await checkStoredLog({ log: engine.resources, records: engine.records, dataDir, texts });
      said.push(...problems, ...(size === entries ? [] : [`The log has ${size} entries of ${entries}.`]));
    }
    await log.anchoring.sealer.stop();
    said.push(...log.faults.map((fault) => JSON.stringify(faultOf(fault))));
  } finally {
    await log.dispose();
  }
  return said.map((sentence) => `in a quiet day: ${sentence}`);
}
