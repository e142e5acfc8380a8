/**
 * Whom a reader trusts: logs, witnesses, and how many of which witnesses must have cosigned. https://c2sp.org/tlog-policy
 * Invariant: a line that is not understood makes the whole policy unreadable: half a policy would trust more than was meant.
 */
import type { Place } from './anchor/place.ts';
import { parseVerifierKey, type VerifierKey } from './note.ts';

export type KnownLog = { readonly key: VerifierKey; readonly url?: string };
export type KnownWitness = { readonly name: string; readonly key: VerifierKey; readonly url?: string };

export type Policy = {
  readonly logs: readonly KnownLog[];
  readonly witnesses: readonly KnownWitness[];
  /** Whether cosignatures by these keys (in their text form) are enough. */
  readonly quorum: (keys: ReadonlySet<string>) => boolean;
  /** Places in each of which a receipt must be anchored. A line of ours: `anchor evm <chain id> <contract> <log id>`, or `anchor rfc3161`. */
  readonly anchors: readonly AnchorPin[];
};

/** A log in a contract of a chain, in lower case; or any time-stamp, whose authority is known by its certificates. */
export type AnchorPin =
  | { readonly kind: 'evm'; readonly chainId: number; readonly contract: string; readonly logId: string }
  | { readonly kind: 'rfc3161' };

export function isPinned(place: Place, pin: AnchorPin): boolean {
  if (place.kind !== 'evm' || pin.kind !== 'evm') return place.kind === pin.kind;
  return place.chainId === pin.chainId && place.contract === pin.contract && place.logId === pin.logId;
}

type Member = (keys: ReadonlySet<string>) => boolean;
type Draft = {
  logs: KnownLog[];
  witnesses: KnownWitness[];
  members: Map<string, Member>;
  grouped: Set<string>;
  quorum: Member | undefined;
  anchors: AnchorPin[];
};

/** The policy, or a sentence about the first line that is wrong. Where no witness is named the quorum line may be left out. */
export function parsePolicy(text: string): Policy | string {
  const draft: Draft = {
    logs: [],
    witnesses: [],
    members: new Map([['none', () => true]]),
    grouped: new Set(['none']),
    quorum: undefined,
    anchors: [],
  };
  for (const [at, line] of text.split('\n').entries()) {
    const [word = '', ...rest] = line.split(/[ \t]+/).filter((part) => part !== '');
    if (word === '' || word.startsWith('#')) continue;
    const take = lines.get(word);
    const problem = hasControls(line) ? 'holds a control character' : take ? take(draft, rest) : 'is of no known kind';
    if (problem !== undefined) return `Line ${at + 1} of the policy ${problem}.`;
  }
  const { logs, witnesses, anchors } = draft;
  const quorum = draft.quorum ?? (witnesses.length === 0 ? () => true : undefined);
  return quorum ? { logs, witnesses, quorum, anchors } : 'The policy names witnesses, but no quorum.';
}

/**
 * What a reader says of whom they trust: a policy, or verifier keys alone, one to a line: the logs among them are trusted, and each of the others must have signed as well.
 * A sentence where it is neither, or names no log.
 */
export function parseTrust(text: string): Policy | string {
  const lines = text.split(/\r?\n/).map((line) => ({ line, key: parseVerifierKey(line.trim()) }));
  const policy = parsePolicy(lines.map(({ line, key }) => (key ? (key.use === 'note' ? `log ${key.text}` : '') : line)).join('\n'));
  if (typeof policy === 'string') return policy;
  if (policy.logs.length === 0) return 'It names no log.';
  const demanded = lines.flatMap(({ key }) => (key?.use === 'cosignature' ? [{ name: key.name, key }] : []));
  const quorum = (keys: ReadonlySet<string>) => policy.quorum(keys) && demanded.every(({ key }) => keys.has(key.text));
  return { ...policy, witnesses: [...policy.witnesses, ...demanded], quorum };
}

function hasControls(line: string): boolean {
  for (let i = 0; i < line.length; i++) if (line.charCodeAt(i) === 0x7f || (line.charCodeAt(i) < 0x20 && line.charCodeAt(i) !== 0x09)) return true;
  return false;
}

/** Takes one line into the draft, or says what is wrong with it. */
type Line = (draft: Draft, words: readonly string[]) => string | undefined;

const lines = new Map<string, Line>([
  ['log', takeLog],
  ['witness', takeWitness],
  ['group', takeGroup],
  ['quorum', takeQuorum],
  ['anchor', takeAnchor],
]);

function takeLog({ logs }: Draft, [vkey = '', url, ...more]: readonly string[]): string | undefined {
  const key = parseVerifierKey(vkey);
  if (key?.use !== 'note' || more.length > 0) return 'is not `log <vkey> [<url>]`';
  if (logs.some((log) => isSame(log.key, key))) return 'names a log a second time';
  logs.push(url === undefined ? { key } : { key, url });
  return undefined;
}

function takeWitness({ witnesses, members }: Draft, [name = '', vkey = '', url, ...more]: readonly string[]): string | undefined {
  const key = parseVerifierKey(vkey);
  if (key?.use !== 'cosignature' || more.length > 0) return 'is not `witness <name> <vkey> [<url>]`';
  if (witnesses.some((witness) => isSame(witness.key, key))) return 'names a witness a second time';
  if (members.has(name)) return 'gives a name a second time';
  witnesses.push(url === undefined ? { name, key } : { name, key, url });
  members.set(name, (keys) => keys.has(key.text));
  return undefined;
}

function takeGroup({ members, grouped }: Draft, [name = '', count = '', ...names]: readonly string[]): string | undefined {
  const needed = count === 'all' ? names.length : count === 'any' ? 1 : /^[1-9]\d*$/.test(count) ? Number(count) : 0;
  if (needed < 1 || needed > names.length) return 'is not `group <name> all|any|<k> <name>…`';
  if (members.has(name)) return 'gives a name a second time';
  const of = names.flatMap((member) => (grouped.has(member) ? [] : (members.get(member) ?? [])));
  if (new Set(names).size !== names.length || of.length !== names.length) return 'names a member that is not there, or is in a group already';
  for (const member of names) grouped.add(member);
  members.set(name, (keys) => of.filter((member) => member(keys)).length >= needed);
  return undefined;
}

function takeQuorum(draft: Draft, [name = '', ...more]: readonly string[]): string | undefined {
  const member = draft.members.get(name);
  if (!member || more.length > 0) return 'names nothing that stands above it';
  if (draft.quorum) return 'is a second quorum';
  draft.quorum = member;
  return undefined;
}

function takeAnchor({ anchors }: Draft, [kind, chainId = '', contract = '', logId = '', ...more]: readonly string[]): string | undefined {
  const named = `${chainId} ${contract} ${logId}`.toLowerCase();
  if (kind === 'rfc3161' && chainId === '') anchors.push({ kind });
  else if (kind === 'evm' && more.length === 0 && /^[1-9]\d{0,14} 0x[0-9a-f]{40} 0x[0-9a-f]{64}$/.test(named))
    anchors.push({ kind, chainId: Number(chainId), contract: contract.toLowerCase(), logId: logId.toLowerCase() });
  else return 'is not `anchor evm <chain id> <contract> <log id>` or `anchor rfc3161`';
  return undefined;
}

/** The same key, whatever its name. */
function isSame(one: VerifierKey, other: VerifierKey): boolean {
  return one.publicKey.equals(other.publicKey);
}
