/**
 * Every check of Inferno's SMART App Launch 2.2 test kit for servers (suite smart_stu2_2), performed as the kit performs it against a started
 * server: its id, what it asserts. Those it calls optional (CORS) hold too. Its checks of TLS are of the proxy: test/docker/compose.test.ts.
 * https://github.com/inferno-framework/smart-app-launch-test-kit, https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSession } from '../../server/commands/demo/session.ts';
import { type LaunchBench, registerApp, startLaunchBench } from '../support/app-launch.ts';
import {
  type Answer,
  type App,
  type Asking,
  type Credential,
  get,
  type Json,
  type Keys,
  launch,
  type Launched,
  ORIGIN,
  post,
  REDIRECT,
  requestAsService,
  requestToken,
  serveKeys,
} from '../support/inferno.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

/** What a check has of those before it. */
type Held = Launched & {
  readonly app: App;
  readonly asked: Asking;
  /** As the last answer had them. */
  scopes: string;
  refreshToken: string;
  accessToken: string;
  readonly idToken: string;
};
type Check<Of> = readonly [id: string, asserts: string, run: (of: Of) => void | Promise<void>];

const SECRET = 'a secret of some length';
const CONTEXT = {
  patient: 'Patient/1',
  encounter: 'e1',
  fhirContext: [{ reference: 'ImagingStudy/i1' }, { identifier: { value: 'x' }, type: 'Task' }],
};
const STANDALONE = 'launch/patient openid fhirUser offline_access patient/*.rs';
const EHR = 'launch openid fhirUser offline_access user/*.rs';

let bench: LaunchBench;
let keys: Keys;
let configuration: Json;
const to = () => ({
  bench,
  keys,
  tokenUrl: String(configuration['token_endpoint']),
  authorizationUrl: String(configuration['authorization_endpoint']),
});
const strings = (value: unknown) => {
  expect(Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string'), JSON.stringify(value)).toBe(true);
  return value as readonly string[];
};
const words = (scope: unknown) => String(scope).split(' ').toSorted();
const opened = ({ headers }: Answer) => expect([ORIGIN, '*']).toContain(headers.get('access-control-allow-origin'));
const uncached = ({ headers }: Answer) =>
  expect([headers.get('cache-control'), headers.get('pragma')]).toEqual([expect.stringContaining('no-store'), expect.stringContaining('no-cache')]);

beforeAll(async () => {
  keys = await serveKeys();
  bench = await startLaunchBench({ ASSENT_JWKS_PRIVATE_HOSTS: keys.host });
  for (const resource of [organization(HOSPITAL), patient('1'), observation('o1', 'Patient/1'), { resourceType: 'Practitioner', id: '7' }])
    await put(bench.server, resource);
  configuration = (await get(`${bench.fhir}/.well-known/smart-configuration`)).json;
});
afterAll(async () => {
  await bench.stop();
  await keys.stop();
});

describe('smart_discovery_stu2_2', () => {
  const checks: readonly Check<void>[] = [
    [
      'well_known_endpoint',
      'the configuration is JSON at .well-known/smart-configuration',
      async () => {
        const answer = await get(`${bench.fhir}/.well-known/smart-configuration`);
        expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringMatching(/^application\/json/)]);
        expect(answer.json).toEqual(configuration);
      },
    ],
    [
      'well_known_capabilities_stu2',
      'it holds what is required: endpoints, capabilities, grants, S256 and not plain; issuer and jwks_uri with sso-openid-connect',
      () => {
        for (const name of ['authorization_endpoint', 'token_endpoint', 'issuer', 'jwks_uri'])
          expect(URL.canParse(String(configuration[name])), name).toBe(true);
        expect(strings(configuration['capabilities'])).toContain('sso-openid-connect');
        expect(strings(configuration['grant_types_supported'])).toContain('authorization_code');
        expect(strings(configuration['code_challenge_methods_supported'])).toEqual(['S256']);
      },
    ],
    [
      'smart_cors_well_known_endpoint',
      'a page of any origin reads it',
      async () => opened(await get(`${bench.fhir}/.well-known/smart-configuration`, { origin: ORIGIN })),
    ],
    [
      'smart_cors_metadata_request',
      'and the CapabilityStatement',
      async () => {
        const answer = await get(`${bench.fhir}/metadata`, { origin: ORIGIN, accept: 'application/fhir+json' });
        expect([answer.status, answer.json['resourceType']]).toEqual([200, 'CapabilityStatement']);
        opened(answer);
      },
    ],
  ];
  test.each(checks)('%s: %s', async (_id, _asserts, run) => run());
});

/** From the redirect to the token response; smart_standalone_launch_stu2_2 and smart_ehr_launch_stu2_2. */
const launching: readonly Check<Held>[] = [
  [
    'smart_app_redirect_stu2',
    'the browser comes back to the app with its state',
    ({ redirect, state }) => {
      expect([redirect.origin + redirect.pathname, redirect.searchParams.get('state')]).toEqual([REDIRECT, state]);
    },
  ],
  [
    'smart_code_received',
    'with a code and no error',
    ({ redirect }) => {
      expect([redirect.searchParams.get('code'), redirect.searchParams.get('error')]).toEqual([expect.stringMatching(/./), null]);
    },
  ],
  [
    'smart_token_exchange_stu2_2',
    'the code is exchanged for tokens, in JSON',
    ({ token }) => {
      expect([token.status, token.headers.get('content-type')], token.text).toEqual([200, expect.stringMatching(/^application\/json/)]);
    },
  ],
  [
    'smart_token_response_body_stu2_2',
    'they are a Bearer token, its life in seconds and all scopes asked for, and a context in its form',
    ({ token, asked }) => {
      expect(token.json).toMatchObject({
        access_token: expect.any(String),
        refresh_token: expect.any(String),
        expires_in: expect.any(Number),
        scope: expect.any(String),
      });
      expect(String(token.json['token_type']).toLowerCase()).toBe('bearer');
      expect(words(token.json['scope'])).toEqual(words(asked.scope));
      expect(token.json['patient']).toBe('1');
      for (const each of (token.json['fhirContext'] ?? []) as readonly Json[])
        expect(each['reference'] ?? each['canonical'] ?? each['identifier']).toBeDefined();
    },
  ],
  ['smart_token_response_headers', 'no cache keeps them', ({ token }) => uncached(token)],
  ['smart_cors_token_exchange', 'a page of the app’s origin may read the answer', ({ token }) => opened(token)],
];

type Signed = { readonly openid: Json; readonly jwks: JSONWebKeySet };
const openid: { current: Signed } = { current: { openid: {}, jwks: { keys: [] } } };

/** smart_openid_connect_stu2_2 */
const identity: readonly Check<Held>[] = [
  [
    'smart_openid_decode_id_token',
    'the ID token is a JWT',
    ({ idToken }) => {
      expect([decodeProtectedHeader(idToken), decodeJwt(idToken)]).toEqual([expect.any(Object), expect.any(Object)]);
    },
  ],
  [
    'smart_openid_retrieve_configuration',
    'its issuer has an OpenID configuration, in JSON',
    async ({ idToken }) => {
      const answer = await get(`${String(decodeJwt(idToken).iss).replace(/\/$/, '')}/.well-known/openid-configuration`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringMatching(/^application\/json/)]);
      openid.current = { ...openid.current, openid: answer.json };
    },
  ],
  [
    'smart_openid_required_configuration_fields',
    'which holds what is required, and RS256',
    () => {
      const { openid: held } = openid.current;
      for (const name of ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri'])
        expect(URL.canParse(String(held[name])), name).toBe(true);
      for (const name of ['response_types_supported', 'subject_types_supported']) strings(held[name]);
      expect(strings(held['id_token_signing_alg_values_supported'])).toContain('RS256');
    },
  ],
  [
    'smart_openid_retrieve_jwks',
    'and keys, RSA among them',
    async () => {
      const answer = await get(String(openid.current.openid['jwks_uri']));
      expect(answer.status).toBe(200);
      const jwks = answer.json as unknown as JSONWebKeySet;
      expect(jwks.keys.filter(({ kty }) => kty === 'RSA')).not.toEqual([]);
      openid.current = { ...openid.current, jwks };
    },
  ],
  [
    'smart_openid_token_header',
    'the ID token is signed with RS256 by one of them',
    ({ idToken }) => {
      const { alg, kid } = decodeProtectedHeader(idToken);
      expect([alg, openid.current.jwks.keys.map((key) => key.kid)]).toEqual(['RS256', expect.arrayContaining([kid])]);
    },
  ],
  [
    'smart_openid_token_payload',
    'for this app, by this issuer, of somebody, not over',
    async ({ idToken, app }) => {
      const checks = { algorithms: ['RS256'], issuer: String(openid.current.openid['issuer']), audience: app.id };
      const { payload } = await jwtVerify(idToken, createLocalJWKSet(openid.current.jwks), {
        ...checks,
        requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat'],
      });
      expect(payload.sub).toMatch(/^.{1,255}$/);
    },
  ],
  [
    'smart_openid_fhir_user_claim',
    'who is a resource here that the app reads',
    async ({ idToken, accessToken }) => {
      const fhirUser = String(decodeJwt(idToken)['fhirUser']);
      const [type, id] = fhirUser.split('/').slice(-2);
      expect(['Patient', 'Practitioner', 'RelatedPerson', 'Person']).toContain(type);
      const answer = await get(`${bench.fhir}/${type}/${id}`, { authorization: `Bearer ${accessToken}`, accept: 'application/fhir+json' });
      expect([answer.status, answer.json['resourceType'], fhirUser]).toEqual([200, type, `${bench.fhir}/${type}/${id}`]);
    },
  ],
  [
    'smart_cors_openid_fhir_user_claim',
    'from a page too',
    async ({ idToken, accessToken }) => {
      const answer = await get(String(decodeJwt(idToken)['fhirUser']), { authorization: `Bearer ${accessToken}`, origin: ORIGIN });
      expect(answer.status).toBe(200);
      opened(answer);
    },
  ],
];

/** smart_token_refresh_stu2, without scopes and with those received. */
const refreshing = (withScopes: boolean): readonly Check<Held>[] => {
  let answer: Answer;
  return [
    [
      `smart_token_refresh_stu2${withScopes ? ' (with scopes)' : ''}`,
      'the refresh token is exchanged',
      async (held) => {
        const form = { grant_type: 'refresh_token', refresh_token: held.refreshToken, ...(withScopes ? { scope: held.scopes } : {}) };
        answer = await requestToken(to(), held.app, form);
        expect(answer.status, answer.text).toBe(200);
        const { refresh_token: next } = answer.json;
        if (typeof next === 'string') held.refreshToken = next;
      },
    ],
    [
      'smart_token_refresh_body',
      'for a Bearer token with no scope that the first one had not',
      (held) => {
        expect(answer.json).toMatchObject({ access_token: expect.any(String), expires_in: expect.any(Number), scope: expect.any(String) });
        expect(String(answer.json['token_type']).toLowerCase()).toBe('bearer');
        expect(words(held.scopes)).toEqual(expect.arrayContaining(words(answer.json['scope'])));
        held.scopes = String(answer.json['scope']);
        held.accessToken = String(answer.json['access_token']);
      },
    ],
    ['smart_token_response_headers', 'no cache keeps it', () => uncached(answer)],
  ];
};

/** smart_token_introspection_stu2_2: what is asked by the app's own credential, and by its token where it has none. */
const introspecting: readonly Check<Held>[] = [
  [
    'active token',
    'is active, and tells client, scopes, expiry, context and who signed in as the token response did',
    async ({ app, accessToken, scopes, token, idToken }) => {
      const answer = await introspect(app, accessToken, accessToken);
      expect(answer.status).toBe(200);
      const { iss, sub, fhirUser } = decodeJwt(idToken);
      const { patient: whose, encounter } = token.json;
      expect(answer.json).toMatchObject({
        active: true,
        client_id: app.id,
        patient: whose,
        iss,
        sub,
        fhirUser,
        ...(encounter === undefined ? {} : { encounter }),
      });
      expect(words(answer.json['scope'])).toEqual(words(scopes));
      expect(Number(answer.json['exp']) * 1000).toBeGreaterThan(bench.server.now() - 600_000);
    },
  ],
  [
    'invalid token',
    'is not active, and nothing else is told',
    async ({ app, accessToken }) => {
      const answer = await introspect(app, accessToken, 'invalid_token_value');
      expect([answer.status, answer.json]).toEqual([200, { active: false }]);
    },
  ],
];

/** The kit sends whatever header its user gives it. */
function introspect({ id, secret }: App, accessToken: string, token: string): Promise<Answer> {
  const authorization = secret === undefined ? `Bearer ${accessToken}` : `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  return post(String(configuration['introspection_endpoint']), { token }, { accept: 'application/json', authorization });
}

async function registered(credential: Credential): Promise<App> {
  const more = { redirect_uris: [REDIRECT], scope: 'patient/*.rs user/*.rs' };
  if (credential === 'public') return { id: (await registerApp(bench, more)).id, credential };
  if (credential === 'symmetric') return { ...(await registerApp(bench, { ...more, client_secret: SECRET })), credential, secret: SECRET };
  return { id: (await registerApp(bench, { ...more, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: keys.jwksUri })).id, credential };
}

async function held(asked: Asking): Promise<Held> {
  const done = await launch(to(), asked);
  const { access_token: accessToken, refresh_token: refreshToken, id_token: idToken, scope } = done.token.json;
  const tokens = { accessToken: String(accessToken), refreshToken: String(refreshToken), idToken: String(idToken) };
  return { ...done, app: asked.app, asked, ...tokens, scopes: String(scope) };
}

const ways: readonly (readonly [Credential, 'get' | 'post'])[] = [
  ['public', 'get'],
  ['symmetric', 'post'],
  ['ES384', 'get'],
  ['RS384', 'post'],
];

describe.each(ways)('smart_full_standalone_launch, an app of kind %s, asking by %s', (credential, method) => {
  let of: Held;
  beforeAll(async () => {
    of = await held({ app: await registered(credential), method, scope: STANDALONE, patient: '1' });
  });
  const checks = [...launching, ...identity, ...refreshing(false), ...refreshing(true), ...introspecting];
  test.each(checks)('%s: %s', async (_id, _asserts, run) => run(of));
});

describe.each(ways)('smart_full_ehr_launch, an app of kind %s, asking by %s', (credential, method) => {
  let of: Held;
  let asked: Json;
  beforeAll(async () => {
    const app = await registered(credential);
    const scopes = { scope: 'launch system/*.rs', grant_types: ['client_credentials'], redirect_uris: [] };
    const ehr = await registerApp(bench, { client_secret: SECRET, ...scopes });
    const session = await createSession(bench.server.bootstrap, { client_id: ehr.id, client_secret: SECRET }, 'launch');
    asked = (await session.call('POST', '/admin/launches', { client_id: app.id, user: 'Practitioner/7', ...CONTEXT })).json;
    of = await held({ app, method, scope: EHR, launch: String(asked['launch']) });
  });
  test('smart_app_launch, smart_launch_received: the record system opens the app with what it has from here', () => {
    expect(asked['launch']).toEqual(expect.stringMatching(/^[\w-]{20,}$/));
    expect(of.token.json).toMatchObject({ ...CONTEXT, patient: '1' });
  });
  test.each([...launching, ...identity, ...refreshing(false), ...refreshing(true), ...introspecting])('%s: %s', async (_id, _asserts, run) =>
    run(of),
  );
});

describe.each(['ES384', 'RS384'] as const)('backend_services_authorization, by a key for %s', (algorithm) => {
  let client: string;
  let answer: Answer;
  beforeAll(async () => {
    const credential = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: keys.jwksUri };
    ({ id: client } = await registerApp(bench, { ...credential, scope: 'system/*.rs', grant_types: ['client_credentials'], redirect_uris: [] }));
    answer = await requestAsService(to(), { client, algorithm });
  });
  const ask = (wrong: Parameters<typeof requestAsService>[2]) => requestAsService(to(), { client, algorithm }, wrong);
  const checks: readonly Check<void>[] = [
    [
      'smart_backend_services_invalid_grant_type',
      '400 for another grant_type',
      async () => {
        expect((await ask({ form: { grant_type: 'not_a_grant_type' } })).status).toBe(400);
      },
    ],
    [
      'smart_backend_services_invalid_client_assertion',
      '400 for another client_assertion_type',
      async () => {
        expect((await ask({ form: { client_assertion_type: 'not_an_assertion_type' } })).status).toBe(400);
      },
    ],
    [
      'smart_backend_services_invalid_jwt',
      '400 or 401 for an assertion that is none, or is another’s',
      async () => {
        for (const wrong of [{ claims: { iss: 'not_a_valid_iss' } }, { claims: { aud: bench.fhir } }, { form: { client_assertion: 'not_a_jwt' } }]) {
          const refused = await ask(wrong);
          expect([[400, 401].includes(refused.status), refused.json['access_token']], refused.text).toEqual([true, undefined]);
        }
      },
    ],
    [
      'smart_backend_services_auth_request_success',
      'a token for what is right',
      () => {
        expect(answer.status, answer.text).toBe(200);
      },
    ],
    [
      'smart_backend_services_auth_response_body',
      'of Bearer, with its life and its scopes; it reads',
      async () => {
        expect(answer.json).toMatchObject({ access_token: expect.any(String), expires_in: expect.any(Number), scope: 'system/*.rs' });
        expect(String(answer.json['token_type']).toLowerCase()).toBe('bearer');
        expect((await get(`${bench.fhir}/Practitioner/7`, { authorization: `Bearer ${String(answer.json['access_token'])}` })).status).toBe(200);
      },
    ],
  ];
  test.each(checks)('%s: %s', async (_id, _asserts, run) => run());
});
