/**
 * Clinicians who signed in with a passkey of this server, for as long as it takes to let an app in. authorization.md §2
 * Invariant: a session is judged at each use: it ends with its key; stored is the hash of its secret only.
 */
import { randomBytes } from 'node:crypto';
import { digestOf } from '../../ledger/hash.ts';
import type { Clock } from '../clock.ts';
import type { RecordStore } from '../store/port.ts';
import type { LoggedKey, LoggedKeys } from './logged-keys.ts';

const KIND = 'staff-session';
export const STAFF_SESSION_MS = 15 * 60_000;

export type StaffSessions = {
  /** Resolves with the session's secret. */
  start(key: Pick<LoggedKey, 'kid'>): Promise<string>;
  /** Whose it is: `Practitioner/7`. */
  find(secret: string): Promise<string | undefined>;
};

type Deps = { readonly records: RecordStore; readonly keys: Pick<LoggedKeys, 'get'>; readonly clock: Clock };

export function createStaffSessions({ records, keys, clock }: Deps): StaffSessions {
  return {
    async start({ kid }) {
      const secret = randomBytes(32).toString('base64url');
      await records.put(KIND, digestOf(secret), { kid }, { revision: null, expires: clock() + STAFF_SESSION_MS });
      return secret;
    },
    async find(secret) {
      const record = await records.get(KIND, digestOf(secret));
      const key = record && (await keys.get((record.value as { readonly kid: string }).kid));
      return key && !key.revoked && key.role === 'practitioner' ? key.owner : undefined;
    },
  };
}
