/** Patients at the door: one-time codes, passkeys, sessions and the pages for them. */
import type { FastifyPluginAsync } from 'fastify';
import { createChallenges } from '../authz/challenges.ts';
import type { Clients } from '../authz/clients.ts';
import type { RecordCommit } from '../authz/commit.ts';
import type { Endpoints } from '../authz/endpoints.ts';
import { createEnrolments, type Enrolments } from '../authz/enrolments.ts';
import type { KeyLog } from '../authz/key-log.ts';
import type { LoggedKeys } from '../authz/logged-keys.ts';
import { createPasskeys } from '../authz/passkeys.ts';
import { createPatientSessions } from '../authz/patient-sessions.ts';
import { createRecoveryProposals, type RecoveryProposals } from '../authz/recovery-proposals.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { isLiving } from '../consent/enforce/on-record.ts';
import type { GateFor } from '../consent/gate.ts';
import type { Search } from '../search/create-search.ts';
import type { Cursors } from '../search/page.ts';
import type { Engine } from '../store/port.ts';
import { consentPages } from '../web/patient/consents.ts';
import { type PasskeyPages, passkeyPages } from '../web/patient/plugin.ts';
import { recordPages } from '../web/patient/record-pages.ts';
import { createPatientCookies, type PatientCookies } from '../web/patient/sessions.ts';

export type Patients = {
  readonly enrolments: Enrolments;
  readonly recoveries: RecoveryProposals;
  readonly passkeys: PasskeyPages['passkeys'];
  /** Who is signed in, from a Cookie header: for every plugin that shows pages to patients. */
  readonly sessions: PatientCookies;
  /** What a client was registered as. */
  readonly clientName: (id: string) => Promise<string | undefined>;
  /** Plugins, to be registered. */
  readonly pages: readonly FastifyPluginAsync[];
};

type Parts = {
  readonly engine: Pick<Engine, 'resources' | 'records'>;
  readonly keyLog: KeyLog;
  readonly clients: Pick<Clients, 'find'>;
  readonly keys: LoggedKeys;
  readonly commit: RecordCommit;
  readonly clock: Clock;
  readonly gateFor: GateFor;
  readonly search: Pick<Search, 'plan'>;
  readonly cursors: Cursors;
  readonly config: Pick<Config, 'KEY_RECOVERY_HOURS'>;
  readonly endpoints: Pick<Endpoints, 'issuer' | 'fhir'>;
  /** The same in every process on the database. */
  readonly secret: Uint8Array;
};

export function createPatients(parts: Parts): Patients {
  const { engine, keyLog, clients, keys, commit, clock, secret, gateFor, search, cursors, config, endpoints } = parts;
  const { origin } = new URL(endpoints.issuer);
  const base = endpoints.fhir;
  const { records, resources } = engine;
  const enrolments = createEnrolments({ records, commit, clock, kids: keyLog.kids });
  const challenges = createChallenges({ records, clock, secret });
  const recoveries = createRecoveryProposals({ records, commit, enrolments, clock, origin });
  const passkeys: PasskeyPages['passkeys'] = {
    ...createPasskeys({ records, keyLog, keys, enrolments, challenges, secret, origin }),
    propose: recoveries.propose,
  };
  const living = (patient: string) => isLiving({ resources }, patient);
  const sessions = createPatientCookies({
    sessions: createPatientSessions({ records, commit, keys, isLiving: living, clock }),
    secure: origin.startsWith('https:'),
  });
  const shared = { sessions, keysOf: keys.list, recoveriesOf: keys.recoveries, gateFor, origin, base, clock };
  const clientName = async (id: string) => (await clients.find(id))?.client_name;
  const reading = { ...shared, search, clientName };
  const pages = [
    passkeyPages({ ...shared, passkeys, recoveryHours: config.KEY_RECOVERY_HOURS }),
    consentPages(reading),
    recordPages({ ...reading, cursors }),
  ];
  return { enrolments, recoveries, passkeys, sessions, clientName, pages };
}
