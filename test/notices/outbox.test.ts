/** The outbox: what is written once is sent until it has arrived, under one id, by one process at a time. */
import { expect, test } from 'vitest';
import { type Channel, createOutbox, type Notice, noticesOf, type Send, type Told } from '../../server/notices/outbox.ts';
import { createMemoryRecords } from '../support/memory-records.ts';

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
const patient: Told = { party: 'patient', who: 'Patient/1' };

function bench(names: readonly Channel[] = ['webhook']) {
  let now = Date.UTC(2026, 10, 27);
  const { records } = createMemoryRecords(() => now);
  const sent: (Notice & { readonly by: Channel })[] = [];
  const answers: Partial<Record<Channel, 'later' | 'down' | 'silence'>> = {};
  const sendBy =
    (by: Channel): Send =>
    async (notice) => {
      sent.push({ ...notice, by });
      if (answers[by] === 'down') throw new Error(`${by} is down`);
      if (answers[by] === 'silence') return new Promise(() => undefined);
      return answers[by] ?? 'done';
    };
  const open = () => createOutbox({ records, clock: () => now, channels: Object.fromEntries(names.map((name) => [name, sendBy(name)])) });
  return {
    sent,
    answers,
    open,
    outbox: open(),
    pass: (ms: number) => void (now += ms),
    async tell(...told: Told[]) {
      for (const write of noticesOf(told, { channels: names, now }))
        if (write.kind === 'put')
          await records.put(write.recordKind, write.id, write.value, write.expires === undefined ? {} : { expires: write.expires });
    },
    left: async () => (await records.list('notice')).length,
  };
}

test('each is told by every way there is, once it went well never again', async () => {
  const { outbox, tell, sent, left } = bench(['webhook', 'mail']);
  await tell(patient, { party: 'custodian', who: 'Organization/h' });
  expect(await outbox.send()).toBe(4);
  expect(await outbox.send()).toBe(0);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(4);
  expect(sent.map(({ by, who }) => `${by} ${who}`).sort()).toEqual([
    'mail Organization/h',
    'mail Patient/1',
    'webhook Organization/h',
    'webhook Patient/1',
  ]);
  expect(await left()).toBe(0);
});

test('where there is no way, nothing is kept', async () => {
  const { tell, left } = bench([]);
  await tell(patient);
  expect(await left()).toBe(0);
});

test('what did not go well is sent again under its id, later and later, and given up after three days', async () => {
  const { outbox, tell, sent, answers, pass, left } = bench();
  answers.webhook = 'down';
  await tell(patient);
  await expect(outbox.send()).rejects.toThrow('webhook is down');
  const times: number[] = [];
  for (let at = 0, tries = 1; at < 4 * DAY; at += 10 * SECOND) {
    pass(10 * SECOND);
    await outbox.send().catch(() => undefined);
    if (sent.length > tries) times.push(at + 10 * SECOND);
    tries = sent.length;
  }
  const seconds = times.map((time, i) => (time - (times[i - 1] ?? 0)) / SECOND);
  expect(seconds.slice(0, 6)).toEqual([30, 60, 120, 240, 480, 960]);
  expect(Math.max(...seconds)).toBe(3 * 3_600);
  expect(Math.max(...times)).toBeLessThanOrEqual(3 * DAY);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
  expect(await left()).toBe(0);
});

test('one that is to be sent later, and a way that is down, hold up nothing else', async () => {
  const { outbox, tell, sent, answers, pass, left } = bench(['webhook', 'mail']);
  Object.assign(answers, { webhook: 'down', mail: 'later' });
  await tell(patient, { party: 'requester', who: 'Organization/i' });
  await expect(outbox.send()).rejects.toThrow();
  // A way that is down is tried once a round.
  expect(sent.map(({ by }) => by).sort()).toEqual(['mail', 'mail', 'webhook']);
  delete answers.mail;
  pass(30 * SECOND);
  expect(outbox.undelivered()).toEqual([
    ['webhook', 2],
    ['mail', 2],
  ]);
  await expect(outbox.send()).rejects.toThrow();
  expect(await left()).toBe(2);
  expect(outbox.undelivered()).toEqual([
    ['webhook', 2],
    ['mail', 0],
  ]);
  delete answers.webhook;
  pass(120 * SECOND);
  await outbox.send();
  expect(await left()).toBe(0);
});

test('of two processes one sends it; if that one is killed meanwhile, the other does, half a minute later and under the same id', async () => {
  const { open, tell, sent, answers, pass, left } = bench();
  const [one, other] = [open(), open()];
  await tell(patient);
  expect(new Set(await Promise.all([one.send(), other.send()]))).toEqual(new Set([0, 1]));
  expect(sent).toHaveLength(1);
  await tell(patient);
  answers.webhook = 'silence';
  void one.send();
  await expect.poll(() => sent.length).toBe(2);
  delete answers.webhook;
  expect(await other.send()).toBe(0);
  pass(30 * SECOND);
  expect(await other.send()).toBe(1);
  expect(sent[2]?.id).toBe(sent[1]?.id);
  expect(await left()).toBe(0);
});
