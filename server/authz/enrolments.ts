/**
 * One-time codes by which a patient, proven to be who they are, registers their first passkey, and whoever signs for a custodian one of its keys.
 * consent.md §6
 *
 * Invariants: a code is shown once and stored as its hash only; it says nothing about whom it is for; it is used up in the commit that registers the
 * key, so it works once, whoever races for it.
 */
import { createHash, randomInt } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { RecordCommit } from './commit.ts';
import { readObject } from './input.ts';
import { checkLine, checkPasskeyOwner } from './key-input.ts';
import type { Enroller, Spending } from './key-log.ts';

const KIND = 'enrolment';
/** Time to go home and open the page; a letter takes a new code. */
const LIFETIME_MS = 60 * 60_000;
/** 60 bits without letters that are taken for digits (Crockford's base 32). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const GROUPS = 3;
const GROUP = 4;

/** `expires`: ISO instant. */
export type IssuedCode = { readonly code: string; readonly owner: string; readonly expires: string };
export type Enrolment = {
  readonly owner: string;
  readonly proofing: string;
  readonly by: Enroller;
  readonly spends: Spending;
  /** Why the keys the patient has are to be replaced; absent: it is their first one. */
  readonly recovers?: string;
};

export type Enrolments = {
  /**
   * `input`: `{ owner: "Patient/1" | "Organization/1" | "Practitioner/1", proofing, recovers? }`. Throws AssentError: invalid-request, conflict (a
   * patient who has or had a key recovers, saying why, and nobody else does), forbidden (a custodian’s or a practitioner's, without scope admin).
   */
  issue(input: unknown, by: Caller): Promise<IssuedCode>;
  /** Undefined: no such code, used already, or run out. */
  find(code: string): Promise<Enrolment | undefined>;
};

type Deps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly clock: Clock;
  /** Those that the owner has or had. */
  readonly kids: (owner: string) => Promise<readonly string[]>;
};

export function createEnrolments({ records, commit, clock, kids }: Deps): Enrolments {
  return {
    async issue(input, by) {
      const members = { owner: checkPasskeyOwner, proofing: checkLine, recovers: checkLine };
      const { owner, proofing, recovers } = readObject(input, members, ['owner', 'proofing']) as Pick<Enrolment, 'owner' | 'proofing' | 'recovers'>;
      const [, patient] = /^Patient\/(.+)$/.exec(owner) ?? [];
      if (patient === undefined && !by.admin)
        throw new AssentError('forbidden', 'A key of a custodian or of staff is enrolled with scope "admin" only.');
      const hasKeys = patient !== undefined && (await kids(owner)).length > 0;
      if (hasKeys !== (recovers !== undefined)) throw new AssentError('conflict', hasKeys ? HAS_KEYS : HAS_NONE);
      const code = newCode();
      const expires = clock() + LIFETIME_MS;
      const { client, actor, purpose } = by;
      const value = { owner, proofing, by: { client, actor, purpose }, ...(recovers === undefined ? {} : { recovers }) };
      const act = { by, patient, what: patient === undefined ? `enrolment code issued: ${owner}` : 'enrolment code issued' };
      await commit({ act, guards: [], records: [{ kind: 'put', recordKind: KIND, id: hashOf(code), value, expires }], log: [] });
      return { code, owner, expires: new Date(expires).toISOString() };
    },
    async find(code) {
      const id = hashOf(code);
      const record = await records.get(KIND, id);
      if (!record) return undefined;
      const enrolment = record.value as Omit<Enrolment, 'spends'>;
      const guards = [{ kind: 'record', recordKind: KIND, id, revision: record.revision }] as const;
      return { ...enrolment, spends: { guards, records: [{ kind: 'delete', recordKind: KIND, id }] } };
    },
  };
}

const HAS_KEYS = 'A patient who has a key adds a passkey while signed in; if all are lost, say why in "recovers".';
const HAS_NONE = 'Only a patient who has or had a key recovers: leave "recovers" out.';

function newCode(): string {
  const group = () => Array.from({ length: GROUP }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

/** As people type it: small letters, other dashes, O for 0. */
function hashOf(code: string): string {
  const typed = code
    .toUpperCase()
    .replaceAll(/[^0-9A-Z]/g, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1');
  return createHash('sha256').update(typed).digest('base64url');
}
