/**
 * What is asked of a server to find out whether it tells what is hidden from what is absent, or a denied search from one that is permitted and finds
 * nothing: by a stopwatch (run.ts), and by whether its answers are held (test/http/held.test.ts).
 */
import { enrolKey, type Json } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, observation, organization, patient, put, type RealServer, termsOf } from '../support/real-server.ts';

export const INSURER = 'Organization/insurer';
export const padded = (kind: string, n: number): string => `${kind}${String(n).padStart(4, '0')}`;

type World = {
  /** Of the hidden Observation with this id; of any other one as long. */
  readonly versionOf: (id: string) => string;
};

/** So many of each kind: `hidden`, `coupled` (of two patients), `bigger` (200 kB), and patients who permit the insurer everything: `permit`. */
export async function fill({ admin, now }: Pick<RealServer, 'admin' | 'now'>, many: number): Promise<World> {
  const versions = new Map<string, string>();
  for (const reference of [HOSPITAL, INSURER]) await put({ admin }, organization(reference));
  const note = [{ text: 'x'.repeat(200_000) }];
  for (let n = 0; n < many; n++) {
    for (const kind of ['hidden', 'permit']) await put({ admin }, patient(padded(kind, n)));
    versions.set(padded('hidden', n), await put({ admin }, observation(padded('hidden', n), `Patient/${padded('hidden', n)}`)));
    await put(
      { admin },
      observation(padded('coupled', n), `Patient/${padded('hidden', n)}`, { performer: [{ reference: `Patient/${padded('permit', n)}` }] }),
    );
    await put({ admin }, observation(padded('bigger', n), `Patient/${padded('hidden', n)}`, { note }));
  }
  const custodian = await enrolKey(admin, HOSPITAL);
  for (let n = 0; n < many; n++) {
    const who = `Patient/${padded('permit', n)}`;
    await agree({ admin }, termsOf({ now }, { patient: who, grantee: INSURER }), [await enrolKey(admin, who), custodian]);
  }
  return { versionOf: (id) => versions.get(id) ?? NO_VERSION };
}

const NO_VERSION = 'x'.repeat(25);

export type Probe = { readonly method: string; readonly path: string; readonly body?: string; readonly headers?: Readonly<Record<string, string>> };
type Asked = (id: string, world: World) => Probe;
export type Question = { readonly name: string; readonly sides: readonly [string, string]; readonly ask: Asked; readonly status: number };

const get =
  (path: (id: string, world: World) => string): Asked =>
  (id, world) => ({ method: 'GET', path: path(id, world) });

function create(more: Json, headers: Readonly<Record<string, string>> = {}): Probe {
  const { id: _id, identifier: _identifier, ...body } = observation('', `Patient/${padded('permit', 0)}`, more);
  return { method: 'POST', path: 'Observation', body: JSON.stringify(body), headers: { 'content-type': 'application/fhir+json', ...headers } };
}

export const questions: readonly Question[] = [
  { name: 'read', sides: ['hidden', 'absent'], ask: get((id) => `Observation/${id}`), status: 404 },
  { name: 'read, of two patients', sides: ['coupled', 'absent0'], ask: get((id) => `Observation/${id}`), status: 404 },
  { name: 'read, of 200 kB', sides: ['bigger', 'absent'], ask: get((id) => `Observation/${id}`), status: 404 },
  { name: 'history', sides: ['hidden', 'absent'], ask: get((id) => `Observation/${id}/_history`), status: 404 },
  {
    name: 'DELETE',
    sides: ['hidden', 'absent'],
    ask: (id) => ({ method: 'DELETE', path: `Observation/${id}`, headers: { 'if-match': 'W/"x"' } }),
    status: 404,
  },
  { name: '$everything', sides: ['hidden', 'absent'], ask: get((id) => `Patient/${id}/$everything`), status: 404 },
  { name: 'vread', sides: ['hidden', 'absent'], ask: get((id, { versionOf }) => `Observation/${id}/_history/${versionOf(id)}`), status: 404 },
  { name: '$graphql', sides: ['hidden', 'absent'], ask: get((id) => `Observation/${id}/$graphql?query=%7Bid%7D`), status: 404 },
  {
    name: 'PATCH',
    sides: ['hidden', 'absent'],
    ask: (id) => ({ method: 'PATCH', path: `Observation/${id}`, body: '[]', headers: { 'content-type': 'application/json-patch+json' } }),
    status: 404,
  },
  {
    name: 'conditional create',
    sides: ['hidden', 'absent'],
    ask: (id) => create({}, { 'if-none-exist': `identifier=urn:test|${id}` }),
    status: 201,
  },
  {
    name: 'create of what refers to it',
    sides: ['hidden', 'absent'],
    ask: (id) => create({ derivedFrom: [{ reference: `Observation/${id}` }] }),
    status: 201,
  },
  { name: 'search by id', sides: ['hidden', 'absent'], ask: get((id) => `Observation?_id=${id}`), status: 200 },
  { name: 'search by identifier', sides: ['hidden', 'absent'], ask: get((id) => `Observation?identifier=urn:test|${id}`), status: 200 },
  { name: 'search of a patient: denied, permitted but empty', sides: ['hidden', 'permit'], ask: get((id) => `Condition?patient=${id}`), status: 200 },
  { name: 'search of a patient: denied and stored, absent', sides: ['hidden', 'absent'], ask: get((id) => `Observation?patient=${id}`), status: 200 },
];
