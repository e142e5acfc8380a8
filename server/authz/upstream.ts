/**
 * A hospital's own identity provider as a way to sign in: this server is its relying party. https://openid.net/specs/openid-connect-core-1_0.html
 *
 * Invariants: who signed in is what a validated ID token says in one configured claim, and only if that is a person of this server; every
 * sign-in has its own state, nonce and code verifier, and ends in the browser it began in.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import * as oidc from 'openid-client';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';

export type UpstreamSettings = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string;
  /** Of the ID token: a FHIR reference. */
  readonly claim: string;
};

export type UpstreamDeps = {
  readonly settings: UpstreamSettings;
  readonly records: RecordStore;
  readonly clock: Clock;
  /** Our FHIR base, and where the provider sends the person back to. */
  readonly fhir: string;
  readonly returnTo: string;
};

export type Upstream = {
  /** For one app request: where to send the browser, and what it has to bring back as a cookie. */
  begin(uid: string): Promise<{ readonly address: string; readonly binding: string }>;
  /** `query`: of the address the browser came back to. Resolves with the app request. Throws AssentError('forbidden'). */
  finish(query: string, binding: string | undefined): Promise<string>;
  /** The FHIR reference of who signed in for this app request. */
  userOf(uid: string): Promise<string | undefined>;
};

type Begun = { readonly uid: string; readonly nonce: string; readonly verifier: string; readonly binding: string };

const BEGUN = 'sign-in-begun';
const DONE = 'sign-in-done';
const LIFETIME_MS = 15 * 60_000;

export function createUpstream({ settings, records, clock, fhir, returnTo }: UpstreamDeps): Upstream {
  const provider = discovered(settings);
  const expires = () => clock() + LIFETIME_MS;
  return {
    async begin(uid) {
      const [state, nonce, verifier, binding] = [
        oidc.randomState(),
        oidc.randomNonce(),
        oidc.randomPKCECodeVerifier(),
        randomBytes(32).toString('base64url'),
      ];
      const begun: Begun = { uid, nonce, verifier, binding: hashOf(binding) };
      await records.put(BEGUN, state, begun, { revision: null, expires: expires() });
      const challenge = { code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' };
      const asked = { redirect_uri: returnTo, scope: settings.scope, state, nonce, ...challenge };
      return { address: oidc.buildAuthorizationUrl(await provider(), asked).href, binding };
    },
    async finish(query, binding) {
      const state = new URLSearchParams(query).get('state') ?? '';
      const begun = (await records.get(BEGUN, state))?.value as Begun | undefined;
      // Deleting decides who is first: an answer counts once.
      if (!begun || !isBound(begun, binding) || !(await records.delete(BEGUN, state))) throw refused();
      const checks = { pkceCodeVerifier: begun.verifier, expectedState: state, expectedNonce: begun.nonce, idTokenExpected: true };
      const tokens = await oidc.authorizationCodeGrant(await provider(), new URL(`${returnTo}?${query}`), checks).catch((error: unknown) => {
        throw refused(error);
      });
      const user = personIn(tokens.claims()?.[settings.claim], fhir);
      if (user === undefined) throw new AssentError('forbidden', 'Your identity provider does not say who you are in this record system.');
      await records.put(DONE, begun.uid, { user }, { expires: expires() });
      return begun.uid;
    },
    userOf: async (uid) => ((await records.get(DONE, uid))?.value as { readonly user: string } | undefined)?.user,
  };
}

/** Asked for when first needed, and again after a failure: the provider need not be up when this server starts. */
function discovered({ issuer, clientId, clientSecret }: UpstreamSettings): () => Promise<oidc.Configuration> {
  let known: Promise<oidc.Configuration> | undefined;
  const insecure = issuer.startsWith('http:') ? { execute: [oidc.allowInsecureRequests] } : {};
  return () => {
    known ??= oidc.discovery(new URL(issuer), clientId, undefined, oidc.ClientSecretBasic(clientSecret), insecure).catch((error: unknown) => {
      known = undefined;
      throw new AssentError('unavailable', 'The identity provider does not answer.', { retryAfter: 5, cause: error });
    });
    return known;
  };
}

function personIn(claim: unknown, fhir: string): string | undefined {
  const reference = typeof claim === 'string' && claim.startsWith(`${fhir}/`) ? claim.slice(fhir.length + 1) : claim;
  return typeof reference === 'string' && /^(?:Patient|Practitioner|PractitionerRole)\/[A-Za-z0-9.-]{1,64}$/.test(reference) ? reference : undefined;
}

function isBound({ binding }: Begun, sent: string | undefined): boolean {
  return sent !== undefined && timingSafeEqual(Buffer.from(binding), Buffer.from(hashOf(sent)));
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

/** Why is between the provider and this server. */
function refused(cause?: unknown): AssentError {
  return new AssentError('forbidden', 'This sign-in did not succeed: open the app again.', { cause });
}
