/**
 * The signer as another process has it: `assent signer`, asked over a socket of this machine. ledger.md §2
 *
 * Invariants: what it signs is sent as it is stored, read again for this; a signature counts only if it is one by the signer's key over the tree that
 * was to be signed; a signer that cannot be reached delays checkpoints and stops nothing else.
 */
import { readFile } from 'node:fs/promises';
import { request as httpRequest, type RequestOptions } from 'node:http';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { sameBytes } from '../../ledger/hash.ts';
import { parseNote, parseSignatures, parseVerifierKey, type VerifierKey, verifyNote } from '../../ledger/note.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import {
  HEAD_PATH,
  LINE_PATH,
  MOST_ANSWER_BYTES,
  MOST_ENTRIES,
  readAnswer,
  readHead,
  readLine,
  SIGN_PATH,
  type SignAnswer,
  type SignCall,
  type SignerHead,
  writeCall,
} from './signer-protocol.ts';
import type { Signer, SignRequest, SignResult } from './signer.ts';

export type SignerConfig = Pick<Config, 'DATA_DIR' | 'SIGNER' | 'SIGNER_SECRET_PATH' | 'LOG_MLDSA'>;

export type SignerClient = {
  head(): Promise<SignerHead>;
  sign(call: SignCall): Promise<SignAnswer>;
  line(text: string): Promise<string>;
};

/** Throws AssentError('unavailable') when the secret cannot be read; its calls do when the signer does not answer. */
export async function signerClient({
  SIGNER: address,
  SIGNER_SECRET_PATH: file,
}: Pick<SignerConfig, 'SIGNER' | 'SIGNER_SECRET_PATH'>): Promise<SignerClient> {
  const secret = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new AssentError('unavailable', 'The secret of the signer cannot be read, or is none.');
  const to = target(address);
  const headers = { authorization: `Bearer ${secret}` };
  const ask = async <T>(options: RequestOptions, body: string | undefined, read: (value: unknown) => T | undefined): Promise<T> => {
    const answer = await call({ ...to, ...options, headers: { ...headers, ...options.headers } }, body);
    if (answer.status === 401) throw new AssentError('unavailable', 'The signer does not accept the secret.');
    const said = answer.status === 200 || answer.status === 409 ? read(parse(answer.text)) : undefined;
    if (!said) throw new AssentError('unavailable', `The signer answered ${answer.status}, and nothing that is understood.`);
    return said;
  };
  return {
    head: () => ask({ method: 'GET', path: HEAD_PATH }, undefined, readHead),
    sign: (asked) => ask({ ...POST, path: SIGN_PATH }, writeCall(asked), readAnswer),
    line: (text) => ask({ ...POST, path: LINE_PATH }, JSON.stringify({ text }), readLine),
  };
}

const POST: RequestOptions = { method: 'POST', headers: { 'content-type': 'application/json' } };

function target(address: string): RequestOptions {
  if (address.startsWith('unix:')) return { socketPath: address.slice('unix:'.length) };
  const { hostname, port } = new URL(address);
  return { host: hostname.replace(/^\[|\]$/g, ''), port };
}

const ANSWER_MS = 30_000;

/** A connection for each: one that is kept would be found dead after the signer was started again. */
function call(options: RequestOptions, body: string | undefined): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new AssentError('unavailable', 'The signer cannot be reached.'));
    const asking = httpRequest({ ...options, agent: false, signal: AbortSignal.timeout(ANSWER_MS) }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MOST_ANSWER_BYTES) answer.destroy(new Error('too long'));
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', fail);
    });
    asking.on('error', fail);
    asking.end(body);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const MOST_ATTEMPTS = 20;

type RemoteOptions = { readonly client: SignerClient; readonly refused: (reason: string) => void };

/** Throws AssentError('unavailable') when the signer cannot be asked. */
export async function openRemoteSigner({ client, refused: told }: RemoteOptions): Promise<Signer> {
  let known = await client.head();
  const { verifierKey, cosignerKey } = known;
  const { key, all } = keysOf(known);
  let refused: string | undefined;
  const refuse = (reason: string): void => {
    if (refused === undefined) told(reason);
    refused ??= reason;
  };
  const refresh = async (): Promise<void> => {
    const head = await client.head();
    if (head.verifierKey !== verifierKey || head.cosignerKey !== cosignerKey)
      refuse('The signer has another key than at the start: start this process again.');
    if (head.refused !== undefined) refuse(head.refused);
    known = head;
  };
  /** Undefined: there is more to sign, or others were faster. */
  const attempt = async (request: SignRequest): Promise<SignResult | undefined> => {
    await refresh();
    if (refused !== undefined) return { kind: 'refused', reason: refused };
    const from = known.head?.size ?? 0;
    // As in signer.ts: this reading after that one tells a slow process from an old database.
    if (request.size < from && (await request.head()) >= from) return { kind: 'overtaken' };
    const asked = await callFor(request, from);
    const answer = await client.sign(asked);
    if (answer.kind === 'moved') return undefined;
    if (answer.kind === 'refused') {
      refuse(answer.reason);
      return answer;
    }
    if (!isSignedBy(all, answer, asked))
      throw new AssentError('unavailable', 'The signer answered with something else than the signature asked for.');
    known = { ...known, head: answer.head };
    return asked.size === request.size ? { kind: 'signed', note: answer.note } : undefined;
  };
  return {
    origin: key.name,
    verifierKey,
    cosignerKey,
    async sign(request) {
      for (let others = 0; others < MOST_ATTEMPTS; ) {
        const before = known.head?.size ?? 0;
        const result = await attempt(request);
        if (result) return result;
        if ((known.head?.size ?? 0) === before) others++;
      }
      throw new AssentError('unavailable', 'Other processes sign all the time.');
    },
    renew: refresh,
    async lineFor(text) {
      if (refused !== undefined) throw new AssentError('unavailable', refused);
      return lineOf(text, key, client);
    },
    refuse,
    status: () => (refused === undefined ? { kind: 'ready', size: known.head?.size ?? 0 } : { kind: 'refused', reason: refused }),
    head: () => known.head,
  };
}

async function lineOf(text: string, key: VerifierKey, client: SignerClient): Promise<string> {
  const line = await client.line(text);
  const signatures = parseSignatures(line);
  if (signatures?.length !== 1 || verifyNote({ text, signatures }, [key]).kind !== 'signed')
    throw new AssentError('unavailable', 'The signer answered with something else than the signature asked for.');
  return line;
}

/** `all`: the log's key, and its second one if the signer has one. */
function keysOf({ verifierKey, cosignerKey = verifierKey }: SignerHead): { readonly key: VerifierKey; readonly all: readonly VerifierKey[] } {
  const [key, second] = [parseVerifierKey(verifierKey), parseVerifierKey(cosignerKey)];
  if (!key || !second) throw new AssentError('unavailable', 'The signer shows no verifier key.');
  return { key, all: cosignerKey === verifierKey ? [key] : [key, second] };
}

async function callFor({ size: wanted, root, published, entries, rows, rootAt }: SignRequest, from: number): Promise<SignCall> {
  const size = Math.min(wanted, from + MOST_ENTRIES);
  const [stored, steps]: [Uint8Array[], Uint8Array[]] = [[], []];
  for await (const entry of entries(from, size)) stored.push(entry);
  for await (const step of rows.steps(from, size)) steps.push(step);
  return { from, size, root: size === wanted ? root : await rootAt(size), published, entries: stored, steps };
}

/** By all of them, and nobody else. */
function isSignedBy(keys: readonly VerifierKey[], { note, head }: SignAnswer & { kind: 'signed' }, { size, root }: SignCall): boolean {
  const opened = openCheckpoint(note, keys);
  if (opened.kind !== 'signed' || opened.by.length !== keys.length || parseNote(note)?.signatures.length !== keys.length) return false;
  return [opened.checkpoint, head].every((one) => one.size === size && sameBytes(one.root, root)) && opened.checkpoint.origin === keys[0]?.name;
}
