/** One server of a world: what it is told before anything is asked. */
import { jws, type Key, withdrawalOf } from '../../server/commands/demo/session.ts';
import { type FreshKey, freshKey, keyStatement } from '../support/key-ceremony.ts';
import type { Signing } from '../support/reference-authority.ts';
import type { Json } from '../support/reference-consent.ts';
import { RELATIVE } from './circumstances.ts';
import { PATIENTS } from './content.ts';
import { type Agreed, askedAt, grantedBy, type Planned, SIGNED, START } from './plan.ts';
import { type Answered, keyOf, type Owned, type plannedIds, PUBLIC, type TwinServer } from './server.ts';
import type { Planned as PlannedConsent, Step, World } from './world.ts';

let keys: ReadonlyMap<string, Owned> | undefined;
const HOSPITAL = 'Organization/hospital';
const FIRST = `Patient/${PATIENTS[0]}`;
const owners = [HOSPITAL, ...PATIENTS.map((id) => `Patient/${id}`)];
const keyring = (): ReadonlyMap<string, Owned> => (keys ??= new Map([...owners, RELATIVE].map((owner) => [owner, keyOf(owner)])));
/** Of each owner, those that somebody else had, in turn: the same on both servers, and each is registered once. */
const spares = new Map<string, FreshKey>();
function spareOf(owner: string, turn: number): FreshKey {
  const name = `${owner} ${turn}`;
  const spare = spares.get(name) ?? freshKey(owner);
  spares.set(name, spare);
  return spare;
}

export type Side = {
  readonly server: TwinServer;
  readonly token: string;
  readonly agreed: Agreed;
  /** ids and versions as stored, by `Type/id`. */
  readonly stored: ReadonlyMap<string, readonly string[]>;
  readonly consentIds: ReadonlyMap<string, string>;
};
export type Tools = { readonly ids: ReturnType<typeof plannedIds>; readonly clock: { readonly now: () => number; set(to: number): void } };

export function settingsOf({ implicit, breakGlass, caller }: World): Readonly<Record<string, string>> {
  return {
    ASSENT_IMPLICIT_POLICY: implicit.kind,
    ...(implicit.labels ? { ASSENT_IMPLICIT_EXCEPT: implicit.labels.join(',') } : {}),
    ...(breakGlass
      ? {
          ASSENT_BREAK_GLASS_ACTORS: caller.actor,
          ASSENT_BREAK_GLASS_EXCEPT: breakGlass.except.join(','),
          // Longer than a world is asked.
          ASSENT_BREAK_GLASS_MINUTES: '60',
        }
      : {}),
  };
}

type Opening = Tools & { readonly steps: readonly Planned[]; readonly late: readonly Planned[] };

/** `late`: of the steps, those that come after everything is signed. */
export async function open(server: TwinServer, world: World, { ids, clock, steps, late }: Opening): Promise<Side> {
  const stored = new Map<string, string[]>();
  const load = async (some: readonly Planned[]): Promise<void> => {
    for (const planned of some) {
      ids.at(planned.number);
      clock.set(planned.at);
      await put(server, planned.step, stored);
    }
  };
  clock.set(START);
  await load(steps.filter((step) => !late.includes(step)));
  clock.set(SIGNED);
  const { authority } = world;
  const enrolled = new Map<string, Key>();
  for (const [owner, key] of keyring()) if (owner !== RELATIVE || authority) enrolled.set(owner, await server.enrol(key));
  if (authority && authority.basis !== 'executor')
    await authorize({ server, ids }, world, enrolled.get(authority.basis === 'patient' ? FIRST : HOSPITAL) as Key);
  const signed = await sign(server, world, { enrolled, ids });
  await load(steps.filter((step) => late.includes(step)));
  clock.set(askedAt(world));
  if (authority?.basis === 'executor') await authorize({ server, ids }, world, enrolled.get(HOSPITAL) as Key);
  if (world.integrity) {
    await server.restart({ ASSENT_REFERENTIAL_INTEGRITY: 'on' });
    await finished(server, server.admin, await server.ask(server.admin, { method: 'POST', path: '$reindex', body: { resourceType: 'Parameters' } }));
  }
  const token = await server.tokenOf({ id: 'reader', ...world.caller });
  ids.at(90_000);
  return { server, token: world.breakGlass ? await glassBroken(server, token, world.breakGlass.patient) : token, stored, ...signed };
}

async function glassBroken(server: TwinServer, token: string, patient: string): Promise<string> {
  const body = { resourceType: 'Parameters', parameter: [{ name: 'reason', valueString: 'unconscious after an accident' }] };
  const { status, text } = await server.ask(token, { method: 'POST', path: `Patient/${patient}/$break-glass`, body });
  if (status !== 200) throw new Error(`$break-glass: ${text}`);
  return (JSON.parse(text) as Json)['parameter'].find(({ name }: Json) => name === 'token').valueString as string;
}

export async function put(server: TwinServer, { type, id, content }: Step, stored: Map<string, string[]>): Promise<void> {
  const path = `${type}/${id}`;
  const done = await server.ask(server.admin, content === 'deleted' ? { method: 'DELETE', path } : { method: 'PUT', path, body: { ...content, id } });
  if (done.status >= 300) throw new Error(`${path}: ${done.text}`);
  const [, version = ''] = /"(.*)"/.exec(new Map(done.headers).get('etag') ?? '') ?? [];
  stored.set(path, [...(stored.get(path) ?? []), version]);
}

type Stated = { readonly operation: string; readonly kind: string; readonly said: Json; readonly now: number };

/** A statement about keys and whoever holds them, signed by each of the keys. */
async function state(server: TwinServer, { operation, kind, said, now }: Stated, signers: readonly Key[]): Promise<Json> {
  const statement = keyStatement({ bootstrap: { fhirBaseUrl: `${PUBLIC}/fhir` }, now: () => now }, kind, said);
  const signatures = signers.map((key) => ({ name: 'signature', valueString: jws(key, statement, true) }));
  const body = { resourceType: 'Parameters', parameter: [{ name: 'statement', valueString: statement }, ...signatures] };
  const { status, text } = await server.ask(server.admin, { method: 'POST', path: operation, body });
  if (status >= 300) throw new Error(`${operation}: ${text}`);
  return JSON.parse(text) as Json;
}

async function secondKey(server: TwinServer, present: Key, turn: number): Promise<Key> {
  const next = spareOf(present.owner, turn);
  const said = { owner: present.owner, jwk: next.jwk, retires: false };
  await state(server, { operation: '$rotate-key', kind: 'key-rotation', said, now: SIGNED }, [present, next]);
  return next;
}

/** To the relative, by the key on whose word it is. */
async function authorize({ server, ids }: Pick<Tools, 'ids'> & { readonly server: TwinServer }, world: World, key: Key): Promise<void> {
  const { authority } = world;
  if (!authority) return;
  // The notice of it has an id, and the patient sees it.
  ids.at(40_000);
  const { basis, acts, purposes, from, until, ended } = grantedBy(authority, world);
  const now = basis === 'executor' ? askedAt(world) : SIGNED;
  const say = (operation: string, kind: string, said: Json) => state(server, { operation, kind, said, now }, [key]);
  const span = { from: new Date(from).toISOString(), until: new Date(until).toISOString() };
  const terms = { patient: FIRST, delegate: RELATIVE, basis, acts, ...span, ...(purposes ? { purposes } : {}) };
  const granted = await say('$grant-authority', 'authority', terms);
  const id = granted['parameter'].find(({ name }: Json) => name === 'authority').valueString;
  if (ended) await say('$end-authority', 'authority-end', { authority: id, reason: 'moved away' });
}

type Keys = { readonly enrolled: ReadonlyMap<string, Key>; readonly ids: Tools['ids'] };
type Asking = (path: string, ...parameter: readonly object[]) => Promise<Json>;

async function sign(server: TwinServer, world: World, { enrolled, ids }: Keys): Promise<Pick<Side, 'agreed' | 'consentIds'>> {
  const agreed: Signed = { consents: [], signings: new Map() };
  const consentIds = new Map<string, string>();
  const ask: Asking = async (path, ...parameter) => {
    const { status, text } = await server.ask(server.admin, { method: 'POST', path, body: { resourceType: 'Parameters', parameter } });
    return { ...(JSON.parse(text) as Json), answered: status };
  };
  for (const [i, planned] of world.consents.entries()) {
    const { patient, provision, fate, onBehalf } = planned;
    ids.at(50_000 + i);
    const own = `Patient/${patient}`;
    const stolen = fate === 'stolen' ? await secondKey(server, enrolled.get(own) as Key, i) : undefined;
    const by = stolen ?? (enrolled.get(onBehalf ? RELATIVE : own) as Key);
    const terms = termsFor(patient, provision);
    const custodian = enrolled.get(HOSPITAL) as Key;
    const statement = await prepared(ask, terms);
    // What is refused at the door is no Consent, on either server.
    if (!statement) continue;
    const signed = await ask('Consent/$sign', ...signedBy(statement.text, fate === 'unsigned' ? [by] : [by, custodian]));
    if (signed['answered'] >= 300) throw new Error(`$sign: ${JSON.stringify(signed)}`);
    const consent = `Consent/${String(signed['id'])}`;
    consentIds.set(`Consent/${patient}`, String(signed['id']));
    await meet(planned, { ask, server, stolen, consent, digest: statement.digest, patientsKey: enrolled.get(own) as Key, custodian, terms, agreed });
    if (onBehalf && world.authority && fate === 'in force') agreed.signings.set(terms, { by: 'relative', under: grantedBy(world.authority, world) });
  }
  return { agreed, consentIds };
}

/** What becomes of it once it is signed. */
async function meet({ patient, fate }: PlannedConsent, given: Fated): Promise<void> {
  const { ask, server, stolen, consent, digest, patientsKey, custodian, terms, agreed } = given;
  if (fate === 'withdrawn' || fate === 'suspended') {
    const key = fate === 'withdrawn' ? patientsKey : custodian;
    const ended = await ask(`${consent}/$withdraw`, { name: 'jws', valueString: jws(key, withdrawalOf({ consent, digest, now: SIGNED }), false) });
    if (ended['answered'] !== 200) throw new Error(`${fate}: ${JSON.stringify(ended)}`);
  }
  if (fate === 'superseded') {
    const instead = termsFor(patient, { type: 'deny' });
    const statement = await prepared(ask, instead, { name: 'supersedes', valueReference: { reference: consent } });
    const signed = statement && (await ask('Consent/$sign', ...signedBy(statement.text, [patientsKey, custodian])));
    if (!signed || signed['answered'] >= 300) throw new Error(JSON.stringify(signed));
    agreed.consents.push(instead);
  }
  if (fate === 'in force' || fate === 'stolen' || fate === 'suspended') agreed.consents.push(terms);
  if (fate === 'suspended') agreed.signings.set(terms, { by: 'suspended' });
  if (!stolen) return;
  agreed.signings.set(terms, { by: 'stolen key' });
  const body = { reason: 'stolen', compromisedSince: new Date(START).toISOString() };
  const revoked = await server.ask(server.admin, { method: 'POST', path: `/admin/keys/${stolen.kid}/revoke`, body });
  if (revoked.status >= 300) throw new Error(`stolen: ${revoked.text}`);
}

type Signed = { readonly consents: Json[]; readonly signings: Map<Json, Signing> };
type Fated = {
  readonly ask: Asking;
  readonly server: TwinServer;
  readonly stolen: Key | undefined;
  readonly consent: string;
  readonly digest: string;
  readonly patientsKey: Key;
  readonly custodian: Key;
  readonly terms: Json;
  readonly agreed: Signed;
};

async function prepared(
  ask: Asking,
  terms: Json,
  ...more: readonly object[]
): Promise<{ readonly text: string; readonly digest: string } | undefined> {
  const made = await ask('Consent/$prepare', { name: 'consent', resource: terms }, { name: 'language', valueCode: 'en' }, ...more);
  if (made['answered'] !== 200) return undefined;
  const part = (name: string) => String(made['parameter'].find((each: Json) => each['name'] === name).valueString);
  return { text: part('statement'), digest: part('digest') };
}

const signedBy = (statement: string, signers: readonly Key[]): readonly object[] => [
  { name: 'statement', valueString: statement },
  ...signers.map((key) => ({
    name: 'signature',
    part: [
      { name: 'who', valueReference: { reference: key.owner } },
      { name: 'jws', valueString: jws(key, statement, true) },
    ],
  })),
];

function termsFor(patient: string, provision: Json): Json {
  return {
    resourceType: 'Consent',
    status: 'active',
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
    patient: { reference: `Patient/${patient}` },
    dateTime: '2026-06-01T00:00:00Z',
    organization: [{ reference: 'Organization/hospital' }],
    policy: [{ uri: 'urn:assent:consent-semantics:1' }],
    provision,
  };
}

/** Of a job: its result. */
export async function finished(server: TwinServer, token: string, accepted: Answered): Promise<Answered> {
  const at = new Map(accepted.headers).get('content-location');
  if (accepted.status !== 202 || at === undefined) return accepted;
  for (let tries = 0; tries < 2000; tries++) {
    const answer = await server.ask(token, { method: 'GET', path: at });
    if (answer.status !== 202) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('A job does not end.');
}
