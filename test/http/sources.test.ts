/** Resources about which others decide: sections of a Composition, the securityContext of a Binary, targets of a Provenance. consent.md §2 rules 8, 17, 18 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import { data, labelled, ofClass } from '../support/consents.ts';
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

const meta = (...codes: string[]) => ({ meta: { security: labelled(...codes).securityLabel } });
const composition = (id: string, entries: readonly string[], more: Json = {}): Json => ({
  resourceType: 'Composition',
  id,
  status: 'final',
  type: { text: 'Note' },
  subject: { reference: 'Patient/alice' },
  date: '2024-05-01',
  author: [{ reference: HOSPITAL }],
  title: 'Note',
  section: [{ title: 'Findings', entry: entries.map((reference) => ({ reference })) }],
  ...more,
});

let server: RealServer;
let keys: Key[];
let bobsKey: Key;
let grantees = 0;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, organization(HOSPITAL));
  await put(server, patient('alice'));
  await put(server, patient('bob'));
  keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  bobsKey = await enrolKey(server.admin, 'Patient/bob');
});
afterAll(() => server.stop());

/** A grantee of its own under a Consent of alice's. */
async function grant(provision: Json): Promise<Session> {
  const grantee = `Organization/grantee-${++grantees}`;
  await put(server, organization(grantee));
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee, provision }), keys);
  return (await register(server, { actor: grantee })).session;
}

/** By read, by search with its total, and by history: all three say the same. */
async function sees(session: Session, reference: string): Promise<boolean> {
  const [type = '', id = ''] = reference.split('/');
  const read = (await session.call('GET', `/fhir/${reference}`)).status;
  const search = await session.call('GET', `/fhir/${type}?_id=${id}&_total=accurate`);
  const several = await session.call('GET', `/fhir?_type=${type},Patient&_id=${id}&_total=accurate`);
  const history = (await session.call('GET', `/fhir/${reference}/_history`)).status;
  expect([search.json['total'], several.json['total'], history]).toEqual(read === 200 ? [1, 1, 200] : [0, 0, 404]);
  return read === 200;
}

describe('a Composition', () => {
  it('is labelled as the highest of what its sections speak of, from the next read on', async () => {
    const session = await grant({ securityLabel: labelled('N').securityLabel });
    await put(server, observation('plain', 'Patient/alice', meta('N')));
    await put(server, observation('part', 'Patient/alice', meta('N')));
    await put(server, composition('note', ['Observation/plain', 'Observation/part'], meta('N')));
    expect(await sees(session, 'Composition/note')).toBe(true);
    await put(server, observation('part', 'Patient/alice', meta('R')));
    expect(await sees(session, 'Composition/note')).toBe(false);
    await put(server, observation('part', 'Patient/alice', meta('L')));
    expect(await sees(session, 'Composition/note')).toBe(true);
    // Without a label it is restricted.
    await put(server, observation('part', 'Patient/alice'));
    expect(await sees(session, 'Composition/note')).toBe(false);
  });

  it('is denied with any of its parts, and no longer once that is deleted', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    await put(server, observation('sensitive', 'Patient/alice', meta('HIV')));
    await put(server, composition('tells', ['Observation/sensitive']));
    expect(await sees(session, 'Composition/tells')).toBe(false);
    await put(server, observation('harmless', 'Patient/alice'));
    await put(server, composition('tells-nothing', ['Observation/harmless']));
    expect(await sees(session, 'Composition/tells-nothing')).toBe(true);
    expect((await server.admin.call('DELETE', '/fhir/Observation/sensitive')).status).toBe(204);
    expect(await sees(session, 'Composition/tells')).toBe(true);
  });

  it('is permitted by an exception to a denial that only what it speaks of brings about', async () => {
    const session = await grant({
      type: 'deny',
      ...labelled('N'),
      provision: [{ type: 'permit', ...ofClass('Composition'), ...labelled('SUD') }],
    });
    await put(server, observation('unlabelled', 'Patient/alice'));
    await put(server, composition('excepted', ['Observation/unlabelled'], meta('L', 'SUD')));
    await put(server, composition('not-excepted', ['Observation/unlabelled'], meta('L')));
    expect(await sees(session, 'Composition/excepted')).toBe(true);
    expect(await sees(session, 'Composition/not-excepted')).toBe(false);
    expect(await sees(session, 'Observation/unlabelled')).toBe(false);
  });

  it('speaks of what its writer sees: a hidden part is refused as an absent one, and what was written stays', async () => {
    const session = await grant({ securityLabel: labelled('N').securityLabel });
    await put(server, observation('told', 'Patient/alice', meta('N')));
    await put(server, observation('untold', 'Patient/alice', meta('R')));
    const speaking = (part: string) => composition('', [part], { ...meta('N'), id: undefined });
    const post = (part: string) => session.call('POST', 'Composition', speaking(part));
    const [hidden, absent] = [await post('Observation/untold'), await post('Observation/never-was')];
    expect([hidden.status, normalised(hidden, 'untold')]).toEqual([422, normalised(absent, 'never-was')]);
    const told = await post('Observation/told');
    expect(told.status, told.text).toBe(201);
    const reference = `Composition/${String(told.json['id'])}`;
    await put(server, observation('told', 'Patient/alice', meta('V')));
    expect(await sees(session, reference)).toBe(false);
    await put(server, observation('told', 'Patient/alice', meta('N')));
    expect(await sees(session, reference)).toBe(true);
    // A custodian’s may speak of anything.
    await put(server, composition('custodians', ['Observation/never-was'], meta('N')));
  });

  it('within a document or another Composition speaks of what its writer sees, too', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    await put(server, observation('known', 'Patient/alice'));
    await put(server, observation('unknown', 'Patient/alice', meta('HIV')));
    const document = (part: string, beside: readonly Json[] = []): Json => ({
      resourceType: 'Bundle',
      type: 'document',
      identifier: { system: 'urn:test', value: 'inner' },
      timestamp: '2024-05-01T08:00:00Z',
      entry: [composition('c', [part]), ...beside].map((resource) => ({
        fullUrl: `${server.bootstrap.fhirBaseUrl}/${String(resource['resourceType'])}/${String(resource['id'])}`,
        resource,
      })),
    });
    const outer = (part: string): Json => ({ ...composition('', ['#inner'], { id: undefined }), contained: [composition('inner', [part])] });
    for (const make of [document, outer]) {
      const post = (part: string) => session.call('POST', String(make(part)['resourceType']), make(part));
      const [hidden, absent] = [await post('Observation/unknown'), await post('Observation/never-was')];
      expect([hidden.status, normalised(hidden, 'unknown')]).toEqual([422, normalised(absent, 'never-was')]);
      expect(hidden.text).toContain('names no resource that is here');
      const told = await post('Observation/known');
      expect(told.status, told.text).toBe(201);
    }
    // What it holds itself is there.
    const whole = document('Observation/own', [observation('own', 'Patient/alice')]);
    const held = await session.call('POST', 'Bundle', whole);
    expect(held.status, held.text).toBe(201);
    expect((await server.admin.call('PUT', 'Bundle/of-anything', { ...document('Observation/never-was'), id: 'of-anything' })).status).toBe(201);
  });

  it('that is denied by a date or a reference of a part stays denied when somebody else writes the part again', async () => {
    const ofCompositions = (more: Json): Json => ({ provision: [{ type: 'deny', ...ofClass('Composition'), ...more }] });
    await put(server, observation('anchor', 'Patient/alice'));
    const byDate = await grant(ofCompositions({ dataPeriod: { start: '2024-01-01', end: '2024-12-31' } }));
    const byReference = await grant(ofCompositions({ data: [data('dependents', 'Observation/anchor')] }));
    const whole = await grant({});
    for (const [n, session] of [byDate, byReference].entries()) {
      await put(server, observation(`moved-${n}`, 'Patient/alice', { derivedFrom: [{ reference: 'Observation/anchor' }] }));
      await put(server, composition(`of-moved-${n}`, [`Observation/moved-${n}`], { date: '2020-05-01' }));
      const seen = async () => [await sees(session, `Composition/of-moved-${n}`), await sees(session, `Observation/moved-${n}`)];
      expect(await seen()).toEqual([false, true]);
      const again = observation(`moved-${n}`, 'Patient/alice', { effectiveDateTime: '2020-05-01T08:00:00Z' });
      expect((await session.call('PUT', `Observation/moved-${n}`, again)).status).toBe(200);
      expect((await session.call('PUT', `Observation/moved-${n}`, again)).status).toBe(200);
      expect(await seen()).toEqual([false, true]);
      expect(await sees(whole, `Composition/of-moved-${n}`)).toBe(true);
      await put(server, again);
      expect(await seen()).toEqual([true, true]);
    }
  });

  it('is no dependent of what only its parts refer to, where that is permitted, and is where it is denied', async () => {
    await put(server, observation('start', 'Patient/alice'));
    await put(server, observation('follows', 'Patient/alice', { derivedFrom: [{ reference: 'Observation/start' }] }));
    await put(server, composition('speaks', ['Observation/follows']));
    await put(server, composition('names', ['Observation/start']));
    await put(server, {
      resourceType: 'Provenance',
      id: 'of-speaks',
      target: [{ reference: 'Composition/speaks' }],
      recorded: '2024-05-01T08:00:00Z',
      agent: [{ who: { reference: HOSPITAL } }],
    });
    const dependents = { data: [data('dependents', 'Observation/start')] };
    const [permitted, denied] = [await grant(dependents), await grant({ provision: [{ type: 'deny', ...dependents }] })];
    const seen = async (session: Session) => [
      await sees(session, 'Observation/follows'),
      await sees(session, 'Composition/names'),
      await sees(session, 'Composition/speaks'),
      await sees(session, 'Provenance/of-speaks'),
    ];
    expect(await seen(permitted)).toEqual([true, true, false, false]);
    expect(await seen(denied)).toEqual([false, false, false, false]);
  });

  it('that speaks of what is not here is what it may be', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    await put(server, composition('abroad', ['https://elsewhere.example/fhir/Observation/1']));
    await put(server, composition('nowhere', ['Observation/never-was']));
    expect(await sees(session, 'Composition/abroad')).toBe(false);
    expect(await sees(session, 'Composition/nowhere')).toBe(false);
    const whole = await grant({});
    expect(await sees(whole, 'Composition/nowhere')).toBe(true);
  });

  it('is about whomever its sections speak of: each of them permits, also where another part is not to be found', async () => {
    const session = await grant({});
    await put(server, observation('of-alice', 'Patient/alice'));
    await put(server, observation('of-bob', 'Patient/bob'));
    await put(server, observation('of-somebody', 'Patient/alice', { focus: [{ display: 'her brother' }] }));
    await put(server, composition('of-one', ['Observation/of-alice']));
    await put(server, composition('of-two', ['Observation/of-alice', 'Observation/of-bob']));
    await put(server, composition('of-two-and-more', ['Observation/of-bob', 'Observation/never-was']));
    await put(server, composition('of-unknown', ['Observation/of-somebody']));
    await put(server, {
      resourceType: 'Bundle',
      id: 'doc-of-two',
      type: 'document',
      identifier: { system: 'urn:test', value: 'two' },
      timestamp: '2024-05-01T08:00:00Z',
      entry: [{ fullUrl: 'urn:uuid:6b1a0f0e-0000-4000-8000-000000000001', resource: composition('c', ['Observation/of-bob']) }],
    });
    const about = (id: string) => ({
      resourceType: 'Provenance',
      id: `about-${id}`,
      target: [{ reference: `Composition/${id}` }],
      recorded: '2024-05-01T08:00:00Z',
      agent: [{ who: { reference: HOSPITAL } }],
    });
    for (const id of ['of-one', 'of-two']) await put(server, about(id));
    const all = [
      'Composition/of-one',
      'Composition/of-two',
      'Composition/of-two-and-more',
      'Composition/of-unknown',
      'Bundle/doc-of-two',
      'Provenance/about-of-one',
      'Provenance/about-of-two',
    ];
    const seen = async () => Object.fromEntries(await Promise.all(all.map(async (reference) => [reference, await sees(session, reference)])));
    const before = { ...Object.fromEntries(all.map((each) => [each, false])), 'Composition/of-one': true, 'Provenance/about-of-one': true };
    expect(await seen()).toEqual(before);
    const grantee = `Organization/grantee-${grantees}`;
    await agree(server, termsOf(server, { patient: 'Patient/bob', grantee }), [bobsKey, keys[1] as Key]);
    expect(await seen()).toEqual({ ...Object.fromEntries(all.map((each) => [each, true])), 'Composition/of-unknown': false });
    expect((await server.admin.call('GET', `Composition/of-two/$explain-access?actor=${grantee}`)).status).toBe(200);
  });

  it('is in the trail of whomever its sections speak of, and closed once their Consent is not the one in the log', async () => {
    const session = await grant({});
    await put(server, patient('dora'));
    const terms = termsOf(server, { patient: 'Patient/dora', grantee: `Organization/grantee-${grantees}` });
    const { consent } = await agree(server, terms, [await enrolKey(server.admin, 'Patient/dora'), keys[1] as Key]);
    await put(server, observation('about-dora', 'Patient/dora'));
    await put(server, composition('tells-of-dora', ['Observation/about-dora']));
    const traced = async () => {
      const { json } = await server.admin.call('GET', '/fhir/AuditEvent?patient=Patient/dora&entity=Composition/tells-of-dora&_total=accurate');
      return Number(json['total']);
    };
    const before = await traced();
    expect((await session.call('GET', '/fhir/Composition/tells-of-dora')).status).toBe(200);
    expect(await traced()).toBe(before + 1);
    const id = consent.slice('Consent/'.length);
    await server.hand.setBody('Consent', id, `${await server.hand.body('Consent', id)} `);
    expect((await session.call('GET', '/fhir/Composition/tells-of-dora')).status).toBe(404);
  });

  it('is no more in reach of a granular scope by a look at its sections', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    const grantee = `Organization/grantee-${grantees}`;
    await put(server, observation('in-reach', 'Patient/alice'));
    await put(server, composition('final', ['Observation/in-reach']));
    await put(server, { ...composition('preliminary', ['Observation/in-reach']), status: 'preliminary' });
    const narrow = (await register(server, { actor: grantee, scope: 'system/Composition.rs?status=final system/Patient.rs' })).session;
    const seen = async (by: Session) => [await sees(by, 'Composition/final'), await sees(by, 'Composition/preliminary')];
    expect([await seen(session), await seen(narrow)]).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  it('an earlier version that spoke of something else is not shown', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('PSY') }] });
    await put(server, observation('psy', 'Patient/alice', meta('PSY')));
    await put(server, observation('other', 'Patient/alice'));
    await put(server, composition('changed', ['Observation/psy']));
    await put(server, composition('changed', ['Observation/other']));
    const { json } = await session.call('GET', '/fhir/Composition/changed/_history');
    expect(json['entry']).toHaveLength(1);
    expect(JSON.stringify(json)).not.toContain('Observation/psy');
  });

  it('an earlier version is decided by what it said itself: the patient of a part denies a label that was taken away', async () => {
    const session = await grant({});
    const actor = `Organization/grantee-${grantees}`;
    const terms = termsOf(server, { patient: 'Patient/bob', grantee: actor, provision: { provision: [{ type: 'deny', ...labelled('HIV') }] } });
    await agree(server, terms, [bobsKey, keys[1] as Key]);
    await put(server, observation('bobs-part', 'Patient/bob'));
    const relabelled = [meta('HIV'), meta('SUD'), {}].map((more) => composition('relabelled', ['Observation/bobs-part'], more));
    const versions: string[] = [];
    for (const each of relabelled) versions.push(await put(server, each));
    const reads = versions.map(async (version) => (await session.call('GET', `/fhir/Composition/relabelled/_history/${version}`)).status);
    expect(await Promise.all(reads)).toEqual([404, 200, 200]);
    for (const path of ['Composition/relabelled/_history', 'Composition/_history', '_history']) {
      const { text } = await session.call('GET', `/fhir/${path}?_count=50`);
      expect([path, ...versions.map((version) => text.includes(`W/\\"${version}\\"`))]).toEqual([path, false, true, true]);
    }
  });

  it('in a document is decided with what stands beside it', async () => {
    const session = await grant({ securityLabel: labelled('N').securityLabel });
    const document = (label: string): Json => ({
      resourceType: 'Bundle',
      id: `doc-${label}`,
      type: 'document',
      identifier: { system: 'urn:test', value: label },
      timestamp: '2024-05-01T08:00:00Z',
      ...meta('N'),
      entry: [
        {
          fullUrl: 'urn:uuid:6b1a0f0e-0000-4000-8000-000000000001',
          resource: { ...composition('c', ['urn:uuid:6b1a0f0e-0000-4000-8000-000000000002']), ...meta('N') },
        },
        { fullUrl: 'urn:uuid:6b1a0f0e-0000-4000-8000-000000000002', resource: observation('o', 'Patient/alice', meta(label)) },
      ],
    });
    await put(server, document('N'));
    await put(server, document('R'));
    expect([await sees(session, 'Bundle/doc-N'), await sees(session, 'Bundle/doc-R')]).toEqual([true, false]);
  });
});

describe('a Binary', () => {
  const binary = (id: string, context: string, more: Json = {}): Json => ({
    resourceType: 'Binary',
    id,
    contentType: 'text/plain',
    securityContext: { reference: context },
    data: 'aGVsbG8=',
    ...more,
  });

  it('is seen by whoever sees its securityContext, from the next read on', async () => {
    const session = await grant({ securityLabel: labelled('N').securityLabel });
    await put(server, observation('context', 'Patient/alice', meta('N')));
    await put(server, observation('of-bob', 'Patient/bob', meta('N')));
    await put(server, binary('scan', 'Observation/context'));
    await put(server, binary('foreign', 'Observation/of-bob'));
    await put(server, binary('lost', 'Observation/never-was'));
    expect(await sees(session, 'Binary/scan')).toBe(true);
    expect(await sees(session, 'Binary/foreign')).toBe(false);
    expect(await sees(session, 'Binary/lost')).toBe(false);
    await put(server, observation('context', 'Patient/alice', meta('V')));
    expect(await sees(session, 'Binary/scan')).toBe(false);
  });

  it('an earlier version is decided by what it said itself', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    await put(server, observation('of-scans', 'Patient/alice'));
    const versions: string[] = [];
    for (const more of [meta('HIV'), meta('SUD'), {}]) versions.push(await put(server, { ...binary('relabelled', 'Observation/of-scans'), ...more }));
    const reads = versions.map(async (version) => (await session.call('GET', `/fhir/Binary/relabelled/_history/${version}`)).status);
    expect(await Promise.all(reads)).toEqual([404, 200, 200]);
    const { text } = await session.call('GET', '/fhir/Binary/relabelled/_history');
    expect(versions.map((version) => text.includes(version))).toEqual([false, true, true]);
  });

  it('is in the trail of the patient its securityContext is about, and closed once their Consent is not the one in the log', async () => {
    await put(server, patient('carol'));
    const grantee = 'Organization/reader-of-carol';
    await put(server, organization(grantee));
    const terms = termsOf(server, { patient: 'Patient/carol', grantee });
    const { consent } = await agree(server, terms, [await enrolKey(server.admin, 'Patient/carol'), keys[1] as Key]);
    const { session } = await register(server, { actor: grantee });
    await put(server, observation('about-carol', 'Patient/carol'));
    await put(server, binary('traced', 'Observation/about-carol'));
    const traced = async () => {
      const { json } = await server.admin.call('GET', '/fhir/AuditEvent?patient=Patient/carol&entity=Binary/traced&_total=accurate');
      return Number(json['total']);
    };
    const before = await traced();
    expect((await session.call('GET', '/fhir/Binary/traced')).status).toBe(200);
    expect(await traced()).toBe(before + 1);
    const id = consent.slice('Consent/'.length);
    await server.hand.setBody('Consent', id, `${await server.hand.body('Consent', id)} `);
    expect((await session.call('GET', '/fhir/Binary/traced')).status).toBe(404);
  });

  it('takes a securityContext that its writer sees, hidden ones as little as absent ones, and keeps it', async () => {
    const session = await grant({ securityLabel: labelled('N').securityLabel });
    await put(server, observation('shown', 'Patient/alice', meta('N')));
    await put(server, observation('shown-too', 'Patient/alice', meta('N')));
    await put(server, observation('hidden', 'Patient/bob', meta('N')));
    const post = (context: string) => {
      const { id: _id, ...resource } = binary('', context);
      return session.call('POST', 'Binary', resource);
    };
    const [hidden, absent] = [await post('Observation/hidden'), await post('Observation/never-was')];
    expect([hidden.status, normalised(hidden, 'hidden')]).toEqual([422, normalised(absent, 'never-was')]);
    expect(hidden.text).toContain('Binary.securityContext');
    const made = await post('Observation/shown');
    expect(made.status, made.text).toBe(201);
    const id = String(made.json['id']);
    const update = (more: Json) => session.call('PUT', `Binary/${id}`, binary(id, 'Observation/shown', more));
    expect((await update({ data: 'YQ==' })).status).toBe(200);
    expect((await update({ securityContext: { reference: 'Observation/shown-too' } })).status).toBe(422);
    expect((await update({ securityContext: undefined })).status).toBe(422);
    // Inside one transaction the context may come along.
    const beside: Json = {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        {
          fullUrl: 'urn:uuid:6b1a0f0e-0000-4000-8000-00000000000a',
          request: { method: 'POST', url: 'Observation' },
          resource: observation('beside', 'Patient/alice', { id: undefined }),
        },
        { request: { method: 'POST', url: 'Binary' }, resource: binary('', 'urn:uuid:6b1a0f0e-0000-4000-8000-00000000000a', { id: undefined }) },
      ],
    };
    const both = await session.call('POST', '', beside);
    expect(both.status, both.text).toBe(200);
    // A custodian moves it.
    await put(server, binary(id, 'Observation/hidden'));
    expect(await sees(session, `Binary/${id}`)).toBe(false);
  });

  it.each<[string, Json]>([
    ['label', { securityLabel: labelled('HIV').securityLabel }],
    ['class', { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Binary' }] }],
    ['instance', { data: [{ meaning: 'instance', reference: { reference: 'Binary/denied' } }] }],
  ])('is denied by %s like anything else', async (_by, deny) => {
    await put(server, observation('seen', 'Patient/alice', meta('N')));
    await put(server, binary('denied', 'Observation/seen', meta('HIV')));
    await put(server, binary('beside', 'Observation/seen', meta('N')));
    const session = await grant({ provision: [{ type: 'deny', ...deny }] });
    expect(await sees(session, 'Observation/seen')).toBe(true);
    expect(await sees(session, 'Binary/denied')).toBe(false);
    expect(await sees(session, 'Binary/beside')).toBe(_by !== 'class');
  });
});

describe('a Provenance', () => {
  it('is denied by whoever its target is about, also where that was stored after it', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...ofClass('Provenance') }] });
    const whole = await grant({});
    const about = { resourceType: 'Provenance', id: 'about-late', target: [{ reference: 'Observation/late' }] };
    await put(server, { ...about, recorded: '2024-05-01T08:00:00Z', agent: [{ who: { reference: HOSPITAL } }] });
    await put(server, observation('late', 'Patient/alice'));
    expect([await sees(session, 'Provenance/about-late'), await sees(whole, 'Provenance/about-late')]).toEqual([false, true]);
  });

  it('of what was deleted is not brought back by who sees the deletion', async () => {
    const session = await grant({});
    await put(server, observation('retracted', 'Patient/alice'));
    const about = { resourceType: 'Provenance', id: 'about-retracted', target: [{ reference: 'Observation/retracted' }] };
    await put(server, { ...about, recorded: '2024-05-01T08:00:00Z', agent: [{ who: { reference: HOSPITAL } }] });
    expect(await sees(session, 'Provenance/about-retracted')).toBe(true);
    expect((await server.admin.call('DELETE', 'Observation/retracted')).status).toBe(204);
    expect(await sees(session, 'Provenance/about-retracted')).toBe(false);
    expect((await session.call('PUT', 'Observation/retracted', observation('retracted', 'Patient/alice'))).status).toBe(404);
    expect(await sees(session, 'Provenance/about-retracted')).toBe(false);
  });

  const provenance = (id: string, targets: readonly string[]): Json => ({
    resourceType: 'Provenance',
    id,
    target: targets.map((reference) => ({ reference })),
    recorded: '2024-05-01T08:00:00Z',
    agent: [{ who: { reference: HOSPITAL } }],
  });

  it('is seen by whoever sees every target, and found by what it is about', async () => {
    const session = await grant({ provision: [{ type: 'deny', ...labelled('HIV') }] });
    await put(server, observation('known', 'Patient/alice'));
    await put(server, observation('hidden', 'Patient/alice', meta('HIV')));
    await put(server, observation('bobs', 'Patient/bob'));
    await put(server, provenance('of-one', ['Observation/known']));
    await put(server, provenance('of-both', ['Observation/known', 'Observation/hidden']));
    await put(server, provenance('of-two-people', ['Observation/known', 'Observation/bobs']));
    await put(server, provenance('of-nothing', ['Observation/never-was']));
    expect(await sees(session, 'Provenance/of-one')).toBe(true);
    for (const id of ['of-both', 'of-two-people', 'of-nothing']) expect(await sees(session, `Provenance/${id}`)).toBe(false);
    const { json } = await session.call('GET', '/fhir/Observation?_id=known&_revinclude=Provenance:target');
    expect(((json['entry'] ?? []) as Json[]).map(({ resource }) => (resource as Json)['id'])).toEqual(['known', 'of-one']);
    await put(server, observation('known', 'Patient/alice', meta('HIV')));
    expect(await sees(session, 'Provenance/of-one')).toBe(false);
  });

  it('of a signature stays with the patient', async () => {
    const session = await grant({});
    const { json } = await session.call('GET', '/fhir/Provenance?_total=accurate&patient=Patient/alice');
    expect(JSON.stringify(json)).not.toContain('Consent/');
  });
});
