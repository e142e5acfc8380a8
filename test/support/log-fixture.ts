/** A log over an engine of its own: rows committed, sealed by hand, clock and timers in the test's hands. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import canonicalize from 'canonicalize';
import type { Schedule } from '../../ledger/batch.ts';
import { type LogEntry, logRow } from '../../ledger/entry.ts';
import type { AggregateConfig } from '../../server/anchoring/aggregate.ts';
import type { AlarmConfig } from '../../server/anchoring/alarms.ts';
import { type Anchoring, createAnchoring } from '../../server/anchoring/anchoring.ts';
import type { SignerConfig } from '../../server/anchoring/remote-signer.ts';
import type { ChainConfig } from '../../server/anchoring/evm-anchor.ts';
import type { TimeStampConfig } from '../../server/anchoring/time-stamps.ts';
import type { Config } from '../../server/config.ts';
import type { Evidence } from '../../server/anchoring/receipts.ts';
import type { Engine } from '../../server/store/port.ts';
import { type ChosenEngine, chooseEngine } from './chosen-engine.ts';

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

export type LogFixture = {
  readonly dataDir: string;
  readonly time: { now: number };
  /** Timers that would ring; `ring` rings those due by now. */
  readonly ring: () => Promise<void>;
  readonly faults: unknown[];
  engine: Engine;
  anchoring: Anchoring;
  /** Of the next opening. */
  settings: Partial<typeof noChain>;
  append(...entries: readonly LogEntry[]): Promise<void>;
  readonly edit: ChosenEngine['edit'];
  /** Closes the store as kill -9 would leave it, and opens everything anew. */
  reopen(): Promise<void>;
  dispose(): Promise<void>;
};

/** The settings of a log that signs by itself, is anchored in no chain, stamped by nobody, and tells nobody what it finds. */
export const noChain: ChainConfig &
  AggregateConfig &
  Omit<TimeStampConfig & AlarmConfig & SignerConfig, 'DATA_DIR'> &
  Pick<Config, 'ANCHOR_MAX_AGE_HOURS'> = {
  AGGREGATE_URL: '',
  AGGREGATE_KEY: '',
  AGGREGATE_PLACES: ['evm', 'rfc3161'],
  AGGREGATE_EVM_RPC: [],
  AGGREGATE_TSA_CERTIFICATES: '',
  SIGNER: '',
  SIGNER_SECRET_PATH: '',
  LOG_MLDSA: 'off',
  ALARM_WEBHOOK: '',
  ALARM_SECRET_PATH: '',
  TSA_URL: '',
  TSA_CERTIFICATES: '',
  TSA_INTERVAL_MINUTES: 60,
  ANCHOR_MAX_AGE_HOURS: 24,
  EVM_RPC: [],
  EVM_CONTRACT: '',
  EVM_LOG_ID: '',
  EVM_KEY_PATH: '',
  EVM_INTERVAL_MINUTES: 0,
  EVM_CONFIRMATIONS: 0,
};

type Anchored = { readonly witnessPolicy?: string; readonly chain?: Partial<typeof noChain> };

export async function createLogFixture({ witnessPolicy = '', chain = {} }: Anchored = {}): Promise<LogFixture> {
  const time = { now: Date.UTC(2024, 5, 1) };
  let timers: { readonly at: number; readonly run: () => void; off?: true }[] = [];
  const schedule: Schedule = (ms, run) => {
    const timer: (typeof timers)[number] = { at: time.now + ms, run };
    timers.push(timer);
    return () => {
      timer.off = true;
      timers = timers.filter((other) => other !== timer);
    };
  };
  const faults: unknown[] = [];
  const clock = () => time.now;
  const chosen = await chooseEngine(clock);
  const { dataDir } = chosen;
  const settings = { now: chain };
  const open = async () => {
    const engine = await chosen.open();
    const config = { DATA_DIR: dataDir, CHECKPOINT_INTERVAL_MS: 1000, WITNESS_POLICY: witnessPolicy, ...noChain, ...settings.now };
    const anchoring = await createAnchoring({
      log: engine.resources,
      records: engine.records,
      clock,
      schedule,
      config,
      report: (fault) => faults.push(fault),
    });
    return { engine, anchoring };
  };
  const fixture: LogFixture = {
    dataDir,
    time,
    faults,
    edit: chosen.edit,
    get settings() {
      return settings.now;
    },
    set settings(next) {
      settings.now = next;
    },
    ...(await open()),
    async ring() {
      const due = timers.filter(({ at }) => at <= time.now);
      timers = timers.filter(({ at }) => at > time.now);
      // One that rings may call off another that is due as well.
      for (const timer of due) if (!timer.off) timer.run();
      await new Promise((resolve) => setImmediate(resolve));
    },
    async append(...entries) {
      await fixture.engine.resources.commit({ guards: [], resources: [], records: [], log: entries.map(logRow), bumpEpoch: false });
      fixture.anchoring.sealer.nudge(entries.length);
    },
    async reopen() {
      await fixture.engine.resources.close();
      timers = [];
      Object.assign(fixture, await open());
    },
    async dispose() {
      timers = [];
      await fixture.engine.resources.close();
      await chosen.dispose();
    },
  };
  return fixture;
}

/** Keeps a copy of the folder, which is the whole of a log on the embedded engine; the log goes on. Resolves with what sets the log back to it. */
export async function backUp(log: LogFixture, copy: string): Promise<() => Promise<void>> {
  const whileClosed = async (work: () => void): Promise<void> => {
    await log.anchoring.sealer.stop();
    await log.engine.resources.close();
    work();
    await log.reopen();
    await log.anchoring.sealer.start();
  };
  await whileClosed(() => cpSync(log.dataDir, copy, { recursive: true }));
  return () =>
    whileClosed(() => {
      rmSync(log.dataDir, { recursive: true });
      cpSync(copy, log.dataDir, { recursive: true });
    });
}

/** Some row: a disclosure about one of a few patients. */
export function someEntry(number: number, time: number, subject: string | null = `Patient/${number % 7}`): LogEntry {
  const reference = `AuditEvent/event-${number}`;
  return { kind: 'disclosure', occurredAt: new Date(time).toISOString(), subject, reference, digest: digestOf(reference) };
}

export type Party = {
  readonly owner: string;
  readonly role: 'patient' | 'custodian';
  readonly kid: string;
  readonly record: string;
  readonly jwk: object;
  sign(text: string): string;
};

export function party(owner: string, role: Party['role'], curve: 'P-256' | 'Ed25519' = 'P-256'): Party {
  const { publicKey, privateKey } = curve === 'P-256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const jwk = publicKey.export({ format: 'jwk' });
  const kid = digestOf(JSON.stringify(jwk));
  const enrolledBy = { client: 'admin', actor: 'Organization/hospital' };
  const record = JSON.stringify({
    event: 'registered',
    kid,
    owner,
    role,
    jwk,
    proofing: 'in person',
    enrolledBy,
    occurredAt: '2024-05-01T00:00:00.000Z',
  });
  return { owner, role, kid, record, jwk, sign: (text) => detached(text, { alg: curve === 'P-256' ? 'ES256' : 'EdDSA', kid }, privateKey) };
}

export function detached(text: string, header: object, key: KeyObject): string {
  const encoded = Buffer.from(JSON.stringify(header)).toString('base64url');
  const input = Buffer.from(`${encoded}.${Buffer.from(text).toString('base64url')}`);
  const signature = key.asymmetricKeyType === 'ec' ? sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }) : sign(null, input, key);
  return `${encoded}..${signature.toString('base64url')}`;
}

export type Story = { readonly evidence: Evidence; readonly entries: readonly LogEntry[]; readonly statement: string };

/** A disclosure that rests on one Consent: what the Gate would hand over, and the rows in the order they were committed. */
export function disclosureStory(parties: readonly Party[], at: number, patient = 'Patient/q3v5k2m8x1'): Story {
  const meta = { profile: ['http://example.org/StructureDefinition/consent'] };
  const signed = {
    resourceType: 'Consent',
    id: '0c9x2m4k7q1v5b8n3j6h0f2d9',
    meta,
    text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Insurer may read your observations for treatment.</div>' },
    status: 'active',
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
    patient: { reference: patient },
    organization: [{ reference: 'Organization/hospital' }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision: { type: 'permit', actor: [{ role: { coding: [{ code: 'IRCP' }] }, reference: { reference: 'Organization/insurer' } }] },
  };
  const version = '1a2b3c4d5e6f7g8h9i0j1k2l3';
  const consent = JSON.stringify({ ...signed, meta: { ...meta, versionId: version, lastUpdated: '2024-05-20T00:00:00.000Z' } });
  const statement = canonicalize({
    type: 'urn:assent:consent-statement:1',
    semantics: 'urn:assent:consent-semantics:1',
    audience: 'https://fhir.example.org/fhir',
    consent: signed,
    shown: { language: 'en', digest: digestOf('shown') },
    requesters: ['Organization/insurer'],
    custodians: ['Organization/hospital'],
    purposes: ['TREAT'],
    nonce: 'k3b0Zr8aQm1xV9c2T7yLhw',
    created: '2024-05-20T00:00:00.000Z',
    expires: '2024-05-27T00:00:00.000Z',
  }) as string;
  const reference = `Consent/${signed.id}`;
  const recorded = new Date(at).toISOString();
  const disclosure = JSON.stringify({
    resourceType: 'AuditEvent',
    id: '7h6g5f4d3s2a1q0w9e8r7t6y5',
    meta: { versionId: '9z8y7x6w5v4u3t2s1r0q9p8o7', lastUpdated: recorded },
    type: { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' },
    subtype: [{ system: 'http://hl7.org/fhir/restful-interaction', code: 'read' }],
    action: 'R',
    recorded,
    outcome: '0',
    purposeOfEvent: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'TREAT' }] }],
    agent: [{ who: { reference: 'Organization/insurer' }, altId: 'insurer', requestor: true }],
    source: { observer: { display: 'https://fhir.example.org' } },
    entity: [
      { what: { reference: patient }, role: { system: 'http://terminology.hl7.org/CodeSystem/object-role', code: '1' } },
      { what: { reference: 'Observation/4/_history/5' }, role: { system: 'http://terminology.hl7.org/CodeSystem/object-role', code: '4' } },
      { what: { reference: `${reference}/_history/${version}` }, role: { system: 'http://terminology.hl7.org/CodeSystem/object-role', code: '13' } },
    ],
  });
  const keyEntries = parties.map(({ owner, kid, record }): LogEntry => {
    return {
      kind: 'key-registered',
      occurredAt: '2024-05-01T00:00:00.000Z',
      subject: owner.startsWith('Patient/') ? owner : null,
      reference: `Key/${kid}`,
      digest: digestOf(record),
    };
  });
  const consentEntry: LogEntry = {
    kind: 'consent-active',
    occurredAt: '2024-05-20T00:00:00.000Z',
    subject: patient,
    reference,
    version,
    digest: digestOf(consent),
    statement: digestOf(statement),
  };
  const eventEntry: LogEntry = {
    kind: 'disclosure',
    occurredAt: recorded,
    subject: patient,
    reference: 'AuditEvent/7h6g5f4d3s2a1q0w9e8r7t6y5',
    digest: digestOf(disclosure),
  };
  const signatures = parties.map(({ sign: signText }) => signText(statement));
  const keys = parties.map(({ kid, record }) => ({ kid, key: record }));
  return {
    statement,
    entries: [...keyEntries, consentEntry, eventEntry],
    evidence: { disclosure, consents: [{ reference, consent, statement, signatures }], keys },
  };
}
