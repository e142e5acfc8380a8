/** X-Provenance on writes of anything but a Consent: one commit, the target said by the server. Through the real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../server/commands/demo/session.ts';
import { observation, organization, patient, put, type RealServer, register, startRealServer } from '../support/real-server.ts';

let server: RealServer;
let own: Session;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, organization('Organization/hospital'));
  for (const id of ['p', 'q']) await put(server, patient(id));
  own = (await register(server, { actor: 'Patient/p' })).session;
});
afterAll(async () => server.stop());

const provenance = (more: object = {}) => ({
  resourceType: 'Provenance',
  recorded: '2024-05-01T08:00:00Z',
  agent: [{ who: { reference: 'Organization/hospital', display: 'Zoë 😀' } }],
  ...more,
});
/** As UTF-8 bytes, which is what clients send. */
const header = (value: unknown) => ({ 'x-provenance': Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('latin1') });
const about = async (session: Session, target: string) => {
  const found = await session.call('GET', `Provenance?target=${target}`);
  return ((found.json['entry'] ?? []) as { resource: ReturnType<typeof provenance> & { target: object[] } }[]).map(({ resource }) => resource);
};
const { id: _id, ...fresh } = observation('none', 'Patient/p');

describe('X-Provenance', () => {
  it('is stored with what a create wrote, and seen by whoever sees that', async () => {
    const made = await own.call('POST', 'Observation', fresh, header(provenance()));
    expect(made.status).toBe(201);
    const reference = `Observation/${String(made.json['id'])}/_history/${(made.json['meta'] as { versionId: string }).versionId}`;
    const [stored, ...more] = await about(own, `Observation/${String(made.json['id'])}`);
    expect([stored?.target, stored?.agent[0]?.who.display, more]).toEqual([[{ reference }], 'Zoë 😀', []]);
    const other = (await register(server, { actor: 'Patient/q' })).session;
    expect(await about(other, `Observation/${String(made.json['id'])}`)).toEqual([]);
    expect((await own.call('GET', reference)).status).toBe(200);
  });

  it('is stored with an update and with a patch', async () => {
    const updated = await server.admin.call('PUT', 'Organization/x', organization('Organization/x'), header(provenance()));
    const patched = await server.admin.call('PATCH', 'Organization/x', [{ op: 'add', path: '/alias', value: ['y'] }], {
      ...header(provenance()),
      'content-type': 'application/json-patch+json',
    });
    expect([updated.status, patched.status, patched.text]).toEqual([201, 200, expect.any(String)]);
    const versions = [updated, patched].map(({ json }) => [
      { reference: `Organization/x/_history/${(json['meta'] as { versionId: string }).versionId}` },
    ]);
    const targets = (await about(server.admin, 'Organization/x')).map(({ target }) => target);
    expect(targets).toHaveLength(2);
    expect(targets).toEqual(expect.arrayContaining(versions));
  });

  it.each<[string, unknown, number]>([
    ['no JSON', '{"resourceType":', 400],
    ['another type', { resourceType: 'Basic' }, 400],
    ['a target of its own', provenance({ target: [{ reference: 'Patient/q' }] }), 400],
    ['an id of its own', provenance({ id: 'mine' }), 400],
    ['an invalid Provenance', { ...provenance(), agent: [] }, 422],
    ['no agent', { resourceType: 'Provenance', recorded: '2024-05-01T08:00:00Z' }, 422],
  ])('with %s stores nothing', async (_name, value, status) => {
    const before = (await server.admin.call('GET', 'Organization?_summary=count')).json['total'];
    const { id: _own, ...body } = organization('Organization/none');
    expect((await server.admin.call('POST', 'Organization', body, header(value))).status).toBe(status);
    expect((await server.admin.call('GET', 'Organization?_summary=count')).json['total']).toBe(before);
  });

  it('needs its own scope, and stands alone', async () => {
    const narrow = (await register(server, { actor: 'Patient/p', scope: 'system/Observation.cruds' })).session;
    expect((await narrow.call('POST', 'Observation', fresh, header(provenance()))).status).toBe(403);
    const both = { ...header(provenance()), 'if-none-exist': 'identifier=urn:test|none' };
    expect((await own.call('POST', 'Observation', fresh, both)).status).toBe(400);
  });

  it('of a write that fails is not stored', async () => {
    const stale = { ...header(provenance({ activity: { text: 'stale' } })), 'if-match': 'W/"other"' };
    expect((await server.admin.call('PUT', 'Organization/x', organization('Organization/x'), stale)).status).toBe(412);
    expect((await about(server.admin, 'Organization/x')).length).toBe(2);
  });

  it('is refused for a Consent, a bundle and its own operations: nothing passes unheard', async () => {
    for (const [method, path, body] of [
      ['PUT', 'Consent/c', { resourceType: 'Consent', id: 'c' }],
      ['POST', '', { resourceType: 'Bundle', type: 'batch' }],
    ] as const)
      expect((await server.admin.call(method, path, body, header(provenance()))).status).toBe(422);
  });
});
