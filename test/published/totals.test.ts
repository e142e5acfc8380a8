/**
 * Totals of the server over all bundles of both published Synthea sets, against those of a small program that reads the same JSON and knows
 * nothing of the server (totals/raw.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../server/commands/demo/session.ts';
import { published } from '../support/published.ts';
import { findMongod, startReplicaSet } from '../support/mongod.ts';
import { HOSPITAL, type RealServer, register, startRealServer } from '../support/real-server.ts';
import { type Case, casesOf } from './totals/queries.ts';
import { type Bundle, bundlesOf, worldOf } from './totals/raw.ts';

// Conditional references of the first would be met by practitioners of the second as well.
const bundles = bundlesOf([published('synthea-2.7-form'), published('synthea-2019')]);
const world = worldOf(bundles);
const cases = casesOf(world);

let reader: Session;

/** Where a mongod is found, the same on a replica set. */
const engines =
  findMongod() && process.env['ASSENT_TEST_ENGINE'] !== 'mongodb' ? (['the chosen engine', 'MongoDB'] as const) : (['the chosen engine'] as const);

async function load({ admin }: RealServer, bundle: Bundle): Promise<void> {
  const { status, json, text } = await admin.call('POST', '', bundle);
  if (status !== 200) throw new Error(`${status} ${text.slice(0, 500)}`);
  const refused = (json['entry'] as { response: { status: string } }[]).find(({ response }) => !/^20[01]/.test(response.status));
  if (refused) throw new Error(JSON.stringify(refused).slice(0, 500));
}

/** As sent: what a query string gives a meaning to is escaped. */
const sent = (query: string): string =>
  query.replaceAll(' ', '%20').replaceAll('|', '%7C').replaceAll('$', '%24').replaceAll('{', '%7B').replaceAll('}', '%7D').replaceAll('Á', '%C3%81');

async function totalOf(type: string, query: string): Promise<unknown> {
  const answer = await reader.call('GET', `${type}?${sent(query)}${query === '' ? '' : '&'}_summary=count`);
  return answer.status === 200 ? answer.json['total'] : `${answer.status} ${answer.text}`;
}

/** Those that differ. */
async function differing(all: readonly Case[]): Promise<string[]> {
  const found: string[] = [];
  for (const [type, query, holds] of all) {
    const expected = world.of(type).filter(holds).length;
    const total = await totalOf(type, query);
    if (total !== expected) found.push(`${type}?${query}: ${String(total)}, expected ${expected}`);
  }
  return found;
}

test('the searches are many, of many kinds, and most find something and not everything', () => {
  expect(cases.length).toBeGreaterThanOrEqual(200);
  expect(new Set(cases.map(([type, query]) => `${type}?${query}`)).size).toBe(cases.length);
  const telling = cases.filter(([type, , holds]) => {
    const found = world.of(type).filter(holds).length;
    return found > 0 && found < world.of(type).length;
  });
  expect(telling.length).toBeGreaterThan(cases.length * 0.75);
});

describe.each(engines)('totals over published bundles on %s', (engine) => {
  let server: RealServer | undefined;
  let set: Awaited<ReturnType<typeof startReplicaSet>> | undefined;
  beforeAll(async () => {
    set = engine === 'MongoDB' ? await startReplicaSet(1) : undefined;
    const on = set ? { ASSENT_MONGODB_URI: set.uri('totals') } : {};
    const started = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_VALIDATION_WORKERS: '2', ...on });
    server = started;
    for (const bundle of bundles) await load(started, bundle);
    reader = (await register(started, { actor: HOSPITAL, scope: 'system/*.rs' })).session;
  });
  afterAll(async () => {
    await server?.stop();
    await set?.stop();
  });

  test('are those of the independent program', async () => {
    expect(await differing(cases)).toEqual([]);
  });

  test('a wrong expectation is noticed', async () => {
    const planted: Case[] = [
      ['Patient', 'gender=male', (r) => r.gender === 'female'],
      ['Observation', 'status=final', () => false],
    ];
    expect(await differing(planted)).toHaveLength(2);
  });
});
