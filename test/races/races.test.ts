/**
 * Withdrawals raced against everything that reads, on the engine that ASSENT_TEST_ENGINE names; two processes on a replica set race in
 * `npx node test/races/run.ts --mongodb` and test/http/several-servers.test.ts. ASSENT_TEST_RACES sets how many.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { put, type RealServer, register, startRealServer } from '../support/real-server.ts';
import { directory, INSURER, race, rivals, type Side, ways } from './race.ts';

const races = Number(process.env['ASSENT_TEST_RACES'] ?? 30);
let server: RealServer;
let side: Side;
beforeAll(async () => {
  server = await startRealServer({ ASSENT_MAX_JOBS: '4' });
  for (const organization of directory) await put(server, organization);
  side = { admin: server.admin, insurer: (await register(server, { actor: INSURER })).session };
});
afterAll(() => server.stop());

it(`${races} withdrawals: what was asked after the 200 holds nothing of it`, async () => {
  const raced = await race([side, side], races);
  expect(raced.leaks).toEqual([]);
  expect(raced.races).toBe(races);
  expect(raced.after).toBeGreaterThan(races * ways.length);
  expect([...raced.asked].sort()).toEqual(rivals.map(({ name }) => name).sort());
  // What came before its withdrawal was told: these were races.
  expect(raced.before).toBeGreaterThan(0);
});
