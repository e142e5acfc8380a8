/**
 * Everything the CapabilityStatement claims works, and nothing works that it does not claim: each claimed interaction, promise, operation,
 * search parameter, format and compartment is exercised over HTTP. A claim without an exercise fails; so does an exercise that works
 * unclaimed.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Key, partOf, prepare } from '../../server/commands/demo/session.ts';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { approve, askFor, refuse, type Task, toldOf } from '../support/consent-requests.ts';
import { agree, HOSPITAL, organization, patient, put, register, type RealServer, termsOf, withdrawNow } from '../support/real-server.ts';
import { createServedApp, type ServedApp } from '../support/served-app.ts';
import { type Claim, claimsOf, type Statement, textOf } from './walk/claims.ts';
import { compartmentExercise, type Exercise, promises, systemInteractions, typeInteractions, wholes } from './walk/interactions.ts';
import { type Ceremony, ceremonyOperations, systemOperations, typeOperations } from './walk/operations.ts';
import { definedExercise, definedFor, includeExercise, searchExercise, unlisted } from './walk/searches.ts';
import { createWalkers, type Walker } from './walk/walker.ts';

const INSURER = 'Organization/insurer';
const COMPARTMENT = 'http://hl7.org/fhir/CompartmentDefinition/';
const COMPARTMENTS = ['patient', 'encounter', 'relatedPerson', 'practitioner', 'device'];

let app: ServedApp;
let statement: Statement;
let walkers: ReadonlyMap<string, Walker>;
let byType: ReadonlyMap<string, readonly Claim[]>;
let signed: ReturnType<typeof ceremonyOperations>;

beforeAll(async () => {
  app = await createServedApp({ ASSENT_MAX_BODY_BYTES: '10000000', ASSENT_BREAK_GLASS_ACTORS: 'Practitioner/er' });
  statement = (await (await fetch(`${app.base}/metadata`)).json()) as Statement;
  byType = Map.groupBy(claimsOf(statement), ({ of }) => of);
  walkers = createWalkers(app);
  signed = ceremonyOperations(await ceremonyOn(app.server));
});
afterAll(() => app.stop());

async function ceremonyOn(server: RealServer): Promise<Ceremony> {
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['walked', 'signer']) await put(server, patient(id));
  const keys: [Key, Key] = [await enrolKey(server.admin, 'Patient/signer'), await enrolKey(server.admin, HOSPITAL)];
  const { session } = await register(server, { actor: INSURER });
  const terms = () => termsOf(server, { patient: 'Patient/signer', grantee: INSURER });
  return {
    prepare: async () => partOf(await prepare(server.admin, terms()), 'statement'),
    sign: () => agree(server, terms(), keys),
    async ask(answer) {
      const { json, status } = await askFor(session, terms(), new Date(server.now() + 3_600_000).toISOString());
      expect(status).toBe(202);
      const asked = await toldOf(json as Task, server.admin);
      if (answer === 'approve') expect((await approve(server.admin, asked, keys)).status).toBe(201);
      if (answer === 'refuse') expect((await refuse(server.admin, asked, { key: keys[0], now: server.now() })).status).toBe(200);
      return { ...asked, status: async () => ((await session.call('GET', `Task/${asked.own.id}`)).json as Task).status };
    },
    withdraw: async (consent) => expect((await withdrawNow(server, consent, keys[0])).status).toBe(200),
    async receiptOfDisclosure() {
      await agree(server, terms(), keys);
      const { headers } = await session.call('GET', 'Patient/signer');
      return headers.get('assent-receipt') ?? '';
    },
  };
}

/** Undefined: nothing is known to exercise it with. */
function exerciseOf({ of, group, name, detail }: Claim): Exercise | undefined {
  if (group === 'interaction') return (of === '' ? systemInteractions : typeInteractions)[name];
  if (group === 'operation') return operationOf(of, name);
  if (of === '') {
    if (group === 'compartment' && name.startsWith(COMPARTMENT)) return (walker) => compartmentExercise(walker, name.slice(COMPARTMENT.length));
    return wholes[name === '' ? group : `${group} ${name}`];
  }
  if (group === 'searchParam') return (walker) => searchExercise(walker, name, detail);
  if (group === 'searchInclude' || group === 'searchRevInclude') return (walker) => includeExercise(walker, group, name);
  if (group === 'supportedProfile') return (walker) => profileExercise(walker, name);
  return promises[`${group} ${name}`];
}

function operationOf(of: string, name: string): Exercise | undefined {
  return of === '' ? systemOperations[name] : (signed[`${of} ${name}`] ?? typeOperations[name]);
}

/** A profile that is not on board is named in a warning. */
async function profileExercise(walker: Walker, profile: string): Promise<void> {
  const { json } = await walker.ask('POST', `${walker.type}/$validate?profile=${encodeURIComponent(profile)}`, 200, { body: walker.sample });
  if (JSON.stringify(json).includes('not on board')) throw new Error(`${profile} is not on board`);
}

/** What could be claimed of it. */
function possible(of: string): Claim[] {
  const claim = (group: string, name: string, detail = ''): Claim => ({ of, group, name, detail });
  const named = (group: string, table: object) => Object.keys(table).map((name) => claim(group, name));
  const said = (table: object) => Object.keys(table).map((text) => claim(...(text.split(' ') as [string, string])));
  if (of === '')
    return [
      ...named('interaction', systemInteractions),
      ...named('operation', systemOperations),
      ...COMPARTMENTS.map((name) => claim('compartment', COMPARTMENT + name)),
      ...said(wholes).filter(({ group }) => group.toLowerCase().endsWith('format')),
    ];
  return [
    ...named('interaction', typeInteractions),
    ...named('operation', typeOperations),
    ...said(promises),
    ...[...definedFor(of).values()].map(({ code, type }) => claim('searchParam', code, type)),
    ...unlisted.map((name) => claim('searchParam', name, 'special')),
  ];
}

async function walk(of: string): Promise<string[]> {
  const walker = walkers.get(of) as Walker;
  const claims = byType.get(of) ?? [];
  const problems: string[] = [];
  for (const claim of claims) {
    const exercise = exerciseOf(claim);
    const problem = exercise ? await exercise(walker).then(() => undefined, String) : 'nothing exercises it';
    if (problem !== undefined) problems.push(`claimed: ${textOf(claim)}: ${problem}`);
  }
  for (const claim of possible(of)) {
    if (claims.some(({ group, name }) => group === claim.group && name === claim.name)) continue;
    const exercise = claim.group === 'searchParam' ? (w: Walker) => definedExercise(w, claim.name) : exerciseOf(claim);
    if (
      await exercise?.(walker).then(
        () => true,
        () => false,
      )
    )
      problems.push(`works unclaimed: ${textOf(claim)}`);
  }
  return problems;
}

describe('the CapabilityStatement', () => {
  it('is valid by the server it is of', async () => {
    const { json } = await (walkers.get('') as Walker).ask('POST', 'CapabilityStatement/$validate', 200, { body: statement });
    expect(json.issue.filter(({ severity }: { severity: string }) => severity === 'error' || severity === 'fatal')).toEqual([]);
  });

  it('claims every type of R4, each once', () => {
    const types = (statement['rest'] as { resource: { type: string }[] }[]).flatMap(({ resource }) => resource.map(({ type }) => type));
    expect(types).toEqual(resourceTypes);
    expect([...byType.keys()].sort()).toEqual(['', ...resourceTypes].sort());
  });

  it('says of the system what it does', async () => expect(await walk('')).toEqual([]));
});

describe.concurrent('the CapabilityStatement says what works with', () => {
  // All types at once, and the databases of some engines take their time with each write.
  it.each(resourceTypes)('%s', async (type) => expect(await walk(type)).toEqual([]), 600_000);
});

describe('the walk itself', () => {
  const broken = (claim: Partial<Claim>): Claim => ({ of: 'Patient', group: 'interaction', name: '', detail: '', ...claim });

  it('knows no exercise for what is not R4', () => {
    for (const claim of [
      broken({ name: 'telepathy' }),
      broken({ group: 'operation', name: 'guess' }),
      broken({ group: 'versioning', name: 'perhaps' }),
    ])
      expect(exerciseOf(claim)).toBeUndefined();
  });

  it.each([
    broken({ group: 'searchParam', name: 'no-such-parameter', detail: 'token' }),
    broken({ group: 'searchParam', name: 'birthdate', detail: 'number' }),
    broken({ group: 'operation', name: 'document' }),
    broken({ group: 'supportedProfile', name: 'http://example.org/no-such-profile' }),
  ])('notices a false claim: $group $name $detail', async (claim) => {
    await expect(exerciseOf(claim)?.(walkers.get('Patient') as Walker)).rejects.toThrow(Error);
  });
});
