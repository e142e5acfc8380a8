/** Signatures sent beside their Consent, as a transaction or by X-Provenance, do what Consent/$sign does: through the real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, jws, type Key, partOf, prepare } from '../../server/commands/demo/session.ts';
import { parseXml } from '../../server/fhir/xml/read.ts';
import { xmlText } from '../../server/fhir/xml/write.ts';
import { HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

let server: RealServer;
let keys: readonly [Key, Key];
const INSURER = 'Organization/insurer';

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, patient('p1'));
  keys = [await enrolKey(server.admin, 'Patient/p1'), await enrolKey(server.admin, HOSPITAL)];
});
afterAll(() => server.stop());

async function prepared(): Promise<{ consent: Json; statement: string }> {
  const answer = await prepare(server.admin, termsOf(server, { patient: 'Patient/p1', grantee: INSURER }));
  const consent = (answer['parameter'] as { name: string; resource?: Json }[]).find(({ name }) => name === 'consent')?.resource ?? {};
  return { consent, statement: partOf(answer, 'statement') };
}

const provenance = (consent: Json, statement: string, signers: readonly Key[]): Json => ({
  resourceType: 'Provenance',
  target: [{ reference: `Consent/${String(consent['id'])}` }],
  recorded: new Date(server.now()).toISOString(),
  agent: signers.map(({ owner }) => ({ who: { reference: owner } })),
  signature: signers.map((key) => ({
    type: [{ system: 'urn:iso-astm:E1762-95:2013', code: '1.2.840.10065.1.12.1.7' }],
    when: new Date(server.now()).toISOString(),
    who: { reference: key.owner },
    sigFormat: 'application/jose',
    data: Buffer.from(jws(key, statement, true)).toString('base64'),
  })),
});

const transaction = (...resources: readonly Json[]): Json => ({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: resources.map((resource) => ({ resource, request: { method: 'POST', url: resource['resourceType'] } })),
});

describe('a transaction of the Consent and its Provenance', () => {
  it('waits with one signature, acts with both, and is the same Consent when sent again', async () => {
    const { session } = await register(server, { actor: INSURER });
    const { consent, statement } = await prepared();
    const send = async (...signers: readonly Key[]) => {
      const { json, status } = await server.admin.call('POST', '', transaction(consent, provenance(consent, statement, signers)));
      return [status, (json['entry'] as { response: { status: string } }[]).map(({ response }) => response.status.slice(0, 3))];
    };
    expect(await send(keys[0])).toEqual([200, ['202', '202']]);
    expect((await session.call('GET', 'Patient/p1')).status).toBe(404);
    expect(await send(keys[1])).toEqual([200, ['201', '201']]);
    expect((await session.call('GET', 'Patient/p1')).status).toBe(200);
    expect(await send(...keys)).toEqual([200, ['200', '200']]);
  });

  it('is refused whole when a term was changed or anything else comes with it', async () => {
    const { consent, statement } = await prepared();
    const changed = { ...consent, dateTime: '2020-01-01T00:00:00Z' };
    for (const bundle of [
      transaction(changed, provenance(changed, statement, keys)),
      transaction(consent, provenance(consent, statement, keys), { resourceType: 'Basic', code: { text: 'rides along' } }),
    ]) {
      expect((await server.admin.call('POST', '', bundle)).status).toBe(422);
    }
    expect((await server.admin.call('GET', `Consent/${String(consent['id'])}`)).status).toBe(404);
  });
});

describe('X-Provenance', () => {
  it('signs the Consent that is created', async () => {
    const { consent, statement } = await prepared();
    const create = (body: Json, signers: readonly Key[]) =>
      fetch(`${server.bootstrap.fhirBaseUrl}/Consent`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${server.admin.token}`,
          'content-type': 'application/fhir+json',
          'x-provenance': JSON.stringify(provenance(body, statement, signers)),
        },
        body: JSON.stringify(body),
      });
    expect((await create({ ...consent, dateTime: '2020-01-01T00:00:00Z' }, keys)).status).toBe(422);
    const signed = await create(consent, keys);
    expect([signed.status, signed.headers.get('location')]).toEqual([201, expect.stringContaining(`Consent/${String(consent['id'])}/_history/`)]);
  });

  it('signs the Consent that is sent in XML: what is stored is the text that was signed', async () => {
    const { consent, statement } = await prepared();
    const response = await fetch(`${server.bootstrap.fhirBaseUrl}/Consent`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${server.admin.token}`,
        'content-type': 'application/fhir+xml',
        'x-provenance': JSON.stringify(provenance(consent, statement, keys)),
      },
      body: xmlText(JSON.stringify(consent)),
    });
    expect([response.status, await response.json()]).toEqual([201, expect.objectContaining({ id: consent['id'], status: 'active' })]);
    const stored = await server.admin.call('GET', `Consent/${String(consent['id'])}`);
    const { meta: _meta, ...signed } = stored.json;
    const { meta: _before, ...sent } = consent;
    expect(signed).toEqual(sent);
    const inXml = await server.admin.call('GET', `Consent/${String(consent['id'])}?_format=xml`);
    expect(parseXml(inXml.text, { maxDepth: 64, maxBytes: 1_000_000 }).value).toEqual(stored.json);
  });
});

it('a Provenance with a signature that is none of ours is stored, and signs nothing', async () => {
  const { consent, statement } = await prepared();
  const { signature, ...rest } = provenance(consent, statement, [keys[0], keys[1]]);
  const target = [{ reference: 'Consent/of-another-server' }];
  const xml = (signature as Json[]).map((each) => ({ ...each, sigFormat: 'application/signature+xml' }));
  expect((await server.admin.call('POST', 'Provenance', { ...rest, target, signature: xml })).status).toBe(201);
  expect((await server.admin.call('POST', 'Provenance', { ...rest, target, signature })).status).toBe(422);
  const odd = { ...rest, target, signature: [null, 1, 'x'] };
  expect((await server.admin.call('POST', 'Provenance', odd)).status).toBe(422);
  const entry = [{ resource: odd, request: { method: 'POST', url: 'Provenance' } }];
  expect((await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(422);
  expect((await server.admin.call('GET', `Consent/${String(consent['id'])}`)).status).toBe(404);
});
