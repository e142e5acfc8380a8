/**
 * Every form of the pages as another site would send it: with its Origin, with none, with one that only looks like ours, and as a body that needs no
 * preflight. And every page as another site would frame it.
 */
import { globSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolPasskey, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, organization, patient, put } from '../support/real-server.ts';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let cookie: string;

beforeAll(async () => {
  server = await startNamedServer();
  for (const resource of [organization(HOSPITAL), patient('alice')]) await put(server, resource);
  const passkey = await enrolPasskey(server, 'Patient/alice');
  const signedIn = await signInWith(server.origin, passkey.assertion(await signInOptions(server.origin)));
  const { client_id: client, client_secret: secret } = server.bootstrap.admin;
  const headers = { origin: server.origin };
  const admin = await fetch(`${server.origin}/console/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers,
    body: new URLSearchParams({ client, secret }),
  });
  cookie = [signedIn.cookie, (admin.headers.get('set-cookie') ?? '').split(';')[0]].join('; ');
});
afterAll(() => server?.stop());

/** As the sources name them; a parameter becomes a word. */
function routes(method: 'get' | 'post'): readonly string[] {
  const files = globSync(new URL('../../server/web/**/*.ts', import.meta.url).pathname);
  const shown = method === 'get' ? '|page\\(\\s*' : '';
  const named = new RegExp(`(?:\\.${method}(?:<.*>)?\\(\\s*|'${method.toUpperCase()} ${shown})'?(/[A-Za-z/:-]*)'`, 'g');
  const found = files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return [...text.matchAll(named)].map(([, path = '']) => path.replaceAll(/:\w+/g, 'results'));
  });
  return [...new Set(found)];
}

/** Made of a common beginning there. */
const built = [
  ...['review', 'narrow', 'sign', 'refuse', 'withdraw'].map((act) => `/patient/consents/${act}`),
  ...['/patient', '/staff'].flatMap((door) => ['enrol/options', 'enrol', 'sign-in/options', 'sign-in'].map((act) => `${door}/${act}`)),
];

test('no form is taken from elsewhere', async () => {
  const paths = [...routes('post'), ...built];
  expect(paths.length).toBeGreaterThan(35);
  const { host, port } = new URL(server.origin);
  const crooked: readonly Readonly<Record<string, string>>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    {},
    { origin: `http://${host}.evil.example` },
    { origin: `http://evil.example:${port}` },
    { origin: `http://${host}@evil.example` },
    { origin: `${server.origin}, https://evil.example` },
    { referer: `${server.origin}/patient` },
  ];
  for (const path of paths)
    for (const headers of crooked) {
      const sent = await fetch(server.origin + path, {
        method: 'POST',
        redirect: 'manual',
        headers: { cookie, ...headers },
        body: new URLSearchParams({ a: 'b' }),
      });
      expect([path, headers, sent.status, sent.headers.get('set-cookie')]).toEqual([path, headers, 403, null]);
    }
});

test('nor without the token of its session, nor as another kind of body', async () => {
  const free = ['/options', '/enrol', '/sign-in', '/language', '/recovery', '/authorize/'];
  const paths = [...routes('post'), ...built].filter((path) => !free.some((each) => path.includes(each)));
  expect(paths.length).toBeGreaterThan(25);
  for (const path of paths) {
    const form = await fetch(server.origin + path, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie, origin: server.origin },
      body: new URLSearchParams({ token: 'x'.repeat(43) }),
    });
    expect([path, form.status]).toEqual([path, 403]);
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/json'])
      expect([
        path,
        type,
        (await fetch(server.origin + path, { method: 'POST', headers: { cookie, origin: server.origin, 'content-type': type }, body: 'a=b' })).status,
      ]).toEqual([path, type, 415]);
  }
});

test('no page can be framed, sniffed, cached or run anything but our own script', async () => {
  const paths = [...routes('get'), '/patient', '/patient/consents', '/patient/nowhere'].filter((path) => !path.startsWith('/assets/'));
  expect(paths.length).toBeGreaterThan(20);
  for (const path of paths) {
    const { headers } = await fetch(server.origin + path, { headers: { cookie, accept: 'text/html' } });
    expect([path, headers.get('content-type')]).toEqual([path, 'text/html; charset=utf-8']);
    const policy = headers.get('content-security-policy') ?? '';
    expect([path, policy]).toEqual([path, expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'/)]);
    expect([path, policy]).not.toEqual([path, expect.stringMatching(/unsafe|\*|script-src [^;]*'self'/)]);
    expect([path, headers.get('x-content-type-options'), headers.get('cache-control')]).toEqual([path, 'nosniff', 'private, no-store']);
  }
});
