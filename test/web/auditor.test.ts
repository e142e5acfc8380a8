/**
 * What an auditor reads and takes along, over HTTP against the whole server: the trail by patient, actor, purpose, consent and time, the proof of each act,
 * a signed file; and nothing clinical in any of it, nor on any page of another duty.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSignerKey } from '../../ledger/note.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Trail, writeTrail } from '../../ledger/trail.ts';
import { inChinese } from '../../ledger/verifier/words.ts';
import { signerFolder } from '../../server/anchoring/folders.ts';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import { verify } from '../../server/commands/verify.ts';
import { type Role, roles } from '../../server/consent/model.ts';
import { duties, type Endpoint } from '../../server/http/duties.ts';
import { type ConsoleReader, consoleAs, fieldOf } from '../support/console.ts';
import type { Page } from '../support/patient-pages.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  register,
  type RealServer,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const DOCTOR = 'Practitioner/er';
/** In a diagnosis, a label, a query, a reason and a Consent. */
const SECRETS = ['Zebrafever', 'ICD-Z99', 'Hivlabel', 'HIV/AIDS'];
const condition = (id: string, subject: string) => ({
  resourceType: 'Condition',
  id,
  meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV', display: 'Hivlabel' }] },
  code: { text: 'Zebrafever', coding: [{ system: 'urn:icd', code: 'ICD-Z99', display: 'Zebrafever' }] },
  subject: { reference: subject },
});

let server: RealServer;
let origin: string;
let auditor: ConsoleReader;
let insurer: Session;
let inForce: InForce;

beforeAll(async () => {
  server = await startRealServer({ ASSENT_BREAK_GLASS_ACTORS: DOCTOR });
  origin = new URL(server.bootstrap.consoleUrl).origin;
  for (const resource of [organization(HOSPITAL), organization(INSURER), patient('alice'), patient('bob')]) await put(server, resource);
  for (const resource of [condition('zebra', 'Patient/alice'), observation('pulse', 'Patient/alice'), observation('other', 'Patient/bob')])
    await put(server, resource);
  const [alice, custodian] = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const HIV = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV', display: 'Hivlabel' }];
  const provision = { provision: [{ type: 'deny', securityLabel: HIV }] };
  inForce = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), [alice, custodian]);
  insurer = (await register(server, { actor: INSURER })).session;
  expect((await insurer.call('GET', 'Observation/pulse')).status).toBe(200);
  expect((await insurer.call('GET', 'Condition/zebra')).status).toBe(404);
  await insurer.call('GET', 'Condition?patient=alice&code=ICD-Z99&code:text=Zebrafever');
  await insurer.call('GET', 'Observation?patient=alice');
  const doctor = (await register(server, { actor: DOCTOR, purposes: ['ETREAT', 'BTG'] })).session;
  const reason = { resourceType: 'Parameters', parameter: [{ name: 'reason', valueString: 'Zebrafever, HIV' }] };
  expect((await doctor.call('POST', 'Patient/alice/$break-glass', reason)).status).toBe(200);
  auditor = await consoleAs(origin, (await account('auditor')).client);
});
afterAll(() => server.stop());

function account(role: Role) {
  return register(server, { actor: role === 'signer' ? HOSPITAL : `Practitioner/${role}`, purposes: ['HOPERAT'], scope: `admin/${role}` });
}

/** Asks until a checkpoint holds what was asked for. */
async function sealed(ask: () => Promise<Page>): Promise<Page> {
  for (;;) {
    const page = await ask();
    if (page.status !== 202) return page;
  }
}

/** With all that stands in it in base64, and in texts within texts. */
function unfolded(text: string): string {
  const inner = [...text.matchAll(/[A-Za-z0-9+/_-]{12,}={0,2}/g)].map(([word]) => Buffer.from(word, 'base64').toString('utf8'));
  return [text, ...inner].join('\n');
}
const secretsIn = (text: string) => SECRETS.filter((secret) => unfolded(text).includes(secret));
const cards = ({ text }: Page) => text.split('<li class="card').slice(1);
const trail = (fields: Readonly<Record<string, string>>) => auditor.send('/console/trail', fields);

describe('the trail', () => {
  it.each([
    ['patient', { patient: 'alice' }, 'Condition/zebra'],
    ['actor', { actor: INSURER }, 'Observation/pulse'],
    ['purpose', { purpose: 'BTG' }, DOCTOR],
    ['patient, actor and purpose', { patient: 'Patient/alice', actor: INSURER, purpose: 'TREAT' }, 'Observation/pulse'],
  ])('is found by %s', async (_, fields: Readonly<Record<string, string>>, shown) => {
    const page = await trail(fields);
    expect([page.status, page.text.includes(shown)]).toEqual([200, true]);
    for (const card of cards(page)) {
      if (fields['actor'] !== undefined) expect(card).toContain(`<dd>${fields['actor']}`);
      if (fields['purpose'] !== undefined) expect(card).toContain(`<dd>${fields['purpose']}</dd>`);
    }
  });

  it('is found by the Consent relied on, whichever of its versions, and by no other', async () => {
    const page = await trail({ consent: inForce.consent });
    expect(cards(page).length).toBeGreaterThan(0);
    for (const card of cards(page)) expect(card).toContain(`${inForce.consent}/_history/`);
    expect(cards(await trail({ consent: 'Consent/another' }))).toEqual([]);
  });

  it('is found by time', async () => {
    const day = (ms: number) => new Date(server.now() + ms).toISOString().slice(0, 10);
    const DAY = 86_400_000;
    expect(cards(await trail({ patient: 'alice', from: day(-DAY), to: day(DAY) })).length).toBeGreaterThan(0);
    expect(cards(await trail({ patient: 'alice', from: day(DAY) }))).toEqual([]);
    expect(cards(await trail({ patient: 'alice', to: day(-DAY) }))).toEqual([]);
  });

  it('of nothing, or of what is none, is not asked for', async () => {
    for (const fields of [
      {},
      { patient: '../1' },
      { actor: 'somebody' },
      { purpose: '<b>' },
      { consent: 'Observation/1' },
      { from: '2026-13-45' },
      { to: 'now' },
    ]) {
      const { status, text } = await trail(fields);
      expect(status, JSON.stringify(fields)).toBe(422);
      expect(text).not.toContain('<b>');
    }
  });

  it('goes on to older acts of what was asked for', async () => {
    for (let i = 0; i < 51; i++) await insurer.call('GET', 'Observation/pulse');
    const first = await trail({ actor: INSURER, purpose: 'TREAT' });
    expect(cards(first)).toHaveLength(50);
    expect(first.text.length).toBeLessThan(60_000);
    const page = fieldOf(first.text, 'page');
    const second = await trail({ actor: INSURER, purpose: 'TREAT', page });
    expect(cards(second).length).toBeGreaterThan(0);
    expect((await trail({ actor: INSURER, page })).status).toBe(400);
  });
});

describe('the proof of an act', () => {
  it('says where it stands in the log, and is a file that the verifier proves', async () => {
    const card = cards(await trail({ patient: 'alice', actor: INSURER })).find((each) => each.includes('Observation/pulse')) ?? '';
    const asked = { patient: 'Patient/alice', event: fieldOf(card, 'event') };
    const page = await sealed(() => auditor.send('/console/proof', asked));
    expect(page.text).toMatch(/entry \d+ of \d+ under the signed checkpoint/);
    const file = await sealed(() => auditor.send('/console/proof/file', asked));
    expect(file.headers.get('content-disposition')).toBe('attachment; filename="proof.json"');
    expect(verifyReceipt(file.text)).toMatchObject({ kind: 'proven' });
    expect(file.text).toContain('Observation/pulse');
  });

  it('of another patient, or of nothing, is none: the same answer', async () => {
    const card = cards(await trail({ patient: 'bob' }))[0] ?? '';
    const event = fieldOf(card, 'event');
    const answers = [
      { patient: 'Patient/alice', event },
      { patient: 'Patient/alice', event: 'absent' },
      { patient: '', event },
    ];
    for (const asked of answers) expect((await auditor.send('/console/proof', asked)).status).toBe(404);
  });
});

describe('the trail as a file', () => {
  const save = (fields: Readonly<Record<string, string>>) => sealed(() => auditor.send('/console/trail/file', fields));
  const sign = (changed: Trail) => {
    const { format: _format, signature: _signature, ...trailed } = changed;
    const key = parseSignerKey(readFileSync(join(signerFolder(server.dataDir), 'key'), 'utf8').trim());
    if (!key) throw new Error('No key.');
    return writeTrail(trailed, async (text) => key.line(text));
  };
  const reason = (text: string) => {
    const verdict = verifyReceipt(text);
    return 'reason' in verdict ? verdict.reason : verdict.kind;
  };

  it('of a patient is signed and proven whole, by the command line too', async () => {
    const { text, headers } = await save({ patient: 'alice' });
    expect(headers.get('content-disposition')).toBe('attachment; filename="trail.json"');
    const verdict = verifyReceipt(text);
    expect(verdict.kind).toBe('proven');
    const { proven, notProven } = verdict as { readonly proven: readonly string[]; readonly notProven: readonly string[] };
    expect(proven.join('\n')).toMatch(/signed as a whole with the log’s key/);
    expect(proven.join('\n')).toContain('It reaches back to the first entry about them.');
    expect(notProven.join('\n')).toContain('Acts whose AuditEvent is not shown');
    for (const sentence of [...proven, ...notProven]) expect(inChinese(sentence), sentence).toBeDefined();
    const path = join(server.dataDir, 'trail.json');
    writeFileSync(path, text);
    expect(await verify([path, '--trust', (JSON.parse(text) as Trail).log])).toBe(0);
  });

  it('holds what was asked for, and not what was not', async () => {
    const { acts } = JSON.parse((await save({ patient: 'alice', actor: INSURER, purpose: 'TREAT' })).text) as Trail;
    expect(acts.length).toBeGreaterThan(50);
    expect(new Set(acts.map(({ actor, purpose }) => `${actor} ${purpose}`))).toEqual(new Set([`${INSURER} TREAT`]));
    const under = JSON.parse((await save({ consent: inForce.consent })).text) as Trail;
    expect(under.acts.length).toBeGreaterThan(0);
    expect(under.statements).toEqual([]);
  });

  it('without a patient is the server’s signed word, and says so', async () => {
    const verdict = verifyReceipt((await save({ actor: INSURER })).text);
    expect(verdict).toMatchObject({
      kind: 'proven',
      notProven: [expect.stringContaining('server’s word'), expect.stringContaining('That no act is missing')],
    });
  });

  it('is refuted when a character is changed, by anybody', async () => {
    const { text } = await save({ patient: 'alice' });
    expect(reason(text.replace('"purpose":"TREAT"', '"purpose":"HMARKT"'))).toBe('The log’s key did not sign this trail.');
    expect(reason(text.replace('"statements":[', '"statements":["",'))).toBe('The log’s key did not sign this trail.');
  });

  it('is refuted when the server itself leaves an act out, or tells it otherwise', async () => {
    const told = JSON.parse((await save({ patient: 'alice' })).text) as Trail;
    const [first, ...rest] = told.acts;
    if (!first) throw new Error('No act.');
    expect(reason(await sign(told))).toBe('proven');
    expect(reason(await sign({ ...told, acts: rest }))).toMatch(/was left out/);
    expect(reason(await sign({ ...told, acts: [{ ...first, actor: 'Organization/nobody' }, ...rest] }))).toMatch(/not told as it was recorded/);
    expect(reason(await sign({ ...told, acts: [first, ...told.acts] }))).toMatch(/tells an act twice/);
    expect(reason(await sign({ ...told, acts: [{ ...first, event: 'AuditEvent/made-up' }, ...rest] }))).toMatch(/in none of its statements/);
    expect(reason(await sign({ ...told, asked: { ...told.asked, patient: 'Patient/bob' } }))).toMatch(/not asked for/);
    expect(reason(await sign({ ...told, acts: [], asked: { ...told.asked, patient: 'Patient/bob' } }))).toMatch(/somebody else/);
  });
});

describe('nothing clinical', () => {
  it('is on any page of any duty, nor in any file', async () => {
    expect(secretsIn(Buffer.from('Zebrafever and more').toString('base64'))).toEqual(['Zebrafever']);
    const criteria = [{ patient: 'alice' }, { actor: INSURER }, { actor: DOCTOR }, { purpose: 'TREAT' }, { consent: inForce.consent }];
    for (const fields of criteria) {
      expect(secretsIn((await trail(fields)).text), JSON.stringify(fields)).toEqual([]);
      expect(secretsIn((await sealed(() => auditor.send('/console/trail/file', fields))).text), JSON.stringify(fields)).toEqual([]);
    }
    for (const card of cards(await trail({ patient: 'alice' })).filter((each) => each.includes('/console/proof'))) {
      const asked = { patient: 'Patient/alice', event: fieldOf(card, 'event') };
      for (const path of ['/console/proof', '/console/proof/file'])
        expect(secretsIn((await sealed(() => auditor.send(path, asked))).text)).toEqual([]);
    }
    for (const role of roles) {
      const reader = await consoleAs(origin, (await account(role)).client);
      for (const endpoint of Object.keys(duties) as Endpoint[])
        if (endpoint.startsWith('GET ') && !endpoint.startsWith('GET /admin/'))
          expect(secretsIn((await reader.get(endpoint.slice('GET '.length))).text), `${role}: ${endpoint}`).toEqual([]);
    }
  });
});
