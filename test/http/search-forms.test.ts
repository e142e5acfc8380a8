/** How a search may be written: in the URL, in a form, in both; what is given twice or has no meaning; and what the answer says was used. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Json } from '../../server/commands/demo/session.ts';
import { type RealServer, startRealServer } from '../support/real-server.ts';

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
  for (const gender of ['female', 'female', 'male']) await server.admin.call('POST', 'Practitioner', { resourceType: 'Practitioner', gender });
});
afterAll(() => server.stop());

const selfOf = ({ json }: Pick<Answer, 'json'>) =>
  new URL(((json['link'] ?? []) as { relation: string; url: string }[]).find(({ relation }) => relation === 'self')?.url ?? '').search;
const outcomesOf = ({ json }: Pick<Answer, 'json'>) =>
  ((json['entry'] ?? []) as { resource: Json; search: { mode: string } }[]).filter(({ search }) => search.mode === 'outcome').length;

async function post(path: string, body: string): Promise<{ readonly status: number; readonly type: string; readonly text: string }> {
  const headers = { authorization: `Bearer ${server.admin.token}`, 'content-type': 'application/x-www-form-urlencoded' };
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`, { method: 'POST', headers, body });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

describe.each(['Practitioner/_search', '_search?_type=Practitioner', 'Practitioner/_search?_count=5'])('POST %s', (path) => {
  const and = path.includes('?') ? '&' : '?';

  it('takes what the URL says and what the form says', async () => {
    const { status, text } = await post(`${path}${and}gender=female`, '_total=accurate&_sort=_lastUpdated');
    const json = JSON.parse(text) as Json;
    expect([status, json['total']]).toEqual([200, 2]);
    for (const used of ['gender=female', '_total=accurate', '_sort=_lastUpdated']) expect(selfOf({ json })).toContain(used);
  });

  it('is answered in the format the form names', async () => {
    const { status, type, text } = await post(path, 'gender=male&_format=xml');
    expect([status, type.split(';')[0], text.includes('<total value="1"/>')]).toEqual([200, 'application/fhir+xml', true]);
    expect((await post(path, '_format=text/turtle')).status).toBe(406);
  });
});

describe.each(['Practitioner?', '?_type=Practitioner&'])('GET %s', (path) => {
  it.each(['_total=some', '_summary=most', '_count=-1', '_count=many', '_sort=nothing', '_count=1&_count=2', '_total=none&_total=accurate'])(
    '%s: refused when strict, named and left out when lenient',
    async (written) => {
      const strict = await server.admin.call('GET', `${path}gender=female&${written}`, undefined, { prefer: 'handling=strict' });
      expect(strict.status).toBe(400);
      expect(strict.text).toContain(written.split('=')[0]);
      const lenient = await server.admin.call('GET', `${path}gender=female&${written}`);
      expect([lenient.status, outcomesOf(lenient)]).toEqual([200, 1]);
      expect(selfOf(lenient)).toContain('gender=female');
      expect(selfOf(lenient)).not.toContain(written.split('&').at(-1));
    },
  );

  it('_count=0 and _summary=count: the total alone, whatever else', async () => {
    for (const written of ['_count=0', '_summary=count', '_count=0&_total=none', '_count=0&_include=Practitioner:nothing']) {
      const { json } = await server.admin.call('GET', `${path}gender=female&${written}`);
      const entries = ((json['entry'] ?? []) as { search: { mode: string } }[]).filter(({ search }) => search.mode !== 'outcome');
      expect([written, json['total'], entries]).toEqual([written, 2, []]);
    }
  });

  it('a criterion that is given twice must hold twice', async () => {
    expect((await server.admin.call('GET', `${path}gender=female&gender=male`)).json['total']).toBe(0);
    expect((await server.admin.call('GET', `${path}gender=female,male`)).json['total']).toBe(3);
  });
});
