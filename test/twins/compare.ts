/**
 * Two servers of one world: one with everything, one with only what reference-view.ts says its caller may see. The same requests go to both
 * and the answers are compared, byte for byte. consent.md §1
 */
import { jws, type Key, withdrawalOf } from '../../server/commands/demo/session.ts';
import { keyStatement } from '../support/key-ceremony.ts';
import { type Json, referencesIn } from '../support/reference-consent.ts';
import { whoIn } from '../support/reference-naming.ts';
import { anchorsOf, nameOf, patientsIn, shownIn, type Version } from '../support/reference-view.ts';
import { KINDS, PATIENTS } from './content.ts';
import type { Ask, Request } from './requests.ts';
import { type Answered, keyOf, type Owned, plannedIds, type Program, PUBLIC, startTwinServer, type TwinServer } from './server.ts';
import { directoryFor, RELATIVE, type Step, type World } from './world.ts';

export type Case = { readonly world: World; readonly requests: readonly Request[] };
/** `asked`: what went wrong at, and how. */
export type Difference = { readonly at: number; readonly asked: string; readonly whole: string; readonly twin: string };
export type Outcome = {
  readonly difference: Difference | undefined;
  readonly asked: number;
  readonly claims: ReadonlySet<string>;
  readonly hidden: number;
  readonly shown: number;
};

export type Bench = {
  readonly program: Program;
  /** Of a database that is not used yet; undefined: the embedded engine. */
  readonly database: () => string | undefined;
};

const START = Date.parse('2026-06-01T08:00:00Z');
/** Steps of the requests: none of loading is as high. */
const ASKING = 100_000;
const LOADER = 'admin';

let keys: ReadonlyMap<string, Owned> | undefined;
const owners = ['Organization/hospital', ...PATIENTS.map((id) => `Patient/${id}`)];
const YEAR_MS = 365 * 86_400_000;
const keyring = (): ReadonlyMap<string, Owned> => (keys ??= new Map(owners.map((owner) => [owner, keyOf(owner)])));

/** Stops at the first difference. */
export async function compare({ world, requests }: Case, { program, database }: Bench): Promise<Outcome> {
  let now = START;
  const ids = plannedIds(program);
  const started: TwinServer[] = [];
  const start = async (): Promise<TwinServer> => {
    const mongo = database();
    const server = await startTwinServer({ program, clock: () => now, settings: settingsOf(world), ...(mongo === undefined ? {} : { mongo }) });
    started.push(server);
    return server;
  };
  try {
    const tools = { ids, clock: { now: () => now, set: (to: number) => void (now = to) } };
    const plan = planOf(world);
    const whole = await open(await start(), world, { ...tools, steps: plan.all });
    const { kept, shown } = divide(world, plan.all, whole.consents);
    const twin = await open(await start(), world, { ...tools, steps: kept });
    const hidden = shown.size === 0 ? plan.all.length : plan.all.filter(({ version }) => version && !shown.has(version)).length;
    const unequal = await comesToTheSame({ whole, twin, ids }, shown);
    if (unequal) return { difference: unequal, asked: 0, claims: new Set(), hidden, shown: shown.size };
    const run = await askBoth({ whole, twin, requests, world, plan, ...tools });
    return { ...run, hidden, shown: shown.size };
  } finally {
    ids.end();
    for (const server of started) await server.stop();
  }
}

function settingsOf({ implicit }: World): Readonly<Record<string, string>> {
  return { ASSENT_IMPLICIT_POLICY: implicit.kind, ...(implicit.labels ? { ASSENT_IMPLICIT_EXCEPT: implicit.labels.join(',') } : {}) };
}

// What is stored when.

/** `number`: its ids. `version`: undefined for what both servers hold. */
type Planned = { readonly number: number; readonly at: number; readonly step: Step; readonly version: Version | undefined };
type Plan = { readonly all: readonly Planned[]; readonly until: number };

function planOf({ steps, caller }: World): Plan {
  let at = START;
  const contents = new Map<string, Json>();
  const directory = directoryFor(caller.actor).map((content, i): Planned => {
    const step = { wait: 0, type: String(content['resourceType']), id: String(content['id']), content };
    return { number: i + 1, at, step, version: versionOf(step, contents) };
  });
  const all = steps.flatMap((step, i): Planned[] => {
    at += step.wait;
    if (step.content === 'deleted' && !contents.has(`${step.type}/${step.id}`)) return [];
    return [{ number: 1000 + i, at, step, version: versionOf(step, contents) }];
  });
  return { all: [...directory.map((each) => ({ ...each, version: undefined })), ...all], until: at };
}

function versionOf({ type, id, content }: Step, contents: Map<string, Json>): Version {
  const deleted = content === 'deleted';
  const kept = deleted ? (contents.get(`${type}/${id}`) ?? { resourceType: type, id }) : { ...content, id };
  contents.set(`${type}/${id}`, kept);
  return { type, id, content: kept, deleted, writer: LOADER };
}

/** What the twin holds: of every resource that is shown, the versions that are. What hangs on something it does not hold is dropped from both. */
function divide(world: World, all: readonly Planned[], consents: readonly Json[]): { kept: readonly Planned[]; shown: ReadonlySet<Version> } {
  const directory = directoryFor(world.caller.actor).map(
    (content): Version => ({ type: String(content['resourceType']), id: String(content['id']), content, deleted: false, writer: LOADER }),
  );
  const view = (versions: readonly Version[]) => {
    const newest = new Map(versions.map((version) => [nameOf(version), version]));
    const frozen = Object.fromEntries(anchorsOf(consents).map((anchor) => [anchor, frozenAt(newest.get(anchor))]));
    return shownIn({
      caller: { ...world.caller, client: 'reader' },
      now: START + 1,
      consents,
      implicit: world.implicit,
      actsFor: world.authority === 'standing' ? PATIENTS[0] : undefined,
      versions: [...directory, ...versions],
      frozen,
    });
  };
  const versions = all.flatMap(({ version }) => (version ? [version] : []));
  const shown = view(versions);
  // Which records are of one person is a policy, as Consents are.
  const linked = linkedIn(versions);
  const isHeld = (version: Version) => shown.has(version) || (version.type === 'Patient' && linked.has(version.id));
  const held = versions.filter(isHeld);
  const alone = view(held);
  const whoAmong = (some: readonly Version[], { content }: Version) =>
    JSON.stringify(whoIn([content], patientsIn(new Map(some.map((each) => [nameOf(each), each])))));
  if ([...shown].some((version) => !alone.has(version) || whoAmong(versions, version) !== whoAmong(held, version))) throw new Unsettled();
  return { kept: all.filter(({ version }) => !version || isHeld(version)), shown };
}

function linkedIn(versions: readonly Version[]): ReadonlySet<string> {
  const patients = versions.flatMap(({ type, id, content }) =>
    type === 'Patient' ? [{ id, link: (content['link'] ?? []) as readonly Json[] }] : [],
  );
  const others = (link: readonly Json[]) => link.map(({ other }) => String(other['reference']).slice('Patient/'.length));
  return new Set(patients.flatMap(({ id, link }) => (link.length > 0 ? [id, ...others(link)] : [])));
}

/** A world in which something is shown only because something hidden is there: no server without the hidden can be its twin. */
export class Unsettled extends Error {}

function frozenAt(anchor: Version | undefined): string[] {
  return anchor && !anchor.deleted ? [...new Set(referencesIn(anchor.content))] : [];
}

// One server.

type Side = {
  readonly server: TwinServer;
  readonly token: string;
  /** Those in force. */
  readonly consents: readonly Json[];
  /** ids and versions as stored, by `Type/id`. */
  readonly stored: ReadonlyMap<string, readonly string[]>;
  readonly consentIds: ReadonlyMap<string, string>;
};
type Tools = { readonly ids: ReturnType<typeof plannedIds>; readonly clock: { readonly now: () => number; set(to: number): void } };

async function open(server: TwinServer, world: World, { ids, clock, steps }: Tools & { readonly steps: readonly Planned[] }): Promise<Side> {
  const stored = new Map<string, string[]>();
  for (const planned of steps) {
    ids.at(planned.number);
    clock.set(planned.at);
    await put(server, planned.step, stored);
  }
  clock.set(START + 3_600_000);
  const enrolled = new Map<string, Key>();
  for (const [owner, key] of keyring()) enrolled.set(owner, await server.enrol(key));
  const token = await server.tokenOf({ id: 'reader', ...world.caller });
  if (world.authority !== undefined) await authorize(server, world.authority, { enrolled, now: clock.now() });
  const signed = await sign(server, world, { enrolled, ids, now: clock.now() });
  if (world.integrity) {
    await server.restart({ ASSENT_REFERENTIAL_INTEGRITY: 'on' });
    await finished(server, server.admin, await server.ask(server.admin, { method: 'POST', path: '$reindex', body: { resourceType: 'Parameters' } }));
  }
  return { server, token, stored, ...signed };
}

async function put(server: TwinServer, { type, id, content }: Step, stored: Map<string, string[]>): Promise<void> {
  const path = `${type}/${id}`;
  const done = await server.ask(server.admin, content === 'deleted' ? { method: 'DELETE', path } : { method: 'PUT', path, body: { ...content, id } });
  if (done.status >= 300) throw new Error(`${path}: ${done.text}`);
  const [, version = ''] = /"(.*)"/.exec(new Map(done.headers).get('etag') ?? '') ?? [];
  stored.set(path, [...(stored.get(path) ?? []), version]);
}

/** By the first patient, to the relative. */
async function authorize(
  server: TwinServer,
  authority: NonNullable<World['authority']>,
  { enrolled, now }: Pick<Signing, 'enrolled' | 'now'>,
): Promise<void> {
  const patient = `Patient/${PATIENTS[0]}`;
  const key = enrolled.get(patient) as Key;
  const say = async (operation: string, kind: 'authority' | 'authority-end', said: Json): Promise<Json> => {
    const statement = keyStatement({ bootstrap: { fhirBaseUrl: `${PUBLIC}/fhir` }, now: () => now }, kind, said);
    const signature = { name: 'signature', valueString: jws(key, statement, true) };
    const body = { resourceType: 'Parameters', parameter: [{ name: 'statement', valueString: statement }, signature] };
    const { status, text } = await server.ask(server.admin, { method: 'POST', path: operation, body });
    if (status >= 300) throw new Error(`${operation}: ${text}`);
    return JSON.parse(text) as Json;
  };
  const [from, until] = [now - 60_000, now + YEAR_MS].map((at) => new Date(at).toISOString());
  const granted = await say('$grant-authority', 'authority', {
    patient,
    delegate: RELATIVE,
    basis: 'patient',
    acts: authority === 'to sign' ? ['sign'] : ['read'],
    from,
    until,
    ...(authority === 'other purpose' ? { purposes: ['HRESCH'] } : {}),
  });
  const id = granted['parameter'].find(({ name }: Json) => name === 'authority').valueString;
  if (authority === 'ended') await say('$end-authority', 'authority-end', { authority: id, reason: 'moved away' });
}

type Signing = { readonly enrolled: ReadonlyMap<string, Key>; readonly ids: Tools['ids']; readonly now: number };

async function sign(server: TwinServer, { consents }: World, { enrolled, ids, now }: Signing): Promise<Pick<Side, 'consents' | 'consentIds'>> {
  const inForce: Json[] = [];
  const consentIds = new Map<string, string>();
  const custodian = enrolled.get('Organization/hospital') as Key;
  const ask = async (path: string, ...parameter: readonly object[]): Promise<Json> => {
    const { status, text } = await server.ask(server.admin, { method: 'POST', path, body: { resourceType: 'Parameters', parameter } });
    return { status, ...(JSON.parse(text) as Json) };
  };
  for (const [i, { patient, provision, fate }] of consents.entries()) {
    ids.at(50_000 + i);
    const terms = termsFor(patient, provision);
    const language = { name: 'language', valueCode: 'en' };
    const prepared = await ask('Consent/$prepare', { name: 'consent', resource: terms }, language);
    // What is refused at the door is no Consent, on either server.
    if (prepared['status'] !== 200) continue;
    const part = (name: string) => String(prepared['parameter'].find((each: Json) => each['name'] === name).valueString);
    const key = enrolled.get(`Patient/${patient}`) as Key;
    const signatures = (fate === 'unsigned' ? [key] : [key, custodian]).map((each) => ({
      name: 'signature',
      part: [
        { name: 'who', valueReference: { reference: each.owner } },
        { name: 'jws', valueString: jws(each, part('statement'), true) },
      ],
    }));
    const signed = await ask('Consent/$sign', { name: 'statement', valueString: part('statement') }, ...signatures);
    const consent = `Consent/${String(signed['id'])}`;
    consentIds.set(`Consent/${patient}`, String(signed['id']));
    if (fate === 'in force') inForce.push(terms);
    if (fate === 'withdrawn')
      await ask(`${consent}/$withdraw`, { name: 'jws', valueString: jws(key, withdrawalOf({ consent, digest: part('digest'), now }), false) });
    if (fate === 'superseded') await supersede(ask, { consent, patient, keys: [key, custodian], inForce });
  }
  return { consents: inForce, consentIds };
}

function termsFor(patient: string, provision: Json): Json {
  return {
    resourceType: 'Consent',
    status: 'active',
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
    patient: { reference: `Patient/${patient}` },
    dateTime: '2026-06-01T00:00:00Z',
    organization: [{ reference: 'Organization/hospital' }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision,
  };
}

type Superseding = { readonly consent: string; readonly patient: string; readonly keys: readonly Key[]; readonly inForce: Json[] };

async function supersede(
  ask: (path: string, ...parameter: readonly object[]) => Promise<Json>,
  { consent, patient, keys: signers, inForce }: Superseding,
): Promise<void> {
  const terms = termsFor(patient, { type: 'deny' });
  const prepared = await ask(
    'Consent/$prepare',
    { name: 'consent', resource: terms },
    { name: 'language', valueCode: 'en' },
    { name: 'supersedes', valueReference: { reference: consent } },
  );
  const statement = String(prepared['parameter'].find((each: Json) => each['name'] === 'statement').valueString);
  const signatures = signers.map((key) => ({
    name: 'signature',
    part: [
      { name: 'who', valueReference: { reference: key.owner } },
      { name: 'jws', valueString: jws(key, statement, true) },
    ],
  }));
  const signed = await ask('Consent/$sign', { name: 'statement', valueString: statement }, ...signatures);
  if (signed['status'] !== 201 && signed['resourceType'] !== 'Consent') throw new Error(JSON.stringify(signed));
  inForce.push(terms);
}

// The comparison.

/** Whether both show what the second reading says, no more and no less. */
async function comesToTheSame(
  { whole, twin, ids }: Pick<Asking, 'whole' | 'twin' | 'ids'>,
  shown: ReadonlySet<Version>,
): Promise<Difference | undefined> {
  for (const [i, type] of KINDS.entries()) {
    const request = { method: 'GET', path: `${type}?_count=1000` };
    const newest = new Map([...shown].filter((version) => version.type === type).map((version) => [nameOf(version), version.deleted]));
    const expected = [...newest].flatMap(([name, deleted]) => (deleted ? [] : [name])).sort();
    for (const side of [whole, twin]) {
      ids.at(ASKING - 1 - i);
      const { status, text } = await side.server.ask(side.token, request);
      if (status === 403) continue;
      const names: string[] = ((JSON.parse(text) as Json)['entry'] ?? []).map(({ resource }: Json) => `${type}/${resource.id}`);
      // The server signs Provenances of its own.
      const found = names.filter((name) => type !== 'Provenance' || expected.includes(name)).sort();
      if (found.join() !== expected.join())
        return { at: -1, asked: `${request.path}: what is shown by the rules`, whole: found.join(' '), twin: expected.join(' ') };
    }
  }
  return undefined;
}

type Asking = Tools & {
  readonly whole: Side;
  readonly twin: Side;
  readonly requests: readonly Request[];
  readonly world: World;
  readonly plan: Plan;
};

async function askBoth({ whole, twin, requests, world, plan, ids, clock }: Asking): Promise<Pick<Outcome, 'difference' | 'asked' | 'claims'>> {
  const claims = new Set<string>();
  let asked = 0;
  let { all } = plan;
  for (const [at, request] of requests.entries()) {
    const step = ASKING + at;
    clock.set(START + 3_600_000 + (at + 1) * 1000);
    if ('meanwhile' in request) {
      const version = versionOf(request.meanwhile, new Map());
      const planned = { number: step, at: clock.now(), step: request.meanwhile, version };
      all = [...all, planned];
      const { kept } = divide(world, all, whole.consents);
      for (const side of kept.includes(planned) ? [whole, twin] : [whole]) {
        ids.at(step);
        await put(side.server, request.meanwhile, new Map());
      }
      continue;
    }
    const filled = fill(request, whole);
    const answers: string[][] = [];
    for (const side of [whole, twin]) {
      ids.at(step);
      answers.push(await follow(side, filled));
    }
    asked += 1;
    for (const claim of request.claims) claims.add(claim);
    const [first = [], second = []] = answers;
    const page = first.findIndex((text, i) => text !== second[i]);
    if (page >= 0 || first.length !== second.length) {
      const where = Math.max(page, 0);
      const difference = {
        at,
        asked: `${described(filled)}${where > 0 ? ` (page ${where + 1})` : ''}`,
        whole: first[where] ?? '',
        twin: second[where] ?? '',
      };
      return { difference, asked, claims };
    }
  }
  return { difference: undefined, asked, claims };
}

function described({ method, path, body, headers }: Ask): string {
  return [method, path, headers ? JSON.stringify(headers) : '', body === undefined ? '' : JSON.stringify(body)]
    .filter((part) => part !== '')
    .join(' ');
}

/** Versions and Consents by the names that requests give them: those of the server with everything, for both. */
function fill(request: Ask, { stored, consentIds }: Side): Ask {
  const put1 = (text: string) =>
    text.replace(
      /\{([A-Za-z]+\/[\w-]+)@(\d)\}/g,
      (_, reference: string, n: string) => consentIds.get(reference) ?? stored.get(reference)?.[Number(n)] ?? 'none',
    );
  const headers = request.headers && Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, put1(value)]));
  return { ...request, path: put1(request.path), ...(headers ? { headers } : {}) };
}

/** The answer and the pages behind it, each as one text. */
async function follow({ server, token }: Side, request: Ask): Promise<string[]> {
  const texts: string[] = [];
  let answer = await server.ask(token, request);
  if (request.waits) {
    texts.push(String(answer.status));
    answer = await finished(server, token, answer);
    return [...texts, normal({ ...answer, logged: 0 })];
  }
  if (request.only === 'status') return [String(answer.status)];
  texts.push(normal(answer));
  for (let page = 0; page < (request.pages ?? 0); page++) {
    const next = /"relation":"next","url":"([^"]*)"/.exec(answer.text)?.[1];
    if (next === undefined) break;
    answer = await server.ask(token, { method: 'GET', path: next });
    texts.push(normal(answer));
  }
  return texts;
}

/** Of a job: its result. */
async function finished(server: TwinServer, token: string, accepted: Answered): Promise<Answered> {
  const at = new Map(accepted.headers).get('content-location');
  if (accepted.status !== 202 || at === undefined) return accepted;
  for (let tries = 0; tries < 2000; tries++) {
    const answer = await server.ask(token, { method: 'GET', path: at });
    if (answer.status !== 202) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('A job does not end.');
}

/** Of the connection, and of the wall clock. */
const IGNORED = new Set(['date', 'connection', 'keep-alive']);

/** Without what is drawn by chance and sealed: of a page link only its length is left, of a job and of what is to be signed that it has a name. */
export function normal({ status, headers, text, logged }: Answered): string {
  const plain = (value: string) =>
    value
      .replace(/_cursor=([\w-]+)/g, (_, cursor: string) => `_cursor=‹${cursor.length}›`)
      .replace(/"(next|previous)":"([\w-]{40,})"/g, (_, name: string, cursor: string) => `"${name}":"‹${cursor.length}›"`)
      .replace(/\$job\/[0-9a-f]{32}/g, '$job/‹job›')
      .replace(/urn:uuid:(?!00000000-)[0-9a-f-]{36}/g, '‹uuid›')
      .replace(
        /("query":")([^"]*)"/g,
        (_, name: string, query: string) =>
          `${name}${Buffer.from(query, 'base64')
            .toString('utf8')
            .replace(/_cursor=[\w-]+/g, '_cursor=‹›')}"`,
      )
      .replace(/\\"(nonce|related)\\":\\"[\w-]+\\"/g, '\\"$1\\":\\"‹›\\"')
      .replace(/("name":"digest","valueString":")[\w-]+"/g, '$1‹›"');
  const lines = headers.filter(([name]) => !IGNORED.has(name)).map(([name, value]) => `${name}: ${plain(value)}`);
  return [`${status}, ${logged} log rows`, ...lines, '', plain(text)].join('\n').replaceAll(PUBLIC, '');
}
