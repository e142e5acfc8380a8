/** The Consents in force against a database that is edited behind the server's back. ledger.md §3 */
import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { createPolicies, type LoggedConsent, type PoliciesDeps } from '../../server/consent/policies.ts';
import { digestOf } from '../../ledger/hash.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import type { StoredResource } from '../../server/store/port.ts';
import { consentBy, NOON } from '../support/consents.ts';

type Judged = Awaited<ReturnType<PoliciesDeps['judge']>>['kind'];

/** A database anyone can edit, a log only the server writes, and the policies between them. */
function bench({ alone = false } = {}) {
  const rows = new Map<string, StoredResource>();
  const entries: (LoggedConsent & { readonly reference: string })[] = [];
  const verdicts = new Map<string, Judged>();
  const alarms: number[] = [];
  const fetched: string[][] = [];
  let seen = 0;
  let epoch = 0;
  let others = 0;
  let beforeFetch = (): Promise<void> | void => {};
  let afterFetch = (): Promise<void> | void => {};

  const policies = createPolicies({
    log: {
      catchUp: async () => void (seen = entries.length),
      entries: () => [],
      latest: (reference) => entries.slice(0, seen).findLast((entry) => entry.reference === reference),
      changedSince(position) {
        const named = entries.slice(position, seen).map(({ reference }) => reference);
        const keys = named.filter((reference) => reference.startsWith('key:'));
        return { references: named.filter((reference) => !keys.includes(reference)), kids: keys.map((key) => key.slice(4)), position: seen };
      },
    },
    fetch: async (ids) => {
      fetched.push([...ids]);
      await beforeFetch();
      const found = ids.flatMap((id) => rows.get(id) ?? []);
      await afterFetch();
      return found;
    },
    judge: async ({ id, body }) => {
      const kind = verdicts.get(id) ?? 'established';
      return kind === 'established'
        ? { kind, compiled: compileConsent(JSON.parse(body) as ResourceValue, { now: NOON }), kids: [`key-of-${id}`] }
        : { kind };
    },
    endOf: async (reference) => ({ kind: 'stands', kids: [`key-that-ended-${reference}`] }),
    alarm: ({ logIndex }) => void alarms.push(logIndex),
    ...(alone && { writtenByOthers: async () => others }),
  });

  function log(id: string, patient: string, kind = 'consent-active'): void {
    const digest = digestOf(rows.get(id)?.body ?? '');
    entries.push({ index: entries.length, at: NOON, reference: `Consent/${id}`, digest, kind, subject: `Patient/${patient}` });
    epoch += 1;
  }

  function sign(id: string, patient: string, provision: object = { type: 'permit' }): void {
    const body = JSON.stringify({ ...consentBy(patient, provision as Record<string, unknown>), id });
    rows.set(id, { type: 'Consent', id, version: `v${entries.length}`, lastUpdated: NOON, instant: NOON, deleted: false, body, keys: [] });
    log(id, patient);
  }

  return {
    policies,
    alarms,
    fetched,
    verdicts,
    rows,
    sign,
    revoke(kid: string) {
      entries.push({ index: entries.length, at: NOON, reference: `key:${kid}`, digest: '', kind: 'key-revoked', subject: null });
      epoch += 1;
    },
    withdraw: (id: string, patient: string) => log(id, patient, 'consent-withdrawn'),
    edit(id: string, change: (body: string) => string) {
      const row = rows.get(id);
      if (!row) throw new Error(`No row ${id}`);
      rows.set(id, { ...row, body: change(row.body) });
      return () => void rows.set(id, row);
    },
    /** Somebody else commits something. */
    intrude: () => void others++,
    beforeFetch: (act: () => Promise<void> | void) => void (beforeFetch = act),
    afterFetch: (act: () => Promise<void> | void) => void (afterFetch = act),
    /** Something else happens: the epoch moves on without a change of any Consent. */
    elsewhere: () => void (epoch += 1),
    now: () => policies.upTo(epoch),
    epoch: () => epoch,
    inForce: () => [...policies.inForce()].map(({ reference }) => reference),
    voided: () => [...policies.voidPatients()],
  };
}

const permitEverything = (body: string) => body.replace('"deny"', '"permit"');

describe('what is in force', () => {
  test('is what the log says, no more after a withdrawal and the newest after a change', async () => {
    const b = bench();
    b.sign('a', '1');
    b.sign('b', '2');
    await b.now();
    expect(b.inForce()).toEqual(['Consent/a', 'Consent/b']);
    const before = b.policies.generation();
    b.withdraw('a', '1');
    b.sign('b', '2', { type: 'deny' });
    await b.now();
    expect([...b.policies.inForce()].map(({ reference, version, compiled }) => [reference, version, compiled.root.type])).toEqual([
      ['Consent/b', 'v3', 'deny'],
    ]);
    expect(b.policies.generation()).toBeGreaterThan(before);
    expect([b.voided(), b.alarms]).toEqual([[], []]);
  });

  test('only what changed is fetched', async () => {
    const b = bench();
    b.sign('a', '1');
    await b.now();
    b.sign('b', '2');
    await b.now();
    b.elsewhere();
    await b.now();
    expect(b.fetched).toEqual([['a'], ['b']]);
  });

  test('a row that the log never spoke of does not act', async () => {
    const b = bench();
    b.sign('a', '1');
    b.rows.set('planted', { ...(b.rows.get('a') as StoredResource), id: 'planted' });
    await b.now();
    expect(b.inForce()).toEqual(['Consent/a']);
  });

  test('a withdrawn Consent whose active row is put back does not act', async () => {
    const b = bench();
    b.sign('a', '1');
    b.withdraw('a', '1');
    await b.now();
    expect([b.inForce(), b.voided(), b.alarms]).toEqual([[], [], []]);
  });

  test('signatures that never fitted void it', async () => {
    const b = bench();
    b.sign('a', '1');
    b.sign('b', '2');
    b.verdicts.set('b', 'forged');
    await b.now();
    expect([b.inForce(), b.voided(), b.alarms]).toEqual([['Consent/a'], ['2'], [1]]);
  });
});

test('a key reported stolen has what it signed looked at again, and nothing else', async () => {
  const b = bench();
  b.sign('a', '1');
  b.sign('b', '2');
  await b.now();
  b.verdicts.set('a', 'forged').set('b', 'forged');
  b.revoke('key-of-a');
  await b.now();
  expect([b.inForce(), b.voided(), b.alarms]).toEqual([['Consent/b'], ['1'], [0]]);
});

describe('a Consent that is not the one in the log', () => {
  test('edited before it was loaded: void, with the index of its log entry', async () => {
    const b = bench();
    b.sign('a', '1');
    b.sign('b', '2', { type: 'deny' });
    b.edit('b', permitEverything);
    await b.now();
    expect([b.inForce(), b.voided(), b.alarms]).toEqual([['Consent/a'], ['2'], [1]]);
  });

  test.each(['edited', 'deleted', 'rolled back'] as const)('%s while it is in force: found at the next read about its patient', async (how) => {
    const b = bench();
    b.sign('a', '1');
    const old = b.rows.get('a') as StoredResource;
    b.sign('a', '1', { type: 'deny' });
    b.sign('b', '2');
    await b.now();
    if (how === 'edited') b.edit('a', permitEverything);
    else if (how === 'deleted') b.rows.delete('a');
    else b.rows.set('a', old);
    expect(await b.policies.confirm(['2'])).toBe(true);
    expect(b.alarms).toEqual([]);
    const before = b.policies.generation();
    expect(await b.policies.confirm(['2', '1'])).toBe(false);
    expect([b.inForce(), b.voided(), b.alarms]).toEqual([['Consent/b'], ['1'], [1]]);
    // Views made before are not used again.
    expect(b.policies.generation()).toBeGreaterThan(before);
  });

  test('put back as it was, it acts again after the next epoch', async () => {
    const b = bench();
    b.sign('a', '1');
    await b.now();
    const putBack = b.edit('a', (body) => body.replace('permit', 'deny'));
    await b.policies.confirm(['1']);
    b.elsewhere();
    await b.now();
    expect([b.inForce(), b.voided()]).toEqual([[], ['1']]);
    putBack();
    await b.now();
    expect(b.voided()).toEqual(['1']);
    b.elsewhere();
    await b.now();
    expect([b.inForce(), b.voided()]).toEqual([['Consent/a'], []]);
    expect(await b.policies.confirm(['1'])).toBe(true);
  });

  test('one edit is one alarm, however often it is looked at; a second edit is another', async () => {
    const b = bench();
    b.sign('a', '1');
    const putBack = b.edit('a', (body) => `${body} `);
    for (let round = 0; round < 3; round++) {
      b.elsewhere();
      await b.now();
    }
    expect(b.alarms).toEqual([0]);
    putBack();
    b.elsewhere();
    await b.now();
    b.edit('a', (body) => `${body} `);
    await b.policies.confirm(['1']);
    expect(b.alarms).toEqual([0, 0]);
  });

  test('one forged of two is enough: all about that patient is void', async () => {
    const b = bench();
    b.sign('a', '1');
    b.sign('c', '1', { type: 'deny' });
    await b.now();
    b.rows.delete('c');
    expect(await b.policies.confirm(['1'])).toBe(false);
    expect([b.inForce(), b.voided()]).toEqual([['Consent/a'], ['1']]);
  });

  test('withdrawn while void, its patient is void no more', async () => {
    const b = bench();
    b.sign('a', '1');
    b.rows.delete('a');
    await b.now();
    expect(b.voided()).toEqual(['1']);
    b.withdraw('a', '1');
    await b.now();
    expect([b.inForce(), b.voided()]).toEqual([[], []]);
  });
});

describe('everybody’s at once', () => {
  async function alone() {
    const b = bench({ alone: true });
    b.sign('a', '1');
    b.sign('c', '1', { type: 'deny' });
    b.sign('b', '2');
    await b.now();
    const confirmAll = b.policies.confirmAll ?? (() => Promise.reject(new Error('it is not told who else writes')));
    return { ...b, confirmAll, reads: () => b.fetched.splice(0).flat().sort() };
  }

  test('are not compared at once where others write by right', () => {
    expect(bench().policies.confirmAll).toBeUndefined();
  });

  test('are not read again as long as nobody else writes, whatever is signed or withdrawn meanwhile', async () => {
    const b = await alone();
    expect([await b.confirmAll(), b.reads()]).toEqual([true, ['a', 'b', 'c']]);
    b.sign('d', '3');
    b.withdraw('a', '1');
    await b.now();
    expect([await b.confirmAll(), b.reads()]).toEqual([true, ['d']]);
  });

  test('are all read again once somebody else has written, and then no more', async () => {
    const b = await alone();
    b.reads();
    b.intrude();
    expect([await b.confirmAll(), b.reads()]).toEqual([true, ['a', 'b', 'c']]);
    expect([await b.confirmAll(), b.reads(), b.alarms]).toEqual([true, [], []]);
  });

  test.each(['edited', 'deleted'] as const)('one that was %s is found, and void from then on', async (how) => {
    const b = await alone();
    if (how === 'edited') b.edit('a', (body) => `${body} `);
    else b.rows.delete('a');
    b.intrude();
    expect([await b.confirmAll(), b.alarms, b.voided()]).toEqual([false, [0], ['1']]);
    expect([await b.confirmAll(), b.alarms]).toEqual([true, [0]]);
  });

  test('what somebody writes while they are compared is found by the next', async () => {
    const b = await alone();
    b.intrude();
    let once = true;
    b.beforeFetch(() => {
      if (!once) return;
      once = false;
      b.intrude();
    });
    expect(await b.confirmAll()).toBe(true);
    b.reads();
    b.rows.delete('b');
    expect([await b.confirmAll(), b.reads(), b.voided()]).toEqual([false, ['a', 'b', 'c'], ['2']]);
  });

  test('what is loaded while they are compared is compared by the next', async () => {
    const b = await alone();
    b.intrude();
    b.sign('d', '3');
    let once = true;
    b.afterFetch(async () => {
      if (!once) return;
      once = false;
      await b.now();
    });
    expect(await b.confirmAll()).toBe(true);
    b.reads();
    expect([await b.confirmAll(), b.reads()]).toEqual([true, ['a', 'b', 'c', 'd']]);
    expect([await b.confirmAll(), b.reads()]).toEqual([true, []]);
  });

  test('who asks while they are compared waits for a comparison that began after', async () => {
    const b = await alone();
    b.intrude();
    let second: Promise<boolean> | undefined;
    b.afterFetch(() => {
      if (second) return;
      // Too late for the first to see it.
      b.rows.delete('b');
      b.intrude();
      second = b.confirmAll();
    });
    expect([await b.confirmAll(), b.voided()]).toEqual([true, []]);
    expect([await second, b.voided()]).toEqual([false, ['2']]);
  });
});

describe('at the same moment', () => {
  test('withdrawn between the decision and its confirmation: decided again, no alarm', async () => {
    const b = bench();
    b.sign('a', '1');
    await b.now();
    b.edit('a', (body) => body.replace('"active"', '"inactive"'));
    b.withdraw('a', '1');
    expect(await b.policies.confirm(['1'])).toBe(false);
    expect([b.alarms, b.voided()]).toEqual([[], []]);
    await b.now();
    expect(b.inForce()).toEqual([]);
    expect(await b.policies.confirm(['1'])).toBe(true);
  });

  test('withdrawn while it is being loaded: no alarm, and not in force', async () => {
    const b = bench();
    b.sign('a', '1');
    let once = true;
    b.beforeFetch(() => {
      if (!once) return;
      once = false;
      b.edit('a', (body) => body.replace('"active"', '"inactive"'));
      b.withdraw('a', '1');
    });
    await b.policies.upTo(1);
    expect([b.inForce(), b.alarms, b.voided()]).toEqual([[], [], []]);
  });

  test('requests share one load; one for a later epoch waits for its own', async () => {
    const b = bench();
    b.sign('a', '1');
    const gate = Promise.withResolvers<void>();
    b.beforeFetch(() => gate.promise);
    const first = [b.now(), b.now(), b.now()];
    b.sign('b', '2');
    const later = b.now();
    gate.resolve();
    await Promise.all(first);
    await later;
    expect(b.fetched).toEqual([['a'], ['b']]);
    expect([b.policies.epoch(), b.inForce()]).toEqual([2, ['Consent/a', 'Consent/b']]);
  });

  test('a load that fails is made again in full, and nothing acts in between', async () => {
    const b = bench();
    b.sign('a', '1');
    let broken = true;
    b.beforeFetch(() => {
      if (broken) throw new Error('The database is away.');
    });
    await expect(b.now()).rejects.toThrow('The database is away.');
    expect([b.policies.epoch(), b.inForce(), b.alarms]).toEqual([-1, [], []]);
    broken = false;
    await b.now();
    expect([b.policies.epoch(), b.inForce()]).toEqual([1, ['Consent/a']]);
  });

  test('more Consents than one fetch may ask for', async () => {
    const b = bench();
    for (let i = 0; i < 501; i++) b.sign(`c${i}`, String(i));
    await b.now();
    expect(b.fetched.map(({ length }) => length)).toEqual([500, 1]);
    expect(b.inForce().length).toBe(501);
  });
});
