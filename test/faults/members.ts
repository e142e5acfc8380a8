/** What can be done to the members of a replica set, and what they think of themselves. Everything is a signal to a process. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import type { Member, ReplicaSet } from '../support/mongod.ts';

/**
 * Two faults may meet: a member that has just been started again looks for one to copy from, asks one that is cut off without a word, and gives up
 * after the 20 s that MongoDB waits for a connection between members (no setting changes that). Until then the other one has no majority behind it.
 * Then the preferred member takes over: two elections of up to 6 s. Each caller on the island waits another 5 s before it turns to the mainland,
 * for up to three changes in a row. That is 20 + 12 + 15 s on an idle machine; a loaded one gets twice as much and some.
 */
const LONGEST_MS = 120_000;

/** Repeats a question until the answer is yes; two minutes without one end the run. */
export async function until(what: string, held: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + LONGEST_MS;
  while (!(await held())) {
    if (performance.now() > end) throw new Error(`Two minutes have passed, and still not: ${what}.`);
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
