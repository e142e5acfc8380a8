/**
 * Keys by signature: another key of the owner, and the recovery of a patient who has none left. Each step is one commit of the key's events, their
 * log entries, the AuditEvent and the notice to the patient. consent.md §6
 *
 * Invariants: a patient's key is changed by a key of theirs, or by two roles of the institution (whoever administers, and the custodian's key)
 * after a delay of which the patient was told and in which a key of theirs stops it; a key is registered only if it signed as well.
 */
import { AssentError } from '../../errors.ts';
import type { Guard, NewLogRow, RecordWrite } from '../../store/port.ts';
import type { KeyChanged } from '../gate.ts';
import { areSignedBy, readKeyStatement, type Said } from '../key-statements.ts';
import { maySign, type SigningKey, stillCounts } from '../keys.ts';
import type { Caller } from '../model.ts';
import type { Notice } from '../notice.ts';
import { isNamedIn, type ParsedSignature, parseSignature } from '../signature.ts';
import { type Ceremony, noticeTo } from './ceremony.ts';
import { custodiansOf, requireLiving } from './on-record.ts';
import { actBase, versionReference } from './disclose.ts';

type Authorization = { readonly statement: string; readonly signatures: readonly string[] };
export type KeyWrites = { readonly guards: readonly Guard[]; readonly records: readonly RecordWrite[]; readonly log: readonly NewLogRow[] };
type Authorized = { readonly by: Caller; readonly authorizedBy: Authorization };
type NewKey = Pick<SigningKey, 'kid' | 'jwk' | 'passkey'> & { readonly writes: KeyWrites };

/** As stated by whoever signed. */
type Stated = { readonly owner: string; readonly jwk: unknown; readonly passkey?: unknown };

/** Events of the key log, as parts of a commit. Throw AssentError('invalid-request') where the jwk or the owner cannot be one. */
export type KeyChanges = {
  register(key: Stated & { readonly role: SigningKey['role']; readonly recovered?: true }, how: Authorized): Promise<NewKey>;
  revoke(kid: string, reason: string, by: Caller): Promise<KeyWrites>;
  openRecovery(key: Stated, how: Authorized & { readonly dueAt: string }): Promise<NewKey>;
  stopRecovery(kid: string, how: Authorized): Promise<KeyWrites>;
};

export type Recovery = {
  readonly kid: string;
  readonly owner: string;
  readonly dueAt: string;
  readonly authorizedBy: Authorization;
  readonly state: 'open' | 'stopped' | 'completed';
  /** Where in the log it was opened. */
  readonly openedIndex: number;
  readonly unchanged: SigningKey['unchanged'];
};

export type KeyCeremony = Ceremony & {
  readonly changes: KeyChanges;
  readonly keysOfOwner: (owner: string) => Promise<readonly SigningKey[]>;
  readonly recovery: (kid: string) => Promise<Recovery | undefined>;
  readonly recoveries: (owner: string) => Promise<readonly Recovery[]>;
  readonly recoveryDelayMs: number;
};

const uniform =
  'It is not signed by the keys it takes, not about this server or this owner, or not fresh: nothing was changed, and what exists is not told.';
const refused = () => new AssentError('invalid-signature', uniform);
const PATIENT = /^Patient\/([A-Za-z0-9.-]{1,64})$/;

/** A key of the owner adds another one, or is replaced by it. Throws AssentError: invalid-signature, invalid-request, conflict. */
export async function rotateKey(deps: KeyCeremony, { statement, signatures }: Authorization): Promise<KeyChanged> {
  const said = readKeyStatement('key-rotation', statement, { audience: deps.base, now: deps.now() });
  if (!said || signatures.length !== 2) throw refused();
  const parsed = signatures.map(parseSignature);
  const present = await presentKey(deps, parsed, said);
  // Before anything else of it is looked at: what is wrong with the new key is told to nobody who does not have the present one.
  if (
    !areSignedBy(
      parsed.filter((each) => isNamedIn(each, present)),
      [present],
      statement,
    )
  )
    throw refused();
  const authorizedBy = { statement, signatures };
  const { owner, jwk, passkey } = said;
  const { writes, ...next } = await deps.changes.register({ owner, jwk, passkey, role: present.role }, { by: deps.caller, authorizedBy });
  const { kid } = next;
  if (kid === present.kid || !areSignedBy(parsed, [present, next], statement)) throw refused();
  await requireLivingOwner(deps, said.owner);
  // The same guard either way: a revocation in between makes it a conflict.
  const retiring = said.retires ? [await deps.changes.revoke(present.kid, `replaced by ${kid}`, deps.caller)] : [];
  const text = said.retires
    ? 'A new signing key replaced your key, signed by the old one.'
    : 'Another signing key was registered for you, signed by one you have.';
  await commitKeys(deps, {
    owner: said.owner,
    writes: [writes, ...retiring, { guards: [present.unchanged], records: [], log: [] }],
    notice: { code: 'key-registered', text: `${text} New key: ${kid}. If it was not you, tell your custodian to revoke it.` },
  });
  return { kind: 'registered', kid };
}

/**
 * A key of the owner ends another one of theirs, as lost: what that signed stays. Not the last one: nobody could undo it but by a recovery. Throws
 * AssentError: invalid-signature, conflict.
 */
export async function revokeKey(deps: KeyCeremony, { statement, signatures }: Authorization): Promise<KeyChanged> {
  const said = readKeyStatement('key-revocation', statement, { audience: deps.base, now: deps.now() });
  if (!said || signatures.length !== 1) throw refused();
  const parsed = signatures.map(parseSignature);
  const [present, ended] = [await presentKey(deps, parsed, said), await deps.keyOf(said.kid)];
  if (!ended || ended.owner !== said.owner || ended.kid === present.kid || !areSignedBy(parsed, [present], statement)) throw refused();
  await requireLivingOwner(deps, said.owner);
  if (!maySign(ended)) return { kind: 'revoked', kid: ended.kid };
  await commitKeys(deps, {
    owner: said.owner,
    writes: [await deps.changes.revoke(ended.kid, said.reason, deps.caller), { guards: [present.unchanged, ended.unchanged], records: [], log: [] }],
    notice: {
      code: 'key-revoked',
      text: `Your signing key ${ended.kid} was ended by another one of yours. What it signed stays in force. If it was not you, tell your custodian.`,
    },
  });
  return { kind: 'revoked', kid: ended.kid };
}

/** The live key of this owner among those that signed. */
async function presentKey(deps: KeyCeremony, parsed: readonly ParsedSignature[], { owner }: { readonly owner: string }): Promise<SigningKey> {
  for (const { kid } of parsed) {
    const key = await deps.keyOf(kid);
    if (key && key.owner === owner && maySign(key)) return key;
  }
  throw refused();
}

/**
 * Opens a recovery, and completes it once its delay is over; the same statement both times. Throws AssentError: forbidden (scope admin is one of the
 * two roles), invalid-signature, conflict (another one is open).
 */
export async function recoverKey(deps: KeyCeremony, { statement, signatures }: Authorization): Promise<KeyChanged> {
  if (!deps.caller.admin) throw new AssentError('forbidden', 'A recovery is carried by an administrator and signed by a custodian.');
  const said = readKeyStatement('key-recovery', statement, { audience: deps.base });
  if (!said) throw refused();
  const known = (await deps.recoveries(said.owner)).find(({ authorizedBy }) => authorizedBy.statement === statement);
  return known ? continueRecovery(deps, known, said) : openRecovery(deps, { statement, signatures });
}

async function openRecovery(deps: KeyCeremony, authorizedBy: Authorization): Promise<KeyChanged> {
  const { statement, signatures } = authorizedBy;
  const now = deps.now();
  const said = readKeyStatement('key-recovery', statement, { audience: deps.base, now });
  const patient = PATIENT.exec(said?.owner ?? '')?.[1];
  if (!said || patient === undefined || signatures.length !== 2) throw refused();
  const parsed = signatures.map(parseSignature);
  const due = now + deps.recoveryDelayMs;
  const dueAt = new Date(due).toISOString();
  const { owner, jwk, passkey } = said;
  const { writes, ...next } = await deps.changes.openRecovery({ owner, jwk, passkey }, { by: deps.caller, authorizedBy, dueAt });
  const { kid } = next;
  const custodian = await attesting(deps, parsed.find((each) => !isNamedIn(each, next))?.kid, patient);
  const keys = await deps.keysOfOwner(said.owner);
  if (!custodian || keys.length === 0 || !areSignedBy(parsed, [custodian, next], statement)) throw refused();
  await requireLivingOwner(deps, said.owner);
  if ((await deps.recoveries(said.owner)).some(({ state }) => state === 'open')) throw new AssentError('conflict', 'Another recovery is open.');
  const text = `${custodian.owner} wants to replace your signing keys by a new one, because: ${said.reason}. It happens on ${dueAt} at the earliest. If you did not ask for it, stop it with a key you have, or tell your custodian.`;
  await commitKeys(deps, {
    owner: said.owner,
    writes: [writes, opens(kid, owner), { guards: [custodian.unchanged], records: [], log: [] }],
    notice: { code: 'key-recovery-opened', text, until: due },
  });
  return { kind: 'pending', kid, due };
}

/** The custodian's live key, if it is of the organization that manages this patient, or of one above it. */
export async function attesting(deps: Ceremony, kid: string | undefined, patient: string): Promise<SigningKey | undefined> {
  const key = kid === undefined ? undefined : await deps.keyOf(kid);
  return key?.role === 'custodian' && maySign(key) && (await custodiansOf(deps, patient))?.has(key.owner) ? key : undefined;
}

async function continueRecovery(deps: KeyCeremony, recovery: Recovery, said: Said<'key-recovery'>): Promise<KeyChanged> {
  const { kid, owner, state } = recovery;
  if (state === 'completed') return { kind: 'registered', kid };
  if (state === 'stopped') return { kind: 'stopped', kid };
  const due = Date.parse(recovery.dueAt);
  if (deps.now() < due) return { kind: 'pending', kid, due };
  await requireLivingOwner(deps, owner);
  const attested = await Promise.all(recovery.authorizedBy.signatures.map((jws) => deps.keyOf(parseSignature(jws).kid)));
  // The custodian's key may be revoked by now, but not have been in other hands when it signed.
  const custodian = attested.find((key) => key?.role === 'custodian');
  if (!custodian || !stillCounts(custodian, recovery.openedIndex)) throw refused();
  const { writes } = await deps.changes.register(
    { owner, jwk: said.jwk, passkey: said.passkey, role: 'patient', recovered: true },
    { by: deps.caller, authorizedBy: recovery.authorizedBy },
  );
  const replaced = (await deps.keysOfOwner(owner)).filter(maySign);
  const revocations = await Promise.all(replaced.map((key) => deps.changes.revoke(key.kid, `recovered: replaced by ${kid}`, deps.caller)));
  const unchanged = [recovery, custodian, ...replaced].map((each) => each.unchanged);
  await commitKeys(deps, {
    owner,
    writes: [writes, ...revocations, closes(kid), { guards: unchanged, records: [], log: [] }],
    notice: {
      code: 'key-recovered',
      text: `Your signing keys were replaced by a new one after the delay: ${kid}. What you signed before stays in force.`,
    },
  });
  return { kind: 'registered', kid };
}

/** Recoveries whose delay is over, as they were signed for. One that cannot be completed waits for whoever carries it. Resolves with how many there were. */
export async function completeRecoveries(deps: KeyCeremony): Promise<number> {
  let completed = 0;
  for (let after: string | undefined; ; ) {
    const open = await deps.records.list(OPEN, { limit: 200, ...(after === undefined ? {} : { after }) });
    for (const { id } of open) {
      const recovery = await deps.recovery(id);
      if (recovery?.state === 'open' && (await isCompleted(deps, recovery))) completed++;
    }
    after = open.at(-1)?.id;
    if (open.length < 200) return completed;
  }
}

async function isCompleted(deps: KeyCeremony, recovery: Recovery): Promise<boolean> {
  const said = readKeyStatement('key-recovery', recovery.authorizedBy.statement, { audience: deps.base });
  if (!said) return false;
  try {
    return (await continueRecovery(deps, recovery, said)).kind === 'registered';
  } catch (error) {
    // Signed with a key that was stolen meanwhile, of a patient who died, changed at the same time: all of that is looked at again, or by people.
    if (error instanceof AssentError) return false;
    throw error;
  }
}

/** Kept while a recovery waits, by the kid of the new key: what completes it by itself finds it so. */
const OPEN = 'open-recovery';

function opens(kid: string, owner: string): KeyWrites {
  return { guards: [], records: [{ kind: 'put', recordKind: OPEN, id: kid, value: { owner } }], log: [] };
}

function closes(kid: string): KeyWrites {
  return { guards: [], records: [{ kind: 'delete', recordKind: OPEN, id: kid }], log: [] };
}

async function requireLivingOwner(deps: KeyCeremony, owner: string): Promise<void> {
  const patient = PATIENT.exec(owner)?.[1];
  if (patient !== undefined) await requireLiving(deps, patient);
}

/** By a key of the patient, lost ones included, or by the custodian. Throws AssentError('invalid-signature'). */
export async function stopRecovery(deps: KeyCeremony, { statement, signatures }: Authorization): Promise<KeyChanged> {
  const said = readKeyStatement('key-recovery-stop', statement, { audience: deps.base, now: deps.now() });
  const [jws, ...more] = signatures;
  if (!said || jws === undefined || more.length > 0) throw refused();
  const parsed = parseSignature(jws);
  const [key, recovery] = [await deps.keyOf(parsed.kid), await deps.recovery(said.kid)];
  if (!key || recovery?.owner !== said.owner || !(await mayStop(deps, key, said.owner)) || !areSignedBy([parsed], [key], statement)) throw refused();
  if (recovery.state === 'completed') throw new AssentError('conflict', 'The recovery is completed.');
  if (recovery.state === 'open')
    await commitKeys(deps, {
      owner: said.owner,
      writes: [
        await deps.changes.stopRecovery(said.kid, { by: deps.caller, authorizedBy: { statement, signatures } }),
        closes(said.kid),
        { guards: [recovery.unchanged], records: [], log: [] },
      ],
      notice: { code: 'key-recovery-stopped', text: `The replacement of your signing keys was stopped by ${key.owner}. Your keys stay as they are.` },
    });
  return { kind: 'stopped', kid: said.kid };
}

/** A key reported lost was found again, if its owner signs with it; one reported stolen may be in other hands. */
async function mayStop(deps: KeyCeremony, key: SigningKey, owner: string): Promise<boolean> {
  if (key.role === 'patient' && key.owner === owner) return key.revoked?.compromisedFromIndex === undefined;
  return (await attesting(deps, key.kid, owner.slice('Patient/'.length))) !== undefined;
}

type Commit = { readonly owner: string; readonly writes: readonly KeyWrites[]; readonly notice: Omit<Notice, 'patient' | 'at'> };

export async function commitKeys(deps: Ceremony, { owner, writes, notice }: Commit): Promise<void> {
  const patient = PATIENT.exec(owner)?.[1];
  const at = deps.came;
  const told = patient === undefined ? [] : [noticeTo(deps, { ...notice, patient, at })];
  const tasks = told.map(({ task }) => task);
  const audit = deps.record({ ...actBase(deps.caller, 'operation'), patient, what: tasks.map(versionReference), basis: [] }, { own: true, at });
  const done = await deps.resources.commit({
    guards: distinct(writes.flatMap(({ guards }) => guards)),
    resources: [...tasks, audit.resource],
    records: [...writes.flatMap(({ records }) => records), ...told.flatMap(({ sent }) => sent)],
    log: [...writes.flatMap(({ log }) => log), deps.logRow(audit.entry)],
    bumpEpoch: true,
  });
  if (done.kind === 'conflict')
    throw new AssentError('conflict', 'The keys or authorities were changed meanwhile, or the new one is registered already.');
}

function distinct(guards: readonly Guard[]): Guard[] {
  return [...new Map(guards.map((guard) => [JSON.stringify(guard), guard])).values()];
}
