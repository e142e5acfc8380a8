/** Ports for servers of tests that have to know theirs beforehand, or to come back at it. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below what Linux gives out by itself, to whoever listens at no particular port or connects: nobody takes one of these while its server is down. */
const [FIRST, COUNT] = [20_000, 12_000];

/**
 * Free, and nobody else's for as long as this thread lives, whether a server listens at it or not. The UDP port of the same number is held in its
 * stead: a lock among all threads and processes that ask here, which ends with who holds it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if ((await hold(port)) && (await isFree(port))) return port;
  }
}

function hold(port: number): Promise<boolean> {
  const lock = createSocket('udp4').unref();
  return new Promise((resolve) => {
    lock.once('error', () => lock.close(() => resolve(false)));
    lock.bind(port, '127.0.0.1', () => resolve(true));
  });
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
