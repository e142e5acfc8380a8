/**
 * `assent anchor aggregate`: aggregate.ts. `assent anchor deploy --rpc URL --admin-key FILE`: a contract on an EVM chain for the log in ASSENT_DATA_DIR, or a place for it in one that is there.
 * Prints the settings with which the server anchors there. ledger.md §5
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { deployAnchor, openLogAt } from '../../ledger/anchor/evm/perform.ts';
import { createNodes } from '../../ledger/anchor/evm/rpc.ts';
import { accountOf, newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { sha256 } from '../../ledger/hash.ts';
import { parseVerifierKey } from '../../ledger/note.ts';
import { createFile } from '../anchoring/create-file.ts';
import { readSigned } from '../anchoring/log-signer.ts';
import type { Config } from '../config.ts';
import { aggregate, aggregateUsage } from './aggregate.ts';

const usage = `Usage: assent anchor deploy --rpc URL --admin-key FILE [--contract ADDRESS] [--rotation-hours HOURS]
  URL: of a node. FILE: 0x and 64 hex digits, the key of the account that pays and may later name another writer; keep it away from the server.
  ADDRESS: of a ConsentAnchor contract that is there already. HOURS: until another writer may take over (48).
`;

export async function anchor(config: Config, args: readonly string[]): Promise<number> {
  if (args[0] === 'aggregate') return aggregate(config, args.slice(1));
  const options = readArguments(args);
  if (!options) {
    process.stderr.write(usage + aggregateUsage);
    return 2;
  }
  const dataDir = config.DATA_DIR;
  const key = parseVerifierKey((await readSigned(config)).verifierKey ?? '');
  if (!key) throw new Error(`There is no log in ${dataDir} yet: start the server once.`);
  const acting = { nodes: createNodes([options.rpc], fetch), admin: accountOf((await readFile(options.adminKey, 'utf8')).trim()), pause: sleep };
  const keyFile = join(dataDir, 'evm-key');
  const writer = await readOrMakeKey(keyFile);
  const contract = options.contract ?? (await deployAnchor(acting, options.hours * 3600));
  const logId = await openLogAt(acting, contract, { name: sha256(key.name), writer });
  process.stdout.write(
    `ASSENT_EVM_RPC=${options.rpc}\nASSENT_EVM_CONTRACT=${contract}\nASSENT_EVM_LOG_ID=${logId}\nASSENT_EVM_KEY_PATH=${keyFile}\n`,
  );
  process.stderr.write(`The server writes from ${writer}: give it the means for some 30,000 gas an anchor.\n`);
  return 0;
}

type Options = { readonly rpc: string; readonly adminKey: string; readonly contract: string | undefined; readonly hours: number };

function readArguments([verb, ...args]: readonly string[]): Options | undefined {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({ args, options: { rpc: text, 'admin-key': text, contract: text, 'rotation-hours': { ...text, default: '48' } } });
    const { rpc, 'admin-key': adminKey, contract, 'rotation-hours': hours } = values;
    if (verb !== 'deploy' || rpc === undefined || adminKey === undefined || !/^\d{1,5}$/.test(hours)) return undefined;
    return { rpc, adminKey, contract, hours: Number(hours) };
  } catch {
    return undefined;
  }
}

async function readOrMakeKey(file: string): Promise<string> {
  await createFile(file, `${newAccountKey()}\n`);
  return accountOf((await readFile(file, 'utf8')).trim()).address;
}
