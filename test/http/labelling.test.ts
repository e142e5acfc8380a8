/** The labelling step: what codes and references say of a resource counts as its source's labels do, at once, and again under other value sets. consent.md §2, §3 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../server/clock.ts';
import { enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import type { Engine } from '../../server/store/port.ts';
import { query } from '../contract/subject.ts';
import { labelled } from '../support/consents.ts';
import { writePackage } from '../support/package.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const ALICE = { reference: 'Patient/alice' };
const coded = (system: string, code: string) => ({ code: { coding: [{ system, code }] } });
const HIV = coded('http://snomed.info/sct', '86406008');
const COLD = coded('http://snomed.info/sct', '82272006');
const meta = (...codes: string[]) => ({ meta: { security: labelled(...codes).securityLabel } });
const condition = (id: string, more: Json): Json => ({ resourceType: 'Condition', id, subject: ALICE, ...more });
const request = (id: string, reason: string, more: Json = {}): Json => ({
  resourceType: 'MedicationRequest',
  id,
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text: 'Tablets' },
  subject: ALICE,
  reasonReference: [{ reference: reason }],
  ...more,
});

let server: RealServer;
/** What the running server stores in. */
let engine: Engine;
let keys: Key[];
let folder: string;
let exceptHiv: Session;
let upToNormal: Session;
let everything: Session;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-labels-'));
  server = await startRealServer({}, { through: (opened) => (engine = opened) });
  await put(server, organization(HOSPITAL));
  await put(server, patient('alice'));
  await put(server, patient('bob'));
  keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  exceptHiv = await grant('a', { provision: [{ type: 'deny', ...labelled('HIV') }] });
  upToNormal = await grant('b', labelled('N'));
  everything = await grant('c', {});
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function keysOf(type: string, id: string): Promise<readonly string[]> {
  const found = await engine.resources.find(query(type, { where: { kind: 'id', ids: new Set([id]) } }));
  return found.kind === 'rows' ? (found.rows[0]?.keys ?? []) : [];
}

/** The server again under other settings, once its job has labelled everything. */
async function relabelled(changed: Readonly<Record<string, string>>): Promise<void> {
  const rules = async () => (await engine.records.get('label-rules', 'stored'))?.value;
  const before = await rules();
  await server.restart(undefined, changed);
  for (const until = systemClock() + 120_000; (await rules()) === before; ) {
    expect(systemClock()).toBeLessThan(until);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function grant(name: string, provision: Json): Promise<Session> {
  const grantee = `Organization/${name}`;
  await put(server, organization(grantee));
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee, provision }), keys);
  return (await register(server, { actor: grantee })).session;
}

/** By read, by search with its total, and by history: all three say the same. */
async function sees(session: Session, reference: string): Promise<boolean> {
  const [type = '', id = ''] = reference.split('/');
  const read = (await session.call('GET', `/fhir/${reference}`)).status;
  const search = await session.call('GET', `/fhir/${type}?_id=${id}&_total=accurate`);
  const history = (await session.call('GET', `/fhir/${reference}/_history`)).status;
  expect([search.json['total'], history]).toEqual(read === 200 ? [1, 200] : [0, 404]);
  return read === 200;
}

describe('a resource with a sensitive code', () => {
  it('is hidden from whoever is denied that sensitivity, and what its source wrote is served as it was', async () => {
    await put(server, observation('test', 'Patient/alice', coded('http://loinc.org', '56888-1')));
    await put(server, observation('pulse', 'Patient/alice'));
    expect([await sees(exceptHiv, 'Observation/test'), await sees(exceptHiv, 'Observation/pulse')]).toEqual([false, true]);
    const { json } = await everything.call('GET', '/fhir/Observation/test');
    expect(Object.keys(json['meta'] as object).sort()).toEqual(['lastUpdated', 'versionId']);
  });

  it.each([
    ['by a pattern', condition('icd', coded('http://hl7.org/fhir/sid/icd-10', 'B20.1'))],
    ['by the name CDA gives the system', condition('oid', coded('urn:oid:2.16.840.1.113883.6.96', '86406008'))],
    [
      'in a contained resource',
      condition('within', {
        ...COLD,
        evidence: [{ detail: [{ reference: '#o' }] }],
        contained: [{ resourceType: 'Observation', id: 'o', status: 'final', ...HIV }],
      }),
    ],
    ['as one of several codings', condition('second', { code: { coding: [...COLD.code.coding, ...HIV.code.coding] } })],
  ])('is one %s', async (_name, resource) => {
    await put(server, resource);
    expect([await sees(exceptHiv, `Condition/${String(resource['id'])}`), await sees(everything, `Condition/${String(resource['id'])}`)]).toEqual([
      false,
      true,
    ]);
  });

  it('is restricted, whatever its source says', async () => {
    await put(server, condition('said-normal', { ...HIV, ...meta('N') }));
    await put(server, condition('normal', { ...COLD, ...meta('N') }));
    expect([await sees(upToNormal, 'Condition/said-normal'), await sees(upToNormal, 'Condition/normal')]).toEqual([false, true]);
  });
});

describe('what refers to a sensitive resource', () => {
  it('is as sensitive, in whichever order they are written', async () => {
    await put(server, condition('first', HIV));
    await put(server, request('after', 'Condition/first'));
    await put(server, request('before', 'Condition/later'));
    expect([await sees(exceptHiv, 'MedicationRequest/after'), await sees(exceptHiv, 'MedicationRequest/before')]).toEqual([false, true]);
    await put(server, condition('later', HIV));
    expect([await sees(exceptHiv, 'MedicationRequest/before'), await sees(everything, 'MedicationRequest/before')]).toEqual([false, true]);
  });

  it('follows each change of it, also where it is about somebody else', async () => {
    await put(server, condition('changing', { ...COLD, ...meta('N') }));
    await put(server, request('follows', 'Condition/changing', meta('N')));
    await put(server, { ...request('of-bob', 'Condition/changing'), subject: { reference: 'Patient/bob' } });
    const seen = async () => [await sees(exceptHiv, 'MedicationRequest/follows'), await sees(upToNormal, 'MedicationRequest/follows')];
    expect(await seen()).toEqual([true, true]);
    await put(server, condition('changing', { ...HIV, ...meta('N') }));
    expect(await seen()).toEqual([false, false]);
    expect(await keysOf('MedicationRequest', 'of-bob')).toContain('~sens/HIV');
    await put(server, condition('changing', { ...COLD, ...meta('N') }));
    expect(await seen()).toEqual([true, true]);
    expect(await keysOf('MedicationRequest', 'of-bob')).not.toContain('~sens/HIV');
  });

  it('tells its writer nothing of what they do not see: hidden and absent lend it nothing, now or later', async () => {
    await put(server, condition('shown', COLD));
    await put(server, condition('unseen', HIV));
    const post = async (reason: string): Promise<string> => {
      const { id: _, ...body } = request('', reason);
      const made = await exceptHiv.call('POST', 'MedicationRequest', body);
      expect(made.status, made.text).toBe(201);
      return `MedicationRequest/${String(made.json['id'])}`;
    };
    const [hidden, absent, shown] = [await post('Condition/unseen'), await post('Condition/not-yet'), await post('Condition/shown')];
    const seen = async () => [await sees(exceptHiv, hidden), await sees(exceptHiv, absent), await sees(exceptHiv, shown)];
    expect(await seen()).toEqual([true, true, true]);
    await put(server, condition('unseen', { ...HIV, note: [{ text: 'again' }] }));
    await put(server, condition('not-yet', HIV));
    expect(await seen()).toEqual([true, true, true]);
    // What they saw becomes sensitive before their eyes.
    await put(server, condition('shown', HIV));
    expect(await seen()).toEqual([true, true, false]);
  });

  it('that a custodian wrote stays as sensitive when somebody else writes it again', async () => {
    await put(server, condition('lends', COLD));
    await put(server, condition('lends-later', HIV));
    await server.admin.call('DELETE', 'Condition/lends-later');
    await put(server, request('lent', 'Condition/lends', { supportingInformation: [{ reference: 'Condition/lends-later' }] }));
    expect(await sees(exceptHiv, 'MedicationRequest/lent')).toBe(true);
    const { json } = await exceptHiv.call('GET', 'MedicationRequest/lent');
    expect((await exceptHiv.call('PUT', 'MedicationRequest/lent', { ...json, note: [{ text: 'seen' }] })).status).toBe(200);
    await put(server, condition('lends-later', HIV));
    expect(await sees(exceptHiv, 'MedicationRequest/lent')).toBe(false);
  });

  it('is told in one transaction as well', async () => {
    const entry = [condition('t', HIV), request('t', 'Condition/t')].map((resource) => ({
      resource,
      request: { method: 'PUT', url: `${String(resource['resourceType'])}/t` },
    }));
    expect((await server.admin.call('POST', '/fhir', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(200);
    expect(await sees(exceptHiv, 'MedicationRequest/t')).toBe(false);
  });

  it('takes along what rests on it: a Composition, a Binary, a Provenance, a DocumentReference', async () => {
    await put(server, condition('root', COLD));
    await put(server, request('link', 'Condition/root'));
    await put(server, {
      resourceType: 'Composition',
      id: 'note',
      status: 'final',
      type: { text: 'Note' },
      subject: ALICE,
      date: '2024-05-01',
      author: [{ reference: HOSPITAL }],
      title: 'Note',
      section: [{ title: 'Drugs', entry: [{ reference: 'MedicationRequest/link' }] }],
    });
    await put(server, {
      resourceType: 'DocumentReference',
      id: 'paper',
      status: 'current',
      subject: ALICE,
      content: [{ attachment: { url: 'Binary/scan' } }],
      context: { related: [{ reference: 'Condition/root' }] },
    });
    await put(server, {
      resourceType: 'Binary',
      id: 'scan',
      contentType: 'text/plain',
      data: 'aGVsbG8=',
      securityContext: { reference: 'DocumentReference/paper' },
    });
    await put(server, {
      resourceType: 'Provenance',
      id: 'origin',
      target: [{ reference: 'MedicationRequest/link' }],
      recorded: '2024-05-01T08:00:00Z',
      agent: [{ who: { reference: HOSPITAL } }],
    });
    const all = ['MedicationRequest/link', 'Composition/note', 'DocumentReference/paper', 'Binary/scan', 'Provenance/origin'];
    const seen = async () => {
      const found: boolean[] = [];
      for (const reference of all) found.push((await exceptHiv.call('GET', `/fhir/${reference}`)).status === 200);
      return found;
    };
    expect(await seen()).toEqual(all.map(() => true));
    await put(server, condition('root', HIV));
    expect(await seen()).toEqual(all.map(() => false));
    await put(server, condition('root', COLD));
    expect(await seen()).toEqual(all.map(() => true));
  });
});

describe('labels and who writes', () => {
  it('a version by somebody who is no custodian loses none', async () => {
    const { session } = await register(server, { actor: 'Organization/writer', choosesIds: true });
    const write = async (more: Json) => (await session.call('PUT', '/fhir/Condition/theirs', condition('theirs', more))).status;
    expect(await write(HIV)).toBe(201);
    expect(await write(COLD)).toBe(200);
    expect(await sees(exceptHiv, 'Condition/theirs')).toBe(false);
  });

  it('nor does what refers to it, until a custodian says so', async () => {
    const { session } = await register(server, { actor: 'Organization/recoder', choosesIds: true });
    await put(server, { resourceType: 'Medication', id: 'tablets', ...HIV });
    const { medicationCodeableConcept: _text, ...order } = request('of-tablets', 'Condition/none');
    await put(server, { ...order, medicationReference: { reference: 'Medication/tablets' } });
    for (const more of [COLD, { code: { text: 'tablets' } }]) {
      expect((await session.call('PUT', '/fhir/Medication/tablets', { resourceType: 'Medication', id: 'tablets', ...more })).status).toBe(200);
      expect(await sees(exceptHiv, 'MedicationRequest/of-tablets')).toBe(false);
    }
    await put(server, { resourceType: 'Medication', id: 'tablets', ...COLD });
    expect(await sees(exceptHiv, 'MedicationRequest/of-tablets')).toBe(true);
  });
});

describe('what was labelled by other value sets', () => {
  it('counts as labelled with everything, until the job has been there', async () => {
    await put(server, condition('old', COLD));
    const { written } = await engine.resources.reindex({ type: 'Condition', ids: ['old'] }, ({ keys, instant }) => ({
      keys: keys.filter((key) => !key.startsWith('~labelled/')),
      instant,
    }));
    expect(written).toBe(1);
    expect([await sees(exceptHiv, 'Condition/old'), await sees(upToNormal, 'Condition/old'), await sees(everything, 'Condition/old')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('is labelled by new ones after a start, and by the old ones after another', async () => {
    await put(server, condition('cold', COLD));
    await put(server, request('for-cold', 'Condition/cold'));
    await put(server, condition('hiv', HIV));
    const colds = {
      resourceType: 'ValueSet',
      url: 'urn:test:colds',
      status: 'active',
      useContext: [
        {
          code: { system: 'http://terminology.hl7.org/CodeSystem/usage-context-type', code: 'focus' },
          valueCodeableConcept: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] },
        },
      ],
      compose: { include: [{ system: 'http://snomed.info/sct', concept: [{ code: '82272006' }] }] },
    };
    const path = await writePackage(join(folder, 'colds.tgz'), [colds]);
    const seen = async () => [
      await sees(exceptHiv, 'Condition/cold'),
      await sees(exceptHiv, 'MedicationRequest/for-cold'),
      await sees(exceptHiv, 'Condition/hiv'),
      await sees(exceptHiv, 'Observation/pulse'),
    ];
    await relabelled({ ASSENT_PACKAGES: path, ASSENT_SENSITIVE_VALUE_SETS: 'urn:test:colds' });
    expect(await seen()).toEqual([false, false, true, true]);
    await relabelled({});
    expect(await seen()).toEqual([true, true, false, true]);
    expect(server.logs.filter((line) => line.includes('labelled by other value sets')).length).toBe(2);
  });

  it('a value set that cannot be used stops the start with a sentence', async () => {
    await expect(startRealServer({ ASSENT_SENSITIVE_VALUE_SETS: 'urn:test:none' })).rejects.toThrow('urn:test:none');
  });
});
