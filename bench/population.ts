/**
 * What consents cost a search over everybody: of many patients 10 % refuse and 5 % except a label, and the house shows the rest. Each search in that
 * view is held against the same search where nobody has said anything, over the same store and in turn; and the memory of the Consents, compiled.
 * `npx node bench/population.ts [--patients 10000,100000] [--rounds 200] [--only WORDS] [--mongodb]`. consent.md §3 (pushdown)
 * `--keep DIRECTORY` keeps the embedded worlds there and measures those it finds there, which have to be of today's keys.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { logRow } from '../ledger/entry.ts';
import { digestOf } from '../ledger/hash.ts';
import { createAuditKeys } from '../server/audit/keys.ts';
import { createRecorder } from '../server/audit/record.ts';
import { systemClock } from '../server/clock.ts';
import { seededRandom } from '../server/commands/demo/generator.ts';
import { compileConsent } from '../server/consent/compile.ts';
import { search } from '../server/consent/enforce/disclose.ts';
import { readSources } from '../server/consent/enforce/sourced.ts';
import { createViews } from '../server/consent/enforce/views.ts';
import { facet, facetsOf } from '../server/consent/facets.ts';
import type { SearchRequest } from '../server/consent/gate.ts';
import type { Caller } from '../server/consent/model.ts';
import { type ConsentLog, createPolicies, type Policies } from '../server/consent/policies.ts';
import { all, encodeInstant } from '../server/search/expression.ts';
import { createSearch } from '../server/search/create-search.ts';
import { createEmbeddedEngine } from '../server/store/embedded/engine.ts';
import { createMongoEngine } from '../server/store/mongo/engine.ts';
import type { Engine, ResourceStore, StoredResource } from '../server/store/port.ts';
import { round } from './rates.ts';
import { startBenchedSet } from './replica-set.ts';
import { storedOf } from './search-world.ts';

const { values } = parseArgs({
  options: {
    patients: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
    mongodb: { type: 'boolean', default: false },
    keep: { type: 'string' },
  },
});
const ROUNDS = Number(values.rounds);
/** Before any is measured: compiled, and remembered what is remembered. */
const WARM_UP = 20;
/** Of every twenty patients, and of a hundred Observations. */
const [REFUSING, EXCEPTING, LABELLED] = [2, 1, 5];
const OBSERVATIONS = 3;
const BATCH = 500;
const RULES = 'bench';
const GOAL = { ratio: 1.15, bytes: 2048 };
const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const HIV = [{ system: ACT_CODE, code: 'HIV' }];
const now = systemClock();
const caller: Caller = { client: 'c', actor: 'Organization/research', purpose: 'HRESCH', scopes: [], admin: false, choosesIds: false, tokenId: 't' };

const searching = createSearch({ base: 'http://127.0.0.1/fhir', clock: () => now });
const cases: readonly { readonly name: string; readonly query: string }[] = [
  { name: 'everything, newest 50', query: '_count=50' },
  { name: 'by a common code, newest 50', query: 'code=http://loinc.org|common-3&_count=50' },
  { name: 'by code and value, newest 50', query: 'code=http://loinc.org|common-3&value-quantity=gt150&_count=50' },
  { name: 'by a rare code, all', query: 'code=http://loinc.org|rare-7&_count=50' },
  { name: 'sorted by value', query: 'code=http://loinc.org|common-3&_sort=value-quantity&_count=20&_total=none' },
  { name: 'by code in a year, newest 50', query: 'code=http://loinc.org|common-3&date=2020&_count=50' },
  { name: 'count of a common code', query: 'code=http://loinc.org|common-3&_summary=count' },
];

function requestOf(query: string): SearchRequest {
  const { where, order, count, total } = searching.plan('Observation', new URLSearchParams(query), 'strict');
  return { type: 'Observation', where, order, count, total, query };
}

function* worldOf(patients: number): Generator<StoredResource> {
  const random = seededRandom(1);
  const rare = Math.max(1, Math.floor((patients * OBSERVATIONS) / 50 / 20));
  for (let n = 0; n < patients; n++) {
    const subject = { reference: `Patient/p${n}` };
    for (let i = 0; i < OBSERVATIONS; i++) {
      const at = new Date(Date.UTC(2015, 0, 1) + random.below(3650) * 86_400_000 + random.below(86_400_000)).toISOString();
      const code = random.below(50) === 0 ? `rare-${random.below(rare)}` : `common-${random.below(10)}`;
      const labelled = random.below(100) < LABELLED ? { meta: { security: HIV } } : {};
      const value = { value: random.below(20_000) / 100, unit: 'mg/dL', system: 'http://unitsofmeasure.org', code: 'mg/dL' };
      const coded = { coding: [{ system: 'http://loinc.org', code }] };
      const observed = {
        resourceType: 'Observation',
        id: `o${n}-${i}`,
        status: 'final',
        code: coded,
        subject,
        effectiveDateTime: at,
        valueQuantity: value,
      };
      const stored = storedOf({ ...observed, ...labelled }, now);
      yield { ...stored, keys: [...stored.keys, facet.labelledBy(RULES)] };
    }
    const provision = provisionOf(n);
    if (provision) yield storedOf({ resourceType: 'Consent', id: `c${n}`, ...consentOf(subject, provision) }, now);
  }
}

/** Of every 20 patients two refuse and one excepts what is labelled HIV. */
function provisionOf(n: number): object | undefined {
  if (n % 20 < REFUSING) return { type: 'deny' };
  return n % 20 < REFUSING + EXCEPTING ? { type: 'permit', provision: [{ type: 'deny', securityLabel: HIV }] } : undefined;
}

function consentOf(patient: object, provision: object): object {
  return {
    status: 'active',
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    patient,
    organization: [{ reference: 'Organization/hospital' }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision,
  };
}

/** Digests of the Consents, as the log would have them. */
async function seed({ commit }: ResourceStore, patients: number): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  let batch: StoredResource[] = [];
  const flush = async (): Promise<void> => {
    await commit({ guards: [], resources: batch, records: [], log: [], bumpEpoch: false });
    batch = [];
  };
  for (const row of worldOf(patients)) {
    if (row.type === 'Consent') digests.set(`Consent/${row.id}`, digestOf(row.body));
    batch.push(row);
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  return digests;
}

function policiesOver(resources: ResourceStore, digests: ReadonlyMap<string, string>): Policies {
  const logged = (reference: string) => {
    const digest = digests.get(reference);
    const subject = `Patient/p${reference.slice('Consent/c'.length)}`;
    return digest === undefined ? [] : [{ index: 0, at: now, digest, kind: 'consent-active', subject }];
  };
  const log: ConsentLog = {
    catchUp: async () => undefined,
    latest: (reference) => logged(reference)[0],
    entries: logged,
    changedSince: (position) => ({ references: position === 0 ? [...digests.keys()] : [], kids: [], position: 1 }),
  };
  return createPolicies({
    log,
    async fetch(ids) {
      const where = { kind: 'id' as const, ids: new Set(ids) };
      const order = { by: 'instant', direction: 'newest-first' } as const;
      const found = await resources.find({ type: 'Consent', where, scope: 'internal', order, limit: ids.length, keys: false });
      return found.kind === 'rows' ? found.rows : [];
    },
    writtenByOthers: resources.writtenByOthers,
    judge: async ({ body }) => ({ kind: 'established', compiled: compileConsent(JSON.parse(body) as never, { now }), kids: [] }),
    endOf: async () => ({ kind: 'stands', kids: [] }),
    alarm: () => {
      throw new Error('a Consent is not the one that was written');
    },
  });
}

function searcherOver(engine: Engine, policies: Policies): (request: SearchRequest) => Promise<unknown> {
  const resources = readSources(engine.resources);
  const closure = { permit: new Set([caller.actor]), deny: new Set([caller.actor]), validUntil: Number.POSITIVE_INFINITY };
  const views = createViews({
    policies,
    epoch: () => resources.epoch(),
    closureOf: async () => closure,
    implicit: { kind: 'permit-except', labels: [] },
    beyondBreakGlass: [],
    hiddenFromGuardians: [],
    actsFor: async () => [],
    labelRules: RULES,
    clock: systemClock,
    visibleAmong: async () => new Set(),
    reachOf: () => () => all,
    concernedBy: async () => new Set(),
  }).of(caller, 's');
  const base = 'http://127.0.0.1/fhir';
  const keysOf = createAuditKeys(
    (event, act, own) => [
      ...searching.keysOf(event).keys,
      ...facetsOf(event, { writer: act.actor, base, lookup: () => undefined, sealed: true, ...(own ? { own: act.client } : {}) }),
    ],
    encodeInstant,
  );
  const record = createRecorder({ clock: systemClock, observer: 'bench', keysOf });
  return (request) => search({ caller, resources, views, record, logRow, base, untold: () => undefined, moment: async () => undefined }, request);
}

type Costs = { readonly consented: number; readonly plain: number; readonly ratio: number; readonly error: number };

/**
 * CPU milliseconds of this process for one of each, measured in turn, each first every other time: whatever else the machine does weighs on both, and so does
 * what a search leaves to be done behind it. `error`: of the ratio, one standard error.
 */
async function costsOf(consented: () => Promise<unknown>, plain: () => Promise<unknown>): Promise<Costs> {
  const spentBy = async (run: () => Promise<unknown>): Promise<number> => {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  const rounds: (readonly [consented: number, plain: number])[] = [];
  for (let i = 0; i < WARM_UP + ROUNDS; i++) {
    const [first, second] = i % 2 === 0 ? [consented, plain] : [plain, consented];
    const spent = [await spentBy(first), await spentBy(second)] as const;
    if (i >= WARM_UP) rounds.push(i % 2 === 0 ? spent : [spent[1], spent[0]]);
  }
  const meanOf = (of: (round: readonly [number, number]) => number): number => rounds.reduce((sum, round) => sum + of(round), 0) / rounds.length;
  const [mean, control] = [meanOf(([consenting]) => consenting), meanOf(([, without]) => without)];
  const ratio = mean / control;
  const error = Math.sqrt(meanOf(([a, b]) => (a - ratio * b) ** 2) / rounds.length) / control;
  return { consented: mean, plain: control, ratio, error };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heldBy(make: () => Promise<unknown>): Promise<number> {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  await make();
  collectGarbage();
  return process.memoryUsage().heapUsed - before;
}

async function measure(engine: Engine, patients: number, digests: ReadonlyMap<string, string>): Promise<void> {
  const consents = policiesOver(engine.resources, digests);
  const epoch = await engine.resources.epoch();
  const compiled = await heldBy(() => consents.upTo(epoch));
  const withConsents = searcherOver(engine, consents);
  const without = searcherOver(engine, policiesOver(engine.resources, new Map()));
  const view = await heldBy(() => withConsents(requestOf('code=http://loinc.org|rare-7&_count=1')));
  say(`\n${patients} patients, ${patients * OBSERVATIONS} Observations, ${digests.size} Consents`);
  say(
    `  compiled: ${Math.round(compiled / digests.size)} bytes a patient, goal ${GOAL.bytes}; one caller's view of them: ${Math.round(view / digests.size)}`,
  );
  for (const { name, query } of cases.filter((each) => each.name.includes(values.only))) {
    const request = requestOf(query);
    const { consented, plain, ratio, error } = await costsOf(
      () => withConsents(request),
      () => without(request),
    );
    const missed = ratio > GOAL.ratio ? ` ! goal ${GOAL.ratio}` : '';
    say(`  ${name.padEnd(32)} ${round(consented, 2)} ms to ${round(plain, 2)}: ${round(ratio, 2)} ± ${round(error, 2)}${missed}`);
  }
}

/** Kept beside the world: a Consent is another text each time it is made. */
async function seedOnce(resources: ResourceStore, patients: number, made: string): Promise<ReadonlyMap<string, string>> {
  if (existsSync(made)) return new Map(JSON.parse(readFileSync(made, 'utf8')) as [string, string][]);
  const digests = await seed(resources, patients);
  writeFileSync(made, JSON.stringify([...digests]));
  return digests;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

for (const patients of values.patients.split(',').map(Number)) {
  const { keep, mongodb } = values;
  const set = mongodb ? await startBenchedSet() : undefined;
  if (mongodb && !set) throw new Error('no mongod was found');
  const dataDir = keep === undefined || set ? mkdtempSync(join(tmpdir(), 'assent-population-')) : join(keep, String(patients));
  mkdirSync(dataDir, { recursive: true });
  const engine = set ? await createMongoEngine({ uri: set.uri, clock: systemClock }) : await createEmbeddedEngine({ dataDir, clock: systemClock });
  try {
    await measure(engine, patients, await seedOnce(engine.resources, patients, join(dataDir, 'made')));
  } finally {
    await engine.resources.close();
    await set?.stop();
    if (keep === undefined || set) rmSync(dataDir, { recursive: true, force: true });
  }
}
