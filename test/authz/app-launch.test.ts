/** SMART App Launch 2.2 over HTTP: a person, a browser, an app, a hospital's identity provider; each allow with its deny. authorization.md §2, §3, §5 */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSession } from '../../server/commands/demo/session.ts';
import {
  allow,
  type AppClient,
  authorizeUrl,
  CALLBACK,
  exchange,
  type LaunchBench,
  launchApp,
  openBrowser,
  postToken,
  registerApp,
  scopesOn,
  startLaunchBench,
} from '../support/app-launch.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

let bench: LaunchBench;
let app: AppClient;
beforeAll(async () => {
  bench = await startLaunchBench();
  const { server } = bench;
  await put(server, organization(HOSPITAL));
  await put(server, patient('1'));
  await put(server, patient('2'));
  await put(server, { resourceType: 'Practitioner', id: '7' });
  const category = (code: string) => [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code }] }];
  await put(server, observation('o1', 'Patient/1', { category: category('laboratory') }));
  await put(server, observation('o1v', 'Patient/1', { category: category('vital-signs') }));
  await put(server, observation('o2', 'Patient/2', { category: category('laboratory'), focus: [{ reference: 'Patient/1' }] }));
  app = await registerApp(bench);
});
afterAll(() => bench.stop());

const get = async (token: unknown, path: string) => {
  const response = await fetch(`${bench.fhir}/${path}`, { headers: { authorization: `Bearer ${String(token)}`, origin: 'https://app.example.org' } });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: JSON.parse(text) as { entry?: { resource: { id: string } }[]; total?: number },
  };
};
const idsOf = async (token: unknown, path: string) => ((await get(token, path)).json.entry ?? []).map(({ resource }) => resource.id).sort();

describe('standalone launch', () => {
  test('a clinician lets an app into one patient’s record: the token holds the patient, and nothing of another one', async () => {
    const { status, json, headers } = await launchApp(bench, app, { patient: '1', scope: 'launch/patient openid fhirUser patient/*.rs' });
    expect(status).toBe(200);
    expect(json).toMatchObject({ token_type: 'Bearer', expires_in: 600, patient: '1', scope: 'launch/patient openid fhirUser patient/*.rs' });
    expect([headers.get('cache-control'), headers.get('pragma')]).toEqual(['no-store', 'no-cache']);
    expect(json['refresh_token']).toBeUndefined();
    expect(decodeJwt(String(json['id_token']))).toMatchObject({ fhirUser: `${bench.fhir}/Practitioner/7`, aud: app.id, iss: bench.origin });
    const token = json['access_token'];
    expect(await idsOf(token, 'Observation')).toEqual(['o1', 'o1v']);
    // Names the patient, but is another one's.
    expect((await get(token, 'Observation/o2')).status).toBe(404);
    const absent = (await get(token, 'Patient/none')).text;
    expect((await get(token, 'Patient/2')).text).toBe(absent);
    expect(await idsOf(token, 'Observation?_id=o1&_include=Observation:subject')).toEqual(['1', 'o1']);
    expect(await idsOf(token, 'Patient?_revinclude=Observation:focus')).toEqual(['1']);
    expect((await get(token, 'Observation?_summary=count')).json.total).toBe(2);
    expect((await get(token, 'Patient/2/Observation')).json.entry ?? []).toEqual([]);
    expect((await get(token, 'Observation/o2/_history')).status).toBe(404);
  });

  test('of patients whom the clinician does not see none is chosen, and the page says so', async () => {
    const { address } = authorizeUrl(bench, app);
    const page = await allow(openBrowser(), address, { patient: 'none' });
    expect([page.status, page.text.includes('You see no such patient.')]).toEqual([422, true]);
  });

  test('nothing that writes is granted; nothing outside the registration; nothing for a client alone', async () => {
    const narrow = await registerApp(bench, { scope: 'patient/Observation.rs' });
    const { json } = await launchApp(bench, narrow, { patient: '1', scope: 'patient/*.cruds user/*.rs system/*.rs admin' });
    expect(json['scope']).toBe('patient/Observation.rs');
    expect((await get(json['access_token'], 'Condition')).status).toBe(403);
  });

  test('exactly what was left ticked is granted; what was not on the page is refused', async () => {
    const scope = 'launch/patient patient/Observation.rs patient/Condition.rs';
    const { json } = await launchApp(bench, app, { patient: '1', scope, scopes: ['patient/Condition.rs'] });
    expect(json['scope']).toBe('launch/patient patient/Condition.rs');
    expect((await get(json['access_token'], 'Observation')).status).toBe(403);
    const more = await allow(openBrowser(), authorizeUrl(bench, app, { scope }).address, { patient: '1', scopes: ['user/*.rs'] });
    expect(more.status).toBe(400);
  });

  test('every authorization asks anew: the second is of the second patient', async () => {
    const browser = openBrowser();
    for (const id of ['1', '2']) {
      const asked = authorizeUrl(bench, app);
      const back = await allow(browser, asked.address, { patient: id });
      expect((await exchange(bench, app, { asked, back: back.url })).json['patient']).toBe(id);
    }
  });

  test('a granular scope is part of every query; several on one type are a union, each with its own rule', async () => {
    const { json } = await launchApp(bench, app, { patient: '1', scope: 'patient/Observation.rs?category=laboratory' });
    expect(await idsOf(json['access_token'], 'Observation')).toEqual(['o1']);
    expect((await get(json['access_token'], 'Observation/o1v')).status).toBe(404);
    const both = await launchApp(bench, app, {
      patient: '1',
      scope: 'patient/Observation.rs?category=vital-signs user/Observation.rs?category=laboratory',
    });
    expect(await idsOf(both.json['access_token'], 'Observation')).toEqual(['o1', 'o1v', 'o2']);
    const letters = await launchApp(bench, app, { patient: '1', scope: 'patient/Observation.r patient/Observation.s?category=laboratory' });
    expect(await idsOf(letters.json['access_token'], 'Observation')).toEqual(['o1']);
    expect((await get(letters.json['access_token'], 'Observation/o1v')).status).toBe(200);
  });

  test.each(['patient/Observation.sr', 'patient/Observation.rx', 'patient/Observation.rs?subject.name=x', 'patient/*.rs?category=x'])(
    '%s is refused',
    async (scope) => {
      const { url } = await openBrowser().visit(authorizeUrl(bench, app, { scope }).address);
      expect(url.searchParams.get('error')).toBe('invalid_scope');
    },
  );
});

describe('a request of an app', () => {
  test.each<[string, Record<string, string | undefined>, string]>([
    ['no aud', { aud: undefined }, 'invalid_request'],
    ['another aud', { aud: 'https://evil.example.org/fhir' }, 'invalid_request'],
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['PKCE plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no page wanted', { prompt: 'none' }, 'interaction_required'],
    ['a launch nobody made', { launch: 'x', scope: 'launch patient/*.rs' }, 'invalid_request'],
    ['scope launch without one', { scope: 'launch patient/*.rs' }, 'invalid_request'],
    ['a purpose outside the registration', { purpose_of_use: 'HMARKT' }, 'invalid_request'],
    ['a token instead of a code', { response_type: 'token' }, 'unsupported_response_type'],
  ])('with %s goes back with an error and its state', async (_, more, error) => {
    const asked = authorizeUrl(bench, app, more);
    const { url } = await openBrowser().visit(asked.address);
    const said = new URLSearchParams(url.search || url.hash.slice(1));
    expect([url.origin, said.get('error'), said.get('state')]).toEqual(['https://app.example.org', error, asked.state]);
  });

  test('aud may end in a slash, and the request may be a form', async () => {
    const { address } = authorizeUrl(bench, app, { aud: `${bench.fhir}/` });
    const [path = '', query] = address.split('?');
    const page = await openBrowser().visit(path, new URLSearchParams(query));
    expect([page.status, page.url.pathname.startsWith('/authorize/')]).toEqual([200, true]);
  });

  test.each([
    ['another address', { redirect_uri: 'https://evil.example.org/' }],
    ['an address that begins like the registered one', { redirect_uri: `${CALLBACK}/more` }],
    ['the address with a query', { redirect_uri: `${CALLBACK}?to=https://evil.example.org/` }],
    ['the address with a fragment', { redirect_uri: `${CALLBACK}#/evil` }],
    ['the address by a detour', { redirect_uri: `${CALLBACK}/../callback` }],
    ['the address without TLS', { redirect_uri: CALLBACK.replace('https:', 'http:') }],
    ['the address at another port', { redirect_uri: CALLBACK.replace('.org/', '.org:8443/') }],
    ['the name of the address before another host', { redirect_uri: CALLBACK.replace('.org/', '.org@evil.example.org/') }],
    ['the address in other letters', { redirect_uri: CALLBACK.replace('app.', 'APP.') }],
    ['an unknown client', { client_id: 'nobody' }],
  ])('with %s ends on a page here', async (_, more) => {
    const page = await openBrowser().visit(authorizeUrl(bench, app, more).address);
    expect([page.status, page.url.host, page.headers.get('content-type')]).toEqual([400, new URL(bench.origin).host, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  test('with two addresses goes to the registered one, with an error', async () => {
    const address = `${authorizeUrl(bench, app).address}&redirect_uri=${encodeURIComponent('https://evil.example.org/')}`;
    const { url } = await openBrowser().visit(address);
    expect([url.origin + url.pathname, url.searchParams.get('error'), url.searchParams.has('code')]).toEqual([CALLBACK, 'invalid_request', false]);
  });

  test('that cannot be answered is told in the language of its reader', async () => {
    const { address } = authorizeUrl(bench, app, { redirect_uri: 'https://evil.example.org/' });
    const page = await fetch(address, { redirect: 'manual', headers: { 'accept-language': 'zh-CN' } });
    expect([page.status, page.headers.get('location')]).toEqual([400, null]);
    expect(await page.text()).toMatch(/<html lang="zh">[^]*没有向应用发送任何内容/);
    const over = await fetch(`${bench.origin}/authorize/nothing`, { headers: { 'accept-language': 'zh-CN' } });
    expect([over.status, await over.text()]).toEqual([410, expect.stringMatching(/<html lang="zh">[^]*请重新打开应用/)]);
  });

  test('that is denied goes back with access_denied', async () => {
    const browser = openBrowser();
    const asked = authorizeUrl(bench, app);
    const page = await browser.visit(asked.address);
    const { url } = await browser.visit(page.url, { answer: 'deny' });
    expect([url.searchParams.get('error'), url.searchParams.get('state'), url.searchParams.has('code')]).toEqual([
      'access_denied',
      asked.state,
      false,
    ]);
  });

  test('is answered in the browser it came from only, and from our own page only', async () => {
    const browser = openBrowser();
    const page = await browser.visit(authorizeUrl(bench, app).address);
    expect((await openBrowser().visit(page.url)).status).toBe(410);
    const foreign = await fetch(page.url, {
      method: 'POST',
      headers: { origin: 'https://evil.example.org' },
      body: new URLSearchParams({ answer: 'allow' }),
    });
    expect(foreign.status).toBe(403);
    expect((await browser.visit(page.url, { answer: 'allow' })).status).toBe(400);
  });

  test('cannot be signed in for from another browser', async () => {
    const [mine, theirs] = [openBrowser(), openBrowser()];
    const page = await mine.visit(authorizeUrl(bench, app).address);
    const sent = await fetch(page.url, { method: 'GET', redirect: 'manual' });
    expect(sent.status).toBe(410);
    expect((await theirs.visit(`${bench.origin}/authorize/return?state=x&code=y`)).status).toBe(403);
  });

  test('the page names the app, who runs it, the purpose and each scope in words', async () => {
    const browser = openBrowser();
    const first = await browser.visit(authorizeUrl(bench, app, { scope: 'patient/Observation.rs?category=laboratory offline_access' }).address);
    const page = await browser.visit(first.url, { answer: 'sign-in' });
    for (const words of [
      'Growth chart',
      'Organization/app',
      'TREAT',
      'Results and measurements (Observation), of this one patient',
      'only where category=laboratory',
      '90 days',
    ])
      expect(page.text).toContain(words);
    // Browsers follow a form's redirects only to where the policy says.
    expect(page.headers.get('content-security-policy')).toContain("form-action 'self' https://app.example.org;");
    expect(scopesOn(page.text)).toEqual(['patient/Observation.rs?category=laboratory']);
  });
});

describe('a code', () => {
  const codeFor = async (client = app) => {
    const asked = authorizeUrl(bench, client);
    const back = await allow(openBrowser(), asked.address, { patient: '1' });
    return { asked, back: back.url };
  };

  test('works once; the second use ends what the first one got', async () => {
    const code = await codeFor();
    const first = await exchange(bench, app, code);
    expect((await get(first.json['access_token'], 'Patient/1')).status).toBe(200);
    expect((await exchange(bench, app, code)).json['error']).toBe('invalid_grant');
    expect((await get(first.json['access_token'], 'Patient/1')).status).toBe(401);
  });

  test('is refused without its verifier, to another client, and at another address', async () => {
    const other = await registerApp(bench);
    const code = await codeFor();
    expect((await exchange(bench, app, { ...code, asked: { ...code.asked, verifier: 'x'.repeat(43) } })).json['error']).toBe('invalid_grant');
    expect((await exchange(bench, other, code)).json['error']).toBe('invalid_grant');
    const form = { grant_type: 'authorization_code', code: code.back.searchParams.get('code') ?? '', code_verifier: code.asked.verifier };
    expect((await postToken(bench, app, { ...form, redirect_uri: 'https://app.example.org/other' })).json['error']).toBe('invalid_grant');
  });

  test('of a confidential client needs its secret; errors can be read by a page of any origin', async () => {
    const confidential = await registerApp(bench, { client_secret: 'a secret of some length' });
    const code = await codeFor(confidential);
    const refused = await exchange(bench, { ...confidential, secret: 'another secret entirely' }, code);
    expect([refused.status, refused.json['error'], refused.headers.get('access-control-allow-origin')]).toEqual([
      401,
      'invalid_client',
      'https://app.example.org',
    ]);
    expect((await exchange(bench, confidential, code)).status).toBe(200);
    const bad = await postToken(bench, app, { grant_type: 'authorization_code', code: 'x', redirect_uri: CALLBACK, code_verifier: 'x' });
    expect([bad.status, bad.headers.get('access-control-allow-origin')]).toEqual([400, 'https://app.example.org']);
  });
});

describe('a refresh token', () => {
  const scope = 'launch/patient offline_access patient/Observation.rs patient/Patient.rs';
  const refresh = (token: unknown, more: Record<string, string> = {}, client: AppClient | undefined = app) =>
    postToken(bench, client, { grant_type: 'refresh_token', refresh_token: String(token), ...more });

  test('keeps the context, is rotated, may ask for less and not for more; without client_id it says itself whose it is', async () => {
    const first = await launchApp(bench, app, { patient: '1', scope });
    const less = await refresh(first.json['refresh_token'], { scope: 'patient/Patient.rs' });
    expect(less.json).toMatchObject({ patient: '1', scope: 'patient/Patient.rs' });
    expect((await get(less.json['access_token'], 'Observation')).status).toBe(403);
    const again = await postToken(bench, undefined, { grant_type: 'refresh_token', refresh_token: String(less.json['refresh_token']) });
    expect(again.json).toMatchObject({ patient: '1', scope });
    expect((await refresh(again.json['refresh_token'], { scope: 'patient/*.rs' })).json['error']).toBe('invalid_scope');
    expect((await refresh(again.json['refresh_token'], {}, await registerApp(bench))).json['error']).toBe('invalid_grant');
    // Used a second time, it was stolen: everything ends.
    expect((await refresh(first.json['refresh_token'])).json['error']).toBe('invalid_grant');
    expect((await get(again.json['access_token'], 'Patient/1')).status).toBe(401);
    expect((await refresh(again.json['refresh_token'])).json['error']).toBe('invalid_grant');
  });

  test('is not given without a scope for it, and not of a confidential client without its secret', async () => {
    expect((await launchApp(bench, app, { patient: '1' })).json['refresh_token']).toBeUndefined();
    const confidential = await registerApp(bench, { client_secret: 'a secret of some length' });
    const { json } = await launchApp(bench, confidential, { patient: '1', scope: 'online_access patient/*.rs' });
    expect((await postToken(bench, undefined, { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) })).json['error']).toBe(
      'invalid_request',
    );
    expect((await refresh(json['refresh_token'], {}, confidential)).status).toBe(200);
  });
});

describe('introspection and revocation', () => {
  test('tell a client of its own tokens, and end them at once', async () => {
    const other = await registerApp(bench);
    const { json } = await launchApp(bench, app, { patient: '1', scope: 'offline_access patient/*.rs' });
    const token = String(json['access_token']);
    const told = await postToken(bench, app, { token }, 'introspect');
    expect(told.json).toMatchObject({
      active: true,
      client_id: app.id,
      patient: '1',
      scope: 'offline_access patient/*.rs',
      fhirUser: `${bench.fhir}/Practitioner/7`,
    });
    expect((await postToken(bench, other, { token }, 'introspect')).json).toEqual({ active: false });
    expect((await postToken(bench, app, { token: String(json['refresh_token']) }, 'introspect')).json['active']).toBe(true);
    expect((await postToken(bench, other, { token }, 'revoke')).status).toBe(200);
    expect((await get(token, 'Patient/1')).status).toBe(200);
    const bearer = { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: new URLSearchParams({ token }) };
    expect(await (await fetch(`${bench.origin}/auth/introspect`, bearer)).json()).toMatchObject({ active: true });
    expect((await postToken(bench, app, { token }, 'revoke')).status).toBe(200);
    const after = await get(token, 'Patient/1');
    expect([after.status, after.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
    expect((await postToken(bench, app, { token }, 'introspect')).json).toEqual({ active: false });
    expect((await postToken(bench, app, { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) })).json['error']).toBe(
      'invalid_grant',
    );
    expect((await fetch(`${bench.origin}/auth/introspect`, bearer)).status).toBe(401);
  });

  test('a revoked refresh token takes its access token with it', async () => {
    const { json } = await launchApp(bench, app, { patient: '1', scope: 'offline_access patient/*.rs' });
    expect((await postToken(bench, app, { token: String(json['refresh_token']) }, 'revoke')).status).toBe(200);
    expect((await get(json['access_token'], 'Patient/1')).status).toBe(401);
  });
});

describe('EHR launch', () => {
  const openFor = async (body: Record<string, unknown>, scope = 'launch') => {
    const ehr = await registerApp(bench, {
      client_secret: 'a secret of some length',
      scope: 'launch system/*.rs',
      grant_types: ['client_credentials'],
      redirect_uris: [],
    });
    const session = await createSession(bench.server.bootstrap, { client_id: ehr.id, client_secret: 'a secret of some length' }, scope);
    return session.call('POST', '/admin/launches', body);
  };
  const scope = 'launch openid fhirUser patient/*.rs';

  test('opens an app for the patient, the encounter and the person at work; once', async () => {
    const context = {
      patient: 'Patient/1',
      encounter: 'e1',
      need_patient_banner: false,
      intent: 'order',
      smart_style_url: 'https://ehr.example.org/style.json',
      tenant: 't',
    };
    const opened = await openFor({ client_id: app.id, user: 'Practitioner/7', ...context });
    expect(opened.status).toBe(201);
    const launch = String(opened.json['launch']);
    const { json } = await launchApp(bench, app, { scope, more: { launch } });
    expect(json).toMatchObject({ ...context, patient: '1', encounter: 'e1' });
    const told = await postToken(bench, app, { token: String(json['access_token']) }, 'introspect');
    expect(told.json).toMatchObject({ ...context, patient: '1', encounter: 'e1', scope });
    const { url } = await openBrowser().visit(authorizeUrl(bench, app, { scope, launch }).address);
    expect(url.searchParams.get('error')).toBe('invalid_request');
  });

  test('is for one app and one person', async () => {
    const launch = String((await openFor({ client_id: app.id, user: 'Practitioner/8', patient: '1' })).json['launch']);
    expect((await allow(openBrowser(), authorizeUrl(bench, app, { scope, launch }).address)).status).toBe(403);
    const other = await openBrowser().visit(authorizeUrl(bench, await registerApp(bench), { scope, launch }).address);
    expect(other.url.searchParams.get('error')).toBe('invalid_request');
  });

  test('nobody without the scope for it opens apps', async () => {
    expect((await openFor({ client_id: app.id, patient: '1' }, 'system/*.rs')).status).toBe(403);
    expect((await bench.server.admin.call('POST', '/admin/launches', { client_id: app.id })).status).toBe(403);
    expect((await openFor({ client_id: 'nobody' })).status).toBe(400);
  });

  test.each([
    [{}],
    [{ reference: 'https://elsewhere.example.org/ImagingStudy/1' }],
    [{ reference: 'Nothing/1' }],
    [{ reference: 'ImagingStudy/' }],
    [{ reference: 1, identifier: {} }],
    [{ canonical: 'Questionnaire/1' }],
    [{ identifier: 'x' }],
    [{ identifier: {}, type: 'Nothing' }],
    ['ImagingStudy/1'],
  ])('what is open beside, as %j, is nothing an app could read', async (item) => {
    const refused = await openFor({ client_id: app.id, patient: '1', fhirContext: [item] });
    expect([refused.status, refused.text.includes('fhirContext')]).toEqual([400, true]);
  });

  test('without a patient there is no token for one', async () => {
    const launch = String((await openFor({ client_id: app.id })).json['launch']);
    const page = await allow(openBrowser(), authorizeUrl(bench, app, { scope, launch }).address, { patient: '' });
    expect(page.status).toBe(422);
  });
});

describe('who is signed in', () => {
  test.each([undefined, 'Organization/1', 'https://elsewhere.example.org/Practitioner/7'])('%s at the provider is nobody here', async (user) => {
    bench.idp.user = user;
    const page = await allow(openBrowser(), authorizeUrl(bench, app).address, { patient: '1' });
    bench.idp.user = 'Practitioner/7';
    expect(page.status).toBe(403);
  });
});

describe('two people with one app', () => {
  const as = async (user: string, launched: Parameters<typeof launchApp>[2]) => {
    bench.idp.user = user;
    try {
      return (await launchApp(bench, app, launched)).json['access_token'];
    } finally {
      bench.idp.user = 'Practitioner/7';
    }
  };
  const everything = { scope: 'user/*.rs' };

  test('neither reads what the other did: what was shown, what was asked for and what was tried', async () => {
    const first = await as('Practitioner/7', everything);
    expect((await get(first, 'Observation/o1')).status).toBe(200);
    expect((await get(first, 'Patient?name=somebody')).status).toBe(200);
    expect((await get(first, 'Observation/tried')).status).toBe(404);
    const [mine = ''] = await idsOf(first, 'AuditEvent?entity=Observation/o1&agent=Practitioner/7');
    expect(mine).not.toBe('');
    expect((await get(first, `AuditEvent/${mine}/$receipt`)).status).not.toBe(404);
    const second = await as('Practitioner/8', everything);
    expect(await idsOf(second, 'AuditEvent?agent=Practitioner/7')).toEqual([]);
    expect(await idsOf(second, 'AuditEvent?entity=Observation/o1')).toEqual([]);
    expect((await get(second, `AuditEvent/${mine}`)).text).toBe((await get(second, 'AuditEvent/none')).text);
    expect((await get(second, `AuditEvent/${mine}/$receipt`)).status).toBe(404);
    const ofPatient = await as('Practitioner/8', { patient: '1', scope: 'launch/patient patient/*.rs' });
    expect(await idsOf(ofPatient, 'AuditEvent?agent=Practitioner/7')).toEqual([]);
    expect(await idsOf(first, `AuditEvent?_id=${mine}&agent=Practitioner/7`)).toEqual([mine]);
  });

  test('a page link is good with what may be seen by the token it was given to, and its number is told to no narrower one', async () => {
    const wide = await as('Practitioner/7', everything);
    const page = await get(wide, 'Observation/_history?_count=1');
    const next = (page.json as { link?: { relation: string; url: string }[] }).link?.find(({ relation }) => relation === 'next')?.url ?? '';
    expect(page.json.total).toBeGreaterThan(1);
    const path = next.slice(`${bench.fhir}/`.length);
    expect((await get(wide, path)).json.total).toBe(page.json.total);
    for (const scope of ['launch/patient patient/*.rs', 'launch/patient patient/Observation.rs?category=laboratory'])
      expect((await get(await as('Practitioner/7', { patient: '2', scope }), path)).status).toBe(400);
  });
});

test('what is registered anew ends tokens; refreshed ones hold what is registered now', async () => {
  const client = await registerApp(bench);
  const { json } = await launchApp(bench, client, { patient: '1', scope: 'offline_access patient/Observation.rs patient/Patient.rs' });
  const shown = (await bench.server.admin.call('GET', `/admin/clients/${client.id}`)).json;
  expect((await bench.server.admin.call('PUT', `/admin/clients/${client.id}`, { ...shown, scope: 'patient/Patient.rs' })).status).toBe(200);
  expect((await get(json['access_token'], 'Patient/1')).status).toBe(401);
  const next = await postToken(bench, client, { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) });
  expect((await get(next.json['access_token'], 'Patient/1')).status).toBe(200);
  expect((await get(next.json['access_token'], 'Observation')).status).toBe(403);
});
