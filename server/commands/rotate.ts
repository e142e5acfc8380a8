/**
 * `assent rotate`: another key for the log, named by the old one, with all servers stopped. docs/operations/signer.md
 * Exit code: 0 replaced, 1 not (why is said), 2 wrong arguments.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { signerFolder } from '../anchoring/folders.ts';
import { rotateLogKey } from '../anchoring/rotate-key.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { openEngineAlone } from './engine-alone.ts';

const usage = `Usage: assent rotate [--signer FOLDER]
  With all servers of the log, and its signer, stopped. FOLDER: of \`assent signer\`; without it the folder \`signer\` of ASSENT_DATA_DIR.
`;

export async function rotate(config: Config, args: readonly string[]): Promise<number> {
  const folder = readArguments(args, signerFolder(config.DATA_DIR));
  if (folder === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  const engine = await openEngineAlone(config);
  try {
    const { verifierKey, index } = await rotateLogKey({ log: engine.resources, records: engine.records, folder, clock: systemClock });
    process.stdout.write(`${verifierKey}\n`);
    process.stderr.write(
      `Logged as entry ${index}. Give this key to whoever pinned the old one, and to the witnesses: they accept nothing by the old one any more.\n`,
    );
    return 0;
  } finally {
    await engine.resources.close();
  }
}

function readArguments(args: readonly string[], own: string): string | undefined {
  try {
    const { signer } = parseArgs({ args: [...args], options: { signer: { type: 'string' } } }).values;
    return signer === undefined ? own : resolve(signer);
  } catch {
    return undefined;
  }
}
