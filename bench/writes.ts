/** Writes other than a create: many resources in turn, so that callers at once rarely meet at the same one. */
import { patientBundle, seededRandom } from '../server/commands/demo/generator.ts';
import type { Asked } from './rates.ts';
import { CUSTODIAN } from './world.ts';

const RESOURCES = 500;
const TRANSACTION = 20;

/** What is patched, so that it is there however few a slow machine has put before. */
export function patchedClinics(): object {
  const entry = Array.from({ length: RESOURCES }, (_, n) => ({
    resource: JSON.parse(clinic(`put-${n}`)) as object,
    request: { method: 'PUT', url: `Location/put-${n}` },
  }));
  return { resourceType: 'Bundle', type: 'transaction', entry };
}

function clinic(id: string): string {
  return JSON.stringify({ resourceType: 'Location', id, status: 'active', name: 'A clinic' });
}

export function writesOf(base: string): readonly { readonly name: string; readonly requests: readonly Asked[] }[] {
  const { pathname } = new URL(base);
  const random = seededRandom(9);
  const bundle = patientBundle(random, 50_000, CUSTODIAN);
  const numbers = Array.from({ length: RESOURCES }, (_, n) => n);
  const patient = bundle.entry[0]?.resource;
  const entry = bundle.entry.slice(0, TRANSACTION);
  if (!patient || entry.length < TRANSACTION) throw new Error('the generated bundle is too small');
  const patch = JSON.stringify([{ op: 'add', path: '/name', value: 'A clinic by another name' }]);
  const words = (n: number): string => Array.from({ length: 60 }, (_, i) => `word${(n * 7919 + i * i * i) % 20_000}`).join(' ');
  const narrative = (n: number) => ({ status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml"><p>${words(n)}</p></div>` });
  const told = (n: number): string =>
    JSON.stringify({ resourceType: 'Location', id: `told-${n}`, status: 'active', name: 'A clinic', text: narrative(n) });
  return [
    {
      name: 'PUT Patient, validated and durable',
      requests: numbers.map((n) => ({
        method: 'PUT',
        path: `${pathname}/Patient/put-${n}`,
        body: JSON.stringify({ ...patient, id: `put-${n}` }),
      })),
    },
    {
      name: 'PUT Location, validated and durable',
      requests: numbers.map((n) => ({ method: 'PUT', path: `${pathname}/Location/put-${n}`, body: clinic(`put-${n}`) })),
    },
    {
      name: 'PUT Location with 60 words, validated and durable',
      requests: numbers.map((n) => ({ method: 'PUT', path: `${pathname}/Location/told-${n}`, body: told(n) })),
    },
    {
      name: 'PATCH Location, validated and durable',
      requests: numbers.map((n) => ({ method: 'PATCH', path: `${pathname}/Location/put-${n}`, body: patch, type: 'application/json-patch+json' })),
    },
    {
      name: `transaction of ${TRANSACTION}, validated and durable`,
      requests: [{ method: 'POST', path: pathname, body: JSON.stringify({ ...bundle, entry }) }],
    },
  ];
}
