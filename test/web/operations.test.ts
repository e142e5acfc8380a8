/** What operators and registrars look up, over HTTP against the whole server: how the log grew, alarms, jobs, clients, organizations, keys, policies. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { builtInPolicies } from '../../server/consent/built-in.ts';
import { plot } from '../../server/web/admin/plot.ts';
import { type ConsoleReader, consoleAs, fieldOf } from '../support/console.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  register,
  type RealServer,
  settled,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

let server: RealServer;
let operator: ConsoleReader;
let registrar: ConsoleReader;

beforeAll(async () => {
  server = await startRealServer();
  const origin = new URL(server.bootstrap.consoleUrl).origin;
  const as = async (scope: string) => consoleAs(origin, (await register(server, { actor: 'Practitioner/x', purposes: ['HOPERAT'], scope })).client);
  [operator, registrar] = [await as('admin/operator'), await as('admin/registrar')];
  for (const resource of [organization(HOSPITAL), organization('Organization/insurer'), patient('alice')]) await put(server, resource);
  await enrolKey(server.admin, HOSPITAL);
});
afterAll(() => server.stop());

describe('the operator', () => {
  it('sees how the log grew, up to its newest entry, as a picture and as numbers', async () => {
    // A key's entry is acknowledged before the sequencer gives it its place.
    const entries = (page: string) => Number(/<dt>Entries<\/dt><dd>(\d+)/.exec(page)?.[1]);
    await expect.poll(async () => entries((await operator.get('/console/log')).text)).toBeGreaterThan(1);
    const { text } = await operator.get('/console/log');
    expect(text).toContain('No alarms.');
    expect(text).toMatch(/<svg viewBox="0 0 640 200" role="img" aria-label="Entries of the log, [^"]+: entries from 1 to \d+">/);
    expect(text).toContain(`<td>${entries(text)}</td>`);
    expect(text).not.toMatch(/ style=|<script/);
  });

  it('sees the span asked for, and a day where it is none', async () => {
    const all = await operator.send('/console/log', { span: 'all' });
    expect(all.text).toMatch(/value="all" aria-current="true"/);
    expect((await operator.send('/console/log', { span: 'toString' })).text).toMatch(/value="day" aria-current="true"/);
  });

  it('sees what jobs there are and how they went, and not what they found', async () => {
    expect((await operator.get('/console/jobs')).text).toContain('There is none.');
    const started = await server.admin.call('POST', '$reindex');
    expect(started.status).toBe(202);
    await settled(server.admin, started.headers.get('content-location') ?? '');
    const { text } = await operator.get('/console/jobs');
    expect(text).toContain('<h3>reindex <span class="good">done</span></h3>');
  });

  it('is told that something stored is not what was logged', async () => {
    const insurer = await register(server, { actor: 'Organization/insurer' });
    const [alice, custodian] = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
    await put(server, observation('pulse', 'Patient/alice'));
    const { consent } = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: 'Organization/insurer' }), [alice, custodian]);
    expect((await insurer.session.call('GET', 'Observation/pulse')).status).toBe(200);
    const id = consent.slice('Consent/'.length);
    await server.hand.setBody('Consent', id, (await server.hand.body('Consent', id)).replace('TREAT', 'HPAYMT'));
    expect((await insurer.session.call('GET', 'Observation/pulse')).status).toBe(404);
    const { text } = await operator.get('/console/log');
    expect(text).toContain('<span class="bad">Alarm</span> Raised once since the start: a stored Consent is not the one in the log');
    expect(text).not.toContain('alice');
  });
});

describe('the registrar', () => {
  it('finds clients with what they may, and no secret', async () => {
    const { text } = await registrar.get('/console/clients');
    expect(text).toContain('First administrator');
    expect(text).toContain('<code>admin/operator</code>');
    expect(text).not.toMatch(/hash|generation|scrypt|argon/);
  });

  it('finds organizations, with those that are custodians, and their keys', async () => {
    const { text } = await registrar.get('/console/organizations');
    const card = (name: string) => text.split('<li class="card').find((each) => each.includes(`<h3>${name}</h3>`)) ?? '';
    expect(card(HOSPITAL)).toContain('<span class="good">yes</span>');
    expect(card('Organization/insurer')).toContain('<dd>no</dd>');
    const keys = await registrar.send('/console/keys', { owner: fieldOf(card(HOSPITAL), 'owner') });
    expect(keys.text).toContain('Key of a custodian <span class="good">in use</span>');
    expect((await registrar.send('/console/keys', { owner: 'Patient/nobody' })).text).toContain('There is no key of this owner.');
    for (const owner of ['', 'alice', 'Observation/1', '"><b>']) {
      const wrong = await registrar.send('/console/keys', { owner });
      expect([wrong.status, wrong.text.includes('<b>')]).toEqual([422, false]);
    }
  });

  it('reads the policies, as everybody with an account', async () => {
    const { text } = await registrar.get('/console/policies');
    for (const { name } of builtInPolicies) expect(text).toContain(`<code>${name}</code>`);
    expect(text).toContain('<code>implicit: deny</code>');
    expect((await operator.get('/console/policies')).status).toBe(200);
  });
});

describe('a plot', () => {
  it('draws each line within its frame, and says its numbers', () => {
    const points = Array.from({ length: 40 }, (_, i) => ({ at: i * 60_000, value: 1_000_000 + i * i * 100 }));
    const { markup } = plot('Entries', [
      { name: 'embedded', points },
      { name: 'evm <1>', points: points.slice(0, 3) },
    ]);
    expect(markup).toContain('evm &lt;1&gt;');
    const numbers = [...markup.matchAll(/[MHV]([\d.]+)(?: ([\d.]+))?/g)].flatMap(([, a, b]) => [Number(a), ...(b === undefined ? [] : [Number(b)])]);
    expect(Math.max(...numbers)).toBeLessThanOrEqual(640);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(markup.match(/<tr>/g)?.length).toBeLessThan(20);
  });

  it('of nothing, or of one moment, is a sentence', () => {
    for (const points of [[], [{ at: 0, value: 1 }]]) expect(plot('Entries', [{ name: 'n', points }]).markup).toContain('Too little is known');
  });
});
