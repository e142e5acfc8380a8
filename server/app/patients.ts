/** Patients at the door: one-time codes, passkeys, sessions and the pages for them. */
import type { FastifyPluginAsync } from 'fastify';
import { createChallenges } from '../authz/challenges.ts';
import type { RecordCommit } from '../authz/commit.ts';
import { createEnrolments, type Enrolments } from '../authz/enrolments.ts';
import type { KeyLog } from '../authz/key-log.ts';
import type { LoggedKeys } from '../authz/logged-keys.ts';
import { createPasskeys } from '../authz/passkeys.ts';
import { createPatientSessions } from '../authz/patient-sessions.ts';
import type { Clock } from '../clock.ts';
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
  readonly passkeys: PasskeyPages['passkeys'];
  /** Who is signed in, from a Cookie header: for every plugin that shows pages to patients. */
  readonly sessions: PatientCookies;
  /** Plugins, to be registered. */
  readonly pages: readonly FastifyPluginAsync[];
};

type Parts = {
  readonly engine: Pick<Engine, 'resources' | 'records'>;
  readonly keyLog: KeyLog;
  readonly keys: LoggedKeys;
  readonly commit: RecordCommit;
  readonly clock: Clock;
  readonly gateFor: GateFor;
  readonly search: Pick<Search, 'plan'>;
  readonly cursors: Cursors;
  /** Of the FHIR API. */
  readonly base: string;
  /** The same in every process on the database. */
  readonly secret: Uint8Array;
  /** Of our pages, as browsers see it. */
  readonly origin: string;
};

export function createPatients({ engine, keyLog, keys, commit, clock, secret, origin, base, gateFor, search, cursors }: Parts): Patients {
  const { records, resources } = engine;
  const enrolments = createEnrolments({ records, commit, clock, kids: keyLog.kids });
  const challenges = createChallenges({ records, clock, secret });
  const passkeys: PasskeyPages['passkeys'] = createPasskeys({ records, keyLog, keys, enrolments, challenges, secret, origin });
  const living = (patient: string) => isLiving({ resources }, patient);
  const sessions = createPatientCookies({
    sessions: createPatientSessions({ records, commit, keys, isLiving: living, clock }),
    secure: origin.startsWith('https:'),
  });
  const shared = { sessions, keysOf: keys.list, gateFor, origin, base, clock };
  const reading = { ...shared, search };
  const pages = [passkeyPages({ ...shared, passkeys }), consentPages(reading), recordPages({ ...reading, cursors })];
  return { enrolments, passkeys, sessions, pages };
}
