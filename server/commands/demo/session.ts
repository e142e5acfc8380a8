/**
 * A stranger's client of the outside interface: tokens, calls, keys, and the signing of Consents, over HTTP alone. The demo and the
 * benchmark drive the server with it.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import canonicalize from 'canonicalize';

export type Json = { [member: string]: unknown };
export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string; readonly json: Json };
export type Client = { readonly client_id: string; readonly client_secret: string };
export type Key = { readonly kid: string; readonly owner: string; readonly privateKey: KeyObject };
export type Bootstrap = { readonly fhirBaseUrl: string; readonly tokenUrl: string; readonly consoleUrl: string; readonly admin: Client };

/** Stops the whole run: what is driven here is promised to work. */
export function expect(what: string, held: boolean): void {
  if (!held) throw new Error(`Stopped: ${what} did not hold.`);
}

export type Session = {
  readonly token: string;
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
};

/** `purpose`: one of the client's registered ones; absent: its first. */
export async function createSession(bootstrap: Bootstrap, client: Client, scope: string, purpose?: string): Promise<Session> {
  const basic = Buffer.from(`${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`).toString('base64');
  const granted = await fetch(bootstrap.tokenUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope, ...(purpose === undefined ? {} : { purpose_of_use: purpose }) }),
  });
  const token = ((await granted.json()) as Json)['access_token'];
  expect(`a token for ${scope}`, typeof token === 'string');
  return {
    token: String(token),
    async call(method, path, body, headers = {}) {
      const url = path.startsWith('http')
        ? path
        : path.startsWith('/')
          ? new URL(path, bootstrap.fhirBaseUrl).href
          : `${bootstrap.fhirBaseUrl}/${path}`.replace(/\/$/, '');
      const type = path.startsWith('/admin') ? 'application/json' : 'application/fhir+json';
      const response = await fetch(url, {
        method,
        headers: { authorization: `Bearer ${String(token)}`, ...(body === undefined ? {} : { 'content-type': type }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: text.startsWith('{') ? (JSON.parse(text) as Json) : {} };
    },
  };
}

export async function registerClient(admin: Session, name: string, actor: string, purpose: string): Promise<Client> {
  const secret = randomBytes(24).toString('base64url');
  const made = await admin.call('POST', '/admin/clients', {
    client_name: name,
    client_secret: secret,
    scope: 'system/*.rs',
    actor,
    purposes: [purpose],
    grant_types: ['client_credentials'],
  });
  expect(`registering ${name}`, made.status === 201);
  return { client_id: String(made.json['client_id']), client_secret: secret };
}

export async function enrolKey(admin: Session, owner: string): Promise<Key> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = await admin.call('POST', '/admin/keys', { owner, jwk: publicKey.export({ format: 'jwk' }), proofing: 'in-person' });
  expect(`enrolling a key of ${owner}`, made.status === 201);
  return { kid: String(made.json['kid']), owner, privateKey };
}

export function jws(key: Key, payload: string, detached: boolean): string {
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: key.kid })).toString('base64url');
  const body = Buffer.from(payload, 'utf8').toString('base64url');
  const signature = sign('sha256', Buffer.from(`${header}.${body}`), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return `${header}.${detached ? '' : body}.${signature}`;
}

export function consentTerms({ patient, custodian, grantee, now }: { patient: string; custodian: string; grantee: string; now: number }): Json {
  const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
  return {
    resourceType: 'Consent',
    status: 'active',
    scope: coded('http://terminology.hl7.org/CodeSystem/consentscope', 'patient-privacy'),
    category: [coded('http://loinc.org', '59284-0')],
    patient: { reference: patient },
    dateTime: new Date(now).toISOString(),
    organization: [{ reference: custodian }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision: {
      type: 'permit',
      period: { start: '2024-01-01', end: `${new Date(now).getUTCFullYear() + 1}-12-31` },
      actor: [{ role: coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'IRCP'), reference: { reference: grantee } }],
      purpose: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HPAYMT' }],
    },
  };
}

export async function prepare(admin: Session, consent: Json): Promise<Json> {
  const prepared = await admin.call('POST', 'Consent/$prepare', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'consent', resource: consent },
      { name: 'language', valueCode: 'zh' },
    ],
  });
  expect('Consent/$prepare', prepared.status === 200);
  return prepared.json;
}

export function partOf(parameters: Json, name: string): string {
  const found = (parameters['parameter'] as { name: string; valueString?: string }[]).find((p) => p.name === name);
  return found?.valueString ?? '';
}

/** Over a Consent's statement, as parameters of the operations that take them. */
export function signatures(statement: string, keys: readonly Key[]): readonly Json[] {
  return keys.map((key) => ({
    name: 'signature',
    part: [
      { name: 'who', valueReference: { reference: key.owner } },
      { name: 'jws', valueString: jws(key, statement, true) },
    ],
  }));
}

export function submit(admin: Session, statement: string, keys: readonly Key[]): Promise<Answer> {
  return admin.call('POST', 'Consent/$sign', {
    resourceType: 'Parameters',
    parameter: [{ name: 'statement', valueString: statement }, ...signatures(statement, keys)],
  });
}

/** What the patient signs to take a Consent back. */
export function withdrawalOf({ consent, digest, now }: { consent: string; digest: string; now: number }): string {
  return canonicalize({ type: 'urn:assent:withdrawal:1', consent, digest, created: new Date(now).toISOString() }) ?? '';
}

export function withdraw(admin: Session, { consent, digest, key, now }: { consent: string; digest: string; key: Key; now: number }): Promise<Answer> {
  const payload = withdrawalOf({ consent, digest, now });
  return admin.call('POST', `${consent}/$withdraw`, {
    resourceType: 'Parameters',
    parameter: [{ name: 'jws', valueString: jws(key, payload, false) }],
  });
}
