/** Labels by codes and references, from keys to keys. */
import { describe, expect, it } from 'vitest';
import { facetsOf } from '../../server/consent/facets.ts';
import { createLabelling, withLabels } from '../../server/consent/labelling.ts';
import { observation } from '../support/consents.ts';

const codes = (labels: readonly string[], ...all: string[]) => ({ labels, codes: all.map((code) => ({ system: 'urn:s', code })), patterns: [] });
const hiv = createLabelling([codes(['HIV'], 'h'), { labels: ['SUD', 'ETH'], codes: [], patterns: [{ system: 'urn:icd', pattern: 'F1[0-9].*' }] }]);
const other = createLabelling([codes(['STD'], 'h')]);
const coded = (...all: string[]) => ({ code: { coding: all.map((code) => ({ system: code.startsWith('F') ? 'urn:icd' : 'urn:s', code })) } });
const facets = (more: Parameters<typeof observation>[0], ...labels: string[]) =>
  facetsOf(observation(more, ...labels), { writer: 'Organization/w', base: 'https://here.example/fhir', lookup: () => undefined });
const labels = (keys: readonly string[], labelling = hiv, stored: Readonly<Record<string, readonly string[]>> = {}) =>
  withLabels('Observation', keys, { labelling, referred: (reference) => stored[reference] });
const about = (keys: readonly string[]) => keys.filter((key) => /^~(?:sens|rank|given|stated)\//.test(key)).sort();

describe('labels', () => {
  it('are assigned by code and by pattern, and make what is sensitive restricted', () => {
    expect(about(labels(facets(coded('h'), 'N')))).toEqual(['~given/HIV', '~rank/4', '~sens/HIV', '~stated/3']);
    expect(about(labels(facets(coded('F10.2'))))).toEqual(['~given/ETH', '~given/SUD', '~rank/4', '~sens/ETH', '~sens/SUD']);
    expect(about(labels(facets(coded('xF10'), 'V', 'PSY')))).toEqual(['~rank/5', '~sens/PSY']);
  });

  it('by other rules are those of the other rules alone; what the source states stays', () => {
    const source = facets(coded('h'), 'L', 'HIV');
    const once = labels(source);
    expect(about(once)).toEqual(['~rank/4', '~sens/HIV', '~stated/1']);
    expect(about(labels(once, other))).toEqual(['~given/STD', '~rank/4', '~sens/HIV', '~sens/STD', '~stated/1']);
    expect(labels(labels(once, other), createLabelling([])).toSorted()).toEqual(labels(source, createLabelling([])).toSorted());
    expect(labels(once).toSorted()).toEqual(once.toSorted());
  });

  it('of what is referred to are its codes, not what its source states, and not what it refers to in turn', () => {
    const referring = facets({ ...coded('x'), hasMember: [{ reference: 'Observation/m' }], encounter: { reference: 'Encounter/e' } });
    const member = labels(facets(coded('h'), 'PSY'));
    expect(about(labels(referring, hiv, { 'Observation/m': member, 'Encounter/e': member }))).toEqual(['~given/HIV', '~rank/4', '~sens/HIV']);
    const middle = labels(facets({ ...coded('x'), hasMember: [{ reference: 'Observation/n' }] }), hiv, { 'Observation/n': member });
    expect(about(labels(referring, hiv, { 'Observation/m': middle }))).toEqual(['~rank/4']);
  });

  it('leave an index row only where the patients do not tell who refers to it', () => {
    const referring = facets({ ...coded('x'), hasMember: [{ reference: 'Observation/m' }] });
    const rows = (target: readonly string[] | undefined) =>
      labels(referring, hiv, target ? { 'Observation/m': target } : {}).filter((key) => key.startsWith('@rests/'));
    expect(rows(facets({}))).toEqual([]);
    expect(rows(undefined)).toEqual(['@rests/Observation/m']);
    expect(rows(facets({ subject: { reference: 'Patient/2' } }))).toEqual(['@rests/Observation/m']);
  });

  it('have to be pinned', () => expect(() => createLabelling([codes(['HIVE'], 'h')])).toThrow('HIVE'));
});
