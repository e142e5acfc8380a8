/**
 * Fetches a client's jwks_uri; when, client-keys.ts decides. https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 *
 * Invariants: oidc-provider's guard against private addresses stays on, except for hosts the operator listed (hospital intranets); no
 * redirect is followed.
 */

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export function createJwksFetch({ privateHosts, fetch }: { readonly privateHosts: readonly string[]; readonly fetch: Fetch }): Fetch {
  return async (input, init = {}) => {
    const { host } = new URL(input instanceof Request ? input.url : input);
    // `dispatcher` is the guard: it closes sockets that end at a private address.
    const { dispatcher, ...open } = init as RequestInit & { dispatcher?: unknown };
    if (!dispatcher && !privateHosts.includes(host)) throw new Error('There is no guard against private addresses.');
    return fetch(input, { ...(privateHosts.includes(host) ? open : init), redirect: 'error' });
  };
}
