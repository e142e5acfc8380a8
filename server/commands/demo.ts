/**
 * `npm run demo`: a server of its own in ./data-demo with synthetic patients, the whole promise told against it, an app for whoever watches to open,
 * then things to try.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { type AppChapter, openAppChapter } from './demo/app-chapter.ts';
import type { Bootstrap } from './demo/session.ts';
import { HOSPITAL, INSURER, tellStory } from './demo/story.ts';
import { announce, freePort, start } from './serve.ts';
import { untilStopped } from './until-stopped.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

export async function demo(config: Config): Promise<number> {
  // Always the same story: yesterday's demo is cleared away, and nothing but the demo's own folder is touched.
  const dataDir = resolve('./data-demo');
  rmSync(dataDir, { recursive: true, force: true });
  say('Assent demo: nobody here exists; every byte is made up from a fixed seed.\n');
  const running = await start({
    ...(await named(config)),
    DATA_DIR: dataDir,
    MONGODB_URI: '',
    LOG_LEVEL: 'warn',
    IMPLICIT_POLICY: 'deny',
    APPROVALS: 'both',
  });
  let chapter: AppChapter | undefined;
  const stop = async () => {
    process.stdin.destroy();
    await chapter?.stop();
    await running.stop();
  };
  try {
    const bootstrap = JSON.parse(readFileSync(join(dataDir, 'bootstrap.json'), 'utf8')) as Bootstrap;
    const told = await tellStory({ bootstrap, say, now: systemClock, wait: (ms) => wait(ms) });
    chapter = await openAppChapter({ bootstrap, patient: told.keyless, insurer: INSURER, hospital: HOSPITAL });
    say('\n6. The insurer’s app, in your browser: you are another patient now.');
    for (const step of chapter.steps) say(`   ${step}`);
    countersignAtEnter(chapter);
    say(`\nWhat to try next (the server stays up; Ctrl-C ends it):\n`);
    for (const line of thingsToTry(bootstrap, told)) say(`  ${line}`);
    say('');
    announce(running);
  } catch (error) {
    await stop();
    throw error;
  }
  return untilStopped({ stop });
}

/** Passkeys take a host name: that of this machine, where no other public URL is set. */
async function named(config: Config): Promise<Config> {
  const port = config.PORT === 0 ? await freePort(config.HOST) : config.PORT;
  return { ...config, PORT: port, PUBLIC_URL: config.PUBLIC_URL || `http://localhost:${port}` };
}

function countersignAtEnter(chapter: AppChapter): void {
  createInterface({ input: process.stdin }).on('line', () => {
    chapter.countersign().then(
      (count) =>
        say(count === 0 ? 'Nothing waits for the hospital: sign in the browser first.' : 'The hospital has signed: the Consent is in force.'),
      (error: unknown) => say(String(error)),
    );
  });
}

function thingsToTry(bootstrap: Bootstrap, told: Awaited<ReturnType<typeof tellStory>>): string[] {
  const token = (client: { client_id: string; client_secret: string }, scope: string) =>
    `curl -s -u '${client.client_id}:${client.client_secret}' -d grant_type=client_credentials --data-urlencode 'scope=${scope}' ${bootstrap.tokenUrl} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'`;
  const origin = new URL(bootstrap.fhirBaseUrl).origin;
  return [
    `the console           ${bootstrap.consoleUrl}   (client id and secret: data-demo/bootstrap.json)`,
    `as the insurer        TOKEN=$(${token(told.insurer, 'system/*.rs')})`,
    `  its view, now empty curl -s -H "Authorization: Bearer $TOKEN" '${bootstrap.fhirBaseUrl}/Observation?_summary=count'`,
    `as the administrator  ADMIN=$(${token(bootstrap.admin, 'system/*.cruds admin')})`,
    `  the audit trail     curl -s -H "Authorization: Bearer $ADMIN" '${bootstrap.fhirBaseUrl}/AuditEvent?patient=${told.patient}&_sort=-date&_pretty=true'`,
    `the public log        curl -s ${origin}/ledger/checkpoint`,
    `the whole log proven  ASSENT_DATA_DIR=./data-demo npm run assent -- fsck`,
  ];
}
