/** $everything of a published US Core patient. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Json, Session } from '../../server/commands/demo/session.ts';
import { published } from '../support/published.ts';
import { type RealServer, register, startRealServer } from '../support/real-server.ts';

type Link = { readonly relation: string; readonly url: string };
type Entry = { readonly fullUrl: string; readonly search: { readonly mode: string } };

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
});
afterAll(async () => server.stop());

async function pages(session: Session, url: string): Promise<{ readonly matches: string[]; readonly included: string[] }> {
  const found = { matches: [] as string[], included: [] as string[] };
  for (let next: string | undefined = url; next !== undefined; ) {
    const { status, json } = await session.call('GET', next);
    expect(status).toBe(200);
    for (const { fullUrl, search } of (json['entry'] ?? []) as Entry[])
      (search.mode === 'match' ? found.matches : found.included).push(fullUrl.split('/').slice(-2).join('/'));
    next = (json['link'] as Link[]).find(({ relation }) => relation === 'next')?.url;
  }
  return found;
}

it('comes back whole, once, in pages', async () => {
  const bundle = JSON.parse(readFileSync(published('us-core-patient85', 'uscore_bundle_patient_85.json'), 'utf8')) as { entry: { resource: Json }[] };
  const loaded = await server.admin.call('POST', '', bundle);
  expect(loaded.status).toBe(200);
  const app = (await register(server, { actor: 'Patient/85', purposes: ['PATRQT'] })).session;
  const { matches, included } = await pages(app, 'Patient/85/$everything?_count=25');
  expect(new Set(matches).size).toBe(matches.length);
  expect(new Set(included).size).toBe(included.length);
  const named = bundle.entry.filter(({ resource }) => JSON.stringify(resource).includes('Patient/85') || resource['resourceType'] === 'Patient');
  const all = new Set([...matches, ...included]);
  expect(named.map(({ resource }) => `${String(resource['resourceType'])}/${String(resource['id'])}`).filter((id) => !all.has(id))).toEqual([]);
  for (const type of ['Practitioner', 'Organization', 'Location', 'Medication']) expect(included.some((id) => id.startsWith(`${type}/`))).toBe(true);
});
