/** $lastn: the newest of each code, in the caller's view, and only those are recorded. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../../server/commands/demo/session.ts';
import { createCodeGroups } from '../../../server/fhir/code-groups.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../../support/real-server.ts';
import { eventsOf } from '../../support/trail.ts';

const INSURER = 'Organization/insurer';
const coded = (...codes: string[]) => ({ coding: codes.map((code) => ({ system: 'http://loinc.org', code })) });
const at = (id: string, date: string, code: object, more: Json = {}) => observation(id, 'Patient/alice', { effectiveDateTime: date, code, ...more });
const hidden = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] } };
const vital = { category: [{ coding: [{ system: 'urn:category', code: 'vital' }] }] };

let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, at('pulse-1', '2024-01-01', coded('8867-4'), vital));
  await put(server, at('pulse-2', '2024-02-01', coded('8867-4', 'local'), vital));
  await put(server, at('pulse-3', '2024-03-01', coded('local')));
  await put(server, at('pulse-hidden', '2024-04-01', coded('8867-4'), hidden));
  await put(server, at('weight-1', '2024-01-15', coded('29463-7')));
  await put(server, at('text-1', '2023-01-01', { text: 'Mood' }));
  await put(server, at('text-2', '2023-02-01', { text: ' mood ' }));
  await put(server, observation('bob-1', 'Patient/bob'));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', securityLabel: hidden.meta.security }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
});
afterAll(() => server.stop());

const idsOf = ({ json }: Answer) => ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => resource['id']);

describe('Observation/$lastn', () => {
  it.each<[string, readonly string[]]>([
    ['patient=alice', ['pulse-3', 'weight-1', 'text-2']],
    ['subject=Patient/alice&max=2', ['pulse-3', 'pulse-2', 'weight-1', 'text-2', 'text-1']],
    ['patient=Patient/alice&category=urn:category|vital', ['pulse-2']],
    ['patient=alice&code=29463-7&max=5', ['weight-1']],
    ['patient=alice&date=lt2024-03-01', ['pulse-2', 'weight-1', 'text-2']],
    ['patient=bob', []],
    ['patient=never', []],
  ])('%s', async (query, expected) => {
    const answer = await insurer.call('GET', `Observation/$lastn?${query}`);
    expect([answer.status, answer.json['total'], idsOf(answer)]).toEqual([200, expected.length, expected]);
  });

  it('by POST', async () => {
    const parameter = [
      { name: 'patient', valueReference: { reference: 'Patient/alice' } },
      { name: 'code', valueCoding: { system: 'http://loinc.org', code: '8867-4' } },
      { name: 'max', valuePositiveInt: 2 },
    ];
    expect(idsOf(await insurer.call('POST', 'Observation/$lastn', { resourceType: 'Parameters', parameter }))).toEqual(['pulse-2', 'pulse-1']);
  });

  it('records what it answers and nothing it passed over', async () => {
    const events = await eventsOf(server.admin, async () => {
      const answer = await insurer.call('GET', 'Observation/$lastn?patient=alice&code=8867-4');
      expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
    });
    expect(JSON.stringify(events)).toContain('Observation/pulse-2');
    expect(JSON.stringify(events)).not.toMatch(/Observation\/pulse-(1|hidden)/);
  });

  it.each([
    '',
    'max=1',
    'patient=alice&max=0',
    'patient=alice&max=x',
    'patient=alice&max=1&max=2',
    'patient=alice&_count=2',
    'patient=alice&colour=red',
  ])('"%s" is refused', async (query) => {
    expect((await insurer.call('GET', `Observation/$lastn?${query}`)).status).toBe(400);
  });
});

describe('groups by code', () => {
  it('what shares a coding is one group; what is coded twice joins two', () => {
    const groups = createCodeGroups<string>(2);
    groups.offer(coded('a'), '1');
    groups.offer(coded('a', 'b'), '2');
    groups.offer(coded('b'), '3');
    groups.offer(undefined, '4');
    groups.offer({ coding: [null], text: 'x' }, '5');
    expect([groups.kept(), groups.size()]).toEqual([['1', '2', '4', '5'], 4]);
  });
});
