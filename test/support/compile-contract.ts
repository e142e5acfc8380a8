/**
 * ConsentAnchor.sol → ConsentAnchor.json, what the server deploys and calls: `node test/support/compile-contract.ts --write`.
 * A test compiles it again and compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const FOLDER = new URL('../../ledger/anchor/contract/', import.meta.url);
const NAME = 'ConsentAnchor';

type Output = {
  readonly errors?: readonly { readonly formattedMessage: string }[];
  readonly contracts: Readonly<
    Record<string, Readonly<Record<string, { readonly abi: readonly object[]; readonly evm: { readonly bytecode: { readonly object: string } } }>>>
  >;
};

/** The text of ConsentAnchor.json. Throws Error with the compiler’s words, also for a warning. */
export function compiledContract(): string {
  const solc = createRequire(import.meta.url)('solc') as { compile(input: string): string; version(): string };
  const input = {
    language: 'Solidity',
    sources: { [`${NAME}.sol`]: { content: readFileSync(new URL(`${NAME}.sol`, FOLDER), 'utf8') } },
    settings: {
      optimizer: { enabled: true, runs: 10_000 },
      // Chains of consortia are slow to follow; nothing newer is needed.
      evmVersion: 'paris',
      metadata: { bytecodeHash: 'none', appendCBOR: false },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
  };
  const { errors = [], contracts } = JSON.parse(solc.compile(JSON.stringify(input))) as Output;
  const contract = contracts[`${NAME}.sol`]?.[NAME];
  if (errors.length > 0 || !contract) throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join('\n'));
  return `${JSON.stringify({ compiler: solc.version(), abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` }, null, 2)}\n`;
}

export function committedContract(): string {
  return readFileSync(new URL(`${NAME}.json`, FOLDER), 'utf8');
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) writeFileSync(new URL(`${NAME}.json`, FOLDER), compiledContract());
