/** The tail knows the newest entry of every Consent and key as soon as it is committed. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogEntry } from '../../ledger/entry.ts';
import { createTail } from '../../server/anchoring/tail.ts';
import { createLogFixture, digestOf, type LogFixture, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
beforeAll(async () => {
  log = await createLogFixture();
});
afterAll(() => log.dispose());

const consent = (id: string, kind: LogEntry['kind'], version: string): LogEntry => ({
  kind,
  occurredAt: '2024-06-01T00:00:00.000Z',
  subject: 'Patient/1',
  reference: `Consent/${id}`,
  version,
  digest: digestOf(id + version),
  statement: digestOf(id),
});

it('follows rows whether they are sealed or not', async () => {
  const { tail } = log.anchoring;
  await log.append(someEntry(1, 0), consent('a', 'consent-active', '1'), consent('b', 'consent-active', '1'));
  await tail.catchUp();
  expect(tail.latest('Consent/a')).toEqual({
    index: 1,
    kind: 'consent-active',
    digest: digestOf('a1'),
    version: '1',
    statement: digestOf('a'),
    subject: 'Patient/1',
    at: expect.any(Number) as number,
  });
  expect(tail.latest('AuditEvent/event-1')).toBeUndefined();
  await log.anchoring.sealer.flush();
  const position = tail.position();
  await log.append(consent('a', 'consent-withdrawn', '2'), someEntry(2, 0), { ...consent('k', 'key-registered', '1'), reference: 'Key/k' });
  await tail.catchUp();
  expect(tail.latest('Consent/a')).toMatchObject({ index: 3, kind: 'consent-withdrawn', digest: digestOf('a2') });
  expect(tail.entries('Consent/a').map(({ index, kind }) => [index, kind])).toEqual([
    [1, 'consent-active'],
    [3, 'consent-withdrawn'],
  ]);
  expect(tail.entries('Consent/unknown')).toEqual([]);
  expect(tail.references('Consent/')).toEqual(['Consent/a', 'Consent/b']);
  expect(tail.changedSince(position)).toEqual(['Consent/a', 'Key/k']);
  expect(tail.changedSince(tail.position())).toEqual([]);
});

it('read by a new process is the same, over many slices', async () => {
  await log.append(...Array.from({ length: 4500 }, (_, i) => someEntry(100 + i, 0)), consent('z', 'consent-active', '1'));
  const tail = createTail({ log: log.engine.resources });
  await tail.catchUp();
  await log.anchoring.tail.catchUp();
  expect(tail.references('')).toEqual(log.anchoring.tail.references(''));
  expect(tail.position()).toBe(4507);
});

it('a call made after a commit sees it, though a read was under way', async () => {
  const waiting: (() => void)[] = [];
  const rows: { index: number; key: string; entry: string }[] = [];
  const tail = createTail({
    log: {
      readLog: async (from, limit) => {
        const seen = rows.slice(from, from + limit);
        await new Promise<void>((resolve) => waiting.push(resolve));
        return seen;
      },
    },
  });
  const first = tail.catchUp();
  rows.push({ index: 0, key: 'k', entry: JSON.stringify(consent('a', 'consent-withdrawn', '9')) });
  const calls = [tail.catchUp(), tail.catchUp()];
  const drain = setInterval(() => waiting.shift()?.(), 1);
  await first;
  await Promise.all(calls);
  clearInterval(drain);
  expect(tail.latest('Consent/a')?.kind).toBe('consent-withdrawn');
});
