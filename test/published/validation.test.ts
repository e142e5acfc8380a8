/**
 * No false alarm: published examples and synthetic patients are acceptable (hl7.fhir.r4.examples 4.0.1,
 * Synthea bundles, US Core packages).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { primitiveChecks } from '../../server/validation/primitives.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { published } from '../support/published.ts';

const { check } = createCheck();

type Named = { readonly name: string; readonly value: ResourceValue };

/** Where each resource that is refused breaks which rule. */
function refused(resources: readonly Named[]): string[] {
  return resources.flatMap(({ name, value }) => {
    const errors = check({ value, text: '' }).filter(({ severity = 'error' }) => severity === 'error');
    return errors.length === 0 ? [] : [`${name}: ${errors[0]?.expression?.[0]} ${errors[0]?.diagnostics}`];
  });
}

function filesIn(name: string): Named[] {
  const files = readdirSync(published(name)).filter((file) => file.endsWith('.json'));
  return files.flatMap((file) => resource(file, readFileSync(published(name, file), 'utf8')));
}

function resource(name: string, text: string): Named[] {
  const value = JSON.parse(text) as Partial<ResourceValue>;
  return typeof value.resourceType === 'string' ? [{ name, value: value as ResourceValue }] : [];
}

/** Every bundle, and every resource in it. */
function withEntries(bundles: readonly Named[]): Named[] {
  return bundles.flatMap(({ name, value }) => {
    const entries = (value['entry'] ?? []) as { readonly resource?: ResourceValue }[];
    return [{ name, value }, ...entries.flatMap((entry, i) => (entry.resource ? [{ name: `${name} entry ${i}`, value: entry.resource }] : []))];
  });
}

/** JSON files of a package, which is a gzipped tar: blocks of 512 bytes, a header with name and size before each file. */
function packaged(file: string, under: RegExp): Named[] {
  const tar = gunzipSync(readFileSync(published('us-core', file)));
  const found: Named[] = [];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const name = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8);
    if (under.test(name)) found.push(...resource(name, tar.toString('utf8', at + 512, at + 512 + size)));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return found;
}

describe('published data', () => {
  test('values of every primitive type that others hold to be valid are so', () => {
    const files = readdirSync(published('primitives')).filter((file) => file.endsWith('.valid.ndjson') && !/^(xhtml|reference)/.test(file));
    expect(files.length).toBeGreaterThan(15);
    for (const file of files) {
      const type = file.replace('.valid.ndjson', '').replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase());
      const lines = readFileSync(published('primitives', file), 'utf8').split('\n');
      // The line null stands for a value that is not there.
      for (const line of lines.filter((text) => text !== '' && text !== 'null'))
        expect(primitiveChecks.get(type)?.(JSON.parse(line)), `${type} ${line}`).toBeUndefined();
    }
  });

  test('the official examples of R4 are acceptable, but for one that lacks required elements', () => {
    const examples = filesIn('r4-examples');
    expect(examples.length).toBe(726);
    expect(refused(examples).map((text) => text.replace(/:.*$/s, ''))).toEqual(['Questionnaire-qs1.json']);
  });

  test.each([
    ['synthea-2019', 13_000],
    ['synthea-2.7-form', 500],
    ['us-core-patient85', 200],
  ])('%s is acceptable', (name, least) => {
    const resources = withEntries(filesIn(name));
    expect(resources.length).toBeGreaterThan(least);
    expect(refused(resources)).toEqual([]);
  });

  test.each(['us_core_610.tgz', 'us_core_700.tgz'])('the examples of %s are acceptable', (file) => {
    const examples = withEntries(packaged(file, /^package\/example\/(?!\.index)[^/]+\.json$/));
    expect(examples.length).toBeGreaterThan(100);
    expect(refused(examples)).toEqual([]);
  });
});
