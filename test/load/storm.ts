/** A storm of bad requests against a running server: what was answered with which status, and what no caller may ever see. */
import { Agent, request } from 'node:http';
import { type Bad, kinds } from './kinds.ts';

export type Storm = {
  /** Status → how many. 0: the caller hung up itself. */
  readonly statuses: Readonly<Record<number, number>>;
  readonly violations: readonly string[];
};

type Aim = { readonly base: string; readonly token: string; readonly from: number; readonly count: number };
type Seen = { readonly status: number; readonly text: string };

const AT_ONCE = 16;
const TRACE = /\.[jt]s:\d+|node_modules|\n\s+at /;
const named = Object.entries(kinds);

/** Requests number `from` to `from + count`, each kind in turn. */
export async function storm({ base, token, from, count }: Aim): Promise<Storm> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const statuses: Record<number, number> = {};
  const violations: string[] = [];
  let next = from;
  const caller = async (): Promise<void> => {
    while (next < from + count) {
      const n = next++;
      const [name, make] = named[n % named.length] as (typeof named)[number];
      const bad = make(n);
      const { status, text } = await send(agent, { base, token, bad });
      statuses[status] = (statuses[status] ?? 0) + 1;
      const expected = bad.aborts ? status === 0 || status === 400 : status >= 400 && status < 500;
      if (!expected || TRACE.test(text)) violations.push(`${name}, number ${n}: ${status} ${text.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  agent.destroy();
  return { statuses, violations };
}

function send(agent: Agent, { base, token, bad }: { readonly base: string; readonly token: string; readonly bad: Bad }): Promise<Seen> {
  const { method, path, body, aborts = false } = bad;
  const headers = { authorization: `Bearer ${token}`, ...bad.headers, ...(body === undefined ? {} : lengthOf(body, aborts)) };
  return new Promise((resolve) => {
    const sent = request(path === '' ? base : `${base}/${path}`, { method, headers, agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', () => resolve({ status: answer.statusCode ?? 0, text: '' }));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
    });
    sent.on('error', (error) => resolve({ status: 0, text: error.message }));
    if (aborts) sent.write(body, () => setImmediate(() => sent.destroy()));
    else sent.end(body);
  });
}

/** One who hangs up had promised more. */
function lengthOf(body: string | Buffer, aborts: boolean): { readonly 'content-length': number } {
  return { 'content-length': Buffer.byteLength(body) + (aborts ? 1000 : 0) };
}
