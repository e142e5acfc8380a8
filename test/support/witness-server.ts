/** A witness of ours over real HTTP, with its folder; closed and opened again as a restart would. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { type Cosigner, newSignerKey, parseCosignerKey, type VerifierKey } from '../../ledger/note.ts';
import { openHeads } from '../../server/witness/heads.ts';
import { witnessPlugin } from '../../server/witness/plugin.ts';

export type WitnessServer = {
  readonly cosigner: Cosigner;
  readonly url: string;
  /** Ends the process’s part and starts it anew on the same folder and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  dispose(): Promise<void>;
};

type Options = { readonly name: string; readonly logs: readonly VerifierKey[]; readonly folder?: string; readonly cosigner?: Cosigner };

export async function startWitness({ name, logs, ...given }: Options): Promise<WitnessServer> {
  const folder = given.folder ?? mkdtempSync(join(tmpdir(), 'assent-witness-'));
  const cosigner = given.cosigner ?? (parseCosignerKey(newSignerKey(name, 'cosignature')) as Cosigner);
  let close = async (): Promise<void> => undefined;
  const start = async (port: number): Promise<string> => {
    const heads = openHeads(folder);
    const started = fastify();
    await started.register(witnessPlugin({ logs, heads, cosigner, clock: () => Date.UTC(2024, 5, 1) }));
    close = async () => {
      await started.close();
      heads.close();
      close = async () => undefined;
    };
    return started.listen({ host: '127.0.0.1', port });
  };
  const url = await start(0);
  return {
    cosigner,
    url,
    restart: async () => {
      await close();
      await start(Number(new URL(url).port));
    },
    stop: () => close(),
    async dispose() {
      await close();
      if (given.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
