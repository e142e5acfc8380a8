/** A day on which nobody attacks, in the test's own time: whoever cries wolf is told off here. */
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { faultOf } from '../../server/http/error-handler.ts';
import type { LogEntry } from '../../ledger/entry.ts';
import { createLogFixture, digestOf, someEntry } from '../support/log-fixture.ts';

const [MINUTE_MS, MINUTES, RESTART_EVERY] = [60_000, 24 * 60, 4 * 60];

/** One of three versions of a Consent, whose text is its own name. */
function consentEntry(number: number, at: number): LogEntry {
  const reference = `Consent/c${Math.floor(number / 3)}`;
  const kind = (['consent-proposed', 'consent-active', 'consent-withdrawn'] as const)[number % 3] ?? 'consent-active';
  return { kind, occurredAt: new Date(at).toISOString(), subject: 'Patient/1', reference, version: String(number % 3), digest: digestOf(reference) };
}

/** What was reported in a day of one to three entries a minute, some about Consents, with a restart every four hours as kill -9 leaves it, and an fsck after each. */
export async function quietDay(): Promise<string[]> {
  const log = await createLogFixture();
  const said: string[] = [];
  let entries = 0;
  try {
    await log.anchoring.sealer.start();
    for (let minute = 1; minute <= MINUTES; minute++) {
      log.time.now += MINUTE_MS;
      for (let n = minute % 4; n > 0; n--) await log.append(someEntry(entries++, log.time.now));
      if (minute % 20 === 0) await log.append(consentEntry(entries++, log.time.now));
      await log.ring();
      if (minute % RESTART_EVERY !== 0) continue;
      await log.anchoring.sealer.flush();
      await log.reopen();
      await log.anchoring.sealer.start();
      await log.anchoring.check();
      const { engine, dataDir } = log;
      const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
      const { size, problems } = await checkStoredLog({ log: engine.resources, records: engine.records, dataDir, texts });
      const roots = (await engine.resources.readLog(0, size)).filter(({ entry }) => entry.startsWith('{"kind":"map-root"')).length;
      const expected = roots > minute / 2 && size === entries + roots;
      said.push(...problems, ...(expected ? [] : [`The log has ${size} entries, ${roots} of them roots, of ${entries}.`]));
    }
    await log.anchoring.sealer.stop();
    said.push(...log.faults.map((fault) => JSON.stringify(faultOf(fault))));
  } finally {
    await log.dispose();
  }
  return said.map((sentence) => `in a quiet day: ${sentence}`);
}
