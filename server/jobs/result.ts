/** The texts of a job's result, in chunks that every engine can keep. Invariant: what is not in the job's list of chunks is no part of it. */
import { AssentError } from '../errors.ts';
import type { Files } from './job.ts';
import type { JobRecords } from './job-records.ts';

/** MongoDB keeps 16 MB in one document. */
const CHUNK_BYTES = 4 * 1024 * 1024;

export type ResultWriter = {
  write(file: string, text: string): Promise<void>;
  /** Everything written so far is durable; the list of its chunks. */
  flush(): Promise<Files>;
};

type Options = {
  readonly records: JobRecords;
  /** Of this run of this job. */
  readonly prefix: string;
  readonly files: Files;
  readonly mostBytes: number;
  /** ms since 1970, for chunks of a run that never ends. */
  readonly expires: () => number;
};

export function createResultWriter({ records, prefix, files, mostBytes, expires }: Options): ResultWriter {
  const chunks = new Map(Object.entries(files).map(([file, ids]) => [file, [...ids]]));
  const waiting = new Map<string, Buffer[]>();
  let bytes = Object.values(files).flat().length * CHUNK_BYTES;
  let next = 0;

  async function store(file: string): Promise<void> {
    const all = Buffer.concat(waiting.get(file) ?? []);
    waiting.delete(file);
    for (let at = 0; at < all.length; at += CHUNK_BYTES) {
      const id = `${prefix}/${next++}`;
      await records.putChunk(id, all.subarray(at, at + CHUNK_BYTES), expires());
      chunks.set(file, [...(chunks.get(file) ?? []), id]);
    }
  }

  return {
    async write(file, text) {
      const part = Buffer.from(text, 'utf8');
      bytes += part.length;
      if (bytes > mostBytes) throw new AssentError('too-costly', 'The result is larger than the server keeps; ask for less at once.');
      const held = waiting.get(file) ?? [];
      waiting.set(file, [...held, part]);
      if (held.reduce((sum, { length }) => sum + length, part.length) >= CHUNK_BYTES) await store(file);
    },
    async flush() {
      for (const file of waiting.keys()) await store(file);
      return Object.fromEntries(chunks);
    },
  };
}

/** The whole text; undefined when part of it is gone. */
export async function readFile(records: JobRecords, files: Files, file: string): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  for (const id of files[file] ?? []) {
    const part = await records.chunk(id);
    if (!part) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
