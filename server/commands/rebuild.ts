/**
 * `assent rebuild`: tiles and entry bundles that are missing or damaged, made anew; only of a log whose entries still give the root that was signed
 * last. For a stopped server. Exit code: 0 rebuilt or nothing to do, 1 refused.
 */
import { readSigned } from '../anchoring/log-signer.ts';
import { type Rebuilt, rebuildLog } from '../anchoring/rebuild.ts';
import type { Config } from '../config.ts';
import { openEngineAlone } from './engine-alone.ts';

const PROGRESS = 262_144;

export async function rebuild(config: Config): Promise<number> {
  const engine = await openEngineAlone(config);
  try {
    const seen = (entries: number) => void (entries % PROGRESS === 0 && process.stderr.write(`${entries} entries hashed\n`));
    const done = await rebuildLog({
      log: engine.resources,
      records: engine.records,
      dataDir: config.DATA_DIR,
      signedBy: () => readSigned(config),
      seen,
    });
    process.stdout.write(`${sentenceOf(done)}\n`);
    return done.kind === 'rebuilt' ? 0 : 1;
  } finally {
    await engine.resources.close();
  }
}

function sentenceOf(done: Rebuilt): string {
  if (done.kind === 'refused') return `NOT REBUILT. ${done.reason}`;
  return `${done.size} entries give the signed root; made anew: ${done.bundles} entry bundles, ${done.tiles} tiles.`;
}
