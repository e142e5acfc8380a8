/**
 * The composition root: every part built and every plugin registered, in visible order. Nothing is loaded by name or by folder.
 *
 * Invariant: this file, the commands, the migrations and the Gate are the only places that hold a ResourceStore; what is handed to a
 * handler is a Gate made for its caller.
 */
import { randomBytes } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import { logRow } from '../ledger/entry.ts';
import { type Anchoring, createAnchoring } from './anchoring/anchoring.ts';
import { systemSchedule } from './anchoring/schedule.ts';
import { createAuditKeys } from './audit/keys.ts';
import { createRecorder, type Recorded, type Recorder } from './audit/record.ts';
import { completingRecoveries, described, expiringRequests, inBackground, SERVER } from './app/background.ts';
import { asClient } from './authz/as-client.ts';
import { installAuthorization } from './authz/authorization.ts';
import { ensureBootstrap } from './authz/bootstrap.ts';
import { type Clients, createClients } from './authz/clients.ts';
import { createAuthorityLog } from './authz/authority-log.ts';
import type { AdminAct, RecordCommit } from './authz/commit.ts';
import { type Endpoints, endpointsOf } from './authz/endpoints.ts';
import { createKeyLog, type KeyLog } from './authz/key-log.ts';
import { createLoggedKeys, type LoggedKeys } from './authz/logged-keys.ts';
import { allows } from './authz/scopes.ts';
import { alarmOf, lateness, logSeries, noticeSeries } from './app/alarms.ts';
import { appPages, consentStands, problemPage } from './app/apps.ts';
import { consolePlugin } from './app/console.ts';
import { isErasedIn } from './app/erased.ts';
import { createNotices, type Notices } from './app/notices.ts';
import { labellingOf, packagesOf } from './app/packages.ts';
import { createPatients } from './app/patients.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { createGateFor, type GateDeps } from './consent/enforce.ts';
import { referenceKeys } from './consent/enforce/integrity.ts';
import { purgeJob } from './consent/enforce/purge.ts';
import { createStoredParameters, type StoredParameters } from './consent/enforce/parameters.ts';
import { completing, openReferenceIndex } from './consent/enforce/reference-index.ts';
import { type KeyMark, readKeyMark } from './consent/enforce/key-mark.ts';
import { keepLabelled } from './consent/enforce/label-mark.ts';
import { reindexJob } from './consent/enforce/reindex.ts';
import { concernedKeys, facetsOf } from './consent/facets.ts';
import type { GateFor } from './consent/gate.ts';
import type { Labelling } from './consent/labelling.ts';
import { breakGlassPolicyOf, hiddenFromGuardians, implicitPolicyOf } from './consent/configured.ts';
import type { ImplicitPolicy } from './consent/model.ts';
import { adminPlugin } from './http/admin.ts';
import { installDraining } from './http/draining.ts';
import { createHeld, type Held, systemWaiting, type Waiting } from './http/held.ts';
import { installErrorHandling } from './http/error-handler.ts';
import { createExplain } from './http/explain.ts';
import { createFhirPlugin } from './http/fhir-plugin.ts';
import { createHealthPlugin } from './http/health.ts';
import { verifierPage } from './commands/verifier.ts';
import { ledgerPlugin } from './http/ledger.ts';
import { createMetrics, type Metrics } from './http/metrics.ts';
import { installObservation } from './http/observation.ts';
import { createServerOptions } from './http/server-options.ts';
import { createJobs, type Jobs } from './jobs/jobs.ts';
import { createSearch, type Search } from './search/create-search.ts';
import { encodeInstant } from './search/expression.ts';
import { type Cursors, createCursors } from './search/page.ts';
import { createParameters, type Registry as SearchRegistry } from './search/registry.ts';
import { createEmbeddedEngine } from './store/embedded/engine.ts';
import type { Engine, RecordStore, WriteSet } from './store/port.ts';
import { type Package, profilesByType } from './validation/packages/package.ts';
import { createSearchTerms } from './validation/search-terms.ts';
import { createValidator, type Validator } from './validation/validator.ts';
import { showMissing } from './web/patient/errors.ts';

export type App = {
  readonly fhir: string;
  readonly console: string;
  /** Path of bootstrap.json. */
  readonly bootstrap: string;
  listen(): Promise<void>;
  /** Answers what is under way, seals what is committed, closes the store. */
  close(): Promise<void>;
};

type AppOptions = {
  readonly clock: Clock;
  /** Where log lines go; absent: stderr. */
  readonly logTo?: { write(line: string): void };
  /** What everything reads and writes through, in the engine's place: for those who watch what is asked of it. */
  readonly through?: (engine: Engine) => Engine;
  /** What answers are held by. */
  readonly waiting?: Waiting;
};

/** Throws Error with a sentence when the database, the signer or a setting does not allow a start. */
export async function createApp(config: Config, { clock, through = (engine) => engine, ...output }: AppOptions): Promise<App> {
  const implicit = implicitPolicyOf(config);
  const packages = { packages: await packagesOf(config), unknownProfiles: config.UNKNOWN_PROFILES };
  const endpoints = endpointsOf(config.PUBLIC_URL || `http://${config.HOST}:${config.PORT}`);
  const { server, held } = openServer(config, output);
  const engine = through(await openEngine(config, clock, () => server.log.warn(NO_PRIMARY)));
  const anchoring = await createAnchoring({
    log: engine.resources,
    records: engine.records,
    clock,
    schedule: systemSchedule,
    config,
    report: (fault) => server.log.error(described(fault), 'sealing failed; it is tried again'),
  });
  const warn = (sentence: string) => server.log.warn(sentence);
  if (!(await openReferenceIndex(engine, config.REFERENTIAL_INTEGRITY === 'on'))) warn(STALE_REFERENCES);
  const onBoard = parametersOf(packages.packages, warn);
  const parameters = createStoredParameters(engine, onBoard);
  await parameters.refresh();
  const nudging = parameters.noticing(nudgeAfterCommit(engine, anchoring));
  const terms = createSearchTerms(packages.packages);
  const labelling = labellingOf(config, packages.packages, terms);
  // What has no secrets yet was never started.
  const isNew = !(await engine.records.get('secret', 'page-links'));
  const keyMark = await readKeyMark(engine.records, { keyRules: onBoard.keyRules, isNew, stale: () => warn(STALE_KEYS) });
  const search = createSearch({ base: endpoints.fhir, clock, known: parameters.known, terms, current: keyMark.isCurrent });
  const recorder = recorderOver({ search, clock, endpoints });
  const registry = createRegistry(nudging, { clock, config, anchoring, recorder, server });
  const jobs = buildJobs(nudging, { search, clock, config, endpoints, server, recorder, keyMark, parameters });
  if (await keepLabelled({ ...nudging, jobs, labelling }, isNew)) warn(STALE_LABELS);
  const notices = await createNotices({ config, engine: nudging, endpoints, recorder, clock, log: server.log });
  const gates = { held, anchoring, registry, search, endpoints, clock, config, implicit, server, recorder, jobs, parameters, labelling, notices };
  const gateFor = buildGate(nudging, gates);
  const background = inBackground([jobs, expiringRequests(gateFor, server.log), completingRecoveries(gateFor, server.log), notices.sending]);
  const validator = createValidator({ threads: config.VALIDATION_WORKERS, packages });
  const secret = await sharedSecret(engine.records, 'page-links');
  const made = { cursors: createCursors({ secret }), metrics: createMetrics(), profiles: profilesByType(packages.packages) };
  const parts = { held, anchoring, registry, search, endpoints, clock, config, gateFor, validator, jobs, notices, ...made };
  await registerAll(server, { engine: nudging, ...parts });
  const bootstrap = await ensureBootstrap({ dataDir: config.DATA_DIR, endpoints, clients: registry.clients });
  await validator.warm(['Patient', 'Observation', 'Consent', 'Organization']);
  return {
    fhir: endpoints.fhir,
    console: endpoints.console,
    bootstrap,
    async listen() {
      await anchoring.sealer.start();
      wakeForOthers(engine, anchoring, server);
      await server.listen({ host: config.HOST, port: config.PORT });
      background.start();
    },
    async close() {
      await server.close();
      await background.stop();
      await anchoring.sealer.stop();
      await validator.close();
      await engine.resources.close();
    },
  };
}

function openServer(config: Config, { waiting = systemWaiting, ...output }: Pick<AppOptions, 'logTo' | 'waiting'>) {
  const server = fastify(createServerOptions({ logLevel: config.LOG_LEVEL, bodyBytes: config.MAX_BODY_BYTES, ...output }));
  const held = createHeld(config.MISS_QUANTUM_MS ?? quantumOf(config), waiting);
  held.install(server);
  return { server, held };
}

/** ms in which nearly every miss is through, its event durable: of 300 each on a quiet machine half took 4, with MongoDB 17. */
function quantumOf({ MONGODB_URI }: Config): number {
  return MONGODB_URI === '' ? 10 : 40;
}

/** Jobs per caller under way at once. */
const JOBS_PER_OWNER = 20;
const MINUTE_MS = 60_000;

function buildJobs(
  { resources, records }: Engine,
  {
    search,
    clock,
    config,
    endpoints,
    server,
    recorder,
    keyMark,
    parameters,
  }: Pick<GateParts, 'search' | 'clock' | 'config' | 'endpoints' | 'server' | 'recorder' | 'parameters'> & { readonly keyMark: KeyMark },
): Jobs {
  const jobs = createJobs({
    records,
    clock,
    schedule: systemSchedule,
    alone: config.MONGODB_URI === '',
    limits: {
      atOnce: config.MAX_JOBS,
      keepMs: config.JOB_RESULT_MINUTES * MINUTE_MS,
      resultBytes: config.MAX_JOB_RESULT_BYTES,
      perOwner: JOBS_PER_OWNER,
    },
    report: (fault) => server.log.error(described(fault), 'a job failed'),
  });
  const reindex = keyMark.after(
    reindexJob({ resources, recorder, logRow, parameters, base: endpoints.fhir, indexKeys: createKeys(config, search, endpoints.fhir) }),
  );
  jobs.handle('reindex', config.REFERENTIAL_INTEGRITY === 'on' ? completing(reindex, { records }) : reindex);
  return jobs;
}

/** R4's search parameters and those of the packages on board. */
function parametersOf(packages: readonly Package[], warn: (sentence: string) => void): SearchRegistry {
  const definitions = packages.flatMap(({ searchParameters }) => searchParameters.map(({ text }) => JSON.parse(text) as unknown));
  const registry = createParameters(definitions);
  for (const sentence of registry.refused) warn(sentence);
  return registry;
}

const NO_PRIMARY = 'the replica set has no primary that can be used yet; it is tried again';
const STALE_KEYS =
  'stored resources were indexed by other rules than those of today: searches may find less than there is until POST /fhir/$reindex has run';
const STALE_REFERENCES =
  'what refers to what is not known of all resources: until POST /fhir/$reindex is done, deletions look only at what was written since';
const STALE_LABELS =
  'stored resources were labelled by other value sets than those of today: until a job has labelled them anew they count as labelled with everything';

async function openEngine({ MONGODB_URI: uri, DATA_DIR: dataDir }: Config, clock: Clock, waiting: () => void): Promise<Engine> {
  if (uri === '') return createEmbeddedEngine({ dataDir, clock });
  // The driver is loaded only where it is used: it costs the embedded server its start.
  const { createMongoEngine } = await import('./store/mongo/engine.ts');
  return createMongoEngine({ uri, clock, waiting });
}

/** Every commit with log rows tells the sealer, whoever made it. */
function nudgeAfterCommit(engine: Engine, { sealer }: Anchoring): Engine {
  const commit = async (writes: WriteSet) => {
    const result = await engine.resources.commit(writes);
    if (writes.log.length > 0 && result.kind === 'committed') sealer.nudge(writes.log.length);
    return result;
  };
  return { ...engine, resources: { ...engine.resources, commit } };
}

/** What other processes commit is sealed sooner than the sealer would look by itself. */
function wakeForOthers(engine: Engine, { sealer }: Anchoring, { log }: FastifyInstance): void {
  const report = (fault: unknown): void =>
    log.warn(described(fault), 'no wake-ups from other processes for now: their entries are sealed a second later');
  engine.watchLog?.(() => sealer.nudge(), report);
}

type Registry = { readonly clients: Clients; readonly keyLog: KeyLog; readonly keys: LoggedKeys; readonly commit: RecordCommit };

type RegistryParts = Pick<GateParts, 'clock' | 'config' | 'anchoring' | 'recorder' | 'server'>;

function createRegistry({ resources, records }: Engine, { clock, config, anchoring, recorder, server }: RegistryParts): Registry {
  const { tail } = anchoring;
  const recorded = ({ by: { client, actor, purpose }, patient, what }: AdminAct): Recorded =>
    recorder({ interaction: 'operation', outcome: 'done', client, actor, purpose, patient, what: [], basis: [], query: what }, { own: true });
  const commit: RecordCommit = ({ act, log, opens = true, ...writes }) => {
    const audits = act ? [recorded(act)] : [];
    return resources.commit({
      ...writes,
      resources: audits.map(({ resource }) => resource),
      log: [...log, ...audits.map(({ entry }) => logRow(entry))],
      bumpEpoch: opens,
    });
  };
  const indexAt = async (instant: number) => {
    await tail.catchUp();
    return tail.indexAt(instant);
  };
  const keyLog = createKeyLog({ records, commit, clock, logRow, indexAt });
  const alarm = alarmOf('key', anchoring, server);
  return {
    clients: createClients({ records, commit, clock, privateHosts: config.JWKS_PRIVATE_HOSTS }),
    keyLog,
    keys: createLoggedKeys({ keyLog, tail, alarm }),
    commit,
  };
}

/** Who acts for patients, and how far. */
function relativesOf({ records }: Engine, { config, clock, anchoring, server }: GateParts): Relatives {
  const alarm = alarmOf('authority', anchoring, server);
  return {
    authorities: createAuthorityLog({ records, clock, logRow, tail: anchoring.tail, alarm }),
    ages: { majority: config.MAJORITY_AGE, adolescence: config.ADOLESCENCE_AGE },
    hiddenFromGuardians: hiddenFromGuardians(config),
  };
}
type Relatives = Pick<GateDeps, 'authorities' | 'ages' | 'hiddenFromGuardians'>;

type GateParts = {
  readonly anchoring: Anchoring;
  readonly registry: Registry;
  readonly search: Search;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly config: Config;
  readonly implicit: ImplicitPolicy;
  readonly server: FastifyInstance;
  readonly recorder: Recorder;
  readonly jobs: Jobs;
  readonly parameters: StoredParameters;
  readonly labelling: Labelling;
  readonly notices: Notices;
  readonly held: Held;
};

function recorderOver({ search, clock, endpoints }: Pick<GateParts, 'search' | 'clock' | 'endpoints'>): Recorder {
  const keysOf = createAuditKeys((event, act, own) => {
    const context = { writer: act.actor, base: endpoints.fhir, lookup: () => undefined, sealed: true, ...(own ? { own: act.client } : {}) };
    return [...search.keysOf(event).keys, ...facetsOf(event, context)];
  }, encodeInstant);
  const withConcerned: typeof keysOf = (event, act, own) => {
    const { patient, concerned, what } = act;
    return [...keysOf(event, act, own), ...(concerned ? concernedKeys({ patient, concerned, what }) : [])];
  };
  return createRecorder({ clock, observer: endpoints.issuer, keysOf: withConcerned });
}

function buildGate(engine: Engine, parts: GateParts): GateFor {
  const { anchoring, registry, search, endpoints, clock, config, implicit, server, recorder, jobs, parameters, labelling, notices, held } = parts;
  const { tail, receipts, erasure } = anchoring;
  const base = endpoints.fhir;
  const registrationOf = async (client: string) => (await registry.clients.find(client))?.generation;
  const endRequest = (consent: string) => gateFor(SERVER).endBeforeErasure(consent);
  jobs.handle('purge', purgeJob({ ...engine, clock, recorder, logRow, registrationOf, entries: erasure, dropResults: jobs.dropResults, endRequest }));
  const gateFor = createGateFor({
    ...engine,
    clock,
    base,
    recorder,
    logRow,
    implicit,
    breakGlass: breakGlassPolicyOf(config),
    labelling,
    approvals: config.APPROVALS,
    tell: notices.tell,
    integrity: config.REFERENTIAL_INTEGRITY === 'on',
    untold: held.untold,
    moment: held.moment,
    indexKeys: createKeys(config, search, base),
    parameters,
    where: (type, query) => search.plan(type, query, 'strict').where,
    log: {
      catchUp: tail.catchUp,
      latest: tail.latest,
      entries: tail.entries,
      changedSince(position) {
        const changed = tail.changedSince(position);
        const named = (prefix: string) => changed.filter((reference) => reference.startsWith(prefix));
        return {
          references: named('Consent/'),
          kids: [...named('Key/'), ...named('Authority/')].map((each) => each.slice(each.indexOf('/') + 1)),
          position: tail.position(),
        };
      },
    },
    keys: {
      ...registry.keys,
      changes: registry.keyLog.changes,
      recoveryDelayMs: config.KEY_RECOVERY_HOURS * 60 * MINUTE_MS,
    },
    ...relativesOf(engine, parts),
    chains: anchoring.chains,
    receiptFor: receipts.receiptFor,
    erasures: {
      isErased: ({ reference, version }) => isErasedIn(tail, `${reference}/_history/${version}`),
      erasureOf: receipts.erasureOf,
    },
    alarm: ({ logIndex }) => alarmOf('consent', anchoring, server)(logIndex),
  });
  return gateFor;
}

/** Of resources as they are written; with referential integrity also of all they refer to. */
function createKeys({ REFERENTIAL_INTEGRITY: integrity }: Config, { keysOf }: Search, base: string): GateDeps['indexKeys'] {
  if (integrity === 'off') return keysOf;
  return (resource) => {
    const { keys, instant } = keysOf(resource);
    return { keys: [...keys, ...referenceKeys(resource, base)], instant };
  };
}

/** Made once, the same in every process on one database. */
async function sharedSecret(records: RecordStore, name: string): Promise<Uint8Array> {
  await records.put('secret', name, randomBytes(32), { revision: null });
  return (await records.get('secret', name))?.value as Uint8Array;
}

type Parts = Omit<GateParts, 'server' | 'implicit' | 'recorder' | 'parameters' | 'labelling'> & {
  readonly engine: Engine;
  readonly gateFor: GateFor;
  readonly validator: Validator;
  readonly profiles: ReadonlyMap<string, readonly string[]>;
  readonly cursors: Cursors;
  readonly metrics: Metrics;
  readonly jobs: Jobs;
};

async function registerAll(server: FastifyInstance, parts: Parts): Promise<void> {
  const { engine, anchoring, registry, search, endpoints, clock, config, gateFor, validator, profiles, cursors, metrics, jobs, held } = parts;
  const { resources, records } = engine;
  installErrorHandling(server, showMissing);
  installDraining(server);
  installObservation(server, { metrics });
  const authenticator = await installAuthorization(server, {
    records,
    ...registry,
    clock,
    endpoints,
    privateHosts: config.JWKS_PRIVATE_HOSTS,
    epoch: () => resources.epoch(),
    cookieKey: Buffer.from(await sharedSecret(records, 'authorization-cookies')).toString('base64url'),
    problemPage,
    consentStands: consentStands(gateFor),
  });
  const validate: Validator['validate'] = (documents, profiles) => validator.validate(documents, profiles);
  const { authenticate } = authenticator;
  const registrationOf = async (client: string) => (await registry.clients.find(client))?.generation;
  const fhir = {
    base: endpoints.fhir,
    integrity: config.REFERENTIAL_INTEGRITY === 'on',
    oauth: endpoints,
    limits: limitsOf(config),
    profiles,
    clock,
    validate,
    allows,
    search,
    cursors,
    gateFor,
    held,
    authenticate,
    jobs,
    registrationOf,
    breakGlassToken: authenticator.breakGlassToken,
  };
  await server.register(createFhirPlugin(fhir), { prefix: '/fhir' });
  const explain = createExplain({ search, clock, gateFor, allows, callerAs: (client, purpose) => asClient(registry.clients, client, purpose) });
  const secret = await sharedSecret(records, 'passkeys');
  const patients = createPatients({ ...parts, ...registry, secret });
  const { enrolments, recoveries, sessions, passkeys, clientName } = patients;
  const { interactions, launches, appConsents } = authenticator;
  const { keys, keyLog, clients } = registry;
  const apps = appPages({ config, records, interactions, appConsents, sessions, passkeys, keys, clientName, search, gateFor, endpoints, clock });
  for (const pages of [...patients.pages, ...apps]) await server.register(pages);
  await server.register(adminPlugin, { callerOf: authenticate, clients, keys: keyLog, enrolments, recoveries, explain, launches });
  await server.register(ledgerPlugin({ log: anchoring.publicLog, verifier: await verifierPage() }), { prefix: '/ledger' });
  const checks = [
    { name: 'store', check: () => resources.check() },
    { name: 'signer', check: () => anchoring.check() },
  ];
  await server.register(createHealthPlugin({ checks: [...checks, ...lateness(anchoring)], metrics }));
  logSeries(metrics, anchoring);
  noticeSeries(metrics, parts.notices);
  await server.register(consolePlugin(server, { ...parts, authenticate, checks, explain, custodians: { keysOf: keys.list, passkeys }, clientName }));
}

function limitsOf(config: Config): Parameters<typeof createFhirPlugin>[0]['limits'] {
  return {
    bodyBytes: config.MAX_BODY_BYTES,
    jsonDepth: config.MAX_JSON_DEPTH,
    bundleEntries: config.MAX_BUNDLE_ENTRIES,
    conditionalDeletes: config.MAX_CONDITIONAL_DELETES,
    bytesInFlight: config.MAX_BYTES_IN_FLIGHT,
  };
}
