/** A log over real HTTP, as a hospital shows it: rows committed and sealed by hand. */
import fastify from 'fastify';
import { parseVerifierKey, type VerifierKey } from '../../ledger/note.ts';
import { type LogReader, ledgerPlugin } from '../../server/http/ledger.ts';
import { createLogFixture, type LogFixture, someEntry } from './log-fixture.ts';

export type ServedLog = {
  readonly log: LogFixture;
  readonly key: VerifierKey;
  /** What it shows instead of its own; undefined: its own. */
  shown: Partial<LogReader> | undefined;
  /** A line of an aggregate’s policy. */
  readonly line: string;
  /** More entries, under a signed checkpoint. */
  grow(count: number): Promise<void>;
  /** Nobody answers any more. */
  close(): Promise<void>;
  /** Somebody does again. */
  open(): Promise<void>;
  dispose(): Promise<void>;
};

export async function serveLog(given: Parameters<typeof createLogFixture>[0] = {}): Promise<ServedLog> {
  const log = await createLogFixture(given);
  await log.anchoring.sealer.start();
  let grown = 0;
  let close = async (): Promise<void> => undefined;
  const listen = async (port: number): Promise<string> => {
    const server = fastify({ forceCloseConnections: true });
    const reader = new Proxy({} as LogReader, {
      get: (_target, name: keyof LogReader) => served.shown?.[name] ?? log.anchoring.publicLog[name],
    });
    await server.register(ledgerPlugin({ log: reader, verifier: '' }), { prefix: '/ledger' });
    close = async () => {
      close = async () => undefined;
      await server.close();
    };
    return server.listen({ host: '127.0.0.1', port });
  };
  const served: { shown: Partial<LogReader> | undefined } = { shown: undefined };
  const url = await listen(0);
  const key = parseVerifierKey(log.anchoring.publicLog.verifierKey()) as VerifierKey;
  return Object.assign(served, {
    log,
    key,
    line: `log ${key.text} ${url}/ledger\n`,
    async grow(count: number) {
      await log.append(...Array.from({ length: count }, () => someEntry(grown++, log.time.now)));
      await log.anchoring.sealer.flush();
    },
    close: () => close(),
    open: async () => void (await listen(Number(new URL(url).port))),
    async dispose() {
      await close();
      await log.anchoring.sealer.stop();
      await log.dispose();
    },
  });
}
