/** An exercise of each operation at each level it is offered on: of the system, of a type, of one resource; by GET and by POST. */
import { authorityOf, end, grant } from '../../support/authorities.ts';
import { freshKey, keyStatement, rotate, sendSigned } from '../../support/key-ceremony.ts';
import { HOSPITAL, type InForce, patient, put, type RealServer, register, settled } from '../../support/real-server.ts';
import { type Answer, createSession, enrolKey, type Key } from '../../../server/commands/demo/session.ts';
import type { Exercise } from './interactions.ts';
import { demand, type Walker } from './walker.ts';

/** Signed Consents take a ceremony: the test makes one before it walks. */
export type Ceremony = {
  prepare(): Promise<string>;
  sign(): Promise<InForce>;
  withdraw(consent: InForce): Promise<void>;
  /** A request, answered so or not at all; `status`: of the requester's Task. */
  ask(answer?: 'approve' | 'refuse'): Promise<{ readonly status: () => Promise<string>; readonly consent: string }>;
  receiptOfDisclosure(): Promise<string>;
};

type Operations = Readonly<Record<string, Exercise>>;
const parameters = (...parameter: readonly object[]) => ({ resourceType: 'Parameters', parameter });
const tagged = parameters({ name: 'meta', valueMeta: { tag: [{ system: 'urn:test', code: 'walked' }] } });
const graph = (query: string) => `$graphql?query=${encodeURIComponent(query)}`;

export const systemOperations: Operations = {
  async convert(walker) {
    const patient = { resourceType: 'Patient', gender: 'male' };
    const { text } = await walker.ask('POST', '$convert', 200, { body: patient, headers: { accept: 'application/fhir+xml' } });
    demand('XML of what was sent', text.includes('<gender value="male"/>'));
  },
  async graphql(walker) {
    const { json } = await walker.ask('GET', graph('{ PatientList { id } }'), 200);
    const posted = await walker.ask('POST', '$graphql', 200, {
      body: JSON.stringify({ query: '{ PatientList { id } }' }),
      headers: { 'content-type': 'application/json' },
    });
    demand(
      'data',
      [json, posted.json].every(({ data }) => Array.isArray(data.PatientList)),
    );
  },
  async meta(walker) {
    await walker.ask('POST', 'Basic', 201, { body: { resourceType: 'Basic', code: { text: 'x' }, meta: { tag: [{ code: 'system' }] } } });
    await metaOf(walker, '$meta');
  },
  async reindex(walker) {
    await started(walker, '$reindex');
  },
  async 'rotate-key'({ app: { server } }) {
    const [present, next] = [await enrolKey(server.admin, 'Organization/rotating'), freshKey('Organization/rotating')];
    demand('registered', (await rotate(server, { present, next })).status === 201);
  },
  async 'revoke-key'({ app: { server } }) {
    const [present, lost] = [await enrolKey(server.admin, 'Organization/revoking'), await enrolKey(server.admin, 'Organization/revoking')];
    const statement = keyStatement(server, 'key-revocation', { owner: present.owner, kid: lost.kid, reason: 'lost' });
    demand('revoked', (await sendSigned(server.admin, '$revoke-key', statement, [present])).status === 200);
  },
  async 'recover-key'({ app: { server } }) {
    demand('waits', (await recoveryOf(server, 'recovered')).answer.status === 202);
  },
  async 'stop-recovery'({ app: { server } }) {
    const { next, key } = await recoveryOf(server, 'not-recovered');
    const statement = keyStatement(server, 'key-recovery-stop', { owner: key.owner, kid: next.kid });
    demand('stopped', (await sendSigned(server.admin, '$stop-recovery', statement, [key])).status === 200);
  },
  async 'grant-authority'({ app: { server } }) {
    demand('granted', (await grantedBy(server, 'granting')).answer.status === 200);
  },
  async 'end-authority'({ app: { server } }) {
    const { answer, key } = await grantedBy(server, 'ending');
    demand('ended', (await end(server, { authority: authorityOf(answer), by: key })).status === 200);
  },
};

/** On a patient's own word. */
async function grantedBy(server: RealServer, id: string): Promise<{ readonly answer: Answer; readonly key: Key }> {
  const reference = `Patient/${id}`;
  await put(server, patient(id));
  const [key, delegate] = [await enrolKey(server.admin, reference), `RelatedPerson/of-${id}`];
  await put(server, { resourceType: 'RelatedPerson', id: `of-${id}`, patient: { reference } });
  return { answer: await grant(server, { patient: reference, delegate, by: key }), key };
}

/** Of a patient of its own. */
async function recoveryOf(server: RealServer, id: string): Promise<{ readonly answer: Answer; readonly next: Key; readonly key: Key }> {
  const owner = `Patient/${id}`;
  await put(server, patient(id));
  const [key, custodian, next] = [await enrolKey(server.admin, owner), await enrolKey(server.admin, HOSPITAL), freshKey(owner)];
  const statement = keyStatement(server, 'key-recovery', { owner, jwk: next.jwk, reason: 'lost' });
  return { answer: await sendSigned(server.admin, '$recover-key', statement, [custodian, next]), next, key };
}

/** Of any type. */
export const typeOperations: Operations = {
  async validate(walker) {
    const { url, id } = await walker.one();
    for (const { json } of [
      await walker.ask('POST', `${walker.type}/$validate`, 200, { body: walker.sample }),
      await walker.ask('POST', `${url}/$validate`, 200, { body: { ...walker.sample, id } }),
      await walker.ask('GET', `${url}/$validate`, 200),
    ])
      demand('no error', json.resourceType === 'OperationOutcome' && !json.issue.some(({ severity }: { severity: string }) => severity === 'error'));
  },
  async meta(walker) {
    const { url, version } = await walker.one();
    for (const place of [`${url}/$meta`, `${url}/_history/${version}/$meta`, `${walker.type}/$meta`]) await metaOf(walker, place);
  },
  async 'meta-add'(walker) {
    const { url } = await walker.create();
    const { json } = await walker.ask('POST', `${url}/$meta-add`, 200, { body: tagged });
    demand('the tag', JSON.stringify(json).includes('walked'));
  },
  async 'meta-delete'(walker) {
    const { url } = await walker.create();
    await walker.ask('POST', `${url}/$meta-add`, 200, { body: tagged });
    const { json } = await walker.ask('POST', `${url}/$meta-delete`, 200, { body: tagged });
    demand('no tag', !JSON.stringify(json).includes('walked'));
  },
  async graphql(walker) {
    const { url, id } = await walker.one();
    const body = JSON.stringify({ query: '{ id }' });
    const posted = await walker.ask('POST', `${url}/$graphql`, 200, { body, headers: { 'content-type': 'application/json' } });
    const { json } = await walker.ask('GET', `${url}/${graph('{ id }')}`, 200);
    demand(
      'its id',
      [json, posted.json].every(({ data }) => data.id === id),
    );
  },
  async disclosures(walker) {
    const { url } = await walker.one();
    for (const { json } of [
      await walker.ask('GET', `${url}/$disclosures?_count=1`, 200, { token: 'admin' }),
      await walker.ask('POST', `${url}/$disclosures`, 200, { token: 'admin', body: parameters() }),
    ])
      demand(
        'a statement',
        json.parameter.some(({ name, valueString }: { name: string; valueString: string }) => name === 'statement' && valueString.length > 100),
      );
  },
  async 'explain-access'(walker) {
    const { url } = await walker.one();
    const body = parameters({ name: 'purpose', valueCode: 'TREAT' });
    for (const { json } of [
      await walker.ask('GET', `${url}/$explain-access?actor=Organization/walker&purpose=TREAT`, 200, { token: 'admin' }),
      await walker.ask('POST', `${url}/$explain-access`, 200, { token: 'admin', body }),
    ])
      demand(
        'a decision and its reason',
        json.parameter.some(({ name, part }: { name: string; part: object }) => name === 'access' && JSON.stringify(part).includes('because')),
      );
  },
  everything: (walker) => bundleOf(walker, '$everything', 'searchset'),
  document: (walker) => bundleOf(walker, '$document', 'document'),
  async lastn(walker) {
    const subject = parameters({ name: 'subject', valueString: 'Patient/walked' });
    for (const { json } of [
      await walker.ask('GET', `${walker.type}/$lastn?subject=Patient/walked`, 200),
      await walker.ask('POST', `${walker.type}/$lastn`, 200, { body: subject }),
    ])
      demand('a search set', json.type === 'searchset');
  },
  async reindex(walker) {
    await started(walker, `${walker.type}/$reindex`);
  },
  async purge(walker) {
    // As its definition says: neither is erased by itself.
    if (walker.type === 'Consent' || walker.type === 'AuditEvent')
      return void (await walker.ask('POST', `${walker.type}/absent/$purge`, 422, { token: 'admin', body: { resourceType: 'Parameters' } }));
    const { url } = await walker.create();
    const job = await started(walker, `${url}/$purge`);
    await settled(walker.app.server.admin, job);
    await walker.ask('GET', url, 404);
  },
};

/** Of Consent and AuditEvent, by the ceremony. */
export function ceremonyOperations({ prepare, sign, withdraw, ask, receiptOfDisclosure }: Ceremony): Operations {
  return {
    'Consent prepare': async () => demand('a statement to sign', (await prepare()).length > 100),
    'Patient break-glass': async ({ app: { server } }) => {
      const { session } = await register(server, { actor: 'Practitioner/er' });
      const reason = parameters({ name: 'reason', valueString: 'brought in unconscious' });
      const { status, text } = await session.call('POST', 'Patient/walked/$break-glass', reason);
      demand(`a token: ${text}`, status === 200 && text.includes('expires'));
    },
    'Consent sign': async (walker) => {
      const { consent } = await sign();
      demand('the Consent is there', (await walker.ask('GET', consent, 200)).json.status === 'active');
    },
    'Consent withdraw': async (walker) => {
      const signed = await sign();
      await withdraw(signed);
      demand('it is no longer in force', (await walker.ask('GET', signed.consent, 200)).json.status === 'inactive');
    },
    'Consent request': async () => demand('it waits', (await (await ask()).status()) === 'requested'),
    'Consent approve': async () => demand('it is granted', (await (await ask('approve')).status()) === 'completed'),
    'Consent refuse': async (walker) => demand('it is not', (await walker.ask('GET', (await ask('refuse')).consent, 200)).json.status === 'rejected'),
    'Consent receipt': async (walker) => receiptAt(walker, `${(await sign()).consent}/$receipt`),
    'Consent ledger-proof': async (walker) => receiptAt(walker, `${(await sign()).consent}/$ledger-proof`),
    'AuditEvent receipt': async (walker) => receiptAt(walker, await receiptOfDisclosure()),
  };
}

async function receiptAt({ app }: Walker, url: string): Promise<void> {
  const session = await createSession(app.server.bootstrap, app.server.bootstrap.admin, 'system/*.cruds admin');
  const answer = await settled(session, url);
  demand(`a receipt at ${url}: ${answer.text.slice(0, 200)}`, answer.status === 200 && Object.keys(answer.json).length > 3);
}

async function metaOf(walker: Walker, url: string): Promise<void> {
  const both = [await walker.ask('GET', url, 200)];
  if (!url.includes('_history')) both.push(await walker.ask('POST', url, 200, { body: { resourceType: 'Parameters' } }));
  for (const { json } of both)
    demand(
      'a meta',
      json.parameter.some(({ name, valueMeta }: { name: string; valueMeta: object }) => name === 'return' && valueMeta),
    );
}

async function bundleOf(walker: Walker, operation: string, type: string): Promise<void> {
  const { url, id } = await walker.one();
  for (const { json } of [
    await walker.ask('GET', `${url}/${operation}`, 200),
    await walker.ask('POST', `${url}/${operation}`, 200, { body: { resourceType: 'Parameters' } }),
  ])
    demand('a Bundle with it', json.type === type && json.entry[0].resource.id === id);
}

/** An administrator's job: taken on, with a place to ask how it goes. */
async function started(walker: Walker, url: string): Promise<string> {
  const { headers } = await walker.ask('POST', url, 202, { token: 'admin', body: { resourceType: 'Parameters' } });
  demand('where to ask', headers['content-location'] !== undefined);
  return (headers['content-location'] ?? '').slice(walker.app.base.length + 1);
}
