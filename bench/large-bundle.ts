/**
 * `node bench/large-bundle.ts [--entries 25000] [--mb 60] [--mongodb]`: one transaction far larger than any real one. It is stored whole, or
 * refused by a limit with nothing stored; either way the server stays up and answers others meanwhile. Sent again it takes no more memory.
 * Prints one line of JSON for each; exits 1 when something else happened.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { patientBundle, seededRandom } from '../server/commands/demo/generator.ts';
import { type Bootstrap, createSession, registerClient } from '../server/commands/demo/session.ts';
import { residentMb, type Started, start } from './processes.ts';
import { startBenchedSet } from './replica-set.ts';
import { CUSTODIAN } from './world.ts';

const { values } = parseArgs({
  options: { entries: { type: 'string', default: '25000' }, mb: { type: 'string', default: '60' }, mongodb: { type: 'boolean', default: false } },
});
const [entries, megabytes] = [Number(values.entries), Number(values.mb)];

/** The bundle as text: patients and what belongs to them, each with a narrative that brings the whole to its size. */
function largeText(): string {
  const random = seededRandom(9);
  const entry: { resource: Record<string, unknown> }[] = [];
  for (let n = 0; entry.length < entries; n++) entry.push(...(patientBundle(random, 200_000 + n, CUSTODIAN).entry as unknown as typeof entry));
  entry.length = entries;
  const bare = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry }).length;
  const filler = 'x'.repeat(Math.max(0, Math.ceil((megabytes * 1_000_000 - bare) / entries) - 110));
  const text = { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${filler}</div>` };
  for (const { resource } of entry) resource['text'] = text;
  return JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const set = values.mongodb ? await startBenchedSet() : undefined;
/** A database of its own for each server. */
const engine = (name: string) => (set ? { ASSENT_MONGODB_URI: set.uri.replace(/(assent_bench_[0-9a-f]+)/, `$1_${name}`) } : {});
try {
  const text = largeText();
  say({ entries, megabytes: Math.round(text.length / 1_000_000), engine: set ? 'MongoDB' : 'embedded' });
  const stored = await post(text, engine('stored'));
  say({ within: 'the limits', ...stored });
  const refused = await post(text, { ...engine('entries'), ASSENT_MAX_BUNDLE_ENTRIES: String(entries - 1) });
  say({ over: 'MAX_BUNDLE_ENTRIES', ...refused });
  const tooLong = await post(text, { ...engine('bytes'), ASSENT_MAX_BODY_BYTES: String(text.length - 1) });
  say({ over: 'MAX_BODY_BYTES', ...tooLong });
  // How much MongoDB takes in one transaction is a matter of its cache (--wiredTigerCacheSizeGB).
  const tooMuch = set !== undefined && stored.status === 413 && stored.patients === 0;
  const whole = stored.status === 200 && stored.created === entries && stored.patients > 0 && stored.peakMbAgain < 2 * stored.peakMb;
  const clean = [refused, tooLong].every(({ status, patients }) => status === 413 && patients === 0);
  if (!(whole || tooMuch) || !clean || ![stored, refused, tooLong].every(({ alive }) => alive)) process.exitCode = 1;
} finally {
  await set?.stop();
}

type Watched = { peakMb: number; slowestMs: number; asked: number };

/** Asks for the server's health all the while, as another caller would. */
function watch({ pid }: Started, base: string): { readonly seen: Watched; end(): Promise<void> } {
  const seen: Watched = { peakMb: 0, slowestMs: 0, asked: 0 };
  let on = true;
  const ask = async (): Promise<void> => {
    while (on) {
      const began = performance.now();
      await fetch(`${new URL(base).origin}/healthz`);
      seen.slowestMs = Math.max(seen.slowestMs, Math.round(performance.now() - began));
      seen.peakMb = Math.max(seen.peakMb, residentMb(pid));
      seen.asked++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const done = ask();
  return {
    seen,
    async end() {
      on = false;
      await done;
    },
  };
}

type Outcome = Watched & {
  readonly status: number;
  readonly said: string | undefined;
  readonly created: number;
  readonly patients: number;
  readonly alive: boolean;
};

async function post(
  text: string,
  settings: Readonly<Record<string, string>>,
): Promise<Outcome & { seconds: number; beforeMb: number; peakMbAgain: number }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-large-'));
  const server = await start(['server/main.ts', 'serve'], {
    ASSENT_PORT: '0',
    ASSENT_DATA_DIR: dataDir,
    ASSENT_LOG_LEVEL: 'error',
    ASSENT_IMPLICIT_POLICY: 'permit-except',
    ...settings,
  });
  try {
    const bootstrap = JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap;
    const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
    await admin.call('PUT', CUSTODIAN, { resourceType: 'Organization', id: CUSTODIAN.slice('Organization/'.length), name: 'Large' });
    const before = residentMb(server.pid);
    const send = async () => {
      const watching = watch(server, bootstrap.fhirBaseUrl);
      const began = performance.now();
      const answer = await fetch(bootstrap.fhirBaseUrl, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/fhir+json' },
        body: text,
      });
      const body = (await answer.json()) as {
        readonly issue?: readonly { readonly diagnostics: string }[];
        readonly entry?: readonly { readonly response: { readonly status: string } }[];
      };
      const seconds = Math.round((performance.now() - began) / 100) / 10;
      await watching.end();
      return { status: answer.status, body, seconds, seen: watching.seen };
    };
    const { status, body, seconds, seen } = await send();
    const again = await send();
    const alive = (await admin.call('GET', CUSTODIAN)).status === 200;
    const reader = await createSession(bootstrap, await registerClient(admin, 'reader', CUSTODIAN, 'TREAT'), 'system/*.rs');
    const patients = Number((await reader.call('GET', 'Patient?_summary=count')).json['total']);
    const created = (body.entry ?? []).filter(({ response }) => response.status.startsWith('201')).length;
    return {
      status,
      said: body.issue?.[0]?.diagnostics,
      created,
      patients,
      alive,
      seconds,
      beforeMb: before,
      ...seen,
      peakMbAgain: again.seen.peakMb,
    };
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}
