/**
 * Consent/$withdraw: the patient ends a Consent, the custodian suspends it; one that was asked for and not yet granted is refused so. consent.md §5,
 * interface.md §3
 */
import { AssentError } from '../../errors.ts';
import type { Row } from '../gate.ts';
import { acceptWithdrawal, type ConsentState, type SignedWithdrawal } from '../workflow.ts';
import {
  askedOf,
  type Ceremony,
  commitConsents,
  type ConsentRecord,
  patientAndCustodians,
  recordOf,
  signedByPatient,
  storedConsent,
  versionOf,
} from './ceremony.ts';
import { rowOf } from './disclose.ts';
import { endOf, judgeEnd } from './ends.ts';
import { requireLiving } from './on-record.ts';
import { lookedUpOnce } from './signers.ts';

const ATTEMPTS = 5;

export async function withdrawConsent(deps: Ceremony, id: string, signed: SignedWithdrawal): Promise<Row> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [kept, stored] = [await recordOf(deps, id), await storedConsent(deps, id)];
    const compiled = kept && patientAndCustodians(kept.value);
    const nothing = { patient: '', custodians: [], digest: '', signedByPatient: true, audience: deps.base };
    const asked = {
      consent: `Consent/${id}`,
      ...nothing,
      ...compiled,
      ...(kept ? { digest: kept.value.digest, ...signedByPatient(kept.value) } : {}),
    };
    // An unknown Consent fails like a signature that does not fit: ids cannot be probed.
    const signers = lookedUpOnce(deps);
    const { state: outcome, who, under } = await acceptWithdrawal(signed, { ...asked, now: deps.now(), ...askedOf(deps, signers) });
    if (!kept || !stored || !compiled) throw new AssentError('invalid-signature');
    if (outcome === 'withdrawn' && !under) await requireLiving(deps, compiled.patient);
    if (kept.value.state === outcome || isOver(kept.value.state)) {
      if (outcome === 'suspended' || (await endStands(deps, id, kept.value))) return rowOf(stored);
    }
    const indexed = deps.parameters.guard();
    const row = versionOf(deps, { text: stored.body, id, status: 'inactive', patient: compiled.patient, after: stored });
    const { signature: jws, statement } = signed;
    const end = { ...endOf([{ jws, authority: under?.id }]), ...(statement === undefined ? {} : { statement }) };
    const record: ConsentRecord = { ...kept.value, state: outcome, end };
    const role = under ? 'proxy' : outcome === 'withdrawn' ? 'patient' : 'custodian';
    const committed = await commitConsents(deps, {
      patient: compiled.patient,
      consents: [{ row, record, revision: kept.revision, signed: end.signatures }],
      provenance: undefined,
      guards: [...signers.unchanged(), { kind: 'version', type: 'Consent', id, version: stored.version }, indexed],
      beside: await deps.requested(id, record, [{ who, role }]),
    });
    if (committed) return rowOf(row);
  }
  throw new AssentError('conflict');
}

function isOver(state: ConsentState): boolean {
  return state === 'withdrawn' || state === 'superseded' || state === 'rejected';
}

/** Ended with a key that was in other hands, it denies on: whoever may end it ends it once more. */
async function endStands(deps: Ceremony, id: string, { end }: ConsentRecord): Promise<boolean> {
  const reference = `Consent/${id}`;
  const ended = deps.log.entries(reference).at(-1);
  return !ended || (await judgeEnd(end, { reference, ended }, { ...deps, entries: deps.log.entries })).kind !== 'void';
}
