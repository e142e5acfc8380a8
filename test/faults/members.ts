/** What can be done to the members of a replica set, and what they think of themselves. Everything is a signal to a process. */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Document, MongoClient } from 'mongodb';
import type { Member, ReplicaSet } from '../support/mongod.ts';

/**
 * Until commits are confirmed after a fault: a member notices a silent source of its oplog and tries it once more (2 s + 3 s) before it takes another,
 * and the preferred member may take over from the one just elected, two elections of up to 6 s. Each caller on the island waits another 5 s before
 * it turns to the mainland, for up to three changes in a row. That is 5 + 12 + 15 s on an idle machine; a loaded one gets several times as much.
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

async function isPrimary(member: Member): Promise<boolean> {
  return Boolean((await answerOf(member, { hello: 1 }))?.['isWritablePrimary']);
}

const PRIMARY = 1;
const SECONDARY = 2;

/**
 * One primary, and two members that follow it from a source that has answered them. Where a member is still rolling back or choosing its source
 * when that source falls silent, that is a second fault beside the first: until the member gives up there is no majority, which takes 20 s (a
 * connection) or 30 s (a question to a candidate) by timers that are built into MongoDB 6.0.
 */
export async function allFollow({ members }: ReplicaSet): Promise<void> {
  await until('members that follow one primary', async () => {
    const answers = await Promise.all(members.map((member) => answerOf(member, { replSetGetStatus: 1 })));
    const [leading, ...others] = answers.toSorted((one, other) => Number(one?.['myState']) - Number(other?.['myState']));
    const follows = (status: Document | undefined): boolean =>
      status?.['myState'] === SECONDARY &&
      status['syncSourceHost'] !== '' &&
      status['term'] === leading?.['term'] &&
      appliedTerm(status) === status['term'];
    return leading?.['myState'] === PRIMARY && others.every(follows);
  });
}

function appliedTerm(status: Document): unknown {
  return status['optimes'].appliedOpTime.t;
}

async function answerOf({ port }: Member, command: Document): Promise<Document | undefined> {
  const limits = { serverSelectionTimeoutMS: 500, connectTimeoutMS: 500, socketTimeoutMS: 1_000 };
  const client = new MongoClient(direct(port), limits);
  try {
    return await client.db('admin').command(command);
  } catch {
    return undefined;
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

/** Resolves when each of its threads stands still: they notice the signal some time after it is sent, and answer until then. proc_pid_stat(5) */
export async function freeze({ process }: Member): Promise<void> {
  process.kill('SIGSTOP');
  const threads = `/proc/${process.pid}/task`;
  const isStill = (thread: string) => /\) T /.test(readFileSync(`${threads}/${thread}/stat`, 'latin1'));
  await until('the member stands still', () => !existsSync(threads) || readdirSync(threads).every(isStill));
}

export function wake({ process }: Member): void {
  process.kill('SIGCONT');
}
