/**
 * Fetches a client's jwks_uri. https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 *
 * Invariants: oidc-provider's guard against private addresses stays on, except for hosts the operator listed (hospital intranets); no
 * redirect is followed; and a client cannot make its keys stay cached longer than a minute, so a rotation or revocation is seen soon.
 */

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export function createJwksFetch({ privateHosts, fetch }: { readonly privateHosts: readonly string[]; readonly fetch: Fetch }): Fetch {
  return async (input, init = {}) => {
    const { host } = new URL(input instanceof Request ? input.url : input);
    // `dispatcher` is the guard: it closes sockets that end at a private address.
    const { dispatcher, ...open } = init as RequestInit & { dispatcher?: unknown };
    if (!dispatcher && !privateHosts.includes(host)) throw new Error('There is no guard against private addresses.');
    const response = await fetch(input, { ...(privateHosts.includes(host) ? open : init), redirect: 'error' });
    const headers = new Headers(response.headers);
    headers.delete('cache-control');
    headers.delete('expires');
    return new Response(response.body, { status: response.status, headers });
  };
}
