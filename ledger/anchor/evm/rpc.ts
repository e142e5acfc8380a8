/**
 * What is asked of EVM nodes, of all of them at once. https://ethereum.org/developers/docs/apis/json-rpc
 * Invariant: a fact counts only if every node that was named says the same about the same block: one node alone can lie.
 */

import { boundedText } from '../../answer.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A node’s refusal, or that it could not be asked. The message is a node’s own word: for operators. */
export class RpcError extends Error {}

export type Nodes = {
  /** The newest block that all of them have. */
  height(): Promise<number>;
  /** The same answer of all, or RpcError. */
  agreed(method: string, ...params: readonly unknown[]): Promise<unknown>;
  /** What each says, in the order they were named: of what is no fact and may differ. */
  each(method: string, ...params: readonly unknown[]): Promise<readonly unknown[]>;
  /** Tells all; enough if one takes it. */
  send(raw: string): Promise<void>;
};

const ANSWER_MS = 10_000;
/** A block with the names of its transactions has some 20,000 at the most. */
const MOST_ANSWER_BYTES = 4_000_000;

export function createNodes(urls: readonly string[], fetch: Fetch): Nodes {
  const all = (method: string, params: readonly unknown[]): Promise<unknown[]> =>
    Promise.all(urls.map((url) => call(fetch, url, { method, params })));
  return {
    async height() {
      const heights = (await all('eth_blockNumber', [])).map(quantity);
      return Math.min(...heights);
    },
    async agreed(method, ...params) {
      const [first, ...others] = await all(method, params);
      if (others.some((other) => JSON.stringify(other) !== JSON.stringify(first))) throw new RpcError(`The nodes answer ${method} differently.`);
      return first;
    },
    each: (method, ...params) => all(method, params),
    async send(raw) {
      const results = await Promise.allSettled(urls.map((url) => call(fetch, url, { method: 'eth_sendRawTransaction', params: [raw] })));
      const refusals = results.flatMap((result) => (result.status === 'rejected' && !isKnown(result.reason) ? [result.reason as Error] : []));
      if (refusals.length === urls.length) throw refusals[0] as Error;
    },
  };
}

/** Told before: nothing is wrong. */
function isKnown(reason: unknown): boolean {
  return reason instanceof RpcError && /already (known|imported)|known transaction|nonce too low/i.test(reason.message);
}

async function call(fetch: Fetch, url: string, request: { readonly method: string; readonly params: readonly unknown[] }): Promise<unknown> {
  let answer: { readonly result?: unknown; readonly error?: { readonly message?: unknown } };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...request }),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    answer = JSON.parse((await boundedText(response, MOST_ANSWER_BYTES)) ?? '') as typeof answer;
  } catch (cause) {
    throw new RpcError('A node does not answer.', { cause });
  }
  if (answer.error) throw new RpcError(String(answer.error.message).slice(0, 300));
  return answer.result ?? null;
}

/** Throws RpcError for what is no quantity. */
export function quantity(value: unknown): number {
  return Number(bigQuantity(value));
}

export function bigQuantity(value: unknown): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,64}$/i.test(value)) throw new RpcError('A node answers no number.');
  return BigInt(value);
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
