/**
 * The JSON files of a package archive (.tgz), read in memory. https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
 *
 * Invariants: nothing is written anywhere, so a path inside the archive can lead nowhere; what is kept is bounded, whatever the archive claims.
 */
import { createReadStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

type Entry = ReturnType<typeof extract> extends AsyncIterable<infer E> ? E : never;

export type ArchiveLimits = {
  /** Bytes of the whole archive, unpacked. */
  readonly total: number;
  /** Bytes of one file. */
  readonly file: number;
  readonly files: number;
};

const GENEROUS: ArchiveLimits = { total: 1 << 30, file: 1 << 26, files: 50_000 };

/** Text of each JSON file right in `package/`, by name without the folder. Throws Error with what is wrong, as the end of a sentence. */
export async function readArchive(path: string, limits: ArchiveLimits = GENEROUS): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const entries = extract();
  const reading = (async () => {
    let files = 0;
    for await (const entry of entries) {
      if (++files > limits.files) throw new Error(`it holds more than ${limits.files} files`);
      const name = wantedName(entry);
      if (name === undefined) entry.resume();
      else texts.set(name, await textOf(entry, limits.file));
    }
  })();
  const [unpacked, read] = await Promise.allSettled([pipeline(createReadStream(path), createGunzip(), limited(limits.total), entries), reading]);
  // What stopped the reader also breaks the pipe, so it is said first.
  for (const { status, reason } of [read, unpacked] as PromiseRejectedResult[]) if (status === 'rejected') throw asReason(reason);
  return texts;
}

function wantedName({ header }: Entry): string | undefined {
  const [, name] = /^(?:\.\/)?package\/([^/\\]+\.json)$/.exec(header.name) ?? [];
  return header.type === 'file' && name !== undefined && !name.startsWith('.') ? name : undefined;
}

async function textOf(entry: Entry, most: number): Promise<string> {
  if ((entry.header.size ?? 0) > most) throw new Error(`a file in it is larger than ${most} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** A small archive can unpack to a huge one. */
function limited(most: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > most) done(new Error(`it unpacks to more than ${most} bytes`));
      else done(null, chunk);
    },
  });
}

function asReason(fault: unknown): Error {
  const { code, message } = fault as NodeJS.ErrnoException;
  if (code === 'ENOENT') return new Error('there is no such file');
  if (code?.startsWith('Z_')) return new Error('it is not compressed with gzip, or damaged');
  return new Error(code === undefined || /^[a-z]/.test(message) ? lowered(message) : `it cannot be read (${code})`);
}

function lowered(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
