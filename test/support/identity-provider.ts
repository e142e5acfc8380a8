/** A hospital's identity provider on a port of its own: an oidc-provider at which whoever the test names signs in at once. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Configuration, Provider } from 'oidc-provider';

export type IdentityProvider = {
  readonly issuer: string;
  /** Who signs in next: value of the claim fhirUser. */
  user: string | undefined;
  stop(): Promise<void>;
};

const signingKey = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };

export const IDP_CLIENT = { id: 'assent', secret: 'the secret of assent at the hospital' } as const;

export async function startIdentityProvider(returnTo: string): Promise<IdentityProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const state: { user: string | undefined } = { user: 'Practitioner/7' };
  const provider = new Provider(issuer, {
    clients: [{ client_id: IDP_CLIENT.id, client_secret: IDP_CLIENT.secret, redirect_uris: [returnTo], application_type: 'native' }],
    cookies: { keys: ['idp'] },
    jwks: { keys: [signingKey] } as NonNullable<Configuration['jwks']>,
    scopes: ['openid', 'fhirUser'],
    claims: { openid: ['sub'], fhirUser: ['fhirUser'] },
    conformIdTokenClaims: false,
    ttl: { AccessToken: 60, IdToken: 60, Interaction: 600, Session: 600, Grant: 600 },
    features: { devInteractions: { enabled: false } },
    findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...(id === 'nobody' ? {} : { fhirUser: id }) }) }),
    interactions: { url: (_ctx, { uid }) => `/signing-in/${uid}` },
  });
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url?.startsWith('/signing-in/')) return void handle(request, response);
    void provider.interactionDetails(request, response).then(async ({ params, prompt }) => {
      const accountId = state.user ?? 'nobody';
      if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId, remember: false } });
      const grant = new provider.Grant({ accountId, clientId: String(params['client_id']) });
      grant.addOIDCScope('openid fhirUser');
      return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
    });
  });
  return {
    issuer,
    get user() {
      return state.user;
    },
    set user(user) {
      state.user = user;
    },
    stop: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}
