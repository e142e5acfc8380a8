/** The console over HTTP: who gets in, what a form must bring, what the Gate is asked, what is shown. */
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import type { AccessRequest, AccessResult, GateFor, Row, SearchRequest, SearchResult } from '../../server/consent/gate.ts';
import type { Caller } from '../../server/consent/model.ts';
import type { Explanation } from '../../server/http/explain.ts';
import { AssentError } from '../../server/errors.ts';
import { createCursors } from '../../server/search/page.ts';
import { all } from '../../server/search/expression.ts';
import { webPlugin } from '../../server/web/plugin.ts';

const admin: Caller = { client: 'admin', actor: 'Device/console', purpose: 'HSYSADMIN', scopes: [], admin: true, choosesIds: true, tokenId: 't' };
const origin = 'http://localhost:8103';
const NOW = Date.UTC(2026, 10, 25, 12);
const open: FastifyInstance[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

function event(id: string, extra: object = {}): Row {
  const body = JSON.stringify({
    resourceType: 'AuditEvent',
    subtype: [{ code: 'read' }],
    outcome: '0',
    purposeOfEvent: [{ coding: [{ code: 'TREAT' }] }],
    agent: [{ who: { reference: 'Organization/2' }, altId: 'insurer' }],
    entity: [
      { what: { reference: 'Patient/1' }, role: { code: '1' } },
      { what: { reference: 'Observation/7/_history/a' }, role: { code: '4' } },
      { what: { reference: 'Consent/9/_history/b' }, role: { code: '13' } },
    ],
    ...extra,
  });
  return { type: 'AuditEvent', id, version: 'v', lastUpdated: NOW, deleted: false, body };
}

const cursors = createCursors({ secret: Buffer.alloc(32, 7) });

const explanation: Explanation = {
  type: 'Observation',
  parameters: ['code'],
  warnings: [],
  consent: { patients: 60, scope: 'is checked on each row' },
  reads: [
    {
      step: 'page',
      type: 'Observation',
      considered: [{ of: 'code', kind: 'keys', size: '5001 or more' }],
      chosen: [{ of: 'code', kind: 'keys' }],
      why: 'Nothing else can drive.',
      ways: ['walked in order'],
      walked: 120,
      checked: 110,
      matched: 'under 50',
      budget: 50_000,
      outcome: 'read',
      thread: 'main thread',
      ms: { plan: 0.1, walk: 2, load: 0.5 },
    },
  ],
  ms: { parse: 0.2, consent: 0.3, reads: 2.6, audit: 4 },
};

type Setup = { readonly result?: Partial<SearchResult>; readonly publicOrigin?: string };

async function consoleWith({ result = {}, publicOrigin = origin }: Setup = {}) {
  const asked: { caller: Caller; request: SearchRequest }[] = [];
  const planned: string[] = [];
  const explained: unknown[] = [];
  const removed = new Set<string>();
  let now = NOW;
  const app = Fastify();
  open.push(app);
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send('not the console'));
  await app.register(
    webPlugin({
      origin: publicOrigin,
      clock: () => now,
      signIn: async (id, secret) => (secret === 'right' ? `token of ${id}` : undefined),
      isErased: (version) => version === 'Consent/9/_history/gone',
      clientName: async () => undefined,
      callerOf: async (token) => {
        if (removed.has(token)) throw new AssentError('unauthenticated');
        return { ...admin, admin: token === 'token of admin' };
      },
      status: async () => ({
        ready: true,
        logSize: 1234,
        checkpoint: { size: 1200, signedAt: NOW, text: 'origin\n1200\n<root>\n' },
        witnessed: { size: 1150, signedAt: NOW, by: 2 },
        anchors: [{ name: 'embedded', size: 1100, at: NOW }],
      }),
      search: {
        plan: (type, parameters) => {
          planned.push(`${type}?${decodeURIComponent(String(parameters))}`);
          return {
            where: all,
            order: { by: 'instant', direction: 'newest-first' },
            count: 50,
            total: true,
            cursor: undefined,
            used: '',
            warnings: [],
          };
        },
      },
      cursors,
      trailFile: async () => '{}',
      operations: { history: async () => ({ log: [], anchors: [] }), alarms: async () => [], jobs: async () => [] },
      registry: { clients: async () => [], keys: async () => [], policies: [] },
      custodians: { keysOf: async () => [], passkeys: { creation: async () => ({}), enrol: async () => ({}) } },
      explain: async (caller, input) => {
        explained.push({ caller, input });
        if (input.search === 'bad') throw new AssentError('invalid-request', 'A search of one type is needed.');
        return explanation;
      },
      gateFor: ((caller: Caller) => ({
        explainAccess: async (request: AccessRequest): Promise<AccessResult> => {
          explained.push({ caller, request });
          if (request.id === 'absent') return { kind: 'absent' };
          if (request.purpose === 'NONE') throw new AssentError('invalid-request', 'The purpose must be a code.');
          return access;
        },
        search: async (request: SearchRequest) => {
          asked.push({ caller, request });
          return { rows: [event('e1')], next: undefined, total: 1, receipt: undefined, ...result };
        },
      })) as unknown as GateFor,
    }),
  );
  const post = (url: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url,
      payload: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: publicOrigin, ...headers },
    });
  const signedIn = async () => {
    const cookie = String((await post('/console/sign-in', { client: 'admin', secret: 'right' })).headers['set-cookie']).split(';')[0] ?? '';
    const token = /name="token" value="([^"]+)"/.exec((await app.inject({ url: '/', headers: { cookie } })).body)?.[1] ?? '';
    return { cookie, token };
  };
  return { app, post, signedIn, asked, planned, explained, removed, pass: (ms: number) => void (now += ms) };
}

describe('the first page', () => {
  test('shows health, log size, checkpoint and anchors to anyone, and no trail', async () => {
    const { app, asked } = await consoleWith();
    const { statusCode, body, headers } = await app.inject('/');
    expect(statusCode).toBe(200);
    for (const shown of ['Ready', '1234', '1200 entries', '2026-11-25 12:00:00 UTC', 'embedded: 1100 entries', '&lt;root&gt;'])
      expect(body).toContain(shown);
    expect(headers['cache-control']).toBe('private, no-store');
    expect(asked).toEqual([]);
  });

  test('runs no script and reaches nothing outside: the policy says so and the page needs neither', async () => {
    const { app } = await consoleWith();
    const { body, headers } = await app.inject('/');
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(body).not.toMatch(/<script|\son\w+=|\sstyle=|(?:src|href)="(?:https?:)?\/\//);
  });
});

describe('signing in', () => {
  test('the right secret gives a short-lived cookie that scripts and other sites cannot use', async () => {
    const { post } = await consoleWith();
    const { statusCode, headers } = await post('/console/sign-in', { client: 'admin', secret: 'right' });
    expect(statusCode).toBe(303);
    expect(headers['set-cookie']).toMatch(/^assent-console=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Strict$/);
  });

  test('behind https the cookie is Secure and bound to the host', async () => {
    const { post } = await consoleWith({ publicOrigin: 'https://fhir.example.org' });
    const { headers } = await post('/console/sign-in', { client: 'admin', secret: 'right' });
    expect(headers['set-cookie']).toMatch(/^__Host-assent-console=.*; Secure$/);
  });

  test.each([
    ['admin', 'wrong'],
    ['other', 'right'],
    ['', ''],
  ])('%s with %s: refused, without a cookie and without repeating what was typed', async (client, secret) => {
    const { post } = await consoleWith();
    const { statusCode, headers, body } = await post('/console/sign-in', { client, secret });
    expect(statusCode).toBe(403);
    expect(headers['set-cookie']).toBeUndefined();
    expect(body).not.toContain('value="right"');
  });

  test('ten wrong guesses in a minute close the door for that minute, for the right one too', async () => {
    const { post, pass } = await consoleWith();
    for (let i = 0; i < 10; i++) await post('/console/sign-in', { client: 'admin', secret: `guess ${i}` });
    const refused = await post('/console/sign-in', { client: 'admin', secret: 'right' });
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '60']);
    pass(60_001);
    expect((await post('/console/sign-in', { client: 'admin', secret: 'right' })).statusCode).toBe(303);
  });

  test('a session ends after ten minutes', async () => {
    const { app, signedIn, pass } = await consoleWith();
    const { cookie } = await signedIn();
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('Signed in as admin');
    pass(10 * 60_000);
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('Client secret');
  });

  test('and at once when the client is removed', async () => {
    const { app, post, signedIn, asked, removed } = await consoleWith();
    const { cookie, token } = await signedIn();
    removed.add('token of admin');
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('Client secret');
    expect((await post('/console/trail', { patient: '1', token }, { cookie })).statusCode).toBe(303);
    expect(asked).toEqual([]);
  });

  test('and with signing out', async () => {
    const { app, post, signedIn } = await consoleWith();
    const { cookie, token } = await signedIn();
    const { headers } = await post('/console/sign-out', { token }, { cookie });
    expect(headers['set-cookie']).toContain('Max-Age=0');
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('Client secret');
  });
});

describe('the trail', () => {
  test('comes from the Gate of the signed-in caller, and its address names no patient', async () => {
    const { post, signedIn, asked, planned } = await consoleWith();
    const { cookie, token } = await signedIn();
    const { statusCode, body, headers } = await post('/console/trail', { patient: 'Patient/1', token }, { cookie });
    expect(statusCode).toBe(200);
    expect(planned).toEqual(['AuditEvent?patient=Patient/1&_sort=-date&_count=50&_total=accurate']);
    expect(asked.map(({ caller }) => caller)).toEqual([admin]);
    for (const shown of ['1 recorded act', 'Organization/2', 'by client insurer', 'TREAT', 'Observation/7/_history/a', 'Consent/9/_history/b'])
      expect(body).toContain(shown);
    expect(headers.location).toBeUndefined();
  });

  test('says of a Consent that was erased that it was, and of no other', async () => {
    const what = (reference: string) => ({ what: { reference }, role: { code: '13' } });
    const rows = [event('e1', { entity: [what('Consent/9/_history/gone'), what('Consent/9/_history/b')] })];
    const { post, signedIn } = await consoleWith({ result: { rows } });
    const { cookie, token } = await signedIn();
    const { body } = await post('/console/trail', { patient: '1', token }, { cookie });
    expect(body).toMatch(
      /Consent\/9\/_history\/gone<\/code> <span[^>]*>erased; the log says so<\/span><\/li><li><code>Consent\/9\/_history\/b<\/code><\/li>/,
    );
  });

  test('older acts are asked for from where the page ended', async () => {
    const { post, signedIn, asked } = await consoleWith({ result: { next: { sort: NOW - 5, id: 'e9' } } });
    const { cookie, token } = await signedIn();
    const { body } = await post('/console/trail', { patient: '1', token }, { cookie });
    const page = /name="page" value="([^"]+)"/.exec(body)?.[1] ?? '';
    await post('/console/trail', { patient: '1', token, page }, { cookie });
    expect(asked.map(({ request }) => request.after)).toEqual([undefined, { sort: NOW - 5, id: 'e9' }]);
    expect((await post('/console/trail', { patient: '2', token, page }, { cookie })).statusCode).toBe(400);
  });

  test('text of a record cannot become markup', async () => {
    const attack = '"><script>alert(1)</script>';
    const { post, signedIn } = await consoleWith({
      result: { rows: [event('e1', { agent: [{ who: { reference: attack }, altId: { markup: attack } }] })] },
    });
    const { cookie, token } = await signedIn();
    const { body } = await post('/console/trail', { patient: '1', token }, { cookie });
    expect(body).toContain('&lt;script&gt;');
    expect(body).not.toContain('<script>');
  });

  test('what is no id is answered with what to write, and never reaches the search', async () => {
    const { post, signedIn, planned } = await consoleWith();
    const { cookie, token } = await signedIn();
    for (const patient of ['', 'Patient/', '1&_count=9', '<b>', '../1', 'x'.repeat(65)]) {
      const { statusCode, body } = await post('/console/trail', { patient, token }, { cookie });
      expect(statusCode, patient).toBe(422);
      expect(body).not.toContain('<b>');
    }
    expect(planned).toEqual([]);
  });

  test('without a session there is only the way to sign in', async () => {
    const { post, asked } = await consoleWith();
    const { statusCode, headers } = await post('/console/trail', { patient: '1', token: '' }, { cookie: 'assent-console=made-up' });
    expect([statusCode, headers.location]).toEqual([303, '/']);
    expect(asked).toEqual([]);
  });
});

describe('forms from elsewhere are refused', () => {
  test.each(['https://evil.example', 'null', `${origin}.evil.example`])('from the origin %s', async (from) => {
    const { post, signedIn, asked } = await consoleWith();
    const { cookie, token } = await signedIn();
    expect((await post('/console/trail', { patient: '1', token }, { cookie, origin: from, host: 'localhost:8103' })).statusCode).toBe(403);
    expect((await post('/console/sign-in', { client: 'admin', secret: 'right' }, { origin: from })).headers['set-cookie']).toBeUndefined();
    expect(asked).toEqual([]);
  });

  test.each(['', 'guess', 'x'.repeat(43)])('with the form token "%s"', async (token) => {
    const { post, signedIn, asked } = await consoleWith();
    const { cookie } = await signedIn();
    expect((await post('/console/trail', { patient: '1', token }, { cookie })).statusCode).toBe(403);
    expect(asked).toEqual([]);
  });

  test('another session’s form token does not fit', async () => {
    const { post, signedIn } = await consoleWith();
    const [mine, theirs] = [await signedIn(), await signedIn()];
    expect((await post('/console/trail', { patient: '1', token: theirs.token }, { cookie: mine.cookie })).statusCode).toBe(403);
  });

  test.each([
    ['JSON', 'application/json', '{"client":"admin"}', 415],
    ['no body', undefined, undefined, 415],
    ['a body of 10 kB', 'application/x-www-form-urlencoded', `client=${'x'.repeat(10_000)}`, 413],
  ])('as %s', async (_, type, payload, status) => {
    const { app } = await consoleWith();
    const { statusCode, headers } = await app.inject({
      method: 'POST',
      url: '/console/sign-in',
      headers: { origin, ...(type === undefined ? {} : { 'content-type': type }) },
      ...(payload === undefined ? {} : { payload }),
    });
    expect(statusCode).toBe(status);
    expect(headers['content-type']).toContain('text/html');
  });
});

test('a fault is a page that says nothing of it', async () => {
  const app = Fastify();
  open.push(app);
  const fail = async () => {
    throw new AssentError('unavailable');
  };
  const status = async () => {
    throw new Error('secret detail');
  };
  const nobody = () => {
    throw new Error('no gate');
  };
  await app.register(
    webPlugin({
      origin,
      clock: () => NOW,
      signIn: fail,
      callerOf: fail,
      status,
      isErased: nobody,
      clientName: nobody,
      search: { plan: nobody },
      cursors,
      trailFile: nobody,
      operations: { history: nobody, alarms: nobody, jobs: nobody },
      registry: { clients: nobody, keys: nobody, policies: [] },
      custodians: { keysOf: nobody, passkeys: { creation: nobody, enrol: nobody } },
      explain: nobody,
      gateFor: nobody,
    }),
  );
  const home = await app.inject('/');
  expect(home.statusCode).toBe(500);
  expect(home.body).not.toContain('secret detail');
  const signIn = await app.inject({
    method: 'POST',
    url: '/console/sign-in',
    headers: { origin, 'content-type': 'application/x-www-form-urlencoded' },
    payload: 'client=a&secret=b',
  });
  expect(signIn.statusCode).toBe(503);
});

const access: AccessResult = {
  kind: 'explained',
  others: false,
  cut: true,
  receipt: undefined,
  accesses: [
    {
      actor: 'Organization/lab',
      purpose: 'TREAT',
      permitted: undefined,
      text: 'It depends.',
      grounds: [
        {
          patient: '7',
          permitted: undefined,
          ground: 'content',
          policy: undefined,
          text: 'It depends on what it holds.',
          clauses: [{ consent: 'Consent/c/_history/1', path: 'Consent.provision', type: 'permit', text: 'I allow <it>.' }],
          silent: [{ consent: 'Consent/d/_history/1', because: 'purpose', text: 'It is about other purposes.' }],
        },
      ],
    },
  ],
};

describe('who may see a record', () => {
  test('is shown to an administrator with its grounds; the record stands in no address', async () => {
    const { app, post, signedIn, explained } = await consoleWith();
    const { cookie, token } = await signedIn();
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('Who may see a record');
    const { statusCode, body } = await post(
      '/console/access',
      { resource: 'Observation/1', actor: 'Organization/lab', purpose: '', token },
      { cookie },
    );
    expect(statusCode).toBe(200);
    for (const shown of [
      'Organization/lab, TREAT',
      'depends',
      'Patient/7',
      'I allow &lt;it&gt;.',
      'It is about other purposes.',
      'ask about one actor',
    ])
      expect(body).toContain(shown);
    expect(explained).toEqual([
      {
        caller: expect.objectContaining({ admin: true }),
        request: expect.objectContaining({ type: 'Observation', id: '1', actor: 'Organization/lab', purpose: undefined }),
      },
    ]);
  });

  test('what cannot be asked is shown again with the reason', async () => {
    const { post, signedIn } = await consoleWith();
    const { cookie, token } = await signedIn();
    const ask = (resource: string, purpose = '') => post('/console/access', { resource, actor: '"><i>', purpose, token }, { cookie });
    expect((await ask('Observation/absent')).body).toContain('There is no such record.');
    for (const answer of [await ask('Nothing/1'), await ask('1'), await ask('Observation/1', 'NONE')]) {
      expect(answer.statusCode).toBe(400);
      expect(answer.body).toContain('role="alert"');
      expect(answer.body).not.toContain('<i>');
    }
  });

  test('without a session, or without the token of its page, nothing is told', async () => {
    const { post, signedIn, explained } = await consoleWith();
    const { cookie } = await signedIn();
    expect((await post('/console/access', { resource: 'Observation/1', token: 'x' })).statusCode).toBe(303);
    expect((await post('/console/access', { resource: 'Observation/1', token: 'x' }, { cookie })).statusCode).toBe(403);
    expect(explained).toEqual([]);
  });
});

describe('how a search runs', () => {
  test('is shown to an administrator in the view of the client named; the search stands in no address', async () => {
    const { app, post, signedIn, explained } = await consoleWith();
    const { cookie, token } = await signedIn();
    expect((await app.inject({ url: '/', headers: { cookie } })).body).toContain('How a search runs');
    const { statusCode, body } = await post('/console/explain', { search: 'Observation?code=1', as: 'insurer', token }, { cookie });
    expect(statusCode).toBe(200);
    for (const shown of [
      '1. Page and total of Observation',
      'code (exact keys, 5001 or more entries)',
      '120 walked, 110 checked, under 50 matched',
      'main thread',
    ])
      expect(body).toContain(shown);
    expect(explained).toEqual([{ caller: expect.objectContaining({ admin: true }), input: { search: 'Observation?code=1', as: 'insurer' } }]);
  });

  test('a search that cannot be explained is shown again with the reason, escaped', async () => {
    const { post, signedIn } = await consoleWith();
    const { cookie, token } = await signedIn();
    const { statusCode, body } = await post('/console/explain', { search: 'bad', as: '"><i>', token }, { cookie });
    expect(statusCode).toBe(400);
    expect(body).toContain('A search of one type is needed.');
    expect(body).not.toContain('<i>');
  });

  test('without a session, or without the token of its page, nothing is explained', async () => {
    const { post, signedIn, explained } = await consoleWith();
    const { cookie } = await signedIn();
    expect((await post('/console/explain', { search: 'Observation', token: 'x' })).statusCode).toBe(303);
    expect((await post('/console/explain', { search: 'Observation', token: 'x' }, { cookie })).statusCode).toBe(403);
    expect(explained).toEqual([]);
  });
});
