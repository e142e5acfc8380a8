/**
 * `npx node test/timing/run.ts [--probes 10000] [--mongodb] [--only 'create|vread']`: whether a stopwatch tells what is hidden from what is absent, or a denied search from
 * one that is permitted and finds nothing. The two sides of each question are asked in random order on one connection, and compared by Welch's t of
 * the times below their 90th percentile, as dudect does (Reparaz, Balasch, Verbauwhede 2017): beyond 4.5 they differ. Exit 1 where they do.
 */
import { Agent, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSession, enrolKey, type Json } from '../../server/commands/demo/session.ts';
import { systemClock } from '../../server/clock.ts';
import { startReplicaSet } from '../support/mongod.ts';
import { ADMIN_SCOPE, agree, HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';
import { launchServer } from '../support/server-process.ts';
import { createRandom } from '../twins/random.ts';
import { compared, type Compared } from './statistic.ts';

const { values } = parseArgs({
  options: { probes: { type: 'string', default: '10000' }, mongodb: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});
const PROBES = Number(values.probes);
const INSURER = 'Organization/insurer';
/** Of each kind, so that no single row is warm. */
const MANY = 50;
const DIFFERENT = 4.5;
/** Tokens last ten minutes. */
const TOKEN_MS = 240_000;

const set = values.mongodb ? await startReplicaSet(1) : undefined;
const dataDir = mkdtempSync(join(tmpdir(), 'assent-timing-'));
const server = await launchServer(dataDir, set ? { ASSENT_MONGODB_URI: set.uri('timing') } : {});
const { bootstrap } = server;
const base = new URL(bootstrap.fhirBaseUrl);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const padded = (kind: string, n: number) => `${kind}${String(n).padStart(4, '0')}`;

async function fill(): Promise<void> {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  for (const reference of [HOSPITAL, INSURER]) await put({ admin }, organization(reference));
  const note = [{ text: 'x'.repeat(200_000) }];
  for (let n = 0; n < MANY; n++) {
    for (const kind of ['hidden', 'permit']) await put({ admin }, patient(padded(kind, n)));
    versions.set(padded('hidden', n), await put({ admin }, observation(padded('hidden', n), `Patient/${padded('hidden', n)}`)));
    await put(
      { admin },
      observation(padded('coupled', n), `Patient/${padded('hidden', n)}`, { performer: [{ reference: `Patient/${padded('permit', n)}` }] }),
    );
    await put({ admin }, observation(padded('bigger', n), `Patient/${padded('hidden', n)}`, { note }));
  }
  const custodian = await enrolKey(admin, HOSPITAL);
  for (let n = 0; n < MANY; n++) {
    const who = `Patient/${padded('permit', n)}`;
    await agree({ admin }, termsOf({ now: systemClock }, { patient: who, grantee: INSURER }), [await enrolKey(admin, who), custodian]);
  }
}

async function tokenFor(): Promise<string> {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  return (await register({ admin, bootstrap }, { actor: INSURER })).session.token;
}

type Probe = { readonly method: string; readonly path: string; readonly body?: string; readonly headers?: Readonly<Record<string, string>> };

/** ms until the whole answer is there. */
function timed(token: string, { method, path, body, headers }: Probe): Promise<{ readonly ms: number; readonly status: number }> {
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint();
    const sent = request(
      { agent, method, host: base.hostname, port: base.port, path: `/fhir/${path}`, headers: { authorization: `Bearer ${token}`, ...headers } },
      (answer) => {
        answer.resume();
        answer.on('end', () => resolve({ ms: Number(process.hrtime.bigint() - began) / 1e6, status: answer.statusCode ?? 0 }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

type Asked = (id: string) => Probe;
type Question = { readonly name: string; readonly sides: readonly [string, string]; readonly ask: Asked; readonly status: number };
const get =
  (path: (id: string) => string): Asked =>
  (id) => ({ method: 'GET', path: path(id) });

/** Of what is hidden; any other is as long. */
const versions = new Map<string, string>();
const NO_VERSION = 'x'.repeat(25);

function create(more: Json, headers: Readonly<Record<string, string>> = {}): Probe {
  const { id: _id, identifier: _identifier, ...body } = observation('', `Patient/${padded('permit', 0)}`, more);
  return { method: 'POST', path: 'Observation', body: JSON.stringify(body), headers: { 'content-type': 'application/fhir+json', ...headers } };
}

const every: readonly Question[] = [
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
  { name: 'vread', sides: ['hidden', 'absent'], ask: get((id) => `Observation/${id}/_history/${versions.get(id) ?? NO_VERSION}`), status: 404 },
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

const questions = every.filter(({ name }) => new RegExp(values.only).test(name));
if (questions.length === 0) throw new Error(`No question is called ${values.only}.`);

async function measure({ sides, ask, status }: Question): Promise<Compared> {
  const random = createRandom(PROBES);
  const times: [number[], number[]] = [[], []];
  let token = '';
  let until = 0;
  for (let n = 0; n < 2 * PROBES + 200; n++) {
    if (performance.now() > until) {
      token = await tokenFor();
      until = performance.now() + TOKEN_MS;
    }
    const side = random.below(2) as 0 | 1;
    const probe = await timed(token, ask(padded(sides[side], random.below(MANY))));
    if (probe.status !== status) throw new Error(`${sides[side]} was answered ${probe.status}.`);
    // The first are of a cold server.
    if (n >= 200) times[side].push(probe.ms);
  }
  return compared(...times);
}

let different = 0;
try {
  await fill();
  for (const question of questions) {
    const { t, medians, counts } = await measure(question);
    if (Math.abs(t) > DIFFERENT) different += 1;
    const [first, second] = question.sides.map((side, i) => `${side} ${medians[i as 0 | 1].toFixed(3)} ms (${counts[i as 0 | 1]})`);
    process.stdout.write(
      `${Math.abs(t) > DIFFERENT ? 'DIFFER' : 'alike '}  t = ${t.toFixed(2).padStart(6)}  ${question.name}: ${first}, ${second}\n`,
    );
  }
} finally {
  agent.destroy();
  await server.end('SIGTERM');
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
process.stdout.write(`${questions.length - different} of ${questions.length} alike\n`);
process.exitCode = different === 0 ? 0 : 1;
