/**
 * The network between the members of a replica set and to their clients: one TCP proxy in front of each member, whose address is the only one that
 * the set's configuration knows. Who a connection is from shows in its first message: members say their port (a server parameter for tests
 * makes them), and a client that offers zlib is an islander, who can be cut off together with a member; all others are the mainland.
 */
import { createServer, type Server, type Socket, connect } from 'node:net';

export type End = number | 'island' | 'mainland';
export type Link = { readonly from: End; readonly to: number };
/**
 * `refused`: connections break and new ones are refused. `silent`: they stay open, nothing comes through until it heals. `deaf`: what is asked
 * comes through, the answers do not.
 */
export type Cut = 'refused' | 'silent' | 'deaf';
export const cuts = ['refused', 'silent', 'deaf'] as const satisfies readonly Cut[];

export type Network = {
  /** Puts a proxy in front of a member; resolves with the port under which everybody knows it. */
  front(port: number): Promise<number>;
  cut(how: Cut, severed: (link: Link) => boolean): void;
  heal(): void;
  close(): Promise<void>;
};

/** Makes a client an islander. */
export const ISLANDER = '&compressors=zlib';

type Pair = { readonly link: Link; readonly near: Socket; readonly far: Socket };

/** `hears`: what goes towards a member, before it gets there. */
export function createNetwork(hears: (request: Buffer) => void = () => undefined): Network {
  const servers: Server[] = [];
  const pairs = new Set<Pair>();
  let state: { readonly how: Cut; readonly severed: (link: Link) => boolean } | undefined;

  function apply({ link, near, far }: Pair): void {
    const how = state?.severed(link) ? state.how : 'open';
    if (how === 'refused') return void [near, far].map((socket) => socket.destroy());
    flow(near, how !== 'silent');
    flow(far, how === 'open');
  }

  function join(near: Socket, first: Buffer, to: number): void {
    const far = connect(to, '127.0.0.1');
    const pair: Pair = { link: { from: senderOf(first), to }, near, far };
    pairs.add(pair);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('data', (data) => {
        if (one === near) hears(data);
        other.write(data);
      });
      one.on('error', () => undefined);
      one.on('close', () => {
        other.destroy();
        pairs.delete(pair);
      });
    }
    near.unshift(first);
    apply(pair);
  }

  return {
    front: (port) =>
      new Promise((resolve, reject) => {
        const server = createServer({ noDelay: true }, (near) => {
          near.on('error', () => undefined);
          near.once('data', (first) => {
            near.pause();
            join(near, first, port);
          });
        });
        servers.push(server);
        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
      }),
    cut(how, severed) {
      state = { how, severed };
      for (const pair of pairs) apply(pair);
    },
    heal() {
      state = undefined;
      for (const pair of pairs) apply(pair);
    },
    async close() {
      for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

/** What a socket sends waits in the kernel until it flows again. */
function flow(socket: Socket, open: boolean): void {
  if (open) socket.resume();
  else socket.pause();
}

/** Of the first message, a hello: BSON strings stand in it as they are. */
function senderOf(hello: Buffer): End {
  const text = hello.toString('latin1');
  const [, port] = /hostInfo\0[^]{4}[^\0]*:(\d+)\0/.exec(text) ?? [];
  if (port !== undefined) return Number(port);
  return text.includes('zlib') ? 'island' : 'mainland';
}
