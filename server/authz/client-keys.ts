/**
 * The keys of clients that publish them at a jwks_uri: which of them count, and when they are fetched.
 * https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 *
 * Invariants: no assertion is checked with keys that were fetched more than a minute ago, so one that its client took away is refused, and where
 * they cannot be fetched nobody is let in; a key that is not known yet is looked for at once; whoever makes assertions up, which needs no more than
 * the name of a client, has this server fetch at most once in ten seconds for it.
 */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Client, Provider } from 'oidc-provider';
import type { Clock } from '../clock.ts';
import type { Fetch } from './fetch-jwks.ts';

export type ClientKeys = {
  /** For oidc-provider. */
  readonly fetch: Fetch;
  /** Before the client assertion in this form is checked. */
  renew(provider: Provider, form: URLSearchParams): Promise<void>;
};

const FRESH_MS = 60_000;
const PAUSE_MS = 10_000;
const MOST_BYTES = 65_536;

type Fetched = { readonly status: number; readonly text: string };
/** `sought`: when it was fetched for a key that was not there; ms since 1970. `kids`: undefined before the answer; none of a failure. */
type Kept = { readonly at: number; readonly sought: number; readonly answer: Promise<Fetched>; kids: ReadonlySet<unknown> | undefined };

/** As the library keeps them, beyond its types: after a failed check it fetches, but keys that pass it keeps for ever. */
type KeyStore = { freshUntil?: number; clear(): void; refresh(): Promise<void> };

export function createClientKeys({ fetch, clock }: { readonly fetch: Fetch; readonly clock: Clock }): ClientKeys {
  const kept = new Map<string, Kept>();
  /** What is to be fetched next: since when it was sought. */
  const due = new Map<string, number>();

  function look(uri: string, kid: unknown): void {
    const [now, held] = [clock(), kept.get(uri)];
    if (!held || now - held.at >= FRESH_MS) due.set(uri, held?.sought ?? -Infinity);
    else if (held.kids?.has(kid) === false && now - held.sought >= PAUSE_MS) due.set(uri, now);
  }

  function fetched(uri: string, ...asked: Parameters<Fetch>): Promise<Fetched> {
    const [held, sought] = [kept.get(uri), due.get(uri)];
    due.delete(uri);
    if (held && sought === undefined) return held.answer;
    const answer = fetch(...asked).then(async (response) => ({ status: response.status, text: await textOf(response) }));
    const next: Kept = { at: clock(), sought: sought ?? -Infinity, answer, kids: undefined };
    kept.set(uri, next);
    const know = (kids: readonly unknown[]) => void (next.kids = new Set(kids));
    answer.then(
      (known) => know(kidsIn(known)),
      () => know([]),
    );
    return answer;
  }

  return {
    fetch: async (input, init) => {
      const { status, text } = await fetched(new URL(input instanceof Request ? input.url : input).href, input, init);
      return new Response(text, { status });
    },
    async renew(provider, form) {
      const { sub, kid } = namedIn(form.get('client_assertion'));
      const client = sub === undefined ? undefined : await provider.Client.find(sub).catch(() => undefined);
      if (client?.jwksUri === undefined) return;
      look(new URL(client.jwksUri).href, kid);
      const store = (client as Client & { readonly asymmetricKeyStore: KeyStore }).asymmetricKeyStore;
      store.freshUntil = 0;
      await store.refresh().catch(() => store.clear());
    },
  };
}

/** Undefined where it is no assertion; then it is refused for that. */
function namedIn(assertion: string | null): { readonly sub?: string | undefined; readonly kid?: string | undefined } {
  try {
    return assertion === null ? {} : { sub: decodeJwt(assertion).sub, kid: decodeProtectedHeader(assertion).kid };
  } catch {
    return {};
  }
}

/** `undefined` stands for keys without one. */
function kidsIn({ status, text }: Fetched): readonly unknown[] {
  try {
    const { keys } = JSON.parse(text) as { readonly keys: readonly { readonly kid?: unknown }[] };
    return status === 200 ? keys.map(({ kid }) => kid) : [];
  } catch {
    return [];
  }
}

async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new Error('There are too many keys.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
