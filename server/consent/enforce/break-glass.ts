/**
 * Breaking the glass: for some minutes one patient's record is open to somebody the operator named, who said why. consent.md §7
 *
 * Invariants: the act, its log entry and the notice to the patient are durable before there is anything to see with; the answer is the same whether
 * or not there is such a patient, so nothing is looked up.
 */
import { AssentError } from '../../errors.ts';
import type { BrokenGlass } from '../gate.ts';
import { type Ceremony, noticeTo } from './ceremony.ts';
import { actBase, versionReference } from './disclose.ts';

export type BreakGlassPolicy = {
  /** FHIR references of who may. */
  readonly actors: readonly string[];
  readonly minutes: number;
  /** Labels it never opens. */
  readonly except: readonly string[];
};

const LEAST_REASON = 10;
const MOST_REASON = 500;

/** Throws AssentError: forbidden (whoever the patient is), invalid-request (no reason). */
export async function breakGlass(
  deps: Ceremony,
  policy: BreakGlassPolicy,
  { patient, reason }: { readonly patient: string; readonly reason: string },
): Promise<BrokenGlass> {
  const { caller } = deps;
  if (!policy.actors.includes(caller.actor) || caller.breakGlass)
    throw new AssentError(
      'forbidden',
      'Who may break the glass is named by the operator (ASSENT_BREAK_GLASS_ACTORS), and does so with their usual token.',
    );
  const why = reason.trim();
  if (why.length < LEAST_REASON || why.length > MOST_REASON)
    throw new AssentError('invalid-request', `The reason is needed in ${LEAST_REASON} to ${MOST_REASON} characters; the patient is told.`);
  const at = deps.came;
  const until = at + policy.minutes * 60_000;
  const text = `${caller.actor} opened your record in an emergency until ${new Date(until).toISOString()}, because: ${why}`;
  const { task, sent } = noticeTo(deps, { patient, code: 'break-glass', text, at });
  const act = { ...actBase({ ...caller, purpose: 'BTG' }, 'operation'), patient, what: [versionReference(task)], basis: [], reason: why };
  const audit = deps.record(act, { own: true, at });
  const done = await deps.resources.commit({
    guards: [],
    resources: [task, audit.resource],
    records: sent,
    log: [deps.logRow(audit.entry)],
    bumpEpoch: false,
  });
  if (done.kind === 'conflict') throw new AssentError('unavailable');
  return { patient, until };
}
