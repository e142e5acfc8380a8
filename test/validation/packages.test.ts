/** Packages come on board whole or stop the start with a sentence, and an archive can do no harm. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readArchive } from '../../server/validation/packages/archive.ts';
import { loadPackages } from '../../server/validation/packages/package.ts';
import { compareVersions } from '../../server/validation/packages/profiles.ts';
import { withPackages } from '../../server/validation/packages/terms.ts';
import { createValueSets } from '../../server/validation/value-sets.ts';
import { archiveOf, manifest, type PackedFile, profileOf, writePackage } from '../support/package.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'assent-packages-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const profile = profileOf('p', 'Patient', [{ id: 'Patient' }, { id: 'Patient.name', min: 1 }]);
const path = (name: string) => join(folder, name);
async function archive(name: string, files: readonly PackedFile[]): Promise<string> {
  writeFileSync(path(name), await archiveOf(files));
  return path(name);
}

describe('what is on board', () => {
  test('definitions of an archive, of a folder of archives and of an unpacked folder', async () => {
    const file = await writePackage(path('one.tgz'), [
      profile,
      { resourceType: 'ValueSet', url: 'urn:test:vs' },
      { resourceType: 'Patient', id: 'x' },
    ]);
    mkdirSync(path('several'));
    await writePackage(join(path('several'), 'b.tgz'), [{ resourceType: 'CodeSystem', url: 'urn:test:cs', content: 'complete' }], { name: 'b' });
    await writePackage(join(path('several'), 'a.tgz'), [{ resourceType: 'SearchParameter', url: 'urn:test:sp', code: 'x' }], { name: 'a' });
    mkdirSync(path('unpacked'));
    writeFileSync(join(path('unpacked'), 'package.json'), JSON.stringify({ name: 'u', version: '2' }));
    writeFileSync(join(path('unpacked'), 'profile.json'), JSON.stringify(profile));
    const packages = await loadPackages([file, path('several'), path('unpacked')]);
    const urls = packages.map(({ name, profiles, valueSets, codeSystems, searchParameters }) => [
      name,
      [...profiles, ...valueSets, ...codeSystems, ...searchParameters].map(({ url }) => url),
    ]);
    expect(urls).toEqual([
      ['test.package', ['urn:test:p', 'urn:test:vs']],
      ['a', ['urn:test:sp']],
      ['b', ['urn:test:cs']],
      ['u', ['urn:test:p']],
    ]);
  });

  test('nothing of examples, of other folders, of hidden files, of links', async () => {
    const file = await archive('others.tgz', [
      manifest(),
      { name: 'package/example/StructureDefinition-x.json', content: profile },
      { name: 'package/.index.json', content: profile },
      { name: 'other/StructureDefinition-x.json', content: profile },
      { name: 'package/link.json', content: '', type: 'symlink', linkname: '/etc/passwd' },
    ]);
    expect((await loadPackages([file]))[0]?.profiles).toEqual([]);
  });

  test('no path leads out of an archive: nothing is written', async () => {
    const before = readdirSync(folder);
    const names = ['../evil.json', 'package/../../evil.json', '/evil.json', 'package/..\\evil.json'];
    const file = await archive('paths.tgz', [manifest(), ...names.map((name) => ({ name, content: profile }))]);
    expect((await loadPackages([file]))[0]?.profiles).toEqual([]);
    expect(readdirSync(folder)).toEqual([...before, 'paths.tgz'].sort());
  });
});

describe('a sentence that names the package stops the start when', () => {
  const cases: [string, () => Promise<string> | string, RegExp][] = [
    ['there is none', () => path('missing.tgz'), /missing\.tgz cannot be used: there is no such file\.$/],
    [
      'it is no archive',
      () => (writeFileSync(path('text.tgz'), 'hello'), path('text.tgz')),
      /text\.tgz cannot be used: it is not compressed with gzip, or damaged\.$/,
    ],
    ['it is no tar', () => (writeFileSync(path('zip.tgz'), gzipSync('hello'.repeat(500))), path('zip.tgz')), /zip\.tgz cannot be used: .+\.$/],
    [
      'it is cut off',
      async () => (
        writeFileSync(path('cut.tgz'), (await archiveOf([manifest(), { name: 'package/x.json', content: profile }])).subarray(0, 300)),
        path('cut.tgz')
      ),
      /cut\.tgz cannot be used: it is not compressed with gzip, or damaged\.$/,
    ],
    [
      'it has no manifest',
      () => archive('none.tgz', [{ name: 'package/x.json', content: profile }]),
      /none\.tgz cannot be used: it has no package\.json\.$/,
    ],
    [
      'its manifest says nothing',
      () => archive('empty.tgz', [{ name: 'package/package.json', content: {} }]),
      /its package\.json says no name and version\.$/,
    ],
    ['it is for R5', () => archive('r5.tgz', [manifest({ fhirVersions: ['5.0.0'] })]), /it is for another release of FHIR than 4\.0\.1\.$/],
    [
      'a definition is not JSON',
      () => archive('broken.tgz', [manifest(), { name: 'package/x.json', content: '{"resourceType":"ValueSet",' }]),
      /its x\.json is not JSON\.$/,
    ],
    ['a definition has no url', () => writePackage(path('url.tgz'), [{ resourceType: 'ValueSet' }]), /its resource-0\.json has no url\.$/],
    [
      'a profile says nothing',
      () => writePackage(path('says.tgz'), [{ ...profile, differential: undefined }]),
      /has neither a snapshot nor a differential\.$/,
    ],
    [
      'a profile is written wrongly',
      () => writePackage(path('shape.tgz'), [{ ...profile, differential: { element: [{ id: 'Patient', type: 'Patient' }] } }]),
      /its resource-0\.json is not written as a StructureDefinition is\.$/,
    ],
    [
      'a profile without snapshot has no base',
      () => writePackage(path('base.tgz'), [{ ...profile, baseDefinition: 'urn:test:elsewhere' }]),
      /urn:test:p has no snapshot and stands on urn:test:elsewhere, which no package on board has\.$/,
    ],
    [
      'a folder holds none',
      () => (mkdirSync(path('bare')), path('bare')),
      /The folder .*bare holds no package: neither a package\.json nor \.tgz files\.$/,
    ],
  ];
  test.each(cases)('%s', async (_when, make, words) => {
    await expect(loadPackages([await make()])).rejects.toThrow(words);
  });

  test.each([
    ['it unpacks to too much', { total: 4096, file: 1e6, files: 100 }, /unpacks to more than 4096 bytes/],
    ['a file in it is too large', { total: 1e9, file: 1000, files: 100 }, /a file in it is larger than 1000 bytes/],
    ['it holds too many files', { total: 1e9, file: 1e6, files: 3 }, /holds more than 3 files/],
  ])('%s', async (_when, limits, words) => {
    const file = await archive('large.tgz', [
      manifest(),
      ...Array.from({ length: 9 }, (_, i) => ({ name: `package/${i}.json`, content: ' '.repeat(2000) })),
    ]);
    await expect(readArchive(file, limits)).rejects.toThrow(words);
  });
});

test('versions are compared by number, a pre-release before its release', () => {
  const sorted = ['7.0.0', '10.0.0', '6.1.0', '7.0.0-ballot', '6.1'].toSorted(compareVersions);
  expect(sorted).toEqual(['6.1', '6.1.0', '7.0.0-ballot', '7.0.0', '10.0.0']);
});

describe('value sets', () => {
  const sets = {
    listed: { include: [{ system: 'urn:a', concept: [{ code: 'x' }] }] },
    whole: { include: [{ system: 'urn:tree' }] },
    below: { include: [{ system: 'urn:tree', filter: [{ property: 'concept', op: 'is-a', value: 'b' }] }] },
    without: { include: [{ valueSet: ['urn:vs:whole'] }], exclude: [{ system: 'urn:tree', concept: [{ code: 'c' }] }] },
    both: { include: [{ valueSet: ['urn:vs:whole', 'urn:vs:below'] }] },
    elsewhere: { include: [{ system: 'urn:elsewhere' }] },
    filtered: { include: [{ system: 'urn:tree', filter: [{ property: 'status', op: '=', value: 'x' }] }] },
    endless: { include: [{ valueSet: ['urn:vs:endless'] }] },
    gender: { include: [{ valueSet: ['http://hl7.org/fhir/ValueSet/administrative-gender'] }] },
  };
  const tree = {
    resourceType: 'CodeSystem',
    url: 'urn:tree',
    content: 'complete',
    concept: [{ code: 'a' }, { code: 'b', concept: [{ code: 'c' }] }],
  };
  const expansion = { total: 1, contains: [{ system: 'urn:a', code: 'x' }] };

  test.each([
    ['listed', 'x', 'urn:a', 'in'],
    ['listed', 'x', undefined, 'in'],
    ['listed', 'y', 'urn:a', 'out'],
    ['listed', 'x', 'urn:b', 'out'],
    ['whole', 'c', 'urn:tree', 'in'],
    ['whole', 'd', 'urn:tree', 'out'],
    ['below', 'b', 'urn:tree', 'in'],
    ['below', 'c', 'urn:tree', 'in'],
    ['below', 'a', 'urn:tree', 'out'],
    ['without', 'b', 'urn:tree', 'in'],
    ['without', 'c', 'urn:tree', 'out'],
    ['both', 'c', 'urn:tree', 'in'],
    ['both', 'a', 'urn:tree', 'out'],
    ['elsewhere', 'x', 'urn:elsewhere', 'unknown'],
    ['elsewhere', 'x', 'urn:tree', 'out'],
    ['filtered', 'a', 'urn:tree', 'unknown'],
    ['endless', 'a', 'urn:tree', 'unknown'],
    ['gender', 'male', 'http://hl7.org/fhir/administrative-gender', 'in'],
    ['gender', 'man', 'http://hl7.org/fhir/administrative-gender', 'out'],
    ['nowhere', 'a', 'urn:tree', 'unknown'],
    ['expanded', 'x', 'urn:a', 'in'],
    ['expanded', 'y', 'urn:a', 'out'],
    ['page', 'y', 'urn:a', 'unknown'],
  ])('%s: %s of %s is %s', async (set, code, system, verdict) => {
    const file = await writePackage(path('terms.tgz'), [
      tree,
      ...Object.entries(sets).map(([name, compose]) => ({ resourceType: 'ValueSet', url: `urn:vs:${name}`, compose })),
      { resourceType: 'ValueSet', url: 'urn:vs:expanded', expansion },
      { resourceType: 'ValueSet', url: 'urn:vs:page', expansion: { ...expansion, total: 9 } },
    ]);
    expect(withPackages(createValueSets(), await loadPackages([file])).membership(`urn:vs:${set}`, code, system)).toBe(verdict);
  });
});
