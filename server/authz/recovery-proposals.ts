/**
 * New passkeys of patients who lost theirs, made with a one-time code. Each waits here, with what it signed, until the custodian signs the same.
 * consent.md §6
 *
 * Invariant: what waits here opens nothing: a recovery is judged by its signatures (consent/enforce/key-ceremony.ts), wherever they come from.
 */
import { createHash } from 'node:crypto';
import { assertionHolds, hostOf, parseAssertion } from '../../ledger/webauthn.ts';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { RecordCommit } from './commit.ts';
import type { Enrolments } from './enrolments.ts';
import { isObject, issue, refuse } from './input.ts';
import type { PublicJwk } from './key-event.ts';
import { checkOwner, readKey, readPasskey } from './key-input.ts';

const KIND = 'recovery-proposal';
/** A statement about keys is taken for no longer (consent/workflow.ts). */
const LIFETIME_MS = 10 * 60_000;

/** `signature`: the assertion of the new passkey over the statement. `expires`: ISO instant. */
export type Proposal = { readonly statement: string; readonly signature: string; readonly expires: string };

export type RecoveryProposals = {
  /** Uses the code up. Throws AssentError('forbidden') for what this code is not for, or the new passkey did not sign. */
  propose(code: string, signed: { readonly statement: string; readonly signature: string }): Promise<void>;
  /** Of a patient, for the custodian to sign; oldest first. Throws AssentError('invalid-request'). */
  list(filter: { readonly owner: string }): Promise<readonly Proposal[]>;
};

type Deps = {
  readonly records: RecordStore;
  readonly commit: RecordCommit;
  readonly enrolments: Pick<Enrolments, 'find'>;
  readonly clock: Clock;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
};

export function createRecoveryProposals({ records, commit, enrolments, clock, origin }: Deps): RecoveryProposals {
  return {
    async propose(code, { statement, signature }) {
      const enrolment = await enrolments.find(code);
      const said = readSaid(statement);
      if (!enrolment?.recovers || said?.owner !== enrolment.owner || said.reason !== enrolment.recovers) throw notProposed();
      if (!isSignedBy(said.jwk, { statement, signature, origin })) throw notProposed();
      const { owner, by, spends } = enrolment;
      const expires = clock() + LIFETIME_MS;
      const value = { statement, signature, expires: new Date(expires).toISOString() };
      const proposal = { kind: 'put', recordKind: KIND, id: digestOf(statement), value, expires, lookup: [`owner:${owner}`] } as const;
      const act = { by, patient: owner.slice('Patient/'.length), what: 'key recovery proposed' };
      const done = await commit({ act, opens: false, guards: spends.guards, records: [...spends.records, proposal], log: [] });
      if (done.kind === 'conflict') throw notProposed();
    },
    async list({ owner }) {
      const problem = checkOwner(owner);
      if (problem !== undefined) refuse([issue('owner', problem)]);
      const found = await records.list(KIND, { lookup: `owner:${owner}` });
      return found.map(({ value }) => value as unknown as Proposal).toSorted((a, b) => (a.expires < b.expires ? -1 : 1));
    },
  };
}

const notProposed = () =>
  new AssentError('forbidden', 'The new passkey could not be put forward: the code was used already or is too old, or the passkey did not sign.');

type Said = { readonly owner: string; readonly jwk: PublicJwk; readonly reason: string };

/** As far as it matters here; the rest is judged when the custodian has signed. */
function readSaid(statement: string): Said | undefined {
  try {
    const said: unknown = JSON.parse(statement);
    if (!isObject(said) || said['type'] !== 'urn:assent:key-recovery:1') return undefined;
    const { owner, jwk } = readKey({ owner: said['owner'], jwk: said['jwk'], proofing: 'by signature' });
    readPasskey(said['passkey']);
    return { owner, jwk, reason: String(said['reason']) };
  } catch {
    return undefined;
  }
}

type Signed = { readonly statement: string; readonly signature: string; readonly origin: string };

function isSignedBy(jwk: PublicJwk, { statement, signature, origin }: Signed): boolean {
  const assertion = parseAssertion(signature);
  const challenge = createHash('sha256').update(statement).digest();
  return assertion !== undefined && assertionHolds(assertion, jwk, { challenge, origin, rpId: hostOf(origin) ?? '' });
}

function digestOf(statement: string): string {
  return createHash('sha256').update(statement).digest('base64url');
}
