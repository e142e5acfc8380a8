/** The short form of test/faults/run.ts, and the proof that its witness would notice. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { runLedgerFaults } from './ledger.ts';
import { createNetwork } from './network.ts';
import { runFaults } from './scenario.ts';
import { runServerFaults } from './server.ts';
import { createWitness, disclosureOf, withdrawalOf } from './witness.ts';

const found = findMongod();
const SEED = 1;
/** What is waited for has two minutes each, and says which it was; together they take half a minute, or a whole one on a busy machine. */
const LONGEST = 400_000;

describe.skipIf(!found || 'uri' in found)('three members under a load, primaries killed, a secondary and a primary cut off', () => {
  const network = createNetwork();
  let set: ReplicaSet;
  beforeAll(async () => {
    set = await startReplicaSet(3, network.front);
  });
  afterAll(async () => {
    await set.stop();
    await network.close();
  });

  test('nothing acknowledged is lost, the log is whole, nothing is read after its withdrawal', { timeout: LONGEST }, async () => {
    const outcome = await runFaults({ set, network }, { kills: 1, cuts: 1, partitions: 1, freezes: 0, restarts: 0, seed: SEED });
    expect(outcome.violations).toEqual([]);
    expect(outcome.done).toEqual({ kills: 1, cuts: 1, partitions: 1, freezes: 0, restarts: 0 });
    for (const count of [outcome.acknowledged, outcome.withdrawals, outcome.disclosures, outcome.refused]) expect(count).toBeGreaterThan(0);
  });

  test('a server process says 503 within seconds, goes on by itself, and each transaction is whole', { timeout: LONGEST }, async () => {
    const outcome = await runServerFaults(set, { kills: 1, seed: SEED });
    expect(outcome.violations).toEqual([]);
    expect(outcome).toMatchObject({ kills: 1 });
    expect(outcome.acknowledged).toBeGreaterThan(0);
  });
});

describe('a server and its signer, killed while Consents come and go', () => {
  test('fsck finds the log whole, and how a Consent stands is proven', { timeout: LONGEST }, async () => {
    const outcome = await runLedgerFaults({ kills: 3, seed: SEED });
    expect(outcome.violations).toEqual([]);
    expect(outcome).toMatchObject({ checks: 3, kills: { server: 1, signer: 1, both: 1 } });
    expect(outcome.stood + outcome.ended).toBeGreaterThan(0);
  });
});

describe('the witness', () => {
  const rowsOf = (...keys: readonly string[]) => keys.map((key, index) => ({ key, entry: key, index }));
  const told = async (...keys: readonly string[]) => {
    const witness = createWitness();
    for (const key of keys) await witness.write(key, () => Promise.resolve(true));
    return witness;
  };
  const compared = async (keys: readonly string[], rows: ReturnType<typeof rowsOf>) => {
    const witness = await told(...keys);
    witness.compare(witness.acknowledged(), rows);
    return witness.violations;
  };

  test('finds nothing where all is well', async () => {
    expect(await compared(['a', 'b', 'c'], rowsOf('a', 'b', 'c'))).toEqual([]);
  });

  test('notices what is lost, doubled, reordered, unwritten, left out in the numbers or changed afterwards', async () => {
    expect(await compared(['a', 'b'], rowsOf('a'))).toEqual(['lost: b']);
    expect(await compared(['a', 'b'], rowsOf('a', 'b', 'b'))).toContain('doubled: 1 rows');
    expect(await compared(['a', 'b'], rowsOf('b', 'a'))).toEqual([expect.stringContaining('before one that was acknowledged')]);
    expect(await compared(['a'], rowsOf('a', 'x'))).toEqual(['row 1 was never written: x']);
    expect(await compared(['a', 'b'], [...rowsOf('a'), { key: 'b', entry: 'b', index: 2 }])).toEqual(['numbered with a gap at 2']);
    const witness = await told('a');
    witness.compare([], rowsOf('a'));
    witness.compare([], [{ key: 'a', entry: 'another', index: 0 }]);
    expect(witness.violations).toEqual(['row 0 was another one before: a']);
  });

  test('notices a disclosure after its withdrawal, by the log and by the clock', async () => {
    const keys = ['grant g', withdrawalOf('g'), disclosureOf('g', '1')];
    expect(await compared(keys, rowsOf(...keys))).toEqual([expect.stringContaining('disclosed after the withdrawal')]);
    const witness = await told(withdrawalOf('g'));
    witness.permitted('g', 0);
    expect(witness.violations).toEqual([]);
    witness.permitted('g', performance.now() + 1);
    expect(witness.violations).toEqual(['read after its withdrawal: g']);
  });

  test('takes no failure for harmless but one that says when to try again', async () => {
    const witness = createWitness();
    await witness.write('a', () => Promise.reject(Object.assign(new Error(), { code: 'unavailable', retryAfter: 2 })));
    expect(witness.violations).toEqual([]);
    await witness.write('b', () => Promise.reject(new Error('a bug')));
    expect(witness.violations).toEqual([expect.stringContaining('b failed')]);
    expect(witness.acknowledged()).toEqual([]);
  });
});
