/** The command line: `node server/main.ts <command>`. Dispatch only; each command is loaded when asked for, so `verify` starts fast. */
import { describeConfig, readConfig } from './config.ts';

type Command = { readonly meaning: string; readonly run: (args: readonly string[]) => Promise<number> };

const commands: Readonly<Record<string, Command>> = {
  serve: { meaning: 'start the server', run: async () => (await import('./commands/serve.ts')).serve(readConfig()) },
  demo: {
    meaning: 'start with synthetic patients and show the whole promise',
    run: async () => (await import('./commands/demo.ts')).demo(readConfig()),
  },
  migrate: { meaning: 'bring the database to this version', run: async () => (await import('./commands/migrate.ts')).migrate(readConfig()) },
  config: { meaning: 'list every setting', run: async () => printConfig() },
  policies: {
    meaning: 'list the policies that are not Consents; --explain: and how Consents decide',
    run: async (args) => (await import('./commands/policies.ts')).policies(readConfig(), { explain: args.includes('--explain') }),
  },
  client: {
    meaning: 'add, list, show, update or remove clients',
    run: async (args) => (await import('./commands/client.ts')).client(readConfig(), args),
  },
  key: { meaning: 'add, list or revoke signing keys', run: async (args) => (await import('./commands/key.ts')).key(readConfig(), args) },
  explain: {
    meaning: 'show how a search runs: explain SEARCH [--as CLIENT]',
    run: async (args) => (await import('./commands/explain.ts')).explain(readConfig(), args),
  },
  verify: {
    meaning: 'prove receipts and statements of disclosures offline: verify FILE… [--trust POLICY]',
    run: async (args) => (await import('./commands/verify.ts')).verify(args),
  },
  verifier: {
    meaning: 'print the page that proves receipts in any browser, without a network: verifier > verify.html',
    run: async () => (await import('./commands/verifier.ts')).verifier(),
  },
  copy: {
    meaning: 'move the embedded data set into an empty MongoDB database, beside its server: copy --to URI',
    run: async (args) => (await import('./commands/copy.ts')).copy(readConfig(), args),
  },
  anchor: {
    meaning:
      'anchor deploy --rpc URL --admin-key FILE: a place in a contract of an EVM chain; anchor aggregate --logs POLICY --name NAME: many logs under one root',
    run: async (args) => (await import('./commands/anchor.ts')).anchor(readConfig(), args),
  },
  witness: {
    meaning: 'cosign the checkpoints of other logs: witness --policy FILE --name NAME',
    run: async (args) => (await import('./commands/witness.ts')).witness(args),
  },
  rotate: {
    meaning: 'replace the key that signs the log, with the servers stopped: rotate [--signer FOLDER]',
    run: async (args) => (await import('./commands/rotate.ts')).rotate(readConfig(), args),
  },
  signer: {
    meaning: 'sign the checkpoints of one log, in a process that has the key to itself: signer --data FOLDER',
    run: async (args) => (await import('./commands/signer.ts')).signer(args),
  },
  rebuild: {
    meaning: 'make damaged tiles and entry bundles anew, if the entries give the signed root; with the servers stopped',
    run: async () => (await import('./commands/rebuild.ts')).rebuild(readConfig()),
  },
  fsck: {
    meaning: 're-prove the whole log and the chain of disclosures of every patient; --index: and that decisions follow from the texts of resources',
    run: async (args) => (await import('./commands/fsck.ts')).fsck(readConfig(), { index: args.includes('--index') }),
  },
};

function printConfig(): number {
  for (const { name, type, fallback, meaning } of describeConfig()) {
    process.stdout.write(`${name.padEnd(32)} ${type.padEnd(46)} ${(fallback === '' ? '(empty)' : fallback).padEnd(12)} ${meaning}\n`);
  }
  return 0;
}

function usage(): number {
  process.stderr.write(
    `Usage: npm run assent -- <command>\n\n${Object.entries(commands)
      .map(([name, { meaning }]) => `  ${name.padEnd(10)}${meaning}\n`)
      .join('')}`,
  );
  return 2;
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  const command = name === undefined ? undefined : commands[name];
  if (!command) return usage();
  try {
    return await command.run(args);
  } catch (error) {
    // What a start had opened when it failed keeps a process for ever, and whoever would start it anew waits for its end.
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(1));
    return 1;
  }
}

// `assent config | head`: a reader that has seen enough is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await main(process.argv.slice(2));
