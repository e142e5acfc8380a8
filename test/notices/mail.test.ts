/** E-mail over real SMTP on this machine: what a relay gets, and what none gets. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMail, isMailAddress } from '../../server/notices/mail.ts';
import { type MailSink, startMailSink } from '../support/sinks.ts';

let sink: MailSink;
beforeAll(async () => void (sink = await startMailSink()));
beforeEach(() => {
  sink.letters.length = 0;
  sink.refuse = () => undefined;
});
afterAll(() => sink.stop());

const letter = { id: 'a1', to: 'li@example.org', subject: '待您查看 / Something to look at', text: '请看\nhttps://fhir.example.org/patient\n' };
const mailTo = (url: string) => createMail({ url, from: 'Hospital <no-reply@hospital.example.org>' });

test('a letter reaches its recipient whole, and bears its id', async () => {
  expect(await mailTo(sink.url)(letter)).toBe('accepted');
  expect(await mailTo(sink.url)(letter)).toBe('accepted');
  const [one, again] = sink.letters;
  expect(one?.to).toEqual(['li@example.org']);
  for (const each of [one, again]) {
    expect(each?.text).toContain('Message-ID: <a1@hospital.example.org>');
    expect(each?.text).toContain('Auto-Submitted: auto-generated');
    expect(each?.text).toContain('From: Hospital <no-reply@hospital.example.org>');
  }
  expect(one?.text).not.toMatch(/x-mailer/i);
});

test('a recipient who is refused for good, or for now, is not the fault of the relay', async () => {
  sink.refuse = () => '550 nobody here';
  expect(await mailTo(sink.url)(letter)).toBe('refused');
  sink.refuse = () => '450 come again';
  expect(await mailTo(sink.url)(letter)).toBe('later');
  expect(sink.letters).toEqual([]);
});

test('a relay that is not there is said without saying to whom', async () => {
  const gone = await startMailSink();
  await gone.stop();
  await expect(mailTo(gone.url)(letter)).rejects.toMatchObject({ code: 'unavailable', message: expect.not.stringContaining('li@') });
});

test('to a relay outside this machine nothing goes without TLS', async () => {
  const outside = await startMailSink('127.0.0.2');
  await expect(mailTo(outside.url)(letter)).rejects.toMatchObject({ code: 'unavailable' });
  expect(outside.letters).toEqual([]);
  await outside.stop();
});

test.each([
  ['li@example.org', true],
  ['li.wei+1@mail.example.org', true],
  ['a@example.org, b@example.org', false],
  ['a@example.org;b@example.org', false],
  ['Li <li@example.org>', false],
  ['li@example.org\r\nBcc: b@example.org', false],
  ['@relay:li@example.org', false],
  ['"a b"@example.org', false],
  ['li', false],
  [`${'a'.repeat(65)}@example.org`, false],
  [undefined, false],
])('%j is an address: %s', (text, is) => {
  expect(isMailAddress(text)).toBe(is);
});
