/** The passkey pages over HTTP as a browser asks them: forms with an Origin, cookies kept. */
import { freePort } from './ports.ts';
import type { Json, Session } from '../../server/commands/demo/session.ts';
import { createPasskey, type SoftPasskey } from './authenticator.ts';
import { type RealServer, startRealServer } from './real-server.ts';

/** A server with a host name, which passkeys need. */
export async function startNamedServer(settings: Readonly<Record<string, string>> = {}): Promise<RealServer & { readonly origin: string }> {
  const port = String(await freePort());
  const origin = `http://localhost:${port}`;
  const server = await startRealServer({ ASSENT_PORT: port, ASSENT_PUBLIC_URL: origin, ...settings });
  return { ...server, origin };
}

export type Page = { readonly status: number; readonly text: string; readonly json: Json; readonly headers: Headers; readonly cookie: string };

/** `cookie`: as a Cookie header; `from`: the Origin that is sent. */
type Sending = { readonly cookie?: string; readonly from?: string | undefined };

/** `form`: as URLSearchParams where a field comes more than once. */
export async function postForm(
  origin: string,
  path: string,
  form: Readonly<Record<string, string>> | URLSearchParams,
  sending: Sending = {},
): Promise<Page> {
  const { cookie, from } = { from: origin, ...sending };
  const headers = { ...(from === undefined ? {} : { origin: from }), ...(cookie === undefined ? {} : { cookie }) };
  return pageOf(await fetch(origin + path, { method: 'POST', redirect: 'manual', headers, body: new URLSearchParams(form) }));
}

export async function getPage(origin: string, path: string, cookie?: string): Promise<Page> {
  return pageOf(await fetch(origin + path, { redirect: 'manual', ...(cookie === undefined ? {} : { headers: { cookie } }) }));
}

async function pageOf(response: Response): Promise<Page> {
  const text = await response.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Json) : {};
  const cookie = (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  return { status: response.status, text, json, headers: response.headers, cookie };
}

export async function issueCode(admin: Session, owner: string): Promise<string> {
  const made = await admin.call('POST', '/admin/enrolments', { owner, proofing: 'in-person' });
  if (made.status !== 201) throw new Error(`No code: ${made.text}`);
  return String(made.json['code']);
}

type Created = { readonly challenge: string; readonly user: { readonly id: string } };

/** With a new code, a new passkey of this patient. */
export async function enrolPasskey(
  { admin, origin }: { readonly admin: Session; readonly origin: string },
  owner: string,
  curve: 'P-256' | 'Ed25519' = 'P-256',
): Promise<SoftPasskey> {
  const code = await issueCode(admin, owner);
  const passkey = createPasskey({ origin, curve });
  const options = await postForm(origin, '/patient/enrol/options', { code });
  const answer = JSON.stringify(passkey.registration(options.json as unknown as Created));
  const done = await postForm(origin, '/patient/enrol', { code, answer });
  if (done.status !== 200) throw new Error(`Not enrolled: ${done.text}`);
  return passkey;
}

export async function signInOptions(origin: string): Promise<{ readonly challenge: string }> {
  return (await postForm(origin, '/patient/sign-in/options', {})).json as unknown as { challenge: string };
}

export function signInWith(origin: string, answer: object, form: Readonly<Record<string, string>> = {}): Promise<Page> {
  return postForm(origin, '/patient/sign-in', { answer: JSON.stringify(answer), ...form });
}
