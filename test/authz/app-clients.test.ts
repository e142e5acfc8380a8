/**
 * Clients no one here wrote let themselves in by App Launch: openid-client as a relying party, fhir-kit-client's discovery, Medplum's client with
 * the token. What they send, and what they take for a valid answer, is theirs. fhirclient: test/e2e/apps.test.ts.
 */
import { MedplumClient } from '@medplum/core';
import { Client } from 'fhir-kit-client';
import { exportJWK, generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allow, CALLBACK, type LaunchBench, openBrowser, registerApp, startLaunchBench } from '../support/app-launch.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

let bench: LaunchBench;
beforeAll(async () => {
  bench = await startLaunchBench();
  for (const resource of [
    organization(HOSPITAL),
    patient('1'),
    patient('2'),
    observation('o1', 'Patient/1'),
    observation('o2', 'Patient/2'),
    { resourceType: 'Practitioner', id: '7' },
    { resourceType: 'Practitioner', id: '8' },
  ])
    await put(bench.server, resource);
});
afterAll(() => bench.stop());

const SCOPE = 'openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs';

/** With signatures of ID tokens checked against our published keys too. */
const discover = (id: string, authentication: oidc.ClientAuth) =>
  oidc.discovery(new URL(bench.origin), id, undefined, authentication, { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] });

/** From the request to the tokens, for a clinician who opens it for Patient/1. */
async function letIn(config: oidc.Configuration, scope = SCOPE) {
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), oidc.randomState(), oidc.randomNonce()];
  const address = oidc.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope,
    aud: bench.fhir,
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const back = await allow(openBrowser(), address.href, { patient: '1' });
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce };
  return oidc.authorizationCodeGrant(config, back.url, checks);
}

async function read(token: string, path: string): Promise<number> {
  const response = await fetch(`${bench.fhir}/${path}`, { headers: { authorization: `Bearer ${token}` } });
  await response.arrayBuffer();
  return response.status;
}

type Credential = readonly [name: string, register: () => Promise<oidc.Configuration>];
const credentials: readonly Credential[] = [
  ['that keeps no secret', async () => discover((await registerApp(bench)).id, oidc.None())],
  [
    'with a secret',
    async () => {
      const secret = 'a secret: of some length, with % and +';
      return discover((await registerApp(bench, { client_secret: secret })).id, oidc.ClientSecretBasic(secret));
    },
  ],
  ['with a key for ES384', () => withKey('ES384')],
  ['with a key for RS384', () => withKey('RS384')],
];

async function withKey(algorithm: 'ES384' | 'RS384'): Promise<oidc.Configuration> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'mine' }] };
  const { id } = await registerApp(bench, { token_endpoint_auth_method: 'private_key_jwt', jwks });
  return discover(id, oidc.PrivateKeyJwt({ key: privateKey, kid: 'mine' }));
}

describe('openid-client', () => {
  test.each(credentials)('of an app %s: code, ID token, refresh, introspection, revocation', async (_, register) => {
    const config = await register();
    const tokens = await letIn(config);
    const who = { iss: bench.origin, sub: 'Practitioner/7', fhirUser: `${bench.fhir}/Practitioner/7` };
    expect(tokens.claims()).toMatchObject(who);
    expect([tokens.scope, tokens['patient'], tokens.expiresIn()]).toEqual([SCOPE, '1', expect.closeTo(600, -1)]);
    expect([await read(tokens.access_token, 'Patient/1'), await read(tokens.access_token, 'Observation/o2')]).toEqual([200, 404]);

    const refreshed = await oidc.refreshTokenGrant(config, String(tokens.refresh_token));
    expect([refreshed['patient'], refreshed.scope]).toEqual(['1', SCOPE]);
    expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);
    expect(await read(refreshed.access_token, 'Patient/1')).toBe(200);
    const told = { active: true, scope: SCOPE, client_id: config.clientMetadata().client_id, patient: '1', ...who };
    expect(await oidc.tokenIntrospection(config, refreshed.access_token)).toMatchObject(told);

    await oidc.tokenRevocation(config, String(refreshed.refresh_token));
    expect(await oidc.tokenIntrospection(config, refreshed.access_token)).toEqual({ active: false });
    expect(await read(refreshed.access_token, 'Patient/1')).toBe(401);
    await expect(oidc.refreshTokenGrant(config, String(refreshed.refresh_token))).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('reads who signed in, by scope fhirUser, and nobody else; without it not even them', async () => {
    const config = await discover((await registerApp(bench)).id, oidc.None());
    const tokens = await letIn(config, 'openid fhirUser launch/patient patient/Observation.rs');
    const token = tokens.access_token;
    expect(tokens.claims()?.['fhirUser']).toBe(`${bench.fhir}/Practitioner/7`);
    expect(await read(token, 'Practitioner/7')).toBe(200);
    const others = [
      'Practitioner/8',
      'Practitioner/none',
      'Practitioner?_id=7',
      'Practitioner',
      'Patient/1',
      'Observation?_include=Observation:performer',
    ];
    expect(await Promise.all(others.map((path) => read(token, path)))).toEqual([404, 404, 403, 403, 403, 200]);
    const plain = await letIn(config, 'openid launch/patient patient/Observation.rs');
    expect(await read(plain.access_token, 'Practitioner/7')).toBe(403);
  });

  test('reads scopes of version 1', async () => {
    const tokens = await letIn(await discover((await registerApp(bench)).id, oidc.None()), 'openid launch/patient patient/Observation.read');
    expect(tokens.scope).toBe('openid launch/patient patient/Observation.read');
    expect([await read(tokens.access_token, 'Observation/o1'), await read(tokens.access_token, 'Patient/1')]).toEqual([200, 403]);
  });

  test('is told that the person did not allow it', async () => {
    const config = await discover((await registerApp(bench)).id, oidc.None());
    const [browser, verifier] = [openBrowser(), oidc.randomPKCECodeVerifier()];
    const challenge = { code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' };
    const page = await browser.visit(
      oidc.buildAuthorizationUrl(config, { redirect_uri: CALLBACK, scope: SCOPE, aud: bench.fhir, state: 'mine', ...challenge }),
    );
    const { url } = await browser.visit(page.url, { answer: 'deny' });
    await expect(oidc.authorizationCodeGrant(config, url, { pkceCodeVerifier: verifier, expectedState: 'mine' })).rejects.toMatchObject({
      error: 'access_denied',
    });
  });

  test('takes no answer of another authorization server for ours', async () => {
    const config = await discover((await registerApp(bench)).id, oidc.None());
    const forged = new URL(`${CALLBACK}?code=x&state=mine&iss=https://evil.example.org`);
    await expect(oidc.authorizationCodeGrant(config, forged, { pkceCodeVerifier: 'x'.repeat(43), expectedState: 'mine' })).rejects.toMatchObject({
      code: 'OAUTH_INVALID_RESPONSE',
    });
  });

  test('gets a token for itself by its key, as a backend service', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES384');
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'mine' }] };
    const service = {
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
      scope: 'system/*.rs',
      grant_types: ['client_credentials'],
      redirect_uris: [],
    };
    const config = await discover((await registerApp(bench, service)).id, oidc.PrivateKeyJwt({ key: privateKey, kid: 'mine' }));
    const tokens = await oidc.clientCredentialsGrant(config, { scope: 'system/Patient.rs' });
    expect([tokens.scope, await read(tokens.access_token, 'Patient/2')]).toEqual(['system/Patient.rs', 200]);
    // What it is not registered for has a word of its own.
    await expect(oidc.refreshTokenGrant(config, 'x')).rejects.toMatchObject({ error: 'unauthorized_client' });
  });
});

test('fhir-kit-client finds where apps are let in, and persons the page on which they end that', async () => {
  const found = await new Client({ baseUrl: bench.fhir }).smartAuthMetadata();
  expect({ ...found }).toMatchObject({
    authorizeUrl: new URL(`${bench.origin}/auth/authorize`),
    tokenUrl: new URL(`${bench.origin}/auth/token`),
  });
  const configuration = await fetch(`${bench.fhir}/.well-known/smart-configuration`);
  const { management_endpoint: address } = (await configuration.json()) as { readonly management_endpoint: string };
  const page = await openBrowser().visit(address);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
});

test('MedplumClient reads with such a token what the token is for', async () => {
  const tokens = await letIn(await discover((await registerApp(bench)).id, oidc.None()));
  const client = new MedplumClient({ baseUrl: `${bench.origin}/`, fhirUrlPath: 'fhir/', fetch, cacheTime: 0 });
  client.setAccessToken(tokens.access_token);
  expect((await client.readResource('Patient', '1')).id).toBe('1');
  expect((await client.searchResources('Observation')).map(({ id }) => id)).toEqual(['o1']);
  await expect(client.readResource('Patient', '2')).rejects.toMatchObject({ outcome: { issue: [{ code: 'not-found' }] } });
  await expect(client.searchResources('Condition')).rejects.toMatchObject({ outcome: { issue: [{ code: 'forbidden' }] } });
  await expect(client.updateResource({ resourceType: 'Patient', id: '1', gender: 'female' })).rejects.toMatchObject({
    outcome: { issue: [{ code: 'forbidden' }] },
  });
});
