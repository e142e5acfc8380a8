/**
 * Another log, read over HTTP. https://c2sp.org/tlog-tiles
 * Invariant: nothing read here is believed: whoever asks proves it against a checkpoint.
 */
import { boundedBytes } from './answer.ts';
import { HASH_BYTES } from './hash.ts';
import { type ReadTile, TILE_WIDTH } from './tree.ts';

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type RemoteLog = {
  /** Its checkpoint, signed by whomever. Throws Error where there is none. */
  checkpoint(): Promise<string>;
  readonly tile: ReadTile;
};

/** What was asked for is not there (`status` 404), or not to be had now. */
export class Unanswered extends Error {
  readonly status: number | undefined;
  constructor(message: string, { status, ...options }: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options);
    this.status = status;
  }
}

const ANSWER_MS = 5_000;
const MOST_ANSWER_BYTES = 65_536;

/** `url`: what the paths of tlog-tiles follow, without a slash at its end. */
export function createRemoteLog(url: string, fetch: Fetch): RemoteLog {
  return {
    checkpoint: async () => readText(`${url}/checkpoint`, fetch),
    async tile(level, index, width) {
      const path = `${url}/tile/${level}/${tileIndex(index)}`;
      // A partial tile may be gone once the full one is there, of which it is the beginning.
      const partial = width < TILE_WIDTH ? await read(`${path}.p/${width}`, fetch).catch(() => undefined) : undefined;
      return (partial ?? (await read(path, fetch))).subarray(0, width * HASH_BYTES);
    },
  };
}

/** In groups of three digits, all but the last after an x. */
export function tileIndex(index: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  return groups.join('/');
}

/** `most`: bytes. Throws Unanswered. */
export async function readText(url: string, fetch: Fetch, most = MOST_ANSWER_BYTES): Promise<string> {
  const bytes = await read(url, fetch, most);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Unanswered('The answer is no text.');
  }
}

async function read(url: string, fetch: Fetch, most = MOST_ANSWER_BYTES): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(ANSWER_MS) });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Unanswered(`The answer was ${response.status}.`, { status: response.status });
    }
    const bytes = await boundedBytes(response, most);
    if (!bytes) throw new Unanswered('The answer has no end.');
    return bytes;
  } catch (cause) {
    throw cause instanceof Unanswered ? cause : new Unanswered('There is no answer.', { cause });
  }
}
