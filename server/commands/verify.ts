/**
 * `assent verify FILE… [--trust POLICY] [--in-force-at INSTANT] [--aggregate KEY] [--rpc URL,…] [--authority PEM]`: proves receipts and statements of disclosures with nothing but the files, and holds those about one patient against each other. interface.md §4
 * Exit code: 0 all proven, 1 one refuted, 2 one unreadable and none refuted, 3 one erased and all others proven. Loads neither the server nor a network, unless --rpc
 * names nodes of a chain.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { holdTogether } from '../../ledger/disclosures.ts';
import { parseVerifierKey } from '../../ledger/note.ts';
import { parseTrust, type Policy } from '../../ledger/policy.ts';
import { Refuted, requireKeys } from '../../ledger/receipt-log.ts';
import { type Demands, type Verdict, verifyReceipt } from '../../ledger/receipt.ts';
import { textOfFile } from '../../ledger/receipt-file.ts';
import type { Places } from './verify-anchors.ts';

const usage = `Usage: assent verify FILE… [--trust POLICY] [--in-force-at INSTANT] [--aggregate KEY] [--rpc URL,…] [--authority PEM]
  FILE: as it came, plain (receipt.json) or compressed (receipt.json.gz).
  POLICY: one verifier key of a log, or a file: the keys that must have signed, one to a line (GET /ledger/keys shows those of a log), or a policy
  (c2sp.org/tlog-policy): a line \`log <verifier key>\` for each log you trust, and which witnesses must have cosigned; beyond that, a line
  \`anchor evm <chain id> <contract> <log id>\` or \`anchor rfc3161\` for each place that it must be anchored in.
  KEY: verifier key of an aggregate that must hold it (docs/operations/anchors.md). URL,…: nodes of the EVM chain, all of which must say that they hold
  the root; this asks a network. PEM: certificates of the authority whose time-stamp must hold.
  INSTANT: as in 2026-11-27T12:00:00Z; what does not show that its Consents were in force then, or later, is refuted.
Exit code: 0 proven, 1 refuted, 2 unreadable, 3 erased: a proof that what a receipt would rest on was erased.
`;

const codes = { proven: 0, refuted: 1, unreadable: 2, erased: 3 } as const;

export async function verify(args: readonly string[]): Promise<number> {
  const asked = readArguments(args);
  const policy = asked?.trust === undefined ? undefined : await readPolicy(asked.trust);
  if (!asked || asked.files.length === 0 || typeof policy === 'string') {
    process.stderr.write(typeof policy === 'string' ? `${asked?.trust}: not a policy. ${policy}\n` : usage);
    return codes.unreadable;
  }
  const verdicts: Verdict[] = [];
  for (const file of asked.files) {
    const offline = await verifyFile(file, { ...asked.demands, ...(policy ? { policy } : {}) });
    const verdict = asked.places ? await (await import('./verify-anchors.ts')).checkAnchors(offline, asked.places) : offline;
    process.stdout.write(report(file, verdict));
    verdicts.push(verdict);
  }
  const together = holdAllTogether(verdicts);
  if (together) {
    process.stdout.write(report('Together', together));
    verdicts.push(together);
  }
  const has = (kind: Verdict['kind']) => verdicts.some((verdict) => verdict.kind === kind);
  const [worst = 'proven'] = (['refuted', 'unreadable', 'erased'] as const).filter(has);
  return codes[worst];
}

/** Undefined: no two of the files are about one patient, and their logs’ keys are in order. */
function holdAllTogether(verdicts: readonly Verdict[]): Verdict | undefined {
  try {
    const runs = verdicts.flatMap((verdict) => ('run' in verdict && verdict.run ? [verdict.run] : []));
    requireKeys([...runs.map(({ log }) => log), ...verdicts.flatMap((verdict) => ('log' in verdict && verdict.log ? [verdict.log] : []))]);
    const proven = holdTogether(runs);
    return proven.length === 0 ? undefined : { kind: 'proven', proven, notProven: [] };
  } catch (error) {
    if (error instanceof Refuted) return { kind: 'refuted', reason: error.message };
    throw error;
  }
}

type Asked = {
  readonly files: readonly string[];
  readonly trust: string | undefined;
  readonly demands: Omit<Demands, 'policy'>;
  /** Undefined: nothing outside is looked at. */
  readonly places: Places | undefined;
};

const text = { type: 'string' } as const;
const options = { trust: text, 'in-force-at': text, aggregate: text, rpc: text, authority: text } as const;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/;

function readArguments(args: readonly string[]): Asked | undefined {
  try {
    const { values, positionals: files } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { trust, 'in-force-at': instant, aggregate, rpc, authority } = values;
    const places = rpc === undefined && authority === undefined ? undefined : { rpc: rpc?.split(',') ?? [], authority };
    const demands = aggregate === undefined ? {} : { aggregate };
    if (instant === undefined) return { files, trust, demands, places };
    const inForceAt = INSTANT.test(instant) ? Date.parse(instant) : Number.NaN;
    return Number.isNaN(inForceAt) ? undefined : { files, trust, demands: { ...demands, inForceAt }, places };
  } catch {
    return undefined;
  }
}

/** A sentence where it is none. */
async function readPolicy(text: string): Promise<Policy | string> {
  return parseTrust(parseVerifierKey(text) ? text : await readFile(text, 'utf8').catch(() => ''));
}

async function verifyFile(file: string, demands: Demands): Promise<Verdict> {
  const bytes = await readFile(file).catch(() => undefined);
  const read = bytes ? await textOfFile(bytes) : { reason: 'The file cannot be read.' };
  return 'text' in read ? verifyReceipt(read.text, demands) : { kind: 'unreadable', ...read };
}

function report(file: string, verdict: Verdict): string {
  if (verdict.kind === 'refuted' || verdict.kind === 'unreadable') return `${file}: ${verdict.kind.toUpperCase()}. ${verdict.reason}\n`;
  const lines = (title: string, sentences: readonly string[]) => `${title}\n${sentences.map((sentence) => `  - ${sentence}\n`).join('')}`;
  const not = verdict.notProven.length === 0 ? '' : lines('Not proven:', verdict.notProven);
  return `${file}: ${verdict.kind.toUpperCase()}.\n${lines('Proven:', verdict.proven)}${not}`;
}
