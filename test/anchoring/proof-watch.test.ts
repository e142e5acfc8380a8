/** Checkpoints and roots of the map that do not come are told, once, and stop nothing; what nobody waits for is never late. */
import { expect, it } from 'vitest';
import type { AssentError } from '../../server/errors.ts';
import { createProofWatch } from '../../server/anchoring/proof-watch.ts';
import { createTail } from '../../server/anchoring/tail.ts';
import { createLogRecords } from '../../server/anchoring/log-records.ts';
import { createLogFixture, digestOf, type LogFixture, someEntry } from '../support/log-fixture.ts';

const LOOK_MS = 15_000;

/** Beside a log that is sealed by hand alone: looks when it is told to. */
function watching(log: LogFixture) {
  const said: string[] = [];
  let due: (() => void) | undefined;
  const watch = createProofWatch({
    log: log.engine.resources,
    stored: createLogRecords(log.engine.records),
    tail: createTail({ log: log.engine.resources }),
    clock: () => log.time.now,
    schedule: (_ms, run) => {
      due = run;
      return () => undefined;
    },
    report: (fault) => void said.push((fault as AssentError).message),
  });
  return {
    said,
    state: () =>
      watch.check().then(
        () => 'ok',
        (fault: AssentError) => fault.message,
      ),
    ages: () => Object.fromEntries(watch.ages().map(({ of, ageMs }) => [of, ageMs])),
    async look(times: number, stepMs = LOOK_MS) {
      for (let i = 0; i < times; i++) {
        const begin = due ?? watch.start;
        due = undefined;
        log.time.now += stepMs;
        begin();
        await expect.poll(() => due).toBeDefined();
      }
    },
  };
}

it('a checkpoint and a root that wait are late after a minute and more, and well once they came', async () => {
  const log = await createLogFixture();
  try {
    const watch = watching(log);
    const consent = { kind: 'consent-active', subject: 'Patient/3', reference: 'Consent/x', version: '1', digest: digestOf('x') } as const;
    await watch.look(10);
    expect([await watch.state(), watch.ages()]).toEqual(['ok', { checkpoint: 0, 'map-root': 0 }]);
    await log.append(someEntry(1, log.time.now));
    await watch.look(4);
    expect([await watch.state(), watch.ages()]).toEqual(['ok', { checkpoint: 3 * LOOK_MS, 'map-root': 0 }]);
    await watch.look(3);
    expect(await watch.state()).toBe('What the log has grown by is under no signed checkpoint, and receipts of it wait, for 90 seconds.');
    await watch.look(2);
    expect(watch.said).toEqual(['What the log has grown by is under no signed checkpoint, and receipts of it wait.']);
    await log.append({ ...consent, occurredAt: new Date(log.time.now).toISOString() });
    await log.anchoring.sealer.start();
    await log.anchoring.sealer.flush();
    await watch.look(1);
    expect([await watch.state(), watch.ages()]).toEqual(['ok', { checkpoint: 0, 'map-root': 0 }]);
    // Signed now, but nobody has logged a root that is about the Consent.
    await log.anchoring.sealer.stop();
    await watch.look(7);
    expect(await watch.state()).toBe(
      'No root of the map of Consents is about what the log has grown by, and proofs that a Consent stands are older than promised, for 105 seconds.',
    );
    expect(watch.said).toHaveLength(2);
  } finally {
    await log.dispose();
  }
});

it('a clock that was set makes nothing late', async () => {
  const log = await createLogFixture();
  try {
    const watch = watching(log);
    await log.append(someEntry(1, log.time.now));
    await watch.look(1);
    await watch.look(1, 10 * 3_600_000);
    expect([await watch.state(), watch.said]).toEqual(['ok', []]);
  } finally {
    await log.dispose();
  }
});
