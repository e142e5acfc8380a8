/** The short form of bad-requests.ts: each kind a few times; what was there is there, and nothing else. */
import { expect, it } from 'vitest';
import { call, createServedApp } from '../support/served-app.ts';
import { kinds } from './kinds.ts';
import { storm } from './storm.ts';

it('whatever is wrong with a request is the fault of its caller, says so without a trace, and changes nothing', async () => {
  const app = await createServedApp();
  try {
    const token = await app.tokenOf('alice');
    await call(app, 'PUT', 'Patient/there-is', { body: { resourceType: 'Patient', id: 'there-is', gender: 'female' } });
    const count = Object.keys(kinds).length * 5;
    const { statuses, violations } = await storm({ base: app.base, token, from: 0, count });
    expect(violations).toEqual([]);
    expect(Object.values(statuses).reduce((sum, each) => sum + each)).toBe(count);
    const { json } = await call(app, 'GET', 'Patient');
    expect([json.total, json.entry[0].resource.gender]).toEqual([1, 'female']);
  } finally {
    await app.stop();
  }
});
