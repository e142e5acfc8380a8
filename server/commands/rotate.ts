/**
 * `assent rotate`: another key for the log, named by the old one, with all servers stopped. docs/operations/signer.md
 * Exit code: 0 replaced, 1 not (why is said), 2 wrong arguments.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { signerFolder } from '../anchoring/folders.ts';
import { replaceSecondKey, rotateLogKey } from '../anchoring/rotate-key.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { openEngineAlone } from './engine-alone.ts';

const usage = `Usage: assent rotate [--signer FOLDER] [--ml-dsa]
  With all servers of the log, and its signer, stopped. FOLDER: of \`assent signer\`; without it the folder \`signer\` of ASSENT_DATA_DIR.
  --ml-dsa: replaces the second key (ASSENT_LOG_MLDSA) instead. Nothing in the log leads from the old one to the new.
`;

export async function rotate(config: Config, args: readonly string[]): Promise<number> {
  const asked = readArguments(args, signerFolder(config.DATA_DIR));
  if (asked === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  const engine = await openEngineAlone(config);
  try {
    const deps = { log: engine.resources, records: engine.records, folder: asked.folder, clock: systemClock };
    if (asked.mlDsa) {
      process.stdout.write(`${await replaceSecondKey(deps)}\n`);
      process.stderr.write('Give this key to whoever pinned the old one: until they have it, they accept nothing that is signed from now on.\n');
      return 0;
    }
    const { verifierKey, index } = await rotateLogKey(deps);
    process.stdout.write(`${verifierKey}\n`);
    process.stderr.write(
      `Logged as entry ${index}. Give this key to whoever pinned the old one, and to the witnesses: they accept nothing by the old one any more.\n`,
    );
    return 0;
  } finally {
    await engine.resources.close();
  }
}

function readArguments(args: readonly string[], own: string): { readonly folder: string; readonly mlDsa: boolean } | undefined {
  try {
    const options = { signer: { type: 'string' }, 'ml-dsa': { type: 'boolean', default: false } } as const;
    const { signer, 'ml-dsa': mlDsa } = parseArgs({ args: [...args], options }).values;
    return { folder: signer === undefined ? own : resolve(signer), mlDsa };
  } catch {
    return undefined;
  }
}
