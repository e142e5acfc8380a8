/** A server as users run it: a process of its own with a fresh data folder, driven only from outside. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { compiled } from './compiled.ts';
import { freePort } from './ports.ts';

type Ready = { readonly ready: true; readonly fhir: string; readonly console: string; readonly bootstrap: string; readonly pid: number };
type Bootstrap = {
  readonly fhirBaseUrl: string;
  readonly tokenUrl: string;
  readonly consoleUrl: string;
  readonly admin: { readonly client_id: string; readonly client_secret: string };
};
export type ServerProcess = { readonly ready: Ready; readonly bootstrap: Bootstrap; readonly stop: () => Promise<void> };
export type LaunchedServer = Pick<ServerProcess, 'ready' | 'bootstrap'> & {
  /** Resolves with its exit code when it has ended; 1 when a signal ended it. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number>;
};

const root = new URL('../..', import.meta.url);

/** In a folder of its own. */
export async function startServer(settings: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), 'assent-'));
  const { ready, bootstrap, end } = await launchServer(dataDir, settings);
  return {
    ready,
    bootstrap,
    async stop() {
      await end('SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Resolves when the ready line is out; rejects with what the server said when it ends before. */
export async function launchServer(dataDir: string, settings: Readonly<Record<string, string>> = {}): Promise<LaunchedServer> {
  const port = settings['ASSENT_PORT'] ?? String(await freePort());
  const env = { PATH: process.env['PATH'], ...compiled, ASSENT_DATA_DIR: dataDir, ASSENT_LOG_LEVEL: 'error', ...settings, ASSENT_PORT: port };
  const child = spawn(process.execPath, ['server/main.ts', 'serve'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString('utf8')));
  const line = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const first = await Promise.race([line, ended.then((code) => Promise.reject(new Error(`The server ended with ${code}: ${complaints}`)))]);
  const ready = JSON.parse(first) as Ready;
  return {
    ready,
    bootstrap: JSON.parse(await readFile(ready.bootstrap, 'utf8')) as Bootstrap,
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}
