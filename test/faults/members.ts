/** What can be done to the members of a replica set, and what they think of themselves. Everything is a signal to a process. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import type { Member, ReplicaSet } from '../support/mongod.ts';

const LONGEST_MS = 60_000;

/** Repeats a question until the answer is yes; a minute without one ends the run. */
export async function until(what: string, held: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + LONGEST_MS;
  while (!(await held())) {
    if (performance.now() > end) throw new Error(`A minute has passed, and still not: ${what}.`);
    await sleep(20);
  }
}

/** Asked of each member by itself, as a client that knows all of them would leave out one that it takes for deposed. */
export async function primaryOf(set: ReplicaSet, except?: Member): Promise<Member> {
  let found: Member | undefined;
  await until('a primary', async () => {
    const asked = set.members.filter((member) => member !== except);
    const answers = await Promise.all(asked.map(isPrimary));
    found = asked.find((_, i) => answers[i]);
    return found !== undefined;
  });
  return found as Member;
}

/** The first member is preferred: once it is the primary again, no further election comes by itself. */
export async function preferredPrimary({ members: [first] }: ReplicaSet): Promise<void> {
  await until('the preferred primary', () => first !== undefined && isPrimary(first));
}

async function isPrimary({ port }: Member): Promise<boolean> {
  const limits = { serverSelectionTimeoutMS: 500, connectTimeoutMS: 500, socketTimeoutMS: 1_000 };
  const client = new MongoClient(direct(port), limits);
  try {
    return Boolean((await client.db('admin').command({ hello: 1 }))['isWritablePrimary']);
  } catch {
    return false;
  } finally {
    await client.close();
  }
}

/** One member only, whatever the others say. */
export function direct(port: number, database = ''): string {
  return `mongodb://127.0.0.1:${port}/${database}?directConnection=true`;
}

export async function kill({ process }: Member): Promise<void> {
  const ended = once(process, 'exit');
  process.kill('SIGKILL');
  await ended;
}

export function freeze({ process }: Member): void {
  process.kill('SIGSTOP');
}

export function wake({ process }: Member): void {
  process.kill('SIGCONT');
}
