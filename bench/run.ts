/**
 * What Assent costs, as ratios to a bare Fastify route measured in the same run, in turn: `npm run bench [-- seconds [folder of bundles]]`.
 * Writes bench/results.json and prints a table. Absolute figures of a shared machine mean little; ratios and CPU per request do.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bootstrap } from '../server/commands/demo/session.ts';
import { bundlesIn, generatedBundles, largeBundle, type Load, loadAll } from './loading.ts';
import { residentMb, type Started, start } from './processes.ts';
import { compare, type Figure, type Target } from './rates.ts';
import { receiptFigures } from './receipt.ts';
import { report } from './report.ts';
import { prepareWorld, type World } from './world.ts';

const seconds = Number(process.argv[2] ?? 5);
const folder = process.argv[3];

const dataDir = mkdtempSync(join(tmpdir(), 'assent-bench-'));
const server = await start(['server/main.ts', 'serve'], { ASSENT_DATA_DIR: dataDir, ASSENT_PORT: '0' });
const running: Started[] = [server];
try {
  const residentMbAtStart = residentMb(server.pid);
  const world = await prepareWorld(JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap);
  const bare = await startBare(world.body);
  running.push(bare);
  const figures = await rates(await bareTarget(bare), world);
  const loads = await loading(world);
  const receipt = await receiptFigures(world);
  report({ startMs: server.startedMs, residentMbAtStart, residentMbAtEnd: residentMb(server.pid), figures, loads, receipt }, new Date());
} finally {
  for (const each of running) await each.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

function startBare(body: string): Promise<Started> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return start(['bench/bare.ts', body, publicKey, privateKey]);
}

async function bareTarget({ pid, ready }: Started): Promise<Target> {
  const origin = `http://127.0.0.1:${String(ready['port'])}`;
  return { name: 'bare', pid, url: `${origin}/resource`, token: await (await fetch(`${origin}/token`)).text() };
}

async function rates(bare: Target, { base, patient, observation, admin, insurer }: World): Promise<Figure[]> {
  const { pid } = server;
  const search = `${base}/Observation?subject=${patient}&_count=20`;
  const create = { url: `${base}/Observation`, token: admin.token, body: observation };
  return [
    await compare(bare, { name: 'GET Patient, consent-checked and audited', pid, url: `${base}/${patient}`, token: insurer.token }, seconds),
    await compare(bare, { name: 'search of 20, permitted', pid, url: search, token: insurer.token }, seconds),
    await compare(bare, { name: 'create Observation, validated and durable', pid, ...create }, seconds),
  ];
}

async function loading({ admin }: World): Promise<Load[]> {
  const target = { admin, pid: server.pid };
  const [first, ...rest] = generatedBundles(Math.max(4, Math.round(seconds * 4)));
  await admin.call('POST', '', first); // starts the validation threads
  return [
    await loadAll('transactions, generated', rest, target),
    await loadAll('one large transaction', [largeBundle()], target),
    ...(folder === undefined ? [] : [await loadAll('transactions, from the folder', bundlesIn(folder), target)]),
  ];
}
