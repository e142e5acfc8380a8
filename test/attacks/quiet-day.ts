/** A day on which nobody attacks, in the test's own time: whoever cries wolf is told off here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { faultOf } from '../../server/http/error-handler.ts';
import type { LogEntry } from '../../ledger/entry.ts';
import { createLogFixture, digestOf, type LogFixture, someEntry } from '../support/log-fixture.ts';

const [MINUTE_MS, MINUTES, RESTART_EVERY, CONSENT_EVERY] = [60_000, 24 * 60, 4 * 60, 40];

/** One of three versions of a Consent, whose text is its own name. */
function consentEntry(number: number, at: number): LogEntry {
  const reference = `Consent/c${Math.floor(number / 3)}`;
  const kind = (['consent-proposed', 'consent-active', 'consent-withdrawn'] as const)[number % 3] ?? 'consent-active';
  return { kind, occurredAt: new Date(at).toISOString(), subject: 'Patient/1', reference, version: String(number % 3), digest: digestOf(reference) };
}

const rootsIn = async ({ engine }: LogFixture): Promise<number> =>
  (await engine.resources.readLog(0, 10_000)).filter(({ entry }) => entry.startsWith('{"kind":"map-root"')).length;

/**
 * What a ring leaves to the background is real work on a real disk: where no checkpoint or no root has come for three minutes of the day, it is given
 * real time, or it would be late by the day's clock alone.
 */
function createBell(log: LogFixture): () => Promise<void> {
  const marks = [0, 0];
  const movedAt = [log.time.now, log.time.now + CONSENT_EVERY * MINUTE_MS];
  const isBehind = async (): Promise<boolean> => {
    const now = [(await log.anchoring.status()).checkpoint?.size ?? 0, await rootsIn(log)];
    for (const [i, mark] of now.entries()) if (mark !== marks[i]) [marks[i], movedAt[i]] = [mark, log.time.now];
    return movedAt.some((at) => log.time.now - at >= 3 * MINUTE_MS);
  };
  return async () => {
    await log.ring();
    await sleep(2);
    for (let turn = 0; turn < 100 && (await isBehind()); turn++) await sleep(10);
  };
}

async function untilRooted(log: LogFixture, ring: () => Promise<void>): Promise<void> {
  const before = await rootsIn(log);
  for (let turn = 0; turn < 1000 && (await rootsIn(log)) === before; turn++) {
    log.time.now += MINUTE_MS / 20;
    await ring();
  }
}

/** What was reported in a day of one to three entries a minute, some about Consents, with a restart every four hours as kill -9 leaves it, and an fsck after each. */
export async function quietDay(): Promise<string[]> {
  const log = await createLogFixture();
  const ring = createBell(log);
  const said: string[] = [];
  let entries = 0;
  try {
    await log.anchoring.sealer.start();
    for (let minute = 1; minute <= MINUTES; minute++) {
      log.time.now += MINUTE_MS;
      for (let n = minute % 4; n > 0; n--) await log.append(someEntry(entries++, log.time.now));
      if (minute % CONSENT_EVERY === 0) {
        await log.append(consentEntry(entries++, log.time.now));
        await untilRooted(log, ring);
      }
      await ring();
      if (minute % RESTART_EVERY !== 0) continue;
      await log.anchoring.sealer.flush();
      await log.reopen();
      await log.anchoring.sealer.start();
      await log.anchoring.check();
      const { engine, dataDir } = log;
      const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
      const { size, problems } = await checkStoredLog({ log: engine.resources, records: engine.records, dataDir, texts });
      const roots = await rootsIn(log);
      const expected = roots >= minute / CONSENT_EVERY && size === entries + roots;
      said.push(...problems, ...(expected ? [] : [`The log has ${size} entries, ${roots} of them roots, of ${entries}.`]));
    }
    await log.anchoring.sealer.stop();
    said.push(...log.faults.map((fault) => JSON.stringify(faultOf(fault))));
  } finally {
    await log.dispose();
  }
  return said.map((sentence) => `in a quiet day: ${sentence}`);
}
