/**
 * Everything recorded about a patient, over the real server: the whole chain and nothing else, in pages, checked offline; and what leaves an entry out
 * is found by whoever holds that entry's receipt. ledger.md §4
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdTogether, type Run } from '../../../ledger/disclosures.ts';
import { type Verdict, verifyReceipt } from '../../../ledger/receipt.ts';
import { type Answer, enrolKey, type Json, type Key, type Session } from '../../../server/commands/demo/session.ts';
import { fsck } from '../../../server/commands/fsck.ts';
import { readConfig } from '../../../server/config.ts';
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
  settled,
  startRealServer,
  termsOf,
} from '../../support/real-server.ts';

const [LAB, INSURER] = ['Organization/lab', 'Organization/insurer'];
const [ANN, BEA] = ['Patient/ann', 'Patient/bea'];

let server: RealServer;
let lab: Session;
let insurer: Session;
let ann: Session;
let bea: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, LAB, INSURER]) await put(server, organization(reference));
  for (const reference of [ANN, BEA]) await put(server, patient(reference.slice('Patient/'.length)));
  await put(server, observation('of-ann', ANN));
  const keys = [await enrolKey(server.admin, ANN), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: ANN, grantee: LAB }), keys);
  await agree(server, termsOf(server, { patient: BEA, grantee: LAB }), [await enrolKey(server.admin, BEA), keys[1] as Key]);
  [lab, insurer, ann, bea] = (await Promise.all(
    [LAB, INSURER, ANN, BEA].map(async (actor) => (await register(server, { actor, scope: 'system/*.rs' })).session),
  )) as [Session, Session, Session, Session];
});
afterAll(() => server?.stop());

type Entry = { number: number; logIndex: number; kind: string; record: string; who: string; text: string };
type Told = { answer: Answer; count: number; entries: Entry[]; next: string | undefined; statement: string };

const valueOf = (part: Json): unknown => Object.entries(part).find(([name]) => name.startsWith('value'))?.[1];

function read(answer: Answer): Told {
  expect(`${answer.status} ${answer.text}`).toMatch(/^200 /);
  const parameters = answer.json['parameter'] as Json[];
  const one = (name: string) => valueOf(parameters.find((parameter) => parameter['name'] === name) ?? {});
  const entries = parameters
    .filter(({ name }) => name === 'entry')
    .map(({ part }) => {
      const member = (name: string) => valueOf((part as Json[]).find((each) => each['name'] === name) ?? {});
      const reference = (name: string) => (member(name) as { reference?: string } | undefined)?.reference;
      return {
        number: member('number'),
        logIndex: member('logIndex'),
        kind: member('kind'),
        record: reference('record'),
        who: reference('who'),
        text: member('text'),
      } as Entry;
    });
  return { answer, count: one('count') as number, entries, next: one('next') as string | undefined, statement: one('statement') as string };
}

/** Once what was done is under a checkpoint: the asking before is the newest entry then. */
async function ask(session: Session, query = '', of = ANN): Promise<Told> {
  return read(await session.call('GET', `${of}/$disclosures${query}`));
}

const receiptUrl = (answer: Answer): string => answer.headers.get('assent-receipt') ?? '';
const receiptOf = async (session: Session, answer: Answer): Promise<string> => (await settled(session, receiptUrl(answer))).text;

function proven(text: string): Run {
  const verdict: Verdict = verifyReceipt(text);
  expect(`${verdict.kind} ${'reason' in verdict ? verdict.reason : ''}`).toBe('proven ');
  return (verdict as { run?: Run }).run as Run;
}

describe('the patient', () => {
  test('sees each act of anybody, with who and for what, numbered without a gap down to the first', async () => {
    await lab.call('GET', 'Observation/of-ann');
    await insurer.call('GET', 'Observation/of-ann');
    await put(server, observation('of-ann', ANN, { note: [{ text: 'changed' }] }));
    await settled(lab, receiptUrl(await lab.call('GET', ANN)));
    const { count, entries, next } = await ask(ann, '?_count=200');
    expect(next).toBeUndefined();
    expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: count }, (_, i) => count - i));
    expect(new Set(entries.map(({ kind }) => kind))).toEqual(new Set(['disclosure', 'denial', 'write', 'consent-active', 'key-registered']));
    expect(entries.find(({ kind }) => kind === 'disclosure')).toMatchObject({ who: LAB, text: `${LAB} was shown one resource of this record.` });
    expect(entries.find(({ kind }) => kind === 'denial')?.text).toContain('was not shown');
    const { json } = await ann.call('GET', 'AuditEvent?patient=Patient/ann&_count=200');
    const events = (json['entry'] as { resource: { id: string } }[]).map(({ resource }) => `AuditEvent/${resource.id}`);
    // Those of the trail; the asking itself came after.
    const told = entries.flatMap(({ record }) => (record?.startsWith('AuditEvent/') ? [record] : []));
    expect(events.filter((event) => !told.includes(event))).toHaveLength(1);
    expect(told.filter((event) => !events.includes(event))).toEqual([]);
  });

  test('in pages, which are together the whole, with the receipt of the asking as its end', async () => {
    await settled(ann, receiptUrl((await ask(ann)).answer));
    const first = await ask(ann, '?_count=4');
    const pages = [first];
    for (let { next } = first; next !== undefined; { next } = pages.at(-1) as Told) pages.push(read(await ann.call('GET', next)));
    expect(pages.length).toBeGreaterThan(2);
    expect(pages.every(({ count, entries }) => count === first.count && entries.length <= 4)).toBe(true);
    const numbers = pages.flatMap(({ entries }) => entries.map(({ number }) => number));
    expect(numbers).toEqual(Array.from({ length: first.count }, (_, i) => first.count - i));
    const asking = proven(await receiptOf(ann, first.answer));
    expect(holdTogether([...pages.map(({ answer }) => proven(answer.text)), asking])).toEqual([
      `${ANN}: together these are the whole chain about them, entries 1 to ${first.count + 1}.`,
    ]);
    expect(holdTogether([proven(first.answer.text), asking])[0]).toContain('these do not hold 1, 2');
  });

  test('a page link is for whom it was made', async () => {
    const { next = '' } = await ask(ann, '?_count=1');
    expect((await server.admin.call('GET', next)).status).toBe(400);
  });

  test('nothing can be left out of it or put into it', async () => {
    const { statement } = await ask(ann, '?_count=200');
    const parsed = JSON.parse(statement) as { links: { entry: Json; event: string | null; reference: string }[]; patient: string };
    const changed = (change: (copy: typeof parsed) => unknown): string => {
      const copy = structuredClone(parsed);
      change(copy);
      return JSON.stringify(copy);
    };
    expect(verifyReceipt(JSON.stringify(parsed)).kind).toBe('proven');
    const refuted = [
      changed(({ links }) => links.splice(3, 1)),
      changed(({ links }) => links.reverse()),
      changed(({ links }) => Object.assign(links[1]?.entry ?? {}, { previous: 0 })),
      changed(({ links }) => Object.assign(links[0] ?? {}, { reference: 'AuditEvent/other' })),
      changed((copy) => Object.assign(copy, { patient: BEA })),
      changed(({ links }) => Object.assign(links.find(({ event }) => event !== null) ?? {}, { event: '{"resourceType":"AuditEvent"}' })),
      changed(({ links }) => Object.assign(links.find(({ event }) => event === null) ?? {}, { reference: 'AuditEvent/x' })),
    ];
    for (const text of refuted) expect(verifyReceipt(text)).toMatchObject({ kind: 'refuted' });
    expect(verifyReceipt(changed((copy) => Object.assign(copy, { more: 1 }))).kind).toBe('unreadable');
  });
});

describe('whoever may not ask', () => {
  test('gets the answer of a patient who is not there', async () => {
    for (const session of [lab, insurer, bea]) {
      const [there, absent] = [await session.call('GET', `${ANN}/$disclosures`), await session.call('GET', 'Patient/absent/$disclosures')];
      expect(there.status).toBe(404);
      expect(normalised(there, 'ann')).toEqual(normalised(absent, 'absent'));
    }
  });

  test('an administrator may, and is in it', async () => {
    const asked = await ask(server.admin, '?_count=200');
    await settled(server.admin, receiptUrl(asked.answer));
    expect((await ask(ann, '?_count=1')).count).toBeGreaterThan(asked.count);
    expect((await ask(server.admin, '', 'Patient/never')).count).toBe(0);
  });
});

test('who was shown something holds the proof that a statement without it left it out', async () => {
  const shown = await lab.call('GET', 'Observation/of-ann');
  const receipt = proven(await receiptOf(lab, shown));
  const whole = await ask(ann, '?_count=200');
  expect(holdTogether([proven(whole.statement), receipt])).toHaveLength(1);
  // The head is put back by hand, as if nobody had looked since.
  const [, , before] = whole.entries;
  const at = (edit: (record: Json) => Json) => server.hand.editRecords('log-subject', ANN, (text) => JSON.stringify(edit(JSON.parse(text) as Json)));
  let kept: Json = {};
  await at((record) => {
    kept = record;
    return { ...record, seq: before?.number, last: before?.logIndex };
  });
  const short = await ask(ann, '?_count=200');
  expect(short.count).toBe(before?.number);
  expect(() => holdTogether([proven(short.statement), receipt])).toThrow(/was left out of a statement/);
  await at((record) => ({ ...record, seq: kept['seq'], last: kept['last'] }));
});

test('of a patient who was erased the chain is whole; what was erased says so', async () => {
  const started = await server.admin.call('POST', `${BEA}/$purge`, { resourceType: 'Parameters' });
  expect((await settled(server.admin, started.headers.get('content-location') ?? '')).status).toBe(200);
  await settled(server.admin, receiptUrl(await lab.call('GET', ANN)));
  const { count, entries, statement } = await ask(server.admin, '?_count=200', BEA);
  expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: count }, (_, i) => count - i));
  const kinds = entries.map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(['erased', 'erasure']));
  expect(kinds).not.toContain('consent-active');
  expect(statement).not.toContain('consent-active');
  const verdict = verifyReceipt(statement);
  expect(verdict).toMatchObject({ kind: 'proven', proven: expect.arrayContaining([expect.stringContaining('erased')]) });
});

describe('fsck', () => {
  const check = () => fsck(readConfig(server.environment));
  const checked = async (hand: () => Promise<unknown> = async () => undefined): Promise<number> => {
    let code = -1;
    await server.restart(async () => {
      await hand();
      code = await check();
    });
    return code;
  };

  test('finds every AuditEvent in the chain of its patient, and every chain whole', async () => {
    await lab.call('GET', 'Observation/of-ann');
    expect(await checked()).toBe(0);
  });

  test('a head that was put back', async () => {
    const set = (change: (record: Json) => Json) =>
      server.hand.editRecords('log-subject', ANN, (text) => JSON.stringify(change(JSON.parse(text) as Json)));
    let kept = '';
    const found = await checked(async () => {
      await set((record) => {
        kept = JSON.stringify(record);
        return { ...record, seq: Number(record['seq']) - 1, last: Number(record['last']) - 1 };
      });
      expect(await check()).toBe(1);
      await set(() => JSON.parse(kept) as Json);
    });
    expect(found).toBe(0);
  });

  test('an AuditEvent that the log does not know', async () => {
    const answer = await lab.call('GET', 'Observation/of-ann');
    const id = /AuditEvent\/([^/]+)/.exec(receiptUrl(answer))?.[1] ?? '';
    const forged = `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`;
    await settled(lab, receiptUrl(answer));
    const body = await server.hand.body('AuditEvent', id);
    await server.hand.copyResource('AuditEvent', id, { id: forged, body: body.replace(id, forged) });
    expect(await checked()).toBe(1);
    await server.hand.remove('AuditEvent', forged);
    expect(await checked()).toBe(0);
  });
});
