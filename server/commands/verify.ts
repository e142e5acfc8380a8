/**
 * `assent verify FILE… [--trust POLICY]`: proves receipts with nothing but the files. interface.md §4
 * Exit code: 0 all proven, 1 one refuted, 2 one unreadable and none refuted, 3 one erased and all others proven. Loads neither the server nor a network.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseVerifierKey } from '../../ledger/checkpoint.ts';
import { type Verdict, verifyReceipt } from '../../ledger/receipt.ts';

const usage = `Usage: assent verify FILE… [--trust POLICY]
  POLICY: a file with one line \`log <verifier key>\` for each log you trust (GET /ledger/key shows a log’s), or one such key.
Exit code: 0 proven, 1 refuted, 2 unreadable, 3 erased: a proof that what a receipt would rest on was erased.
`;

const codes = { proven: 0, refuted: 1, unreadable: 2, erased: 3 } as const;

export async function verify(args: readonly string[]): Promise<number> {
  const asked = readArguments(args);
  const trust = asked?.trust === undefined ? undefined : await readPolicy(asked.trust);
  if (!asked || asked.files.length === 0 || trust === null) {
    process.stderr.write(asked && trust === null ? `${asked.trust}: not a policy.\n` : usage);
    return codes.unreadable;
  }
  const verdicts: Verdict[] = [];
  for (const file of asked.files) {
    const verdict = await verifyFile(file, trust);
    process.stdout.write(report(file, verdict));
    verdicts.push(verdict);
  }
  const has = (kind: Verdict['kind']) => verdicts.some((verdict) => verdict.kind === kind);
  const [worst = 'proven'] = (['refuted', 'unreadable', 'erased'] as const).filter(has);
  return codes[worst];
}

function readArguments(args: readonly string[]): { readonly files: readonly string[]; readonly trust: string | undefined } | undefined {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: { trust: { type: 'string' } }, allowPositionals: true });
    return { files: positionals, trust: values.trust };
  } catch {
    return undefined;
  }
}

/** null: not a policy. */
async function readPolicy(policy: string): Promise<readonly string[] | null> {
  if (parseVerifierKey(policy)) return [policy];
  const text = await readFile(policy, 'utf8').catch(() => '');
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const keys = lines.map((line) => /^(?:log\s+)?(\S+)$/.exec(line)?.[1] ?? '');
  return keys.length > 0 && keys.every((key) => parseVerifierKey(key)) ? keys : null;
}

async function verifyFile(file: string, trust: readonly string[] | undefined): Promise<Verdict> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { kind: 'unreadable', reason: 'The file cannot be read.' };
  return verifyReceipt(text, trust ? { trust } : {});
}

function report(file: string, verdict: Verdict): string {
  if (verdict.kind === 'refuted' || verdict.kind === 'unreadable') return `${file}: ${verdict.kind.toUpperCase()}. ${verdict.reason}\n`;
  const lines = (title: string, sentences: readonly string[]) => `${title}\n${sentences.map((sentence) => `  - ${sentence}\n`).join('')}`;
  return `${file}: ${verdict.kind.toUpperCase()}.\n${lines('Proven:', verdict.proven)}${lines('Not proven:', verdict.notProven)}`;
}
