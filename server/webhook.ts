/**
 * Standard Webhooks: a POST that its receiver knows by a signature, and by an id whether it came before. https://www.standardwebhooks.com
 * Invariant: no redirect is followed, and nothing that is said of a failure holds the URL, which may hold a secret.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fromBase64 } from '../ledger/encoding.ts';
import { AssentError } from './errors.ts';

export type Receiver = { readonly url: string; readonly secret: Uint8Array };

/** `id`: the same every time it is sent. `body`: JSON. */
export type WebhookMessage = { readonly id: string; readonly body: string };

/** `now`: ms since 1970. */
type Sending = {
  readonly now: number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly signal: AbortSignal;
};

const LEAST_SECRET = 24;
const MOST_SECRET = 64;

/** Undefined once it was taken (2xx); otherwise what the receiver did instead. */
export async function postWebhook(
  { url, secret }: Receiver,
  { id, body }: WebhookMessage,
  { now, fetch, signal }: Sending,
): Promise<string | undefined> {
  const timestamp = String(Math.floor(now / 1000));
  const signature = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
  try {
    const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal });
    await answer.body?.cancel();
    return answer.ok ? undefined : `answered ${answer.status}`;
  } catch {
    // Another's words could quote the URL.
    return 'could not be reached';
  }
}

/** From a file: base64, perhaps after `whsec_`. Throws AssentError('unavailable') when it cannot be used; `of`: as operators call the hook. */
export async function readWebhookSecret(file: string, of: string): Promise<Uint8Array> {
  const text = (await readFile(file, 'utf8').catch(() => '')).trim();
  const secret = fromBase64(text.replace(/^whsec_/, ''));
  if (secret && secret.length >= LEAST_SECRET && secret.length <= MOST_SECRET) return secret;
  throw new AssentError(
    'unavailable',
    `The secret of the ${of} cannot be used: the file must hold ${LEAST_SECRET} to ${MOST_SECRET} bytes in base64.`,
  );
}
