/**
 * The time-stamp authority among the anchors: its settings, and its stamps as files that other programs read too. ledger.md §5
 *
 * A stamp at size N is `N.checkpoint`, the stamped text, and `N.tsr`, the authority’s reply:
 * `openssl ts -verify -data N.checkpoint -in N.tsr -CAfile certificates.pem`.
 * Invariant: the reply is written last, and neither is ever replaced.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTimeStampAnchor, type Stamp, type StampStore, type TimeStampAnchor, TimeStampFault } from '../../ledger/anchor/rfc3161/anchor.ts';
import { certificatesIn, verifyTimeStamp } from '../../ledger/anchor/rfc3161/time-stamp.ts';
import type { Anchored } from '../../ledger/anchor/port.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { createFile } from './create-file.ts';
import { timeStampFolder } from './folders.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';
import type { Fetch } from './witnesses.ts';

export type TimeStampConfig = Pick<Config, 'DATA_DIR' | 'TSA_URL' | 'TSA_CERTIFICATES' | 'TSA_INTERVAL_MINUTES'>;

export type TimeStamps = Repeated & { readonly anchor: TimeStampAnchor };

type Certificates = ReturnType<typeof certificatesIn>;

const MINUTE_MS = 60_000;
const LOOK_MS = 15_000;

/** Throws AssentError('unavailable') when the settings cannot be used. */
export async function openTimeStamps(
  config: TimeStampConfig,
  deps: RepeatedDependencies & { readonly clock: Clock; readonly fetch: Fetch },
): Promise<TimeStamps> {
  const trusted = await readCertificates(config.TSA_CERTIFICATES);
  const anchor = createTimeStampAnchor({
    url: config.TSA_URL,
    trusted,
    intervalMs: config.TSA_INTERVAL_MINUTES * MINUTE_MS,
    store: await stampsIn(timeStampFolder(config.DATA_DIR), trusted),
    clock: deps.clock,
    fetch: deps.fetch,
  });
  const once = () => anchor.work().then(() => LOOK_MS);
  return { anchor, ...createRepeated({ once, retryMs: MINUTE_MS, sentenceOf }, deps) };
}

function sentenceOf(fault: unknown): string {
  return fault instanceof TimeStampFault ? fault.message : 'Time-stamping failed.';
}

async function readCertificates(file: string): Promise<Certificates> {
  try {
    const found = certificatesIn(await readFile(file, 'utf8'));
    if (found.length > 0) return found;
  } catch {
    // Said below: a message of the file system or of the parser would name paths.
  }
  throw new AssentError('unavailable', 'ASSENT_TSA_CERTIFICATES holds no certificates.');
}

async function stampsIn(folder: string, trusted: Certificates): Promise<StampStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let newest: Anchored | undefined;
  for (const size of (await sizesIn(folder)).reverse()) {
    const checked = await checkStamp(folder, size, trusted);
    if (typeof checked === 'string') continue;
    newest = checked;
    break;
  }
  return {
    newest: async () => newest,
    reply: (size) => readFile(join(folder, `${size}.tsr`)),
    async keep({ size, at, text, reply }) {
      await createFile(join(folder, `${size}.checkpoint`), text);
      await createFile(join(folder, `${size}.tsr`), reply);
      newest = { size, at };
    },
  };
}

/** Tree sizes with a stamp, ascending. */
async function sizesIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const sizes = names.flatMap((name) => /^([1-9]\d*)\.tsr$/.exec(name)?.[1] ?? []);
  return sizes.map(Number).sort((a, b) => a - b);
}

/** A sentence where the stamp is not good. */
async function checkStamp(folder: string, size: number, trusted: Certificates): Promise<Omit<Stamp, 'reply'> | string> {
  const text = await readFile(join(folder, `${size}.checkpoint`), 'utf8').catch(() => undefined);
  if (text === undefined) return 'The stamped text is missing.';
  const verdict = await verifyTimeStamp(await readFile(join(folder, `${size}.tsr`)), { text, trusted });
  return verdict.kind === 'stamped' ? { size, at: verdict.at, text } : verdict.reason;
}

export type StampsFound = { readonly stamps: readonly Omit<Stamp, 'reply'>[]; readonly problems: readonly string[] };

/** All that are kept, checked again. */
export async function readStamps(config: Pick<TimeStampConfig, 'DATA_DIR' | 'TSA_CERTIFICATES'>): Promise<StampsFound> {
  const [stamps, problems]: [Omit<Stamp, 'reply'>[], string[]] = [[], []];
  const folder = timeStampFolder(config.DATA_DIR);
  const trusted = await readCertificates(config.TSA_CERTIFICATES);
  for (const size of await sizesIn(folder)) {
    const checked = await checkStamp(folder, size, trusted);
    if (typeof checked === 'string') problems.push(`The time-stamp at ${size} is not good: ${checked}`);
    else stamps.push(checked);
  }
  return { stamps, problems };
}
