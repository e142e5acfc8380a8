/**
 * Has witnesses cosign signed checkpoints, as the operator's policy demands. https://c2sp.org/tlog-witness, ledger.md §2
 *
 * Invariants: nothing waits for a witness; a checkpoint counts as witnessed only once it carries the cosignatures of a quorum, verified
 * here; what a witness says without a signature of this log's own key only ever leads to a report.
 */
import { boundedText } from '../../ledger/answer.ts';
import type { Schedule } from '../../ledger/batch.ts';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { sameBytes, sha256 } from '../../ledger/hash.ts';
import { type NoteSignature, parseNote, parseSignatures, signatureLine, type VerifierKey, verifyNote } from '../../ledger/note.ts';
import type { KnownWitness, Policy } from '../../ledger/policy.ts';
import { consistencyProof, rootAt } from '../../ledger/tree.ts';
import { writeAddCheckpoint } from '../../ledger/witness.ts';
import { AssentError } from '../errors.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { type CheckpointRecord, kinds, type LogRecords } from './log-records.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type WitnessesDependencies = {
  readonly policy: Policy;
  readonly key: VerifierKey;
  /** Those the log has had, this one among them. */
  readonly keys: readonly VerifierKey[];
  readonly log: LogStore;
  readonly stored: LogRecords;
  readonly schedule: Schedule;
  readonly fetch: Fetch;
  readonly report: (fault: unknown) => void;
};

export type Witnesses = {
  /** Returns at once. Of several checkpoints offered while witnesses are asked, only the newest is shown to them. */
  offer(checkpoint: CheckpointRecord): void;
  /** Resolves once the newest checkpoint was shown to all; what failed is not tried again. */
  stop(): Promise<void>;
  /** A sentence when a witness holds this log's own signature under a history that is not the stored one. */
  contradiction(): Promise<string | undefined>;
};

const ANSWER_MS = 5_000;
const RETRY_MS = 5_000;
const MOST_ANSWER_BYTES = 65_536;

export function createWitnesses(deps: WitnessesDependencies): Witnesses {
  const { schedule } = deps;
  const asked = witnessesOf(deps).map((witness) => createAsking(witness, deps));
  let wanted: CheckpointRecord | undefined;
  let running: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let stopped = false;
  const run = async (): Promise<void> => {
    while (wanted) {
      const checkpoint = wanted;
      wanted = undefined;
      if ((await round(checkpoint, asked, deps)) || wanted || stopped) continue;
      cancel = schedule(RETRY_MS, () => offer(wanted ?? checkpoint));
    }
  };
  const offer = (checkpoint: CheckpointRecord): void => {
    wanted = checkpoint;
    cancel?.();
    running ??= run()
      .catch(deps.report)
      .finally(() => {
        running = undefined;
      });
  };
  return {
    offer,
    async stop() {
      stopped = true;
      cancel?.();
      await running;
    },
    contradiction: () => contradiction(deps),
  };
}

type Reachable = KnownWitness & { readonly url: string };

function witnessesOf({ policy }: Pick<WitnessesDependencies, 'policy'>): Reachable[] {
  return policy.witnesses.flatMap((witness) => (witness.url === undefined ? [] : [{ ...witness, url: witness.url.replace(/\/$/, '') }]));
}

/** One witness: what it has cosigned last, and what was wrong with it last, so that it is said once. */
type Asking = { readonly witness: Reachable; ask(checkpoint: CheckpointRecord): Promise<NoteSignature | undefined> };

function createAsking(witness: Reachable, deps: WitnessesDependencies): Asking {
  let known = 0;
  let problem: string | undefined;
  const submit = async (checkpoint: CheckpointRecord): Promise<NoteSignature> => {
    for (const last of [false, true]) {
      const proof = await consistencyProof(known, checkpoint.size, deps.stored.tile);
      const body = writeAddCheckpoint({ oldSize: known, proof, note: checkpoint.note });
      const { status, text } = await call(deps.fetch, `${witness.url}/add-checkpoint`, { method: 'POST', body });
      const size = status === 409 && /^(0|[1-9]\d{0,15})\n$/.test(text) ? Number(text) : undefined;
      if (status === 200) {
        known = checkpoint.size;
        return cosignatureIn(text, checkpoint, witness);
      }
      if (size === undefined || last) throw new AssentError('unavailable', `The witness ${witness.name} answered ${status}.`);
      if (size > checkpoint.size)
        throw new AssentError('unavailable', `The witness ${witness.name} says it has cosigned ${size} entries, but the log has ${checkpoint.size}.`);
      known = size;
    }
    throw new AssentError('internal', 'A witness was asked twice without an answer.');
  };
  return {
    witness,
    async ask(checkpoint) {
      try {
        const signature = await submit(checkpoint);
        problem = undefined;
        return signature;
      } catch (fault) {
        const said = fault instanceof AssentError ? fault : new AssentError('unavailable', `The witness ${witness.name} could not be asked.`);
        if (said.message !== problem) deps.report(said);
        problem = said.message;
        return undefined;
      }
    },
  };
}

function cosignatureIn(text: string, { note }: CheckpointRecord, { key, name }: Reachable): NoteSignature {
  const parsed = parseNote(note);
  const signature = parseSignatures(text)?.find((line) => line.name === key.name && line.id === key.id);
  if (!parsed || !signature || verifyNote({ text: parsed.text, signatures: [signature] }, [key]).kind !== 'signed')
    throw new AssentError('unavailable', `The witness ${name} answered no cosignature of its own.`);
  return signature;
}

/** True once all have cosigned. What a quorum cosigned is kept as soon as it has, and again with every further one. */
async function round(checkpoint: CheckpointRecord, asked: readonly Asking[], deps: WitnessesDependencies): Promise<boolean> {
  const signatures = new Map<Reachable, NoteSignature>();
  let kept: Promise<unknown> = Promise.resolve();
  await Promise.all(
    asked.map(async ({ witness, ask }) => {
      const signature = await ask(checkpoint);
      if (!signature) return;
      signatures.set(witness, signature);
      const by = [...(checkpoint.witnesses ?? []), ...[...signatures.keys()].map(({ key }) => key.text)];
      // In the policy's order, whoever answered first: one checkpoint cosigned by the same witnesses has one text.
      const lines = asked.flatMap(({ witness: each }): Cosigned[] => {
        const line = signatures.get(each);
        return line ? [{ key: each.key.text, line }] : [];
      });
      if (deps.policy.quorum(new Set(by))) kept = kept.then(() => keep(checkpoint, lines, deps));
    }),
  );
  await kept;
  return signatures.size === asked.length;
}

type Cosigned = { readonly key: string; readonly line: NoteSignature };

async function keep(
  { size, note, signedAt, witnesses: signed = [] }: CheckpointRecord,
  cosigned: readonly Cosigned[],
  { log, stored }: WitnessesDependencies,
): Promise<void> {
  const before = await stored.keptWitnessed();
  if (before && (before.value.size > size || (before.value.size === size && before.value.witnesses.length > signed.length + cosigned.length))) return;
  const name = { recordKind: kinds.witnessed, id: kinds.witnessed };
  const value = {
    size,
    signedAt,
    note: note + cosigned.map(({ line }) => signatureLine(line)).join(''),
    witnesses: [...signed, ...cosigned.map(({ key }) => key)],
  };
  // Where another process was faster, its checkpoint is as good.
  await writeRecords(log, { ...name, revision: before?.revision ?? null }, [{ kind: 'put', ...name, value }]);
}

/** Witnesses that show what they cosigned last (ours do) are asked; those that do not answer say nothing. */
async function contradiction(deps: WitnessesDependencies): Promise<string | undefined> {
  const found = await Promise.all(
    witnessesOf(deps).map((witness) =>
      contradictionOf(witness, deps).catch(() => {
        deps.report(new AssentError('unavailable', `The witness ${witness.name} could not be asked.`));
        return undefined;
      }),
    ),
  );
  return found.find((sentence) => sentence !== undefined);
}

async function contradictionOf({ url, name }: Reachable, { key, keys, stored, fetch }: WitnessesDependencies): Promise<string | undefined> {
  const { status, text } = await call(fetch, `${url}/checkpoint/${sha256(key.name).toString('hex')}`, { method: 'GET' });
  const opened = openCheckpoint(text, keys);
  if (status !== 200 || opened.kind !== 'signed' || opened.checkpoint.origin !== key.name) return undefined;
  const { size, root } = opened.checkpoint;
  if (size > (await stored.head())) return `The witness ${name} holds a checkpoint of ${size} entries signed by this log: the database is older.`;
  if (!sameBytes(await rootAt(size, stored.tile), root)) return `The witness ${name} holds a checkpoint signed by this log with another history.`;
  return undefined;
}

async function call(fetch: Fetch, url: string, init: RequestInit): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await boundedText(response, MOST_ANSWER_BYTES);
  if (text === undefined) throw new AssentError('unavailable', 'A witness answered more than a witness has to say.');
  return { status: response.status, text };
}
