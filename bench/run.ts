/**
 * What Assent costs, as ratios to a bare Fastify route measured in the same run, alternating: `npm run bench`. Writes bench/results.json and
 * prints a table. Absolute figures of a shared machine mean little; ratios and CPU-ms per request do.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { verifyReceipt } from '../ledger/receipt.ts';
import { patientBundle, seededRandom } from '../server/commands/demo/generator.ts';
import {
  type Bootstrap,
  consentTerms,
  createSession,
  enrolKey,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
} from '../server/commands/demo/session.ts';
import { cpuMs, residentMb, type Started, start } from './processes.ts';

const SECONDS = Number(process.argv[2] ?? 5);
const ROUNDS = 3;
const CONNECTIONS = 32;
const CUSTODIAN = 'Organization/bench-hospital';
const GRANTEE = 'Organization/bench-insurer';

type Figure = {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly cpuMsPerRequest: number;
  readonly ratio: number;
  readonly goal: string;
};

const dataDir = mkdtempSync(join(tmpdir(), 'assent-bench-'));
const server = await start(['server/main.ts', 'serve'], { ASSENT_DATA_DIR: dataDir, ASSENT_PORT: '0', ASSENT_LOG_LEVEL: 'warn' });
let bare: Started | undefined;
try {
  const memory = residentMb(server.pid);
  const world = await prepareWorld(JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap);
  bare = await startBare(world.body);
  const bareToken = await (await fetch(`http://127.0.0.1:${String(bare.ready['port'])}/token`)).text();
  const baseline = {
    name: 'bare Fastify + @fastify/jwt',
    pid: bare.pid,
    url: `http://127.0.0.1:${String(bare.ready['port'])}/resource`,
    token: bareToken,
  };
  const figures = [
    await compare(baseline, {
      name: 'GET Patient, consent-checked and audited',
      pid: server.pid,
      url: `${world.base}/${world.patient}`,
      token: world.reader,
      goal: '≥ 0.5',
    }),
    await compare(baseline, {
      name: 'search of 20, permitted',
      pid: server.pid,
      url: `${world.base}/Observation?subject=${world.patient}&_count=20`,
      token: world.reader,
      goal: '',
    }),
    await compare(baseline, {
      name: 'create Observation, validated and durable',
      pid: server.pid,
      url: `${world.base}/Observation`,
      token: world.writer,
      body: world.observation,
      goal: '',
    }),
  ];
  const load = await transactions(world);
  const receipt = await receiptFigures(world);
  report({
    date: new Date().toISOString(),
    startMs: server.startedMs,
    residentMbAtStart: memory,
    residentMbAtEnd: residentMb(server.pid),
    figures,
    load,
    receipt,
  });
} finally {
  await bare?.stop();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

type World = {
  readonly base: string;
  readonly patient: string;
  readonly body: string;
  readonly observation: string;
  readonly reader: string;
  readonly writer: string;
  readonly admin: Session;
  readonly insurer: Session;
};

async function prepareWorld(bootstrap: Bootstrap): Promise<World> {
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  for (const reference of [CUSTODIAN, GRANTEE])
    await admin.call('PUT', reference, { resourceType: 'Organization', id: reference.slice(13), name: reference });
  const random = seededRandom(1);
  let patient = '';
  for (let number = 0; number < 20; number++) {
    const loaded = await admin.call('POST', '', patientBundle(random, number, CUSTODIAN));
    const [first] = loaded.json['entry'] as { response: { location: string } }[];
    patient ||= /Patient\/[^/]+/.exec(first?.response.location ?? '')?.[0] ?? '';
  }
  const client = await registerClient(admin, 'bench', GRANTEE, 'HPAYMT');
  const keys = [await enrolKey(admin, patient), await enrolKey(admin, CUSTODIAN)];
  const prepared = await prepare(admin, consentTerms({ patient, custodian: CUSTODIAN, grantee: GRANTEE, now: Date.parse('2026-01-01') }));
  const signed = await submit(admin, partOf(prepared, 'statement'), keys);
  if (signed.status !== 201) throw new Error(`signing answered ${signed.status}`);
  const insurer = await createSession(bootstrap, client, 'system/*.rs');
  const body = (await insurer.call('GET', patient)).text;
  const bundle = patientBundle(random, 99, CUSTODIAN);
  const observation = bundle.entry.find(({ resource }) => resource.resourceType === 'Observation')?.resource;
  return {
    base: bootstrap.fhirBaseUrl,
    patient,
    body,
    observation: JSON.stringify({ ...observation, subject: { reference: patient }, encounter: undefined }),
    reader: insurer.token,
    writer: admin.token,
    admin,
    insurer,
  };
}

function startBare(body: string): Promise<Started> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = {
    pub: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  return start(['bench/bare.ts', body, pem.pub, pem.key]);
}

type Target = { readonly name: string; readonly pid: number; readonly url: string; readonly token: string; readonly body?: string };

async function compare(baseline: Target, target: Target & { readonly goal: string }): Promise<Figure> {
  const rates: { bare: number; ours: number; cpu: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const bareRun = await load(baseline);
    const ours = await load(target);
    if (round > 0) rates.push({ bare: bareRun.rate, ours: ours.rate, cpu: ours.cpu }); // the first round warms both up
  }
  const middle = rates.toSorted((a, b) => a.ours / a.bare - b.ours / b.bare)[Math.floor(rates.length / 2)];
  if (!middle) throw new Error('nothing was measured');
  return {
    name: target.name,
    requestsPerSecond: Math.round(middle.ours),
    cpuMsPerRequest: middle.cpu,
    ratio: Number((middle.ours / middle.bare).toFixed(2)),
    goal: target.goal,
  };
}

async function load({ pid, url, token, body }: Target): Promise<{ rate: number; cpu: number }> {
  const before = cpuMs(pid);
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: SECONDS,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }) },
    ...(body === undefined ? {} : { method: 'POST' as const, body }),
  });
  const answered = result['2xx'];
  if (answered === 0 || result.non2xx > 0) throw new Error(`${url}: ${answered} answered, ${result.non2xx} refused`);
  return { rate: answered / result.duration, cpu: Number(((cpuMs(pid) - before) / answered).toFixed(3)) };
}

async function transactions({ admin }: World): Promise<{ resources: number; resourcesPerSecond: number; cpuMsPerResource: number }> {
  const random = seededRandom(7);
  const bundles = Array.from({ length: 10 }, (_, n) => {
    const parts = Array.from({ length: 12 }, (_part, m) => patientBundle(random, 1000 + n * 12 + m, CUSTODIAN));
    return { resourceType: 'Bundle', type: 'transaction', entry: parts.flatMap(({ entry }) => entry) };
  });
  await admin.call('POST', '', bundles[0]); // starts the validation threads
  const before = cpuMs(server.pid);
  const began = performance.now();
  let resources = 0;
  for (const bundle of bundles.slice(1)) {
    const loaded = await admin.call('POST', '', bundle);
    if (loaded.status !== 200) throw new Error(`transaction answered ${loaded.status}`);
    resources += bundle.entry.length;
  }
  const seconds = (performance.now() - began) / 1000;
  return {
    resources,
    resourcesPerSecond: Math.round(resources / seconds),
    cpuMsPerResource: Number(((cpuMs(server.pid) - before) / resources).toFixed(2)),
  };
}

async function receiptFigures({ insurer, patient }: World): Promise<{ bytes: number; verifyMs: number }> {
  const url = (await insurer.call('GET', patient)).headers.get('assent-receipt') ?? '';
  let receipt = await insurer.call('GET', url);
  for (let i = 0; receipt.status === 202 && i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    receipt = await insurer.call('GET', url);
  }
  const runs = 200;
  const began = performance.now();
  for (let i = 0; i < runs; i++) if (verifyReceipt(receipt.text).kind !== 'proven') throw new Error('a genuine receipt was not proven');
  return { bytes: receipt.text.length, verifyMs: Number(((performance.now() - began) / runs).toFixed(2)) };
}

type Report = {
  readonly date: string;
  readonly startMs: number;
  readonly residentMbAtStart: number;
  readonly residentMbAtEnd: number;
  readonly figures: readonly Figure[];
  readonly load: Awaited<ReturnType<typeof transactions>>;
  readonly receipt: Awaited<ReturnType<typeof receiptFigures>>;
};

function report(results: Report): void {
  writeFileSync(new URL('results.json', import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
  const rows = [
    ...results.figures.map((f) => [f.name, `${f.ratio} of bare`, `${f.cpuMsPerRequest} CPU-ms`, `${f.requestsPerSecond}/s`, f.goal]),
    [
      'transactions',
      `${results.load.resourcesPerSecond} resources/s`,
      `${results.load.cpuMsPerResource} CPU-ms`,
      `${results.load.resources} resources`,
      '≥ 1,000/s',
    ],
    ['start to ready', `${results.startMs} ms`, `${results.residentMbAtStart} MB`, `${results.residentMbAtEnd} MB at the end`, '≤ 3 s, ≤ 300 MB'],
    ['receipt', `${results.receipt.bytes} bytes`, `${results.receipt.verifyMs} ms to verify`, '', '≤ 4 kB, ≤ 1 ms'],
  ];
  for (const row of rows) process.stdout.write(`${row.map((cell, i) => cell.padEnd(i === 0 ? 44 : 24)).join('')}\n`);
}
