/**
 * An audit trail as a file: the acts that somebody asked for, signed with the log's key; of one patient with the statements that prove them in the log
 * and none left out. ledger.md §4, docs/receipt.md
 *
 * Invariants: the signature is over every character before it, and names itself, so that no checkpoint can stand for it; where an act's AuditEvent is in
 * the file, the act is what the AuditEvent says; what is said about no patient is the server's word alone, and the verdict says so.
 */
import { type Disclosures, holdTogether, readDisclosures, type Run, verifyDisclosures } from './disclosures.ts';
import { isAct } from './entry.ts';
import { digestOf } from './hash.ts';
import { parseNote, parseVerifierKey, verifyNote } from './note.ts';
import type { Policy } from './policy.ts';
import { either, isNull, isText, listOf, readWhole, shape } from './receipt-format.ts';
import { refute } from './receipt-log.ts';
import { readJson, trailWords } from './receipt-terms.ts';

export const TRAIL_FORMAT = 'assent-trail-1';

/** One act, without a word that somebody wrote. Times are ISO instants, `what` and `consents` versioned references. */
export type TrailAct = {
  readonly event: string;
  readonly recorded: string;
  readonly act: string;
  readonly outcome: 'done' | 'refused';
  readonly actor: string;
  readonly client: string;
  readonly purpose: string;
  readonly patient: string | null;
  readonly what: readonly string[];
  readonly consents: readonly string[];
};

/** What was asked for, by a client of the server; null: whatever it is. `from`, `to`: ISO instants, both included. */
export type TrailAsked = {
  readonly by: string;
  readonly at: string;
  readonly patient: string | null;
  readonly actor: string | null;
  readonly purpose: string | null;
  readonly consent: string | null;
  readonly from: string | null;
  readonly to: string | null;
};

export type Trail = {
  readonly format: typeof TRAIL_FORMAT;
  /** The log's verifier key, in signed-note form. */
  readonly log: string;
  readonly asked: TrailAsked;
  /** Newest first. */
  readonly acts: readonly TrailAct[];
  /** Of one patient: statements of disclosures, newest first, each as its exact text. */
  readonly statements: readonly string[];
  /** Signed note over the digest of all before it: signedText. */
  readonly signature: string;
};

type Unsigned = Omit<Trail, 'format' | 'signature'>;

const textOf = ({ log, asked, acts, statements }: Unsigned): string => JSON.stringify({ format: TRAIL_FORMAT, log, asked, acts, statements });

/** What the log's key signs. A checkpoint begins with the log's name and not with this. */
function signedText(trail: Unsigned): string {
  return `${TRAIL_FORMAT}\n${digestOf(textOf(trail))}\n`;
}

/** Whether it is such a text, whatever the trail: all else that the log's key signs is no other's to ask for. */
export function isTrailText(text: string): boolean {
  return new RegExp(`^${TRAIL_FORMAT}\\n[\\w-]{43}\\n$`).test(text);
}

/** `line`: the signature line of the log's key for a text. */
export async function writeTrail(trail: Unsigned, line: (text: string) => Promise<string>): Promise<string> {
  const text = signedText(trail);
  return JSON.stringify({ ...(JSON.parse(textOf(trail)) as Unsigned), signature: `${text}\n${await line(text)}` });
}

const isMaybe = either(isText, isNull);
const isTrail = shape({
  format: isText,
  log: isText,
  asked: shape({ by: isText, at: isText, patient: isMaybe, actor: isMaybe, purpose: isMaybe, consent: isMaybe, from: isMaybe, to: isMaybe }),
  acts: listOf(
    shape({
      event: isText,
      recorded: isText,
      act: isText,
      outcome: (value) => value === 'done' || value === 'refused',
      actor: isText,
      client: isText,
      purpose: isText,
      patient: isMaybe,
      what: listOf(isText),
      consents: listOf(isText),
    }),
  ),
  statements: listOf(isText),
  signature: isText,
});

/** A sentence where the text is none. */
export function readTrail(text: string): Trail | string {
  return readWhole(text, { format: TRAIL_FORMAT, what: 'a trail', is: (value): value is Trail => isTrail(value) });
}

/** Whether an act is one of those asked for: by this the server picks them, and the reader knows that none is missing. */
export function isAskedFor(act: TrailAct, { patient, actor, purpose, consent, from, to }: Omit<TrailAsked, 'by' | 'at'>): boolean {
  return (
    (patient === null || act.patient === patient) &&
    (actor === null || act.actor === actor) &&
    (purpose === null || act.purpose === purpose) &&
    (consent === null || act.consents.some((version) => version === consent || version.startsWith(`${consent}/_history/`))) &&
    (from === null || act.recorded >= from) &&
    (to === null || act.recorded <= to)
  );
}

/** The act of an AuditEvent's exact text; undefined: it is none. */
export function actOf(event: string): TrailAct | undefined {
  const words = trailWords(readJson(event) ?? {});
  return words && { ...words, patient: words.patient ?? null };
}

/** Throws Refuted. */
export function verifyTrail(
  trail: Trail,
  policy: Policy | undefined,
): { readonly proven: readonly string[]; readonly notProven: readonly string[]; readonly run?: Run } {
  // With statements it is trusted as they are: each is by the same key.
  requireSignature(trail, trail.statements.length === 0 ? policy : undefined);
  const { asked, acts, statements } = trail;
  const told = [
    `${acts.length === 1 ? '1 act' : `${acts.length} acts`}, asked for by ${asked.by} at ${asked.at}${criteriaOf(asked)}: signed as a whole with the log’s key, ${trail.log}.`,
  ];
  if (acts.some((act) => !isAskedFor(act, asked))) refute('It holds an act that was not asked for.');
  if (asked.patient === null || statements.length === 0) {
    if (statements.length > 0) refute('It holds statements about nobody who was asked for.');
    return { proven: told, notProven: [SERVERS_WORD, NOT_WHOLE] };
  }
  const read = statements.map((text) => statementIn(text, trail));
  const verified = read.map((statement) => verifyDisclosures(statement, policy));
  const runs = verified.map(({ run }) => run);
  const hidden = requireActs(trail, read);
  const notProven = verified.flatMap((each) => each.notProven);
  return {
    proven: [...told, ...new Set(verified.flatMap(({ proven }) => proven)), ...holdTogether(runs), ...(hidden ? [] : [NONE_MISSING])],
    notProven: [...(hidden ? [HIDDEN] : []), ...new Set(notProven)],
    ...(runs.length === 1 && runs[0] ? { run: runs[0] } : {}),
  };
}

const SERVERS_WORD = 'That the acts are in the log: without a patient they are the server’s word.';
const NOT_WHOLE = 'That no act is missing: only the trail of one patient is proven whole.';
const NONE_MISSING = 'Every act of these entries that was asked for is in it, as its AuditEvent says.';
const HIDDEN = 'Acts whose AuditEvent is not shown: who acted and what for is the server’s word.';

function requireSignature(trail: Trail, policy: Policy | undefined): void {
  const key = parseVerifierKey(trail.log);
  if (key?.use !== 'note') refute('The log’s key is not a verifier key.');
  if (policy && !policy.logs.some((known) => known.key.text === trail.log)) refute('The log is none of those trusted.');
  const note = parseNote(trail.signature);
  const holds = note?.text === signedText(trail) && note.signatures.length === 1 && verifyNote(note, [key]).kind === 'signed';
  if (!holds) refute('The log’s key did not sign this trail.');
}

function criteriaOf({ patient, actor, purpose, consent, from, to }: TrailAsked): string {
  const named = Object.entries({ about: patient, by: actor, for: purpose, under: consent, from, to });
  const words = named.flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]));
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

function statementIn(text: string, { log, asked }: Trail): Disclosures {
  const statement = readDisclosures(text);
  if (typeof statement === 'string') return refute('A statement in it cannot be read.');
  if (statement.log !== log || statement.patient !== asked.patient) refute('A statement in it is about somebody else or of another log.');
  return statement;
}

/** Whether there are acts whose AuditEvent is not shown. Each act stands in a statement, and each one there that was asked for is an act. */
function requireActs({ acts, asked }: Trail, statements: readonly Disclosures[]): boolean {
  const links = statements.flatMap((statement) => statement.links).flatMap((link) => ('entry' in link && isAct(link.entry.kind) ? [link] : []));
  const told = new Map(acts.map((act) => [act.event, act]));
  if (told.size < acts.length) refute('It tells an act twice.');
  const entries = new Map(links.map((link) => [link.reference, link]));
  for (const act of acts) {
    const link = entries.get(act.event) ?? refute(`${act.event} is in none of its statements.`);
    if (link.event === null ? link.entry.occurredAt !== act.recorded : JSON.stringify(actOf(link.event)) !== JSON.stringify(act))
      refute(`${act.event} is not told as it was recorded.`);
  }
  for (const { reference, event } of links) {
    const act = event === null ? undefined : actOf(event);
    if (act && isAskedFor(act, asked) && !told.has(reference)) refute(`${reference} was left out.`);
  }
  return links.some(({ event }) => event === null);
}
