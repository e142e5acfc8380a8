/**
 * A real server process under a load of FHIR transactions while the primary of its replica set is killed (-9): it says 503 with Retry-After within
 * seconds, never anything worse, goes on by itself, and each transaction is there as a whole or not at all.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import { createSession, type Session } from '../../server/commands/demo/session.ts';
import type { ReplicaSet } from '../support/mongod.ts';
import { launchServer } from '../support/server-process.ts';
import { kill, preferredPrimary, primaryOf, until } from './members.ts';

const HOSPITAL = 'Organization/hospital';
const CALLERS = 3;
const BETWEEN = 6;
/** Nobody waits longer for an answer, whatever it is. */
const LONGEST_MS = 10_000;

export type ServerOutcome = {
  readonly kills: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly longestMs: number;
  readonly violations: readonly string[];
};
type Tally = { kills: number; acknowledged: Set<string>; refused: number; longestMs: number; violations: string[] };

export async function runServerFaults(set: ReplicaSet, { seed, kills }: { readonly seed: number; readonly kills: number }): Promise<ServerOutcome> {
  const database = `server-faults-${seed}`;
  await preferredPrimary(set);
  const dataDir = await mkdtemp(join(tmpdir(), 'assent-faults-'));
  const server = await launchServer(dataDir, { ASSENT_MONGODB_URI: set.uri(database) });
  const tally: Tally = { kills: 0, acknowledged: new Set(), refused: 0, longestMs: 0, violations: [] };
  try {
    const admin = await createSession(server.bootstrap, server.bootstrap.admin, 'system/*.cruds admin');
    await admin.call('PUT', HOSPITAL, { resourceType: 'Organization', id: 'hospital', active: true, name: 'Hospital' });
    await underLoad({ admin, seed }, tally, async () => {
      for (let i = 0; i < kills; i++) {
        await progress(tally);
        const victim = await primaryOf(set);
        await kill(victim);
        tally.kills++;
        await primaryOf(set, victim);
        victim.start();
        await progress(tally);
      }
    });
    const readyz = server.bootstrap.fhirBaseUrl.replace('/fhir', '/readyz');
    await until('/readyz says that all is well again', async () => (await fetch(readyz)).status === 200);
  } finally {
    await server.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  }
  tally.violations.push(...(await notWhole(set.uri(database), tally.acknowledged)));
  return { ...tally, acknowledged: tally.acknowledged.size };
}

async function underLoad(
  { admin, seed }: { readonly admin: Session; readonly seed: number },
  tally: Tally,
  work: () => Promise<void>,
): Promise<void> {
  let ended = false;
  const random = seededRandom(seed);
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let number = caller; !ended; number += CALLERS) await post({ admin, tally }, patientBundle(random, number, HOSPITAL));
  });
  try {
    await work();
  } finally {
    ended = true;
    await Promise.all(callers);
  }
}

async function progress({ acknowledged }: Tally): Promise<void> {
  const before = acknowledged.size;
  await until('transactions are acknowledged', () => acknowledged.size >= before + BETWEEN);
}

type Bundle = ReturnType<typeof patientBundle>;

async function post({ admin, tally }: { readonly admin: Session; readonly tally: Tally }, bundle: Bundle): Promise<void> {
  const begun = performance.now();
  const name = nameOf(bundle.entry[0]?.resource);
  try {
    const { status, headers, text } = await admin.call('POST', '', bundle);
    if (status === 200) tally.acknowledged.add(name);
    else if (status === 503 && Number(headers.get('retry-after')) > 0) tally.refused++;
    else tally.violations.push(`${status} with Retry-After ${headers.get('retry-after')}: ${text.slice(0, 300)}`);
  } catch (error) {
    tally.violations.push(`no answer at all: ${String(error)}`);
  }
  const took = Math.round(performance.now() - begun);
  tally.longestMs = Math.max(tally.longestMs, took);
  if (took > LONGEST_MS) tally.violations.push(`an answer took ${took} ms`);
}

type Stored = { readonly resourceType: string; readonly id?: string; readonly subject?: { readonly reference: string } };

/** The record number that a generated patient has. */
function nameOf(patient: unknown): string {
  return (patient as { identifier: { value: string }[] }).identifier[0]?.value ?? '';
}

/** Each transaction is one patient and what is said of that patient, in the same number for all. */
async function notWhole(uri: string, acknowledged: ReadonlySet<string>): Promise<string[]> {
  const client = await new MongoClient(uri).connect();
  try {
    const types = ['Patient', 'Encounter', 'Observation', 'Condition', 'MedicationRequest'];
    const bodies = await client
      .db()
      .collection<{ _id: string; t: string; b: string }>('resources')
      .find({ t: { $in: types } })
      .toArray();
    const resources = bodies.map(({ b }) => JSON.parse(b) as Stored);
    const patients = resources.filter(({ resourceType }) => resourceType === 'Patient');
    const expected = patientBundle(seededRandom(1), 0, HOSPITAL).entry.length - 1;
    const about = Map.groupBy(resources, ({ subject }) => subject?.reference ?? '');
    const partial = patients.filter(({ id }) => about.get(`Patient/${id}`)?.length !== expected);
    const names = patients.map(nameOf);
    const lost = [...acknowledged].filter((name) => !names.includes(name));
    const stray = resources.length - patients.length * (expected + 1);
    return [
      ...partial.map((patient) => `a transaction is there in part: ${nameOf(patient)}`),
      ...lost.map((name) => `an acknowledged transaction is lost: ${name}`),
      ...(new Set(names).size === names.length ? [] : ['a transaction is there twice']),
      ...(stray === 0 ? [] : [`${stray} resources belong to no whole transaction`]),
    ];
  } finally {
    await client.close();
  }
}
