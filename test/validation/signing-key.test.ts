/**
 * The signing key of fhir-profiles/ is a logical model: its example and what the running server answers are held against its elements, both ways.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolKey, type Json } from '../../server/commands/demo/session.ts';
import { isObject } from '../../server/fhir/resource.ts';
import { put, type RealServer, organization, startRealServer } from '../support/real-server.ts';

type Definition = { readonly path: string; readonly min: number; readonly type?: readonly [{ readonly code: string }] };

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../fhir-profiles/${name}`, import.meta.url), 'utf8')) as Json;
const model = read('StructureDefinition-signing-key.json');
const example = read('examples/logical/signing-key.json');
const { element: elements } = model['differential'] as { readonly element: readonly Definition[] };

const FORMS: Readonly<Record<string, RegExp>> = {
  id: /^[A-Za-z0-9_-]{43}$/,
  string: /\S/,
  code: /^\S+( \S+)*$/,
  unsignedInt: /^\d+$/,
  instant: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
};

/** What is wrong with an instance, by path. */
function departures(value: unknown, path = 'signing-key'): string[] {
  if (!isObject(value)) return [`${path} is no object`];
  const children = elements.filter((one) => one.path.startsWith(`${path}.`) && !one.path.slice(path.length + 1).includes('.'));
  const unknown = Object.keys(value).filter((name) => !children.some((one) => one.path === `${path}.${name}`));
  return [
    ...unknown.map((name) => `${path}.${name} is not defined`),
    ...children.flatMap(({ path: at, min, type }) => {
      const member = value[at.slice(path.length + 1)];
      if (member === undefined) return min > 0 ? [`${at} is missing`] : [];
      const code = type?.[0].code ?? '';
      if (code === 'BackboneElement') return departures(member, at);
      const written = code === 'unsignedInt' && typeof member === 'number' ? `${member}` : member;
      return typeof written === 'string' && FORMS[code]?.test(written) ? [] : [`${at} is no ${code}`];
    }),
  ];
}

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, organization('Organization/hospital'));
});
afterAll(() => server.stop());

test('the example is one, and broken it is not', () => {
  expect(elements.length).toBeGreaterThan(10);
  expect(departures(example)).toEqual([]);
  expect(departures({ ...example, owner: undefined, secret: 1, revoked: { at: 'yesterday' } })).toEqual([
    'signing-key.secret is not defined',
    'signing-key.owner is missing',
    'signing-key.revoked.at is no instant',
    'signing-key.revoked.reason is missing',
  ]);
});

test('what the server answers is one: registered, listed, revoked', async () => {
  const { kid } = await enrolKey(server.admin, 'Patient/p1');
  const jwk = { kty: 'EC', crv: 'P-256', x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4', y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM' };
  const registered = await server.admin.call('POST', '/admin/keys', { owner: 'Organization/hospital', jwk, proofing: 'by letter' });
  const listed = await server.admin.call('GET', '/admin/keys?owner=Patient/p1');
  const revoked = await server.admin.call('POST', `/admin/keys/${kid}/revoke`, { reason: 'lost', compromisedSince: '2026-01-01T00:00:00Z' });
  expect(registered.status).toBe(201);
  const rows = [registered.json, revoked.json, ...(Array.isArray(listed.json) ? (listed.json as unknown[]) : Object.values(listed.json).flat())];
  expect(rows.length).toBeGreaterThan(2);
  for (const row of rows) expect(departures(row)).toEqual([]);
  // Every element is seen in one answer or another.
  const seen = JSON.stringify(rows);
  expect(elements.map(({ path }) => path.split('.').at(-1)).filter((name) => name !== 'signing-key' && !seen.includes(`"${name}"`))).toEqual([]);
});
