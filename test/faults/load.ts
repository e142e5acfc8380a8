/**
 * The load: writers, and patients whose records are read under a grant that is given and withdrawn again and again, as the Gate does it: a
 * view is kept until its epoch has moved, and a body is given away only after its disclosure was committed under that epoch.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { all, none } from '../../server/search/expression.ts';
import type { Engine, Scope, WriteSet } from '../../server/store/port.ts';
import { query, resource, writes } from '../contract/subject.ts';
import { disclosureOf, noteFailure, type Witness, withdrawalOf } from './witness.ts';

export const WRITTEN = 'Load';
const RECORD = 'Record';
const CONSENT = 'Grant';
const WRITERS = 4;
export const PATIENTS = ['p0', 'p1', 'p2'] as const;
const GRANTED_MS = 250;
const WITHDRAWN_MS = 50;

type Inside = { readonly engines: readonly [Engine, Engine]; readonly witness: Witness; readonly going: () => boolean };
export type Load = { end(): Promise<void> };

export function startLoad({ engines, witness }: Pick<Inside, 'engines' | 'witness'>): Load {
  let ended = false;
  const inside: Inside = { engines, witness, going: () => !ended };
  const running = [
    ...Array.from({ length: WRITERS }, (_, i) => keepWriting(inside, i)),
    ...PATIENTS.map((patient, i) => keepChangingMind(inside, patient, i)),
    ...PATIENTS.flatMap((patient) => [keepReading(inside, patient, 0), keepReading(inside, patient, 1)]),
  ];
  return {
    end: async () => {
      ended = true;
      await Promise.all(running);
    },
  };
}

async function keepWriting({ engines, witness, going }: Inside, writer: number): Promise<void> {
  for (let i = 0; going(); i++) {
    const id = `w${writer}-${i}`;
    const engine = engines[i % 2 === 0 ? 0 : 1];
    await witness.write(id, () => committed(engine, writes([resource(WRITTEN, id)], { log: [{ key: id, entry: id }] })));
    await sleep(4);
  }
}

async function committed(engine: Engine, set: WriteSet): Promise<boolean> {
  return (await engine.resources.commit(set)).kind === 'committed';
}

/** Given on one engine and withdrawn on the other. Unless told, it tries again with the other one while the load goes on: a withdrawal is not given up. */
async function keepChangingMind({ engines, witness, going }: Inside, patient: string, turn: number): Promise<void> {
  const insist = async (key: string, engine: Engine, body: string): Promise<void> => {
    const set = () => writes([resource(CONSENT, patient, { body }), resource(RECORD, patient)], { log: [{ key, entry: body }], bumpEpoch: true });
    const other = engine === engines[0] ? engines[1] : engines[0];
    for (let attempt = 0; ; attempt++) {
      const asked = attempt % 2 === 0 ? engine : other;
      if ((await witness.write(key, () => committed(asked, set()))) || !going()) return;
      await sleep(20);
    }
  };
  for (let i = turn; going(); i++) {
    const [giving, taking] = i % 2 === 0 ? engines : [engines[1], engines[0]];
    const grant = `${patient}-${i}`;
    await insist(`grant ${grant}`, giving, grant);
    await sleep(GRANTED_MS);
    await insist(withdrawalOf(grant), taking, '');
    if (witness.isAcknowledged(withdrawalOf(grant))) witness.counts.withdrawals++;
    await sleep(WITHDRAWN_MS);
  }
}

type View = { readonly scope: Scope; readonly grant: string };

async function keepReading({ engines, witness, going }: Inside, patient: string, side: 0 | 1): Promise<void> {
  const engine = engines[side];
  let view: View | undefined;
  for (let i = 0; going(); i++) {
    try {
      view ??= await viewOf(engine, patient);
      if (await disclose({ engine, witness }, { patient, view, number: `${side}-${i}` })) await sleep(5);
      else view = undefined;
    } catch (error) {
      witness.counts.unavailable++;
      noteFailure(witness.violations, 'a read', error);
    }
    if (view === undefined) await sleep(5);
  }
}

/** The epoch first: what changes after it makes the view stale. */
async function viewOf({ resources }: Engine, patient: string): Promise<View> {
  const epoch = await resources.epoch();
  const found = await resources.find(query(CONSENT, { where: { kind: 'id', ids: new Set([patient]) } }));
  const grant = found.kind === 'rows' ? (found.rows[0]?.body ?? '') : '';
  return { scope: { epoch, where: grant === '' ? none : all }, grant };
}

/** Whether the view may be kept. */
async function disclose(
  { engine, witness }: { readonly engine: Engine; readonly witness: Witness },
  { patient, view, number }: { readonly patient: string; readonly view: View; readonly number: string },
): Promise<boolean> {
  if (!(await readUnder({ engine, witness }, patient, view))) return false;
  const key = disclosureOf(view.grant, number);
  const guards = [{ kind: 'epoch' as const, epoch: view.scope.epoch }];
  const begun = performance.now();
  const done = await witness.write(key, () => committed(engine, writes([], { guards, log: [{ key, entry: patient }] })));
  if (!done) return false;
  witness.permitted(view.grant, begun);
  witness.counts.disclosures++;
  return true;
}

/** Whether the record is shown under this view; where a withdrawal had been acknowledged before the question, that is a violation. */
async function readUnder(
  { engine, witness }: { readonly engine: Engine; readonly witness: Witness },
  patient: string,
  { scope, grant }: View,
): Promise<boolean> {
  const begun = performance.now();
  const found = await engine.resources.find(query(RECORD, { where: { kind: 'id', ids: new Set([patient]) }, scope }));
  const shown = found.kind === 'rows' && found.rows.length > 0;
  if (shown) witness.permitted(grant, begun);
  else witness.counts.refused++;
  return shown;
}
