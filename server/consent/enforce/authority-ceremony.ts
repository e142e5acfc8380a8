/**
 * Authorities to act for a patient by signature: granted by the patient's key, or attested by two roles of the institution; ended by one signature.
 * Each step is one commit of the event, its log entry, the AuditEvent and the notice to the patient. consent.md §6, docs/operations/keys.md
 *
 * Invariants: nobody grants themselves anything, so a delegate's own signature counts for an end only; a guardian's authority ends no later than the
 * patient comes of age, by the birth date on record when it was attested.
 */
import { digestOf } from '../../../ledger/hash.ts';
import { AssentError } from '../../errors.ts';
import { ageReached, type Authority, type AuthorityTerms, fitsLife, instantOf, termsOf } from '../authority.ts';
import type { AuthorityChanged } from '../gate.ts';
import { areSignedBy, readKeyStatement } from '../key-statements.ts';
import { maySign, type SigningKey } from '../keys.ts';
import { parseSignature } from '../signature.ts';
import type { AuthorityRecords } from './authorities.ts';
import type { Ceremony } from './ceremony.ts';
import { isDeceased, newest, requireLiving } from './on-record.ts';
import { attesting, commitKeys } from './key-ceremony.ts';

/** Ages in years. */
export type Ages = { readonly majority: number; readonly adolescence: number };

export type AuthorityCeremony = Ceremony & { readonly authorityRecords: AuthorityRecords; readonly ages: Ages };

type Request = { readonly statement: string; readonly signatures: readonly string[] };

const uniform =
  'It is not signed by the key it takes, not about this server, this patient or a relative of theirs, or not fresh: nothing was changed, and what exists is not told.';
const refused = () => new AssentError('invalid-signature', uniform);

/** Throws AssentError: invalid-signature, invalid-request, forbidden (what an institution attests takes scope admin), conflict. */
export async function grantAuthority(deps: AuthorityCeremony, { statement, signatures }: Request): Promise<AuthorityChanged> {
  const id = digestOf(statement);
  const known = await deps.authorities.get(id);
  if (known) return { kind: known.ended ? 'ended' : 'granted', id };
  const now = deps.now();
  const said = readKeyStatement('authority', statement, { audience: deps.base, now });
  const [signature, ...more] = signatures;
  if (!said || signature === undefined || more.length > 0) throw refused();
  const terms = termsOf(said);
  if (!terms || terms.until <= now) throw new AssentError('invalid-request', TERMS);
  const key = await granting(deps, terms, { statement, signature });
  const ages = await requirePersons(deps, terms);
  const writes = deps.authorityRecords.grant({ id, statement, signature, patient: said.patient, delegate: said.delegate, ...ages }, deps.caller);
  const until = new Date(terms.until).toISOString();
  await commitKeys(deps, {
    owner: said.patient,
    writes: [writes, { guards: [key.unchanged], records: [], log: [] }],
    notice: {
      code: 'authority-granted',
      text: `${said.delegate} may act for you (${terms.acts.join(', ')}) until ${until}, by the word of ${key.owner}. Authority: ${id}. If it should not be so, end it or tell your custodian.`,
      until: terms.until,
    },
  });
  return { kind: 'granted', id };
}

const TERMS =
  'An authority names a Patient/id, a RelatedPerson/id, a basis (patient, guardian, representative, executor), acts (sign, withdraw, read), purposes if it is for some only, and the instants from and until, in UTC with milliseconds, the latter to come.';

/** The key on whose word it is granted. */
async function granting(
  deps: AuthorityCeremony,
  { basis, patient }: AuthorityTerms,
  { statement, signature }: { readonly statement: string; readonly signature: string },
): Promise<SigningKey> {
  if (basis !== 'patient' && !deps.caller.admin)
    throw new AssentError('forbidden', 'What an institution attests is carried by an administrator and signed by a custodian.');
  const jws = parseSignature(signature);
  const key = basis === 'patient' ? await ownKey(deps, jws.kid, patient) : await attesting(deps, jws.kid, patient);
  if (!key || !areSignedBy([jws], [key], statement)) throw refused();
  return key;
}

async function ownKey(deps: Ceremony, kid: string, patient: string): Promise<SigningKey | undefined> {
  const key = await deps.keyOf(kid);
  return key?.role === 'patient' && key.owner === `Patient/${patient}` && maySign(key) ? key : undefined;
}

type GuardianAges = { readonly majorityAt?: string; readonly adolescenceAt?: string };

/** That the delegate is on record as a relative of the patient, who lives or has died as the basis says; of a minor, the ages. Asked once a signature holds. */
async function requirePersons(deps: AuthorityCeremony, { basis, patient, delegate, until }: AuthorityTerms): Promise<GuardianAges> {
  const relative = await newest(deps, 'RelatedPerson', delegate.slice('RelatedPerson/'.length));
  if ((relative?.['patient'] as { reference?: string } | undefined)?.reference !== `Patient/${patient}`) throw refused();
  if (!fitsLife({ basis }, { deceased: await isDeceased(deps, patient) }))
    throw new AssentError('invalid-signature', 'An executor acts for who has died, everybody else for the living: the record says otherwise.');
  if (basis !== 'guardian') return {};
  const birthDate = (await newest(deps, 'Patient', patient))?.['birthDate'];
  const [majority, adolescence] = [ageReached(birthDate, deps.ages.majority), ageReached(birthDate, deps.ages.adolescence)];
  if (!(until <= majority))
    throw new AssentError(
      'invalid-signature',
      'A guardian’s authority ends when the patient comes of age at the latest: the record has to say when.',
    );
  return { majorityAt: new Date(majority).toISOString(), adolescenceAt: new Date(adolescence).toISOString() };
}

/** By the patient whose word it was, by the custodian, or by the delegate themselves. Throws AssentError: invalid-signature, conflict. */
export async function endAuthority(deps: AuthorityCeremony, { statement, signatures }: Request): Promise<AuthorityChanged> {
  const now = deps.now();
  const said = readKeyStatement('authority-end', statement, { audience: deps.base, now });
  const [signature, ...more] = signatures;
  if (!said || signature === undefined || more.length > 0) throw refused();
  const since = said.compromisedSince === undefined ? undefined : instantOf(said.compromisedSince);
  if (since !== undefined && !(since <= now))
    throw new AssentError('invalid-request', 'compromisedSince must be an instant in the past, in UTC with milliseconds.');
  const authority = await deps.authorities.get(said.authority);
  const jws = parseSignature(signature);
  const key = authority && (await ending(deps, jws.kid, authority));
  // A delegate lays down what they hold, and does not undo what was done under it.
  const asks = since !== undefined && key?.role === 'related-person';
  if (!authority || !key || asks || !areSignedBy([jws], [key], statement)) throw refused();
  if (key.role === 'patient') await requireLiving(deps, authority.patient);
  if (authority.ended && (since === undefined || authority.ended.compromisedFromIndex !== undefined)) return { kind: 'ended', id: authority.id };
  const patient = `Patient/${authority.patient}`;
  const writes = await deps.authorityRecords.end(
    { id: authority.id, statement, signature, patient, ...(since === undefined ? {} : { since }) },
    deps.caller,
  );
  await commitKeys(deps, {
    owner: patient,
    writes: [writes, { guards: [key.unchanged, authority.unchanged], records: [], log: [] }],
    notice: { code: 'authority-ended', text: `${authority.delegate} may not act for you any more, by the word of ${key.owner}: ${said.reason}` },
  });
  return { kind: 'ended', id: authority.id };
}

async function ending(deps: Ceremony, kid: string, { patient, delegate, basis }: Authority): Promise<SigningKey | undefined> {
  const key = await deps.keyOf(kid);
  if (key?.role === 'related-person') return key.owner === delegate && maySign(key) ? key : undefined;
  if (key?.role === 'patient') return basis === 'patient' ? ownKey(deps, kid, patient) : undefined;
  return attesting(deps, kid, patient);
}
