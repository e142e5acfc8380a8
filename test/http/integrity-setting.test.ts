/** Referential integrity turned on and off over one database: what it costs nothing without, and what it has to be told of. */
import { afterEach, describe, expect, it } from 'vitest';
import { organization, put, type RealServer, startRealServer } from '../support/real-server.ts';

const ON = { ASSENT_REFERENTIAL_INTEGRITY: 'on' };
const WARNING = 'until POST /fhir/$reindex is done';

let server: RealServer | undefined;
afterEach(() => server?.stop());

const part = (id: string, of: string) => ({ ...organization(`Organization/${id}`), partOf: { reference: `Organization/${of}` } });
const warnings = ({ logs }: RealServer): number => logs.filter((line) => line.includes(WARNING)).length;
const removal = async ({ admin }: RealServer, id: string): Promise<number> => (await admin.call('DELETE', `Organization/${id}`)).status;

async function reindexed({ admin }: RealServer): Promise<void> {
  const begun = await admin.call('POST', '$reindex', undefined, { prefer: 'respond-async' });
  expect(begun.status, begun.text).toBe(202);
  const url = begun.headers.get('content-location') ?? '';
  await expect.poll(async () => (await admin.call('GET', url)).status).toBe(200);
}

describe('the setting', () => {
  it('is off unless asked for: references may lead nowhere, and what is referred to goes', async () => {
    server = await startRealServer();
    await put(server, part('child', 'nobody'));
    await put(server, organization('Organization/nobody'));
    expect(await removal(server, 'nobody')).toBe(204);
    const { json } = await server.admin.call('GET', 'metadata');
    expect((json['rest'] as { resource: { referencePolicy: string[] }[] }[])[0]?.resource[0]?.referencePolicy).toEqual(['literal']);
  });

  it('knows of what was written before only after a $reindex, and says so', async () => {
    server = await startRealServer();
    await put(server, organization('Organization/parent'));
    await put(server, part('child', 'parent'));
    await server.restart(undefined, ON);
    expect(warnings(server)).toBe(1);
    await put(server, organization('Organization/later'));
    await put(server, part('newer', 'later'));
    expect(await removal(server, 'later')).toBe(409);
    await reindexed(server);
    expect(await removal(server, 'parent')).toBe(409);
    await server.restart(undefined, ON);
    expect(warnings(server)).toBe(1);
    await server.restart(undefined, {});
    await put(server, part('unknown', 'parent'));
    await server.restart(undefined, ON);
    expect(warnings(server)).toBe(2);
  });

  it('asks a new database for nothing', async () => {
    server = await startRealServer(ON);
    expect(warnings(server)).toBe(0);
    await put(server, organization('Organization/parent'));
    await server.restart(undefined, ON);
    expect(warnings(server)).toBe(0);
  });
});
