/** A database edited while the server was down: what the log says of Consents and keys is believed only as far as it was signed. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLogFixture, disclosureStory, type LogFixture, party, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
beforeEach(async () => {
  log = await createLogFixture();
  const story = disclosureStory([party('Patient/p', 'patient'), party('Organization/hospital', 'custodian')], log.time.now, 'Patient/p');
  await log.append(
    ...Array.from({ length: 500 }, (_, i) => someEntry(i, log.time.now)),
    ...story.entries,
    ...Array.from({ length: 90 }, (_, i) => someEntry(1000 + i, log.time.now)),
  );
  await log.anchoring.sealer.flush();
});
afterEach(() => log.dispose());

async function restartAfter(sql: string): Promise<void> {
  await log.engine.resources.close();
  const database = new DatabaseSync(join(log.dataDir, 'assent.sqlite'));
  database.exec(sql);
  database.close();
  await log.reopen();
  await log.anchoring.sealer.start();
}

it('an untouched one starts, and the tail is as it was', async () => {
  await restartAfter('SELECT 1');
  await log.anchoring.check();
  await log.anchoring.tail.catchUp();
  expect(log.anchoring.tail.references('Consent/')).toEqual(['Consent/0c9x2m4k7q1v5b8n3j6h0f2d9']);
  expect(log.faults).toEqual([]);
});

it.each([
  ['the digest of a Consent', `UPDATE log SET entry = replace(entry, '"digest":"', '"digest":"A') WHERE entry LIKE '%"Consent/%'`],
  ['the state of a Consent', `UPDATE log SET entry = replace(entry, 'consent-active', 'consent-withdrawn')`],
  ['whose Consent it is', `UPDATE log SET entry = replace(entry, '"subject":"Patient/p"', '"subject":"Patient/3"') WHERE entry LIKE '%"Consent/%'`],
  ['a key', `UPDATE log SET entry = replace(entry, '"reference":"Key/', '"reference":"Key/x')`],
  ['a Consent’s row to a disclosure’s', `UPDATE log SET entry = replace(entry, '"reference":"AuditEvent/event-7"', '"reference":"Consent/7"')`],
  ['a Consent’s row hidden', `UPDATE log SET entry = replace(entry, '"reference":"Consent/', '"reference":"AuditEvent/')`],
  ['a row appended to those that were signed', `UPDATE log SET entry = (SELECT entry FROM log WHERE entry LIKE '%"Consent/%') WHERE idx = 7`],
  ['a row away', `DELETE FROM log WHERE idx = 501`],
])('one with %s changed discloses nothing about anyone', async (_name, sql) => {
  await restartAfter(sql).catch((fault: unknown) => log.faults.push(fault));
  expect(log.faults.length).toBeGreaterThan(0);
  await expect(log.anchoring.tail.catchUp()).rejects.toThrow();
});
