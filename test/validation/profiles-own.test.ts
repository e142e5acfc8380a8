/**
 * fhir-profiles/: every definition is valid R4, every profile has an example that passes and breaks where it should, what the running server
 * writes meets its profile, and operations are defined if and only if they are in the table of routes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enrolKey, type Json } from '../../server/commands/demo/session.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { routes } from '../../server/http/routes.ts';
import { loadPackages } from '../../server/validation/packages/package.ts';
import { type Check, createCheck } from '../../server/validation/validate.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const folder = new URL('../../fhir-profiles/', import.meta.url);
type Loose = Json & ResourceValue;
const filesIn = (path: string) =>
  readdirSync(new URL(path, folder))
    .filter((name) => name.endsWith('.json') && name !== 'package.json')
    .map((name) => [name, JSON.parse(readFileSync(new URL(path + name, folder), 'utf8')) as Loose] as const);
const definitions = filesIn('./');
const examples = filesIn('./examples/');
const structures = definitions.map(([, value]) => value).filter(({ resourceType }) => resourceType === 'StructureDefinition');
const operations = definitions.map(([, value]) => value).filter(({ resourceType }) => resourceType === 'OperationDefinition');

let check: Check['check'];
beforeAll(async () => {
  ({ check } = createCheck({ packages: await loadPackages([folder.pathname]), unknownProfiles: 'refuse' }));
});

const errorsOf = (value: unknown, profiles: readonly string[] = []) =>
  check({ value: value as ResourceValue, text: '' }, profiles)
    .filter(({ severity }) => severity === undefined)
    .map(({ expression = [], diagnostics }) => `${expression[0]}: ${diagnostics}`);
const profile = (name: string) => `urn:assent:profile:${name}`;

describe('the definitions', () => {
  test('are there', () => expect([structures.length > 5, operations.length > 8, examples.length > 6]).toEqual([true, true, true]));

  test.each(definitions)('%s is valid R4 and named by its file', (name, value) => {
    expect(errorsOf(value)).toEqual([]);
    expect(name).toBe(`${value.resourceType}-${value.id}.json`);
  });

  test('have addresses of their own, under one root', () => {
    const urls = definitions.map(([, value]) => String(value['url']));
    expect(new Set(urls).size).toBe(urls.length);
    for (const url of urls)
      expect(url).toMatch(
        /^urn:assent:(profile:[a-z-]+|search:[A-Z][A-Za-z]+-[a-z-]+|operation:[A-Z][A-Za-z]+-[a-z-]+|sensitive:[a-z-]+|capabilities:server|receipt)$/,
      );
  });
});

describe('the examples', () => {
  test.each(examples)('%s passes the profiles it claims', (_name, value) => expect(errorsOf(value)).toEqual([]));

  test('show every profile', () => {
    const claimed = new Set(examples.flatMap(([, value]) => ((value['meta'] as Json | undefined)?.['profile'] as string[] | undefined) ?? []));
    const profiles = structures.filter(({ kind }) => kind === 'resource').map(({ url }) => url);
    expect(profiles.filter((url) => !claimed.has(String(url)))).toEqual([]);
  });

  // oxlint-disable-next-line typescript/no-explicit-any -- examples are broken in many places
  const mutants: [string, string, (value: any) => void, string][] = [
    ['without text', 'Consent-signed-consent', (v) => delete v.text, 'Consent.text: '],
    ['without a custodian', 'Consent-signed-consent', (v) => delete v.organization, 'Consent.organization: '],
    ['of another reading', 'Consent-signed-consent', (v) => (v.policy[0].uri = 'urn:other'), 'Consent.policy[0].uri: '],
    ['for research', 'Consent-signed-consent', (v) => (v.scope.coding[0].code = 'research'), 'Consent.scope: '],
    ['with a modifier', 'Consent-signed-consent', (v) => (v.modifierExtension = [{ url: 'urn:x', valueCode: 'y' }]), 'Consent.modifierExtension: '],
    [
      'with an actor of another role',
      'Consent-signed-consent',
      (v) => (v.provision.actor[0].role = { text: 'x' }),
      'Consent.provision.actor[0]: Constraint ac-1',
    ],
    [
      'with a purpose of another system',
      'Consent-signed-consent',
      (v) => (v.provision.purpose[0].system = 'urn:x'),
      'Consent.provision.purpose[0].system: ',
    ],
    [
      'with an extension in an exception',
      'Consent-signed-consent',
      (v) => (v.provision.provision[0].extension = [{ url: 'urn:x', valueCode: 'y' }]),
      'Consent.provision.provision[0].extension: ',
    ],
    [
      'with a label without system',
      'Consent-signed-consent',
      (v) => delete v.provision.provision[0].securityLabel[0].system,
      'Consent.provision.provision[0].securityLabel[0].system: ',
    ],
    ['of no version', 'Provenance-consent-signatures', (v) => (v.target[0].reference = 'Consent/1'), 'Provenance.target[0]: Constraint acs-1'],
    ['of something else', 'Provenance-consent-signatures', (v) => (v.target[0].reference = 'Patient/1/_history/1'), 'Provenance.target[0]: '],
    ['unsigned', 'Provenance-consent-signatures', (v) => delete v.signature, 'Provenance.signature: '],
    [
      'not signed by the patient',
      'Provenance-consent-signatures',
      (v) => v.signature.shift(),
      'Provenance.signature: The profile requires the slice patient here',
    ],
    [
      'signed for another purpose',
      'Provenance-consent-signatures',
      (v) => (v.signature[1].type[0].code = '1.2.840.10065.1.12.1.9'),
      'Provenance.signature[1]: ',
    ],
    ['signed as XML', 'Provenance-consent-signatures', (v) => (v.signature[0].sigFormat = 'application/xml'), 'Provenance.signature[0].sigFormat: '],
    ['without the patient', 'AuditEvent-disclosure', (v) => v.entity.shift(), 'AuditEvent.entity: The profile requires the slice patient here'],
    ['of nothing', 'AuditEvent-disclosure', (v) => v.entity.splice(1, 1), 'AuditEvent.entity: The profile requires the slice disclosed here'],
    [
      'of two patients',
      'AuditEvent-disclosure',
      (v) => v.entity.push(v.entity[0]),
      'AuditEvent.entity: The profile allows at most 1 of the slice patient here',
    ],
    ['with an entity of another role', 'AuditEvent-disclosure', (v) => (v.entity[3].role.code = '7'), 'AuditEvent.entity[3]: '],
    ['that was refused', 'AuditEvent-disclosure', (v) => (v.outcome = '4'), 'AuditEvent.outcome: '],
    ['that wrote', 'AuditEvent-disclosure', (v) => (v.action = 'U'), 'AuditEvent.action: Constraint ad-1'],
    ['for no purpose', 'AuditEvent-disclosure', (v) => delete v.purposeOfEvent, 'AuditEvent.purposeOfEvent: '],
    ['by no client', 'AuditEvent-refusal', (v) => delete v.agent[0].altId, 'AuditEvent.agent[0].altId: '],
    ['without a deadline', 'Task-consent-request', (v) => delete v.restriction, 'Task.restriction: '],
  ];

  test.each(mutants)('are refused at the place that is broken: %s, %s', (_what, name, mutate, words) => {
    const value = structuredClone(new Map(examples).get(`${name}.json`)) as Loose;
    mutate(value);
    const errors = errorsOf(value);
    expect(
      errors.some((error) => error.startsWith(words)),
      errors.join('\n') || 'accepted',
    ).toBe(true);
  });

  test('show the receipt of a batch, which is an address', () => {
    const [[, bundle] = []] = examples.filter(([name]) => name === 'Bundle-receipt.json');
    const [{ response }] = (bundle as Loose)['entry'] as [{ response: { extension: [Json] } }];
    const inBundle = (extension: Json) => errorsOf({ resourceType: 'Basic', code: { text: 'x' }, extension: [extension] }, []);
    expect(inBundle(response.extension[0])).toEqual([]);
    expect(response.extension[0]['url']).toBe('urn:assent:receipt');
  });
});

describe('what the running server writes', () => {
  let server: RealServer;
  let signed: Loose;
  let events: readonly Loose[];
  let provenances: readonly Loose[];
  const resources = ({ json }: { readonly json: Json }) => ((json['entry'] ?? []) as { resource: Loose }[]).map(({ resource }) => resource);

  beforeAll(async () => {
    server = await startRealServer();
    const custodian = await enrolKey(server.admin, HOSPITAL);
    for (const reference of [HOSPITAL, 'Organization/insurer']) await put(server, organization(reference));
    await put(server, patient('p1'));
    await put(server, observation('o1', 'Patient/p1'));
    const key = await enrolKey(server.admin, 'Patient/p1');
    const { session } = await register(server, { actor: 'Organization/insurer' });
    const inForce = await agree(server, termsOf(server, { patient: 'Patient/p1', grantee: 'Organization/insurer' }), [key, custodian]);
    signed = inForce.body as Loose;
    await session.call('GET', 'Observation?subject=Patient/p1');
    await session.call('GET', 'Observation/o1');
    await session.call('GET', 'Observation/o1/_history');
    await session.call('GET', 'Observation/nothing');
    await settled(server.admin, `${inForce.consent}/$receipt`);
    await withdrawNow(server, inForce, key);
    provenances = resources(await server.admin.call('GET', 'Provenance?_count=100'));
    events = resources(await server.admin.call('GET', 'AuditEvent?_count=100'));
  });
  afterAll(() => server.stop());

  test('a signed Consent', () => {
    expect(errorsOf(signed, [profile('signed-consent')])).toEqual([]);
  });

  test('the Provenance of its signatures', () => {
    expect(provenances.length).toBeGreaterThan(0);
    for (const provenance of provenances) expect(errorsOf(provenance, [profile('consent-signatures')])).toEqual([]);
  });

  test('AuditEvents of reads, writes and refusals; those that name what a patient’s record disclosed are disclosures', () => {
    for (const event of events) expect(errorsOf(event, [profile('recorded-act')])).toEqual([]);
    expect(new Set(events.map(({ outcome }) => outcome))).toEqual(new Set(['0', '4']));
    const disclosures = events.filter((event) => errorsOf(event, [profile('disclosure')]).length === 0);
    const kinds = disclosures.map(({ subtype }) => (subtype as [Json])[0]['code']);
    expect(kinds).toEqual(expect.arrayContaining(['read', 'search-type', 'history-instance']));
    expect(disclosures.length).toBeLessThan(events.length);
  });

  test('its own judgement is the same: the profiles are on board', async () => {
    const answer = await server.admin.call('POST', `Consent/$validate?profile=${profile('signed-consent')}`, signed);
    expect([answer.status, JSON.stringify(answer.json)]).toEqual([200, expect.not.stringContaining('"error"')]);
    const broken = await server.admin.call('POST', `Consent/$validate?profile=${profile('signed-consent')}`, {
      ...signed,
      policy: [{ uri: 'urn:x' }],
    });
    expect(JSON.stringify(broken.json)).toContain('Consent.policy[0].uri');
  });

  test('what it says of its operations are the definitions here', async () => {
    const { json } = await server.admin.call('GET', 'metadata');
    const [{ resource, operation }] = json['rest'] as [{ resource: { operation?: Json[] }[]; operation?: Json[] }];
    const named = new Set([...resource.flatMap((one) => one.operation ?? []), ...(operation ?? [])].map(({ definition }) => definition));
    expect(named).toEqual(new Set(operations.map(({ url }) => url)));
  });
});

/** `meta type Patient` for each operation, level and type. */
function offered(): string[] {
  const rows = routes.filter(({ interaction }) => interaction.startsWith('$'));
  return rows.map(({ interaction, path }) => {
    const [first = ''] = path.slice(1).split('/');
    const level = first.startsWith('$') ? 'system' : path.includes('/:id/') ? 'instance' : 'type';
    return `${interaction.slice(1)} ${level} ${level === 'system' || first === ':type' ? 'Resource' : first}`;
  });
}

function defined(): string[] {
  return operations.flatMap((operation) =>
    (['system', 'type', 'instance'] as const)
      .filter((level) => operation[level] === true)
      .flatMap((level) =>
        (operation['resource'] as string[]).map((type) => `${String(operation['code'])} ${level} ${level === 'system' ? 'Resource' : type}`),
      ),
  );
}

describe('operations', () => {
  test('of the table of routes have a definition, and definitions a route', () => {
    expect(offered().length).toBeGreaterThan(8);
    expect([...new Set(defined())].sort()).toEqual([...new Set(offered())].sort());
  });

  test.each(operations)('$id: by its address and its parameters', (operation) => {
    expect(operation['url']).toBe(`urn:assent:operation:${operation.id}`);
    expect(operation.id).toMatch(new RegExp(`^[A-Z][A-Za-z]+-${String(operation['code'])}$`));
    const parameters = operation['parameter'] as { name: string; use: string; documentation: string }[];
    expect(parameters.some(({ use }) => use === 'out')).toBe(true);
    for (const { documentation } of parameters) expect(documentation).toMatch(/\.$/);
  });
});
