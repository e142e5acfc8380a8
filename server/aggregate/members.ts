/**
 * The logs that an aggregate takes in, and how it takes the checkpoint of one. ledger.md §5, https://c2sp.org/tlog-tiles
 *
 * Invariants: of a log only that is taken which it signed, which the witnesses of the policy cosigned, and which continues what was taken last: it never goes back and
 * never forks here; what is wrong with one log is its own affair.
 */
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { memberEntry } from '../../ledger/aggregate.ts';
import { sameBytes } from '../../ledger/hash.ts';
import { type Note, parseNote, type VerifierKey } from '../../ledger/note.ts';
import type { Policy } from '../../ledger/policy.ts';
import { verifyConsistency } from '../../ledger/proof.ts';
import { createRemoteLog, type RemoteLog, Unanswered } from '../../ledger/remote-log.ts';
import { consistencyProof } from '../../ledger/tree.ts';
import type { TreeHead } from '../../ledger/witness.ts';
import type { Taken } from './store.ts';

/** `keys`: of one log, which may have had several. */
export type Member = { readonly origin: string; readonly keys: readonly VerifierKey[]; readonly log: RemoteLog };

/** What is wrong with a log: a sentence for the operator. */
export class MemberFault extends Error {}

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** In the order of their names. Throws Error with a sentence about a line that cannot be used. */
export function membersOf({ logs }: Policy, fetch: Fetch): readonly Member[] {
  const origins = [...new Set(logs.map(({ key }) => key.name))].sort();
  if (origins.length === 0) throw new Error('The policy names no log.');
  return origins.map((origin) => {
    const lines = logs.filter(({ key }) => key.name === origin);
    const [url, ...others] = new Set(lines.flatMap((line) => line.url ?? []));
    if (url === undefined || others.length > 0 || !URL.canParse(url)) throw new Error(`The policy names no one URL for the log ${origin}.`);
    return { origin, keys: lines.map(({ key }) => key), log: createRemoteLog(url.replace(/\/$/, ''), fetch) };
  });
}

/** Undefined: it has not grown since. Throws MemberFault. */
export async function take(member: Member, policy: Policy, last: TreeHead | undefined): Promise<Taken | undefined> {
  const { origin, keys, log } = member;
  try {
    const { size, root, note } = openSigned(await log.checkpoint(), member, policy);
    if (size === last?.size && !sameBytes(root, last.root)) fault('FORKED: it has signed two roots for one size');
    if (size < (last?.size ?? 0)) fault(`WENT BACK: it shows ${size} entries, but signed ${last?.size} before`);
    if (size === (last?.size ?? 0)) return undefined;
    if (last && !(await continues(last, { size, root }, log))) fault(`FORKED: its ${size} entries do not begin with the ${last.size} taken before`);
    return { origin, size, root, entry: memberEntry(note, keys) };
  } catch (error) {
    if (error instanceof MemberFault) throw new MemberFault(`The log ${origin} is left where it was: ${error.message}.`);
    const why = error instanceof Unanswered || error instanceof RangeError ? 'it cannot be read at the moment' : 'it could not be judged';
    throw new MemberFault(`The log ${origin} is left where it was: ${why}.`, { cause: error });
  }
}

function fault(why: string): never {
  throw new MemberFault(why);
}

function openSigned(text: string, { origin, keys }: Member, { witnesses, quorum }: Policy): TreeHead & { readonly note: Note } {
  const opened = openCheckpoint(text, [...keys, ...witnesses.map(({ key }) => key)]);
  const note = parseNote(text);
  if (opened.kind !== 'signed' || !note || !opened.by.some(({ key }) => keys.includes(key)))
    fault(`BAD SIGNATURE: its checkpoint is ${opened.kind === 'signed' ? 'unsigned' : opened.kind}`);
  if (opened.checkpoint.origin !== origin) fault('its checkpoint is of another log');
  if (!quorum(new Set(opened.by.map(({ key }) => key.text)))) fault('the witnesses that cosigned it are not those the policy demands');
  return { ...opened.checkpoint, note };
}

async function continues(last: TreeHead, { size, root }: TreeHead, log: RemoteLog): Promise<boolean> {
  const proof = await consistencyProof(last.size, size, log.tile);
  return verifyConsistency({ oldSize: last.size, oldRoot: last.root, size, root }, proof);
}
