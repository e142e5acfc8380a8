/**
 * Index keys edited by hand, on either engine: `assent fsck --index` names the resource, where the log is whole and a server shows what no Consent shows;
 * and of what a server wrote it says nothing. ledger.md §7, consent.md §3
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import { enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { fsck } from '../../server/commands/fsck.ts';
import { readConfig } from '../../server/config.ts';
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
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const HIV = { coding: [{ system: 'http://snomed.info/sct', code: '86406008' }] };
const restricted = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'R' }] } };

let server: RealServer;
let insurer: Session;
let keys: Readonly<Record<'ann' | 'bea' | 'hospital', Key>>;

/** One who permits, one who withdrew; records with labels, codes that stand for them, drugs, documents, several versions and deletions. */
beforeAll(async () => {
  server = await startRealServer();
  const { admin } = server;
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['ann', 'bea']) {
    await put(server, patient(id));
    await put(server, observation(`of-${id}`, `Patient/${id}`));
    await put(server, observation(`labelled-${id}`, `Patient/${id}`, restricted));
    await put(server, { resourceType: 'Condition', id: `coded-${id}`, subject: { reference: `Patient/${id}` }, code: HIV });
  }
  keys = { ann: await enrolKey(admin, 'Patient/ann'), bea: await enrolKey(admin, 'Patient/bea'), hospital: await enrolKey(admin, HOSPITAL) };
  const terms = (who: string) => termsOf(server, { patient: `Patient/${who}`, grantee: INSURER });
  await agree(server, terms('ann'), [keys.ann, keys.hospital]);
  await withdrawNow(server, await agree(server, terms('bea'), [keys.bea, keys.hospital]), keys.bea);
  insurer = (await register(server, { actor: INSURER })).session;
  await wroteMuch(server);
});
afterAll(() => server.stop());

async function wroteMuch({ admin }: RealServer): Promise<void> {
  const random = seededRandom(1);
  for (let number = 0; number < 3; number++) await admin.call('POST', '', patientBundle(random, number, HOSPITAL));
  await put(server, { resourceType: 'Medication', id: 'drug', code: HIV });
  const drug = { status: 'active', intent: 'order', medicationReference: { reference: 'Medication/drug' }, subject: { reference: 'Patient/ann' } };
  await put(server, { resourceType: 'MedicationRequest', id: 'drug-of-ann', ...drug });
  await put(server, {
    resourceType: 'Provenance',
    id: 'told',
    target: [{ reference: 'Observation/of-ann' }],
    recorded: '2024-05-01T08:00:00Z',
    agent: [{ who: { reference: HOSPITAL } }],
  });
  const writer = (await register(server, { actor: INSURER, scope: 'system/*.cruds', choosesIds: true })).session;
  await writer.call('PUT', 'Observation/changed', observation('changed', 'Patient/ann', restricted));
  await writer.call('PUT', 'Observation/changed', { ...observation('changed', 'Patient/ann'), note: [{ text: 'again' }] });
  await put(server, observation('gone', 'Patient/bea'));
  await admin.call('DELETE', 'Observation/gone');
  await insurer.call('GET', 'Observation?code=8867-4');
}

/** Beside the running server; exit code, and what was said of resources. */
async function looked(): Promise<{ readonly code: number; readonly said: string }> {
  const said: string[] = [];
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  try {
    const code = await fsck(readConfig({ ...server.environment }), { index: true });
    return { code, said: said.join('') };
  } finally {
    spy.mockRestore();
  }
}

const statusOf = async (path: string): Promise<number> => (await insurer.call('GET', path)).status;

describe('fsck --index', () => {
  it('finds nothing in what a server wrote, and has looked at all of it', async () => {
    const { code, said } = await looked();
    expect([said.split('\n').filter((line) => line.includes(', version ') || line.includes('in the index')), code]).toEqual([[], 0]);
    expect(Number(/(\d+) versions of resources/.exec(said)?.[1])).toBeGreaterThan(50);
  });

  it.each([
    ['a hidden record is made another patient’s', 'of-bea', '@patient/bea', '@patient/ann', 'by less than its text says'],
    ['a stated label is taken off', 'labelled-ann', '~rank/4', '~rank/2', 'by less than its text says'],
    ['a code nobody may see is forgotten', 'of-ann', '~any/http://loinc.org|8867-4\n', '', 'by less than its text says'],
    ['a code that somebody may see is added', 'of-ann', '~refs\n', '~refs\n~code/http://loinc.org|1\n', 'by what its text does not say'],
    ['a record is dated again', 'of-ann', '~when/', '~when/1', 'by less than its text says'],
    ['a record counts as the server’s own', 'of-ann', '~refs\n', '~refs\n~sealed\n', 'as written by the server itself'],
  ])('%s: it is named', async (_what, id, from, to, words) => {
    const before = await server.hand.keys('Observation', id);
    const edited = before.replaceAll(from, to);
    expect(edited).not.toBe(before);
    await server.hand.setKeys('Observation', id, edited);
    const { code, said } = await looked();
    await server.hand.setKeys('Observation', id, before);
    expect([code, said]).toEqual([1, expect.stringMatching(new RegExp(`^Observation/${id}, version \\S+, is (?:decided|marked) ${words}`, 'm'))]);
  });

  it('a label that a code stands for is taken off: it is named', async () => {
    const before = await server.hand.keys('Condition', 'coded-ann');
    expect(before).toContain('~sens/HIV\n');
    await server.hand.setKeys('Condition', 'coded-ann', before.replace('~sens/HIV\n', '').replace('~given/HIV\n', ''));
    const { code, said } = await looked();
    await server.hand.setKeys('Condition', 'coded-ann', before);
    expect([code, said]).toEqual([1, expect.stringContaining('Condition/coded-ann, version ')]);
  });

  it('the index alone says that a hidden record is another patient’s: a search shows it, and it is named', async () => {
    expect(await statusOf('Observation/of-bea')).toBe(404);
    await server.hand.reindexAs('Observation', 'of-bea', ['@patient/bea', '@patient/ann']);
    const { code, said } = await looked();
    expect([code, said]).toEqual([1, expect.stringContaining('Observation/of-bea is in the index otherwise than its keys say')]);
    await server.hand.reindexAs('Observation', 'of-bea', ['@patient/ann', '@patient/bea']);
    expect((await looked()).code).toBe(0);
  });

  it('a text is put under another resource’s name, or marked deleted: it is named', async () => {
    const before = await server.hand.body('Observation', 'of-ann');
    await server.hand.setBody('Observation', 'of-ann', await server.hand.body('Observation', 'of-bea'));
    expect((await looked()).said).toContain('has the text of another resource or version');
    await server.hand.setBody('Observation', 'of-ann', before);
    await server.hand.markDeleted('Observation', 'of-ann');
    expect((await looked()).said).toContain('is marked deleted and has a text');
  });
});
