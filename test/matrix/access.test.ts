/**
 * Every caller × every interaction × every kind of target, on the real server: what a caller may not see is byte for byte what does not
 * exist, and what it may see is exactly the set the Consents say. consent.md §1, §3
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, createSession, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
  versionOf,
  withdrawNow,
} from '../support/real-server.ts';

const ABSENT = 'there-is-no-such-id';
const PAGES = ['a1', 'a2', 'a3', 'a4'];

/** What each caller sees of the clinical record; null: no token at all. */
const callers = {
  nobody: null,
  stranger: { actor: 'Organization/stranger', sees: undefined },
  insurer: { actor: 'Organization/insurer', sees: 'alice' },
  rival: { actor: 'Organization/rival', sees: 'bob' },
  admin: { actor: 'admin', sees: undefined },
  hospital: { actor: HOSPITAL, sees: undefined },
  alice: { actor: 'Patient/alice', sees: 'alice' },
  loader: { actor: 'Organization/loader', sees: undefined },
} as const;
type Name = keyof typeof callers;
const named = Object.keys(callers) as Name[];
const withToken = named.filter((name) => name !== 'nobody');

/** Kinds of target: whose it is and whether it is deleted. */
const targets = [
  { id: 'a1', whose: 'alice', deleted: false },
  { id: 'b1', whose: 'bob', deleted: false },
  { id: 'a-gone', whose: 'alice', deleted: true },
  { id: 'b-gone', whose: 'bob', deleted: true },
] as const;

let server: RealServer;
let sessions: Record<Name, Session>;
let consent: InForce;
let aliceKey: Key;
const versions = new Map<string, string>();

beforeAll(async () => {
  server = await startRealServer();
  const { admin, bootstrap } = server;
  for (const reference of [HOSPITAL, 'Organization/insurer', 'Organization/rival', 'Organization/stranger'])
    await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  for (const id of [...PAGES, 'a-gone']) versions.set(id, await put(server, observation(id, 'Patient/alice')));
  for (const id of ['b1', 'b2', 'b3', 'b-gone']) versions.set(id, await put(server, observation(id, 'Patient/bob')));
  for (const id of ['a-gone', 'b-gone']) expect((await admin.call('DELETE', `Observation/${id}`)).status).toBe(204);
  const custodian = await enrolKey(admin, HOSPITAL);
  aliceKey = await enrolKey(admin, 'Patient/alice');
  const bobKey = await enrolKey(admin, 'Patient/bob');
  const opened: [Name, Session][] = [];
  for (const name of named) {
    const caller = callers[name];
    if (caller === null) opened.push([name, { ...admin, call: (method, path, body) => anonymous(method, path, body) }]);
    else if (name === 'admin') opened.push([name, await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin')]);
    else opened.push([name, (await register(server, { actor: caller.actor, choosesIds: name === 'loader' })).session]);
  }
  sessions = Object.fromEntries(opened) as typeof sessions;
  consent = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: 'Organization/insurer' }), [aliceKey, custodian]);
  await agree(server, termsOf(server, { patient: 'Patient/bob', grantee: 'Organization/rival' }), [bobKey, custodian]);
});
afterAll(() => server.stop());

async function anonymous(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/fhir+json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text === '' ? {} : (JSON.parse(text) as Json) };
}

type Interaction = {
  readonly name: string;
  readonly run: (session: Session, id: string) => Promise<Answer>;
  /** Status where the caller sees the live target, and where it sees that it is gone. */
  readonly shown: number;
  readonly gone: number;
};

const staleTag = { 'if-match': 'W/"stale"' };
const versionIn = (id: string) => versions.get(id) ?? 'v'.repeat(25);
const changed = (id: string) => observation(id, id.startsWith('b') ? 'Patient/bob' : 'Patient/alice');
const entryOf = (method: string, id: string, more: Json = {}) => ({
  ...(method === 'PUT' ? { resource: changed(id) } : {}),
  request: { method, url: `Observation/${id}`, ...more },
});
const bundleOf = (type: string, entry: Json) => ({ resourceType: 'Bundle', type, entry: [entry] });
const status = (answer: Answer) => answer.status;
const entryStatus = ({ json, status: whole }: Answer) => {
  const entries = json['entry'] as { response: { status: string } }[] | undefined;
  return entries ? Number(entries[0]?.response.status.slice(0, 3)) : whole;
};

const reads: readonly Interaction[] = [
  { name: 'read', shown: 200, gone: 410, run: (s, id) => s.call('GET', `Observation/${id}`) },
  { name: 'HEAD', shown: 200, gone: 410, run: (s, id) => s.call('HEAD', `Observation/${id}`) },
  { name: 'vread', shown: 200, gone: 200, run: (s, id) => s.call('GET', `Observation/${id}/_history/${versionIn(id)}`) },
  { name: 'history', shown: 200, gone: 200, run: (s, id) => s.call('GET', `Observation/${id}/_history`) },
  { name: 'history, oldest first', shown: 200, gone: 200, run: (s, id) => s.call('GET', `Observation/${id}/_history?_sort=_lastUpdated&_at=2000`) },
  { name: '$meta', shown: 200, gone: 410, run: (s, id) => s.call('GET', `Observation/${id}/$meta`) },
  { name: '$meta of a version', shown: 200, gone: 200, run: (s, id) => s.call('GET', `Observation/${id}/_history/${versionIn(id)}/$meta`) },
  { name: '$graphql', shown: 200, gone: 410, run: (s, id) => s.call('GET', `Observation/${id}/$graphql?query=${encodeURIComponent('{ id }')}`) },
  { name: 'history, no entries', shown: 200, gone: 200, run: (s, id) => s.call('GET', `Observation/${id}/_history?_count=0`) },
  { name: 'If-None-Match', shown: 304, gone: 410, run: (s, id) => s.call('GET', `Observation/${id}`, undefined, { 'if-none-match': '*' }) },
  {
    name: 'If-Modified-Since',
    shown: 304,
    gone: 410,
    run: (s, id) => s.call('GET', `Observation/${id}`, undefined, { 'if-modified-since': new Date(server.now() + 5000).toUTCString() }),
  },
  { name: 'read as a batch entry', shown: 200, gone: 410, run: (s, id) => s.call('POST', '', bundleOf('batch', entryOf('GET', id))) },
  { name: 'read as a transaction entry', shown: 200, gone: 410, run: (s, id) => s.call('POST', '', bundleOf('transaction', entryOf('GET', id))) },
];

/** Writes that must fail even for who sees the target, so that the world stays as it is. */
const tag = { resourceType: 'Parameters', parameter: [{ name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }] };
const failedWrites: readonly Interaction[] = [
  { name: '$meta-add, stale If-Match', shown: 412, gone: 410, run: (s, id) => s.call('POST', `Observation/${id}/$meta-add`, tag, staleTag) },
  { name: '$meta-delete, stale If-Match', shown: 412, gone: 410, run: (s, id) => s.call('POST', `Observation/${id}/$meta-delete`, tag, staleTag) },
  { name: 'PUT, stale If-Match', shown: 412, gone: 412, run: (s, id) => s.call('PUT', `Observation/${id}`, changed(id), staleTag) },
  { name: 'DELETE, stale If-Match', shown: 412, gone: 204, run: (s, id) => s.call('DELETE', `Observation/${id}`, undefined, staleTag) },
  {
    name: 'PUT, stale, batch entry',
    shown: 412,
    gone: 412,
    run: (s, id) => s.call('POST', '', bundleOf('batch', entryOf('PUT', id, { ifMatch: 'W/"stale"' }))),
  },
  {
    name: 'PUT, stale, transaction entry',
    shown: 412,
    gone: 412,
    run: (s, id) => s.call('POST', '', bundleOf('transaction', entryOf('PUT', id, { ifMatch: 'W/"stale"' }))),
  },
  {
    name: 'DELETE, stale, transaction entry',
    shown: 412,
    gone: 200,
    run: (s, id) => s.call('POST', '', bundleOf('transaction', entryOf('DELETE', id, { ifMatch: 'W/"stale"' }))),
  },
];

describe.each(withToken)('%s', (name) => {
  const sees = callers[name]?.sees;
  it.each([...reads, ...(name === 'admin' || name === 'loader' ? [] : failedWrites)])('$name', async ({ run, shown, gone, name: interaction }) => {
    const session = sessions[name];
    const absent = normalised(await run(session, ABSENT), ABSENT, versionIn(ABSENT));
    for (const { id, whose, deleted } of targets) {
      const answer = await run(session, id);
      if (sees === whose) {
        const expected = deleted ? gone : shown;
        expect([
          id,
          interaction.includes('entry') && answer.status === 200 ? (expected === 200 ? 200 : entryStatus(answer)) : status(answer),
        ]).toEqual([id, expected]);
      } else expect(normalised(answer, id, versionIn(id))).toEqual(absent);
    }
  });

  it('searches exactly what it sees', async () => {
    const all = sees === 'alice' ? PAGES : sees === 'bob' ? ['b1', 'b2', 'b3'] : [];
    for (const query of ['', 'code=8867-4', 'date=2024-05', 'identifier=urn:test|', '_sort=-_lastUpdated', '_sort=date']) {
      const found = await sessions[name].call('GET', `Observation?_count=50&${query}`);
      expect([query, idsIn(found.json).sort(), found.json['total']]).toEqual([query, all, all.length]);
      const counted = await sessions[name].call('GET', `Observation?_summary=count&${query}`);
      expect([counted.json['total'], counted.json['entry']]).toEqual([all.length, undefined]);
    }
  });

  it('histories, compartments and operations of many hold exactly what it sees', async () => {
    const all = sees === 'alice' ? PAGES : sees === 'bob' ? ['b1', 'b2', 'b3'] : [];
    const gone = sees === 'alice' ? ['a-gone', 'a-gone'] : sees === 'bob' ? ['b-gone', 'b-gone'] : [];
    const session = sessions[name];
    for (const url of ['Observation/_history', 'Observation/_history?_sort=_lastUpdated']) {
      const { json } = await session.call('GET', url);
      expect([url, json['total'], versionedIn(json)]).toEqual([url, all.length + gone.length, [...all, ...gone].sort()]);
    }
    for (const owner of ['alice', 'bob']) {
      const expected = owner === sees ? all : [];
      for (const url of [`Patient/${owner}/Observation?_count=50`, `Patient/${owner}/*?_type=Observation&_count=50`]) {
        const { status: code, json } = await session.call('GET', url);
        expect([url, code, json['total'], idsIn(json).sort()]).toEqual([url, 200, expected.length, expected]);
      }
      // What the loader asked for itself would stand in its own trail, where a later test looks for what it did not send.
      if (name !== 'loader')
        expect((await session.call('GET', `Patient/${owner}/$everything?_type=Observation`)).status).toBe(owner === sees ? 200 : 404);
      const latest = await session.call('GET', `Observation/$lastn?patient=${owner}&max=50`);
      expect([latest.json['total'], idsIn(latest.json).sort()]).toEqual([expected.length, expected]);
      const query = `{ ObservationConnection(subject: "Patient/${owner}", _count: 50) { count edges { resource { id } } } }`;
      const { data } = (await session.call('GET', `$graphql?query=${encodeURIComponent(query)}`)).json as {
        data: { ObservationConnection: { count: number; edges: { resource: { id: string } }[] } };
      };
      expect(data.ObservationConnection.count).toBe(expected.length);
      expect(data.ObservationConnection.edges.map(({ resource }) => resource.id).sort()).toEqual(expected);
    }
  });

  it.each(['_id=', 'identifier=', 'identifier=urn:test|'])('searching by %s finds hidden as little as absent', async (query) => {
    const absent = await sessions[name].call('GET', `Observation?${query}${ABSENT}`);
    expect(absent.json['total']).toBe(0);
    for (const { id, whose, deleted } of targets) {
      const found = await sessions[name].call('GET', `Observation?${query}${id}`);
      if (sees === whose && !deleted) expect(idsIn(found.json)).toEqual([id]);
      else expect(withoutReceipt(normalised(found, id))).toEqual(withoutReceipt(normalised(absent, ABSENT)));
    }
  });

  it('pages are full, the last one is not empty, and together they are what it sees', async () => {
    const pages = await pagesOf(sessions[name], 'Observation?_count=2&_sort=-_lastUpdated');
    const all = sees === 'alice' ? PAGES : sees === 'bob' ? ['b1', 'b2', 'b3'] : [];
    expect(pages.flat().sort()).toEqual(all);
    expect(pages.map(({ length }) => length)).toEqual(all.length === 4 ? [2, 2] : all.length === 3 ? [2, 1] : [0]);
  });
});

describe('without a token', () => {
  it.each([...reads, ...failedWrites])('$name is 401, whatever is there', async ({ run }) => {
    const absent = normalised(await run(sessions.nobody, ABSENT), ABSENT, versionIn(ABSENT));
    expect(absent.status).toBe(401);
    for (const { id } of targets) expect(normalised(await run(sessions.nobody, id), id, versionIn(id))).toEqual(absent);
  });
});

describe('writes', () => {
  it.each(['stranger', 'insurer', 'rival', 'hospital', 'alice'] as const)('%s cannot replace or delete what it does not see', async (name) => {
    for (const { id, whose } of targets) {
      if (callers[name].sees === whose) continue;
      for (const type of ['PUT', 'DELETE', 'batch', 'transaction']) {
        const tried = async (target: string) => {
          const body = observation(target, 'Patient/alice');
          if (type === 'PUT') return sessions[name].call('PUT', `Observation/${target}`, body, { 'if-match': `W/"${versionIn(target)}"` });
          if (type === 'DELETE') return sessions[name].call('DELETE', `Observation/${target}`);
          return sessions[name].call('POST', '', bundleOf(type, { resource: body, request: { method: 'PUT', url: `Observation/${target}` } }));
        };
        const absent = normalised(await tried(ABSENT), ABSENT, versionIn(ABSENT));
        expect([type, normalised(await tried(id), id, versionIn(id))]).toEqual([type, absent]);
      }
    }
    const own = await sessions.rival.call('GET', 'Observation/b1');
    expect(own.status).toBe(200);
  });

  it('a conditional create matches in the caller’s view only', async () => {
    const create = (id: string) => {
      const { id: _id, ...resource } = observation(id, 'Patient/carol');
      return sessions.insurer.call('POST', 'Observation', resource, { 'if-none-exist': `identifier=urn:test|${id}` });
    };
    const [hidden, deleted, absent, shown] = [await create('b1'), await create('b-gone'), await create(ABSENT), await create('a1')];
    const plain = (answer: Answer) =>
      normalised(answer, versionOf(answer), String(answer.json['id']), 'b1', 'b-gone', ABSENT).text.replace(/"lastUpdated":"[^"]*"/, '');
    expect([hidden.status, deleted.status, absent.status]).toEqual([201, 201, 201]);
    expect(plain(hidden)).toBe(plain(absent));
    expect(plain(deleted)).toBe(plain(absent));
    expect([shown.status, shown.json['id']]).toEqual([200, 'a1']);
  });

  it('a client that chooses ids learns that an id is taken, and nothing else', async () => {
    const { loader } = sessions;
    const absent = await loader.call('PUT', 'Observation/chosen', observation('chosen', 'Patient/carol'));
    const hidden = await loader.call('PUT', 'Observation/b2', observation('b2', 'Patient/carol'));
    expect([absent.status, hidden.status]).toEqual([201, 200]);
    expect(hidden.text.includes('bob')).toBe(false);
    expect((await loader.call('GET', 'Observation/b2')).status).toBe(404);
    // Of its own acts it sees what it sent; whose the version before was, it did not send.
    const trail = await loader.call('GET', 'AuditEvent?_count=1000');
    expect([trail.text.includes('Observation/b2'), trail.text.includes('Patient/bob')]).toEqual([true, false]);
    await loader.call('DELETE', 'Observation/b3');
    expect((await loader.call('GET', 'AuditEvent?_count=1000')).text.includes('Patient/bob')).toBe(false);
    // The patient's own trail and the auditor's do say so.
    expect((await server.admin.call('GET', 'AuditEvent?patient=Patient/bob&_count=1000')).text.includes('Observation/b3/_history')).toBe(true);
  });

  it('who sees it writes and deletes it, and then it is gone for them and absent for others', async () => {
    await put(server, observation('a9', 'Patient/alice'));
    const update = await sessions.insurer.call('PUT', 'Observation/a9', observation('a9', 'Patient/alice'));
    expect(update.status).toBe(200);
    expect((await sessions.insurer.call('DELETE', 'Observation/a9', undefined, { 'if-match': `W/"${versionOf(update)}"` })).status).toBe(204);
    expect((await sessions.insurer.call('GET', 'Observation/a9')).status).toBe(410);
    expect((await sessions.rival.call('GET', 'Observation/a9')).status).toBe(404);
  });
});

describe('page links', () => {
  it('are refused for every other caller and question, and show nothing after a withdrawal', async () => {
    const first = await sessions.insurer.call('GET', 'Observation?_count=2&_sort=-_lastUpdated');
    const next = nextOf(first.json) ?? '';
    expect((await sessions.insurer.call('GET', next)).status).toBe(200);
    for (const name of withToken.filter((other) => other !== 'insurer'))
      expect([name, (await sessions[name].call('GET', next)).status]).toEqual([name, 400]);
    expect((await sessions.insurer.call('GET', next.replace('Observation?', 'Condition?'))).status).toBe(400);
    expect((await sessions.insurer.call('GET', next.replace('_count=2', '_count=3'))).status).toBe(400);
    const versionsPage = await sessions.insurer.call('GET', 'Observation/a9/_history?_count=1');
    const olderVersions = nextOf(versionsPage.json) ?? '';
    expect((await sessions.insurer.call('GET', olderVersions)).status).toBe(200);

    expect((await withdrawNow(server, consent, aliceKey)).status).toBe(200);
    const after = await sessions.insurer.call('GET', next);
    expect([after.status, after.json['total'], after.json['entry'], nextOf(after.json)]).toEqual([200, 0, undefined, undefined]);
    expect((await sessions.insurer.call('GET', olderVersions)).status).toBe(404);
    for (const { name, run } of reads)
      for (const { id } of targets.filter(({ whose }) => whose === 'alice'))
        expect([name, normalised(await run(sessions.insurer, id), id, versionIn(id))]).toEqual([
          name,
          normalised(await run(sessions.insurer, ABSENT), ABSENT, versionIn(ABSENT)),
        ]);
    expect((await sessions.alice.call('GET', 'Observation/a1')).status).toBe(200);
  });
});

function idsIn(bundle: Json): string[] {
  return ((bundle['entry'] ?? []) as { resource: { id: string } }[]).map(({ resource }) => resource.id);
}

/** Ids of the entries of a history, in the order of their names. */
function versionedIn(bundle: Json): string[] {
  return ((bundle['entry'] ?? []) as { fullUrl: string }[]).map(({ fullUrl }) => fullUrl.split('/').at(-1) ?? '').sort();
}

function nextOf(bundle: Json): string | undefined {
  return (bundle['link'] as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url;
}

async function pagesOf(session: Session, query: string): Promise<string[][]> {
  const pages: string[][] = [];
  for (let url: string | undefined = query; url !== undefined; ) {
    const page = await session.call('GET', url);
    expect(page.status).toBe(200);
    pages.push(idsIn(page.json));
    url = nextOf(page.json);
  }
  return pages;
}

/** Receipts and bundle ids are random; that there is one must be the same. */
function withoutReceipt({ status: code, headers, text }: ReturnType<typeof normalised>) {
  const named = (headers as [string, string][]).map(([name, value]) => [name, name === 'assent-receipt' ? '…' : value]);
  return { code, headers: named, text: text.replace(/"(id|lastUpdated|timestamp)":"[^"]*"/g, '') };
}
