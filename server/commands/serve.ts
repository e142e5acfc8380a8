/** `npm start`: the server, until it is told to stop. interface.md §1 */
import { createServer } from 'node:net';
import { type App, createApp } from '../app.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { type Stoppable, untilStopped } from './until-stopped.ts';

export type Running = Stoppable & { readonly app: App };

/** Resolves once the server answers. */
export async function start(config: Config): Promise<Running> {
  const port = config.PORT === 0 ? await freePort(config.HOST) : config.PORT;
  const app = await createApp({ ...config, PORT: port }, { clock: systemClock });
  await app.listen();
  return { app, stop: () => app.close() };
}

export async function serve(config: Config): Promise<number> {
  const running = await start(config);
  // Before the line is out: whoever reads it may ask to stop at once.
  const stopped = untilStopped(running);
  announce(running);
  return stopped;
}

/** The one line on stdout that says the server is ready and where. */
export function announce({ app }: Running): void {
  const { fhir, console, bootstrap } = app;
  process.stdout.write(`${JSON.stringify({ ready: true, fhir, console, bootstrap, pid: process.pid })}\n`);
}

/** The issuer and every URL we publish hold the port, so it is known before anything is built. */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, host, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
