/**
 * Notices by e-mail of a real server through a real relay: who gets one, at which address, and that it says nothing. consent.md §5,
 * docs/operations/notices.md
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { enrolKey, type Json, type Key } from '../../server/commands/demo/session.ts';
import { approve, askFor, type Asked, type Task, toldOf } from '../support/consent-requests.ts';
import {
  HOSPITAL,
  organization,
  patient,
  put,
  type RealServer,
  type Registered,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';
import { type MailSink, startMailSink } from '../support/sinks.ts';

const INSURER = 'Organization/insurer';
const mailbox = (value: string, more: Json = {}): Json => ({ system: 'email', value, ...more });
const [OFFICE, CLAIMS] = ['consents@hospital.example.org', 'claims@payer.example.org'];

let relay: MailSink;
let server: RealServer;
let insurer: Registered;
let custodian: Key;

beforeAll(async () => {
  relay = await startMailSink();
  server = await startRealServer({ ASSENT_SMTP_URL: relay.url, ASSENT_SMTP_FROM: 'Hospital <no-reply@hospital.example.org>' });
  await put(server, { ...organization(HOSPITAL), telecom: [mailbox(OFFICE)] });
  await put(server, { ...organization(INSURER), telecom: [{ system: 'phone', value: '12345' }, mailbox(CLAIMS)] });
  insurer = await register(server, { actor: INSURER });
  custodian = await enrolKey(server.admin, HOSPITAL);
});
beforeEach(() => {
  relay.letters.length = 0;
  relay.refuse = () => undefined;
});
afterAll(async () => {
  await server?.stop();
  await relay.stop();
});

async function ask(id: string): Promise<Task> {
  const until = new Date(server.now() + 3_600_000).toISOString();
  const { status, json } = await askFor(insurer.session, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), until);
  expect(status).toBe(202);
  return json as Task;
}

const recipients = () => relay.letters.flatMap(({ to }) => to).sort();
async function written(id: string): Promise<number> {
  const { status, json } = await server.admin.call('GET', `AuditEvent?patient=Patient/${id}&agent=Device/assent-server`);
  expect(status).toBe(200);
  return ((json['entry'] ?? []) as unknown[]).length;
}

it('reaches patient and custodian when a request comes, and all three when it is granted, and holds nothing', async () => {
  await put(server, { ...patient('wei'), name: [{ family: 'Zhang', given: ['Wei'] }], telecom: [mailbox('zw88@mail.example.org')] });
  const key = await enrolKey(server.admin, 'Patient/wei');
  const asked: Asked = await toldOf(await ask('wei'), server.admin);
  await expect.poll(recipients).toEqual([OFFICE, 'zw88@mail.example.org']);
  const { origin } = new URL(server.bootstrap.fhirBaseUrl);
  expect(relay.letters.find(({ to }) => to.includes('zw88@mail.example.org'))?.text).toContain(`${origin}/patient`);
  expect((await approve(server.admin, asked, [key, custodian])).status).toBe(201);
  await expect.poll(recipients).toEqual([CLAIMS, OFFICE, OFFICE, 'zw88@mail.example.org', 'zw88@mail.example.org']);
  const texts = relay.letters.map(({ text }) => text.replace(/^To: .*$/m, ''));
  for (const secret of ['Zhang', 'Wei', 'wei', 'Organization', 'insurer', 'payer', 'Consent', 'TREAT', asked.digest])
    expect([...texts, ...server.logs].filter((text) => text.includes(secret))).toEqual([]);
  expect(new Set(relay.letters.map(({ text }) => /^Message-ID: (.*)$/m.exec(text)?.[1])).size).toBe(5);
});

it('goes only to what the record has for it now, never to the dead, and stands in the patient’s trail', async () => {
  const none = [
    mailbox('old@mail.example.org', { use: 'old' }),
    mailbox('ended@mail.example.org', { period: { end: '2020-01-01' } }),
    mailbox('a@x.example.org, b@x.example.org'),
    { system: 'phone', value: 'phone@mail.example.org' },
  ];
  const two = [mailbox('second@mail.example.org', { rank: 2 }), mailbox('first@mail.example.org', { rank: 1 })];
  await put(server, { ...patient('several'), telecom: [...none, ...two] });
  await put(server, { ...patient('without'), telecom: none });
  await put(server, { ...patient('dead'), deceasedBoolean: true, telecom: [mailbox('dead@mail.example.org')] });
  for (const id of ['several', 'without', 'dead', 'nobody']) await ask(id);
  await expect.poll(recipients).toEqual([OFFICE, OFFICE, OFFICE, OFFICE, 'first@mail.example.org']);
  // A letter has arrived before it is known here that it has.
  await expect.poll(() => server.hand.editRecords('notice', '', (text) => text)).toBe(0);
  expect([await written('several'), await written('without'), await written('dead')]).toEqual([1, 0, 0]);
});

it('is sent later where the relay says so, and not at all where the recipient is refused', async () => {
  await put(server, { ...patient('busy'), telecom: [mailbox('busy@mail.example.org')] });
  await put(server, { ...patient('gone'), telecom: [mailbox('gone@mail.example.org')] });
  const refused: string[] = [];
  relay.refuse = (recipient) => {
    if (recipient === OFFICE) return undefined;
    refused.push(recipient);
    return recipient.startsWith('busy') ? '450 4.2.1 come again' : '550 5.1.1 nobody here';
  };
  for (const id of ['busy', 'gone']) await ask(id);
  await expect
    .poll(() => [recipients(), refused.toSorted()])
    .toEqual([
      [OFFICE, OFFICE],
      ['busy@mail.example.org', 'gone@mail.example.org'],
    ]);
  relay.refuse = () => undefined;
  server.advance(31_000);
  await expect.poll(recipients).toEqual(['busy@mail.example.org', OFFICE, OFFICE]);
  expect(server.logs.join('')).not.toContain('@');
});
