/** A time-stamp authority by openssl, over HTTP on loopback. RFC 3161 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';

export type Authority = {
  readonly url: string;
  /** PEM file of the certificate that its own leads to. */
  readonly certificates: string;
  /** Changes what it answers; undefined: as openssl made it. */
  answer: ((reply: Buffer) => { readonly status?: number; readonly body: Buffer }) | undefined;
  readonly asked: () => number;
  /** What openssl says of a text and a reply: empty when it is good. */
  verify(textFile: string, replyFile: string): Promise<string>;
  stop(): Promise<void>;
};

export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const CONFIG = `[tsa]
default_tsa = here
[here]
serial = ./serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
clock_precision_digits = 3
ess_cert_id_alg = sha256
signer_cert = ./tsa.pem
signer_key = ./tsa.key
certs = ./ca.pem
`;

/** `usage`: what the signing certificate is for. Where openssl would not stamp with it, its stamp is signed anew. */
export async function startAuthority({ usage }: { readonly usage?: string } = {}): Promise<Authority> {
  const folder = mkdtempSync(join(tmpdir(), 'assent-tsa-'));
  const run = async (...args: readonly string[]) => promisify(execFile)('openssl', [...args], { cwd: folder });
  const file = (name: string) => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  writeFileSync(file('tsa.cnf'), CONFIG);
  writeFileSync(file('serial'), '01\n');
  await run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=An authority', '-days', '30');
  await certify('tsa', 'critical,timeStamping');
  if (usage !== undefined) await certify('other', usage);
  async function certify(name: string, purpose: string): Promise<void> {
    writeFileSync(file('usage.cnf'), `extendedKeyUsage=${purpose}\nkeyUsage=critical,digitalSignature\n`);
    await run('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=Its time-stamps');
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', 'usage.cnf'];
    await run('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signed);
  }
  /** The same content, signed with the other certificate. */
  async function signedAnew(): Promise<Buffer> {
    await run('ts', '-reply', '-in', 'reply.tsr', '-token_out', '-out', 'token');
    await run('cms', '-verify', '-noverify', '-inform', 'DER', '-in', 'token', '-out', 'content');
    const content = ['-econtent_type', '1.2.840.113549.1.9.16.1.4', '-nodetach', '-binary', '-cades', '-outform', 'DER'];
    await run('cms', '-sign', '-in', 'content', '-signer', 'other.pem', '-inkey', 'other.key', '-certfile', 'ca.pem', ...content, '-out', 'token');
    const token = readFileSync(file('token'));
    const length = token.length + 5;
    return Buffer.concat([Buffer.from([0x30, 0x82, length >> 8, length & 0xff, 0x30, 0x03, 0x02, 0x01, 0x00]), token]);
  }
  let asked = 0;
  const stamp = async (query: Buffer): Promise<Buffer> => {
    writeFileSync(file('query.tsq'), query);
    await run('ts', '-reply', '-config', 'tsa.cnf', '-queryfile', 'query.tsq', '-out', 'reply.tsr');
    return usage === undefined ? readFileSync(file('reply.tsr')) : signedAnew();
  };
  // One after the other: they share files.
  let last: Promise<unknown> = Promise.resolve();
  const server = createServer((request, response) => {
    asked += 1;
    last = last
      .then(async () => {
        const reply = await stamp(await buffer(request));
        const { status = 200, body } = authority.answer?.(reply) ?? { body: reply };
        response.writeHead(status, { 'content-type': 'application/timestamp-reply' }).end(body);
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const authority: Authority = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tsr`,
    certificates: file('ca.pem'),
    answer: undefined,
    asked: () => asked,
    verify: (text, reply) =>
      run('ts', '-verify', '-data', text, '-in', reply, '-CAfile', 'ca.pem').then(
        () => '',
        (error: Error) => error.message,
      ),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
      await last;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return authority;
}
