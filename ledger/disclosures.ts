/**
 * The statement of what was recorded about one patient: a run of the patient's chain of log entries, newest first, each proven to be in the log.
 * Several runs, and the receipts of those who asked, are held against each other. ledger.md §4
 *
 * Invariants: an entry names its number in the chain and the entry before it under its own hash, so that none can be left out of a run; as of a
 * receipt, every character is bound to the checkpoint's root or to its signature.
 */
import { isAct, isErases, type PrivateEntry } from './entry.ts';
import { digestOf } from './hash.ts';
import type { Policy } from './policy.ts';
import {
  isCount,
  isEntryWith,
  isNull,
  isText,
  either,
  listOf,
  ON_LOG,
  type OnLog,
  onLog,
  type ReceiptEntry,
  readWhole,
  shape,
} from './receipt-format.ts';
import { type Log, logSentences, openLog, refute, requireInclusion, requireSalt, type SignedWith } from './receipt-log.ts';
import { eventWords, readJson } from './receipt-terms.ts';

export const DISCLOSURES_FORMAT = 'assent-disclosures-1';

/** An entry of the chain. `event`: exact text of the AuditEvent; null where it is of something else, or names another person and is not shown. */
export type OpenLink = { readonly reference: string; readonly event: string | null; readonly entry: ReceiptEntry };
/** Its salt is gone: it says nothing any more, and the entries on both sides of it say where it was. */
export type ErasedLink = { readonly erased: Place };

export type Disclosures = OnLog & {
  readonly format: typeof DISCLOSURES_FORMAT;
  /** `Patient/x`. */
  readonly patient: string;
  /** The server says that the log, at the checkpoint's size, held no newer entry about them. */
  readonly newest: boolean;
  /** Newest first, without a gap. */
  readonly links: readonly (OpenLink | ErasedLink)[];
  /** base64 hashes that lead from all open entries to the checkpoint's root, from left to right. */
  readonly proof: readonly string[];
};

export function writeDisclosures({ patient, newest, links, proof, ...rest }: Omit<Disclosures, 'format'>): string {
  return JSON.stringify({ format: DISCLOSURES_FORMAT, ...onLog(rest), patient, newest, links, proof });
}

const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
const isPlace = shape({ index: isCount, subjectSeq: isCount, previous: either(isCount, isNull) });
const isLink = either(
  shape({ reference: isText, event: either(isText, isNull), entry: isEntryWith({ erases: isErases }) }),
  shape({ erased: isPlace }),
);
const isStatement = shape(
  { format: isText, log: isText, checkpoint: isText, patient: isText, newest: isBoolean, links: listOf(isLink), proof: listOf(isText) },
  ON_LOG,
);

/** A sentence where the text is none. */
export function readDisclosures(text: string): Disclosures | string {
  return readWhole(text, { format: DISCLOSURES_FORMAT, what: 'a statement of disclosures', is: (value): value is Disclosures => isStatement(value) });
}

/** What a file proves of one chain, for files to be held against each other. */
export type Run = {
  readonly log: SignedWith & Pick<Log, 'keys'>;
  readonly patient: string;
  /** Stands for the patient in the log. */
  readonly handle: string | null;
  readonly newest: boolean;
  /** Index by number: of the entries it holds, and with those it says came before. */
  readonly held: ReadonlyMap<number, number>;
  readonly known: ReadonlyMap<number, number>;
};

type Place = Pick<PrivateEntry, 'index' | 'subjectSeq' | 'previous'>;

export function runOf(places: readonly Place[], whose: Omit<Run, 'held' | 'known'>): Run {
  const held = new Map(places.map(({ subjectSeq, index }) => [subjectSeq, index]));
  const before = places.flatMap(({ subjectSeq, previous }) => (previous === null ? [] : [[subjectSeq - 1, previous] as const]));
  return { ...whose, held, known: new Map([...before, ...held]) };
}

/** Throws Refuted. */
export function verifyDisclosures(
  { patient, newest, links, proof, ...rest }: Disclosures,
  policy: Policy | undefined,
): { readonly proven: readonly string[]; readonly notProven: readonly string[]; readonly run: Run } {
  const log = openLog(rest, policy);
  const open = links.flatMap((link) => ('entry' in link ? [openedOf(link, patient)] : []));
  const handles = new Set(open.map(({ subject }) => subject));
  if (handles.size > 1 || handles.has(null)) refute('Its entries are not all about one subject.');
  requireChain(links.map(placeOf));
  if (open.length + log.rotated.length > 0) requireInclusion(proof, log, open);
  else if (proof.length > 0) refute('It proves entries that it does not hold.');
  const { proven, notProven } = logSentences(log, policy);
  return {
    run: runOf(links.map(placeOf), { log, patient, handle: open[0]?.subject ?? null, newest }),
    proven: [
      ...runSentences(patient, links),
      `All of this stood in the log ${log.origin} when it had ${log.size} entries, under a checkpoint signed by ${log.key}.`,
      ...proven,
    ],
    notProven: [
      ...notProven,
      newest
        ? 'That there was no newer entry about them then: the receipt of this answer, checked together with it, names the entry before the asking.'
        : 'What is newer: it is in the page before.',
      'That the times stated are right: they are the server’s own.',
      ...(links.some((link) => 'erased' in link) ? ['What the erased entries said.'] : []),
      ...(links.some((link) => 'entry' in link && link.event === null && isAct(link.entry.kind))
        ? ['Who acted where the AuditEvent names another person: it is not shown.']
        : []),
    ],
  };
}

function openedOf({ reference, event, entry }: OpenLink, patient: string): PrivateEntry {
  requireSalt(entry);
  if (isAct(entry.kind) !== reference.startsWith('AuditEvent/')) refute(`${reference} is no ${entry.kind}.`);
  if (event !== null) {
    const words = eventWords(readJson(event) ?? refute('An AuditEvent is not JSON.'));
    if (words?.reference !== reference || entry.digest !== digestOf(event)) refute(`${reference} is not the one in the log.`);
    if (words.patient !== patient) refute(`${reference} is not about ${patient}.`);
  }
  return { ...entry, reference };
}

function placeOf(link: OpenLink | ErasedLink): Place {
  return 'entry' in link ? link.entry : link.erased;
}

function requireChain(places: readonly Place[]): void {
  for (const [i, { subjectSeq, previous, index }] of places.entries()) {
    const next = places[i + 1];
    if (subjectSeq < 1 || (previous === null) !== (subjectSeq === 1)) refute(`Entry ${index} has no place in a chain.`);
    if (next && (next.index !== previous || next.subjectSeq !== subjectSeq - 1)) refute(`What came before entry ${index} was left out.`);
  }
}

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

function runSentences(patient: string, links: Disclosures['links']): string[] {
  const [first, last] = [links[0], links.at(-1)];
  if (!first || !last) return [`It names no entry about ${patient}.`];
  const of = (kind: ReceiptEntry['kind']) => links.filter((link) => 'entry' in link && link.entry.kind === kind).length;
  const acts = [
    plural(of('disclosure'), 'disclosure', 'disclosures'),
    plural(of('denial'), 'refusal', 'refusals'),
    plural(of('write'), 'write', 'writes'),
  ];
  const broken = of('break-glass');
  const erased = links.filter((link) => 'erased' in link).length;
  const others = links.filter((link) => 'entry' in link && !isAct(link.entry.kind)).length;
  const rest = [
    ...(broken > 0 ? [plural(broken, 'broken glass', 'broken glasses')] : []),
    ...(others > 0 ? [`${others} about Consents and keys`] : []),
    ...(erased > 0 ? [`${erased} erased`] : []),
  ];
  const [from, to] = [placeOf(last).subjectSeq, placeOf(first).subjectSeq];
  return [
    `${patient}: entries ${from} to ${to} of the chain about them, none left out between: ${[...acts, ...rest].join(', ')}.`,
    ...(from === 1 ? ['It reaches back to the first entry about them.'] : []),
  ];
}

/**
 * Several statements and receipts: whether together they are the whole chain about a patient. Throws Refuted: a statement lacks an entry that the log
 * held, or the log tells two stories.
 */
export function holdTogether(runs: readonly Run[]): readonly string[] {
  const sentences: string[] = [];
  const first = firstKeys(runs);
  for (const [, theirs] of Map.groupBy(runs, ({ log, patient }) => `${first(log.keys)} ${patient}`)) {
    const [one, second] = theirs;
    if (!one || !second) continue;
    if (new Set(theirs.flatMap(({ handle }) => handle ?? [])).size > 1) refute(`The log has ${one.patient} under two handles.`);
    const known = placesKnown(theirs);
    for (const run of theirs) requireNewest(run, known);
    const held = new Set(theirs.flatMap((run) => [...run.held.keys()]));
    const newest = Math.max(0, ...known.keys());
    const missing = Array.from({ length: newest }, (_, i) => i + 1).filter((number) => !held.has(number));
    sentences.push(
      missing.length === 0
        ? `${one.patient}: together these are the whole chain about them, entries 1 to ${newest}.`
        : `${one.patient}: of entries 1 to ${newest} about them these do not hold ${listed(missing)}.`,
    );
  }
  return sentences;
}

/** The first key of the log that has these: whose key was replaced is one log under several keys. */
function firstKeys(runs: readonly Run[]): (keys: readonly string[]) => string | undefined {
  const firsts = new Map(runs.flatMap(({ log: { keys } }) => keys.slice(1).map((key) => [key, keys[0]] as const)));
  return ([key = '']) => firsts.get(key) ?? key;
}

function placesKnown(runs: readonly Run[]): ReadonlyMap<number, number> {
  const known = new Map<number, number>();
  for (const { patient, known: theirs } of runs) {
    for (const [number, index] of theirs) {
      const other = known.get(number) ?? index;
      if (other !== index) refute(`The log holds two entries ${number} about ${patient}: ${other} and ${index}.`);
      known.set(number, index);
    }
  }
  return known;
}

function requireNewest({ newest, held, log, patient }: Run, known: ReadonlyMap<number, number>): void {
  if (!newest) return;
  const last = Math.max(0, ...held.keys());
  for (const [number, index] of known)
    if (number > last && index < log.size)
      refute(`Entry ${index}, the ${number}th about ${patient}, was left out of a statement that should have held it.`);
}

const MOST_LISTED = 20;

function listed(numbers: readonly number[]): string {
  const more = numbers.length - MOST_LISTED;
  return `${numbers.slice(0, MOST_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
