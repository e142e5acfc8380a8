/**
 * Who cannot be found may be anybody: under a policy that opens what nobody speaks of, what names such a patient is open to a caller only if none of
 * those whose Consents speak to them stands against it. consent.md §2 rule 5, docs/adr/0039-who-is-named.md
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { labelled } from '../support/consents.ts';
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
} from '../support/real-server.ts';

const ALICE = { system: 'urn:mrn', value: 'alice-1' };
let server: RealServer;
const sessions = new Map<string, Session>();
const actors = ['denied', 'partly', 'stranger'];

const about = (id: string, more: Json, label = 'N'): Json => {
  const { subject: _, ...rest } = observation(id, '', { meta: { security: labelled(label).securityLabel } }) as { subject: Json };
  return { ...rest, ...more, resourceType: 'Observation' };
};

beforeAll(async () => {
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_IMPLICIT_EXCEPT: 'V' });
  await put(server, organization(HOSPITAL));
  await put(server, { ...patient('alice'), identifier: [ALICE] });
  await put(server, patient('carol'));
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  for (const name of actors) {
    await put(server, organization(`Organization/${name}`));
    sessions.set(name, (await register(server, { actor: `Organization/${name}` })).session);
  }
  const denying = (name: string, provision: Json) =>
    agree(server, termsOf(server, { patient: 'Patient/alice', grantee: `Organization/${name}`, provision }), keys);
  await denying('denied', { type: 'deny' });
  await denying('partly', { type: 'deny', ...labelled('HIV') });
});
afterAll(() => server?.stop());

it.each<[id: string, more: Json]>([
  ['logical', { subject: { identifier: { system: 'urn:mrn', value: 'nobodys' } } }],
  ['named', { subject: { display: 'Alice' } }],
  ['contained', { contained: [{ resourceType: 'Patient', id: 'a' }], subject: { reference: '#a' } }],
  ['beside', { subject: { reference: 'Patient/carol' }, focus: [{ display: 'Alice' }] }],
])('%s', async (id, more) => {
  await put(server, about(id, more));
  await put(server, about(`${id}-hiv`, more, 'HIV'));
  const seen = async (reference: string) =>
    Promise.all(actors.map(async (name) => (await sessions.get(name)?.call('GET', `Observation/${reference}`))?.status === 200));
  expect(await seen(id)).toEqual([false, true, true]);
  expect(await seen(`${id}-hiv`)).toEqual([false, false, true]);
  for (const name of actors) {
    const { status, text } = await server.admin.call('GET', `Observation/${id}/$explain-access?actor=Organization/${name}`);
    expect(status, text).toBe(200);
  }
});

it('what names nobody, or carol alone, is as open as it was', async () => {
  await put(server, about('nobody', {}));
  await put(server, about('carols', { subject: { reference: 'Patient/carol' } }));
  for (const name of actors)
    for (const id of ['nobody', 'carols']) expect((await sessions.get(name)?.call('GET', `Observation/${id}`))?.status).toBe(200);
});
