/**
 * Patients who are signed in, kept where every process on the database finds them. authorization.md §2
 * Invariants: a session is judged at each use: it ends with its key, and with the record it is for; stored is the hash of its secret only. That it began,
 * and that it was ended, is told to the patient like any other act, in the same commit.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { RecordCommit } from './commit.ts';
import type { LoggedKey, LoggedKeys } from './logged-keys.ts';
import { OWN_CLIENTS } from './registration.ts';

const KIND = 'patient-session';
export const SESSION_MS = 30 * 60_000;

export type SignedIn = {
  /** The patient for themselves: purpose PATRQT, no scope. Its client is the passkey, a name that no registered client can have. */
  readonly caller: Caller;
  /** `Patient/1`. */
  readonly patient: string;
};

export type PatientSessions = {
  /** Resolves with the session's secret. Throws AssentError('forbidden') where the patient's record is not there, or says that they died. */
  start(key: Pick<LoggedKey, 'kid' | 'owner'>): Promise<string>;
  find(secret: string): Promise<SignedIn | undefined>;
  end(secret: string): Promise<void>;
};

type Deps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly keys: Pick<LoggedKeys, 'get'>;
  /** Whether the stored Patient with this id is there and alive. */
  readonly isLiving: (patient: string) => Promise<boolean>;
  readonly clock: Clock;
};

type Kept = { readonly kid: string; readonly owner: string };

export function createPatientSessions({ records, commit, keys, isLiving, clock }: Deps): PatientSessions {
  const acted = (key: Pick<LoggedKey, 'kid' | 'owner'>, what: string) => ({ by: callerOf(key, ''), patient: idOf(key.owner), what });
  const living = (owner: string) => isLiving(idOf(owner));
  return {
    async start({ kid, owner }) {
      if (!(await living(owner))) throw new AssentError('forbidden', 'This passkey does not sign in here.');
      const secret = randomBytes(32).toString('base64url');
      const session = { kind: 'put', recordKind: KIND, id: hashOf(secret), value: { kid, owner }, expires: clock() + SESSION_MS } as const;
      await commit({ act: acted({ kid, owner }, 'signed in'), opens: false, guards: [], records: [session], log: [] });
      return secret;
    },
    async find(secret) {
      const record = await records.get(KIND, hashOf(secret));
      if (!record) return undefined;
      const { kid, owner } = record.value as Kept;
      const key = await keys.get(kid);
      if (!key || key.revoked || key.owner !== owner || !(await living(owner))) return undefined;
      return { caller: callerOf(key, hashOf(secret)), patient: owner };
    },
    async end(secret) {
      const id = hashOf(secret);
      const record = await records.get(KIND, id);
      if (!record) return;
      const act = acted(record.value as Kept, 'signed out');
      await commit({ act, opens: false, guards: [], records: [{ kind: 'delete', recordKind: KIND, id }], log: [] });
    },
  };
}

function callerOf({ kid, owner }: Pick<LoggedKey, 'kid' | 'owner'>, tokenId: string): Caller {
  return Object.freeze({ client: clientOf(kid), actor: owner, purpose: 'PATRQT', scopes: [], admin: false, choosesIds: false, tokenId });
}

/** A name for the passkey in the form of a client's id, which is a FHIR id too; 128 bits of its thumbprint. No client is registered under such a name. */
function clientOf(kid: string): string {
  return OWN_CLIENTS + Buffer.from(kid, 'base64url').toString('hex', 0, 16);
}

const idOf = (owner: string): string => owner.slice('Patient/'.length);

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}
