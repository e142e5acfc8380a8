/** Child processes of a benchmark: start one, wait for its first line of JSON, read what the kernel says it used, stop it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type Started = {
  readonly pid: number;
  readonly ready: { readonly [member: string]: unknown };
  readonly startedMs: number;
  stop(): Promise<void>;
};

/** Resolves when the child printed a line of JSON; rejects with its stderr when it ended before. */
export async function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Started> {
  const began = performance.now();
  const child = spawn(process.execPath, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ready = await firstJsonLine(child);
  return {
    pid: child.pid as number,
    ready,
    startedMs: Math.round(performance.now() - began),
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}

function firstJsonLine(child: ChildProcess): Promise<{ [member: string]: unknown }> {
  return new Promise((resolve, reject) => {
    let out = '';
    let err = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      err = (err + chunk.toString()).slice(-2000);
    });
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      const line = out.split('\n').find((text) => text.startsWith('{'));
      if (line !== undefined && out.includes(`${line}\n`)) resolve(JSON.parse(line) as { [member: string]: unknown });
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${err}`)));
  });
}

/** CPU milliseconds a process has used so far, all threads. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks * 10; // USER_HZ is 100 on Linux
}

/** Resident memory now, MB. */
export function residentMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kb) / 1024);
}
