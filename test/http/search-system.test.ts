/** Searches of several types over the real server: what is searched, in what order, how it is paged, and that a hidden resource is an absent one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const NAMED = '_type=Patient,Observation,Condition';
const tagged = { meta: { tag: [{ system: 'urn:test', code: 'some' }] } };
const condition = (id: string, subject: string, more: Json = {}): Json => ({
  resourceType: 'Condition',
  id,
  subject: { reference: subject },
  code: { coding: [{ system: 'urn:test', code: id }] },
  ...more,
});

let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  for (let i = 0; i < 4; i++)
    await put(server, observation(`o${i}`, 'Patient/alice', { effectiveDateTime: `202${i}-01-01`, ...(i % 2 === 0 ? tagged : {}) }));
  for (let i = 0; i < 3; i++) await put(server, condition(`c${i}`, 'Patient/alice', { onsetDateTime: `202${i}-06-01`, ...(i === 0 ? tagged : {}) }));
  // Of the same instant as another's: only type and id tell them apart.
  await put(server, condition('o3', 'Patient/alice', { onsetDateTime: '2023-01-01' }));
  await put(server, observation('o-bob', 'Patient/bob', { effectiveDateTime: '2022-01-01', ...tagged }));
  await put(server, condition('c-bob', 'Patient/bob', { onsetDateTime: '2021-07-01', ...tagged }));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), keys);
});
afterAll(() => server.stop());

const entriesOf = ({ json }: Answer) => (json['entry'] ?? []) as { fullUrl?: string; resource: Json; search: { mode: string } }[];
const idsOf = (answer: Answer, mode = 'match') =>
  entriesOf(answer).flatMap(({ fullUrl, search }) => (search.mode === mode ? [(fullUrl ?? '').split('/').slice(-2).join('/')] : []));
const linkOf = ({ json }: Answer, relation: string) =>
  ((json['link'] ?? []) as { relation: string; url: string }[]).find((l) => l.relation === relation)?.url;
const strict = { prefer: 'handling=strict' };
const ask = (url: string, session = insurer, headers: Record<string, string> = {}) => session.call('GET', url, undefined, headers);
const ALICES = [
  'Patient/alice',
  'Condition/o3',
  'Observation/o3',
  'Condition/c2',
  'Observation/o2',
  'Condition/c1',
  'Observation/o1',
  'Condition/c0',
  'Observation/o0',
];

async function walk(url: string, relation = 'next', session = insurer): Promise<Answer[]> {
  const pages: Answer[] = [];
  for (let at: string | undefined = url; at !== undefined && pages.length < 30; at = linkOf(pages.at(-1) as Answer, relation)) {
    const page = await ask(at, session);
    expect(page.status).toBe(200);
    pages.push(page);
  }
  return pages;
}

describe('several types', () => {
  it('come as one list, newest first, ties by type, with one total', async () => {
    const answer = await ask(`?${NAMED}`);
    expect([answer.status, answer.json['total'], idsOf(answer)]).toEqual([200, ALICES.length, ALICES]);
    expect(linkOf(answer, 'self')).toBe(`${server.bootstrap.fhirBaseUrl}?${NAMED}`);
    expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
  });

  it.each(['', '&_sort=_lastUpdated', '&_sort=-_id', '&_sort=_id', '&_sort=-_lastUpdated,_id', '&_sort=patient', '&_tag=urn:test|some'])(
    'pages there and back%s',
    async (more) => {
      const whole = idsOf(await ask(`?${NAMED}&_count=100${more}`));
      const there = await walk(`?${NAMED}&_count=2${more}`);
      expect(there.flatMap((page) => idsOf(page))).toEqual(whole);
      expect(there.map(({ json }) => json['total'])).toEqual(there.map(() => whole.length));
      const back = await walk(linkOf(there.at(-1) as Answer, 'previous') ?? '', 'previous');
      expect(back.map((page) => idsOf(page))).toEqual(
        there
          .slice(0, -1)
          .map((page) => idsOf(page))
          .toReversed(),
      );
    },
  );

  it('take what all of them have', async () => {
    expect(idsOf(await ask('?_type=Observation,Condition&code=urn:test|c1,8867-4'))).toHaveLength(5);
    expect(idsOf(await ask('?_type=Observation,Condition&patient=alice&_sort=-date', insurer)).length).toBe(8);
    expect((await ask(`?${NAMED}&code=8867-4`, insurer, strict)).status).toBe(400);
    const lenient = await ask(`?${NAMED}&code=8867-4`);
    expect([idsOf(lenient), idsOf(lenient, 'outcome').length]).toEqual([ALICES, 1]);
    expect(JSON.stringify(lenient.json['entry'])).toContain('\\"code\\" is not known for Patient');
    expect(linkOf(lenient, 'self')).not.toContain('8867');
    expect((await ask('?_type=Observation,Condition&_sort=value-quantity', insurer, strict)).status).toBe(400);
  });

  it('chains, _has and includes', async () => {
    expect(idsOf(await ask('?_type=Observation,Condition&subject:Patient._id=alice')).length).toBe(8);
    expect(idsOf(await ask('?_type=Observation,Condition&subject:Patient._id=bob'))).toEqual([]);
    expect(idsOf(await ask('?_type=Patient&_has:Condition:patient:code=c1'))).toEqual(['Patient/alice']);
    const included = await ask('?_type=Observation,Condition&_tag=some&_include=Condition:patient&_revinclude=Observation:focus');
    expect([idsOf(included), idsOf(included, 'include')]).toEqual([['Observation/o2', 'Condition/c0', 'Observation/o0'], ['Patient/alice']]);
    expect((await ask('?_include=Nothing:patient', insurer, strict)).status).toBe(400);
  });

  it('in part', async () => {
    expect((await ask(`?${NAMED}&_summary=count`)).json).toMatchObject({ total: ALICES.length });
    expect((await ask(`?${NAMED}&_count=0`)).json['entry']).toBeUndefined();
    expect((await ask(`?${NAMED}&_total=none`)).json['total']).toBeUndefined();
    const [first] = entriesOf(await ask(`?_type=Condition,Observation&_elements=subject`));
    expect(first?.resource['subject']).toEqual({ reference: 'Patient/alice' });
    expect(first?.resource['code']).toBeUndefined();
  });

  it('by POST, with parameters in the body and in the URL', async () => {
    const response = await fetch(`${server.bootstrap.fhirBaseUrl}/_search?_type=Condition`, {
      method: 'POST',
      headers: { authorization: `Bearer ${insurer.token}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: '_id=c1,o1&_format=json',
    });
    const json = (await response.json()) as Json;
    expect([response.status, json['total']]).toEqual([200, 1]);
  });

  it('as an entry of a batch and of a transaction', async () => {
    for (const type of ['batch', 'transaction']) {
      const entry = [{ request: { method: 'GET', url: '?_type=Condition,Observation&_id=c1' } }];
      const answer = await insurer.call('POST', '', { resourceType: 'Bundle', type, entry });
      expect(JSON.stringify(answer.json)).toContain('"total":1');
    }
  });
});

describe('every type the token may search', () => {
  it('by what all of R4 has, and by nothing else', async () => {
    const answer = await ask('?_tag=urn:test|some');
    expect(idsOf(answer)).toEqual(['Observation/o2', 'Condition/c0', 'Observation/o0']);
    expect((await ask('?_id=c1')).json['total']).toBe(1);
    expect((await ask('?code=c1', insurer, strict)).status).toBe(400);
    expect((await ask('?_revinclude=*', insurer, strict)).status).toBe(400);
    const admins = await ask('?_tag=urn:test|some', server.admin);
    expect(admins.json['total']).toBe(0);
  });

  it('finds nothing of types out of reach, and refuses them where they are named', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Condition.s system/Observation.r' })).session;
    expect(idsOf(await ask('?_tag=some', narrow))).toEqual(['Condition/c0']);
    expect((await ask('?_type=Condition,Observation', narrow)).status).toBe(403);
    const none = (await register(server, { actor: INSURER, scope: 'system/Patient.r' })).session;
    expect((await ask('?_tag=some', none)).status).toBe(403);
    expect((await ask('?_type=Nonsense')).status).toBe(400);
    expect((await ask('?_type=')).status).toBe(400);
  });

  it('ends, although each page leaves AuditEvents', async () => {
    const pages = await walk('?_type=AuditEvent,Patient&_sort=_lastUpdated&_count=40', 'next', insurer);
    expect(pages.length).toBeLessThan(30);
  });
});

describe('whoever has no consent', () => {
  it('sees and learns nothing', async () => {
    const stranger = (await register(server, { actor: 'Organization/stranger' })).session;
    for (const url of [`?${NAMED}`, '?_tag=some', `?${NAMED}&_summary=count`, '?_type=Patient&_has:Observation:patient:code=8867-4']) {
      const answer = await ask(url, stranger);
      expect([answer.status, answer.json['total'], answer.json['entry'], linkOf(answer, 'next')]).toEqual([200, 0, undefined, undefined]);
    }
    const [hidden, absent] = [await ask('?_id=alice&_type=Patient,Condition', stranger), await ask('?_id=never&_type=Patient,Condition', stranger)];
    const plain = (answer: Answer) => ({ ...normalised(answer, 'alice', 'never'), headers: undefined });
    expect(plain(hidden)).toEqual(plain(absent));
  });

  it('cannot use another’s link, nor this one’s for another search', async () => {
    const next = linkOf(await ask(`?${NAMED}&_count=2`), 'next') ?? '';
    const other = (await register(server, { actor: INSURER, purposes: ['HPAYMT'] })).session;
    expect((await ask(next, other)).status).toBe(400);
    expect((await ask(next.replace('Condition', 'Encounter'))).status).toBe(400);
    expect((await ask(next)).status).toBe(200);
  });

  it('has the search in the trail, for the patient and with its words', async () => {
    const words = '?_type=Condition%2CObservation&_id=c2';
    const events = await eventsOf(server.admin, () => ask(words));
    expect(events.map(({ subtype }) => subtype)).toEqual(Array(2).fill([expect.objectContaining({ code: 'search-system' })]));
    for (const said of ['Patient/alice', 'Condition/c2', Buffer.from(words).toString('base64')]) expect(JSON.stringify(events)).toContain(said);
  });
});
