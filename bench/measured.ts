/** One engine under measurement: a server of its own, as it is started by default, with the small hospital in it. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bootstrap } from '../server/commands/demo/session.ts';
import { residentMb, type Started, start } from './processes.ts';
import { prepareWorld, type World } from './world.ts';
import { patchedClinics } from './writes.ts';

export type EngineName = 'embedded' | 'MongoDB';

export type Measured = {
  readonly engine: EngineName;
  readonly server: Started;
  readonly residentMbAtStart: number;
  readonly world: World;
  stop(): Promise<void>;
};

export async function startMeasured(engine: EngineName, settings: Readonly<Record<string, string>>): Promise<Measured> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-bench-'));
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true });
  try {
    const server = await start(['server/main.ts', 'serve'], { ASSENT_DATA_DIR: dataDir, ASSENT_PORT: '0', ...settings });
    const stop = async (): Promise<void> => {
      await server.stop();
      remove();
    };
    const residentMbAtStart = residentMb(server.pid);
    try {
      const world = await prepareWorld(JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap);
      const { status } = await world.admin.call('POST', '', patchedClinics());
      if (status !== 200) throw new Error(`the clinics answered ${status}`);
      return { engine, server, residentMbAtStart, world, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    remove();
    throw error;
  }
}

/** The route to compare with, serving these bytes. */
export function startBare(body: string): Promise<Started> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return start(['bench/bare.ts', body, publicKey, privateKey]);
}
