/**
 * Valid resources broken in one place each, with the place: what a validator must refuse, and where. Which of them are made follows from a seed.
 */
import type { Property, Shape } from '../../server/validation/shapes.ts';
import { type Json, shapes } from './samples.ts';

export type Mutant = { readonly what: string; readonly place: string; readonly value: Json };

/** One property of one object in a sample. */
type Site = {
  readonly path: readonly (string | number)[];
  readonly key: string;
  readonly property: Property;
  readonly value: unknown;
  /** Of the object that has the property. */
  readonly owner: string;
  readonly place: string;
};

/** A change to the object that has the property; undefined when this way of breaking does not fit there. */
type Breaking = { readonly what: string; readonly apply: (owner: Json) => void; readonly place?: string };
type Way = (site: Site) => Breaking | undefined;

export function mutantsOf(sample: Json, { seed, most }: { seed: number; most: number }): Mutant[] {
  const sites = sitesOf(sample, shapes.resource(String(sample['resourceType'])) as Shape);
  const all = sites.flatMap((site) => WAYS.flatMap((way) => ({ site, breaking: way(site) }))).filter(({ breaking }) => breaking !== undefined);
  return shuffled(all, seed)
    .slice(0, most)
    .map(({ site, breaking }) => {
      const value = structuredClone(sample);
      const { what, apply, place } = breaking as Breaking;
      apply(site.path.reduce<unknown>((at, part) => (at as Json)[part], value) as Json);
      return { what: `${what}: ${site.place}`, place: place ?? site.place, value };
    });
}

function sitesOf(root: Json, shape: Shape): Site[] {
  const sites: Site[] = [];
  const open: { value: Json; shape: Shape; path: readonly (string | number)[]; place: string }[] = [
    { value: root, shape, path: [], place: String(root['resourceType']) },
  ];
  for (let next = open.pop(); next; next = open.pop()) {
    for (const [key, value] of Object.entries(next.value)) {
      const property = next.shape.properties.get(key);
      if (!property) continue;
      const place = next.place + property.step;
      sites.push({ path: next.path, key, property, value, owner: next.place, place });
      const { type } = property;
      if (type.kind !== 'complex') continue;
      const inner = Array.isArray(value)
        ? value.map((item: unknown, i) => ({ item, path: [...next.path, key, i], at: `${place}[${i}]` }))
        : [{ item: value, path: [...next.path, key], at: place }];
      for (const { item, path, at } of inner) open.push({ value: item as Json, shape: type.shape(), path, place: at });
    }
  }
  return sites;
}

/** The change of every value of a site, in a list or not, with the place of the first. */
function eachValue({ key, property, place }: Site, what: string, value: unknown): Breaking {
  const { isList } = property.element;
  return { what, apply: (owner) => void (owner[key] = isList ? [value] : value), place: isList ? `${place}[0]` : place };
}

function inside(breaking: Breaking, step: string): Breaking {
  return { ...breaking, place: `${breaking.place}${step}` };
}

const BAD_TEXT: Readonly<Record<string, readonly unknown[]>> = {
  date: ['2023-02-30', '2023-13', '23-01-01', '2024-02-29T10:11:12Z', '2024-2-1', '0000', 'yesterday'],
  dateTime: ['2023-02-29', '2024-02-29T10:11:12', '2024-02-29T10:11Z', '2024-02-29T25:00:00Z', '2024-02-29 10:11:12Z', '2024-02-29T10:11:12+15:00'],
  instant: ['2024-02-29', '2024-02-29T10:11:12', '2023-02-29T10:11:12Z', '2024-02-29T10:11Z'],
  time: ['10:11', '24:00:00', '10:11:12Z', '1:00:00'],
  id: ['a b', 'a/b', 'x'.repeat(65), 'ä', 'a_b'],
  code: [' a', 'a ', 'a  b', '\t'],
  uri: ['a b', 'http://example.org/ x', ' '],
  url: ['a b'],
  canonical: ['a b'],
  oid: ['1.2.3', 'urn:oid:3.1', 'urn:oid:1.02', 'urn:oid:'],
  uuid: ['87e11d66-c137-458a-9754-fe6c4e445a6d', 'urn:uuid:87e11d66'],
  base64Binary: ['QUJD?', 'QUJDR', 'QQ===', '='],
  string: ['  ', '\n', 'a\u0000b', 'a\u0007'],
  markdown: [' \t '],
  boolean: ['true', 1, 0],
  integer: [1.5, 2_147_483_648, -2_147_483_649, '1'],
  positiveInt: [0, -1, 1.5, 4e9, '1'],
  unsignedInt: [-1, 0.5, 4e9],
  decimal: ['1.5', Number.POSITIVE_INFINITY, Number.NaN],
  xhtml: ['<div><script>x</script></div>', 'text', '<p>x</p>', '<div>', '<div onclick="x">x</div>'],
};

const WAYS: readonly Way[] = [
  ({ key, property, owner }) =>
    property.element.min > 0
      ? { what: 'required element dropped', apply: (at) => void delete at[key], place: `${owner}.${property.element.name}` }
      : undefined,
  ({ owner }) => ({ what: 'unknown element', apply: (at) => void (at['nickname'] = 'x'), place: `${owner}.nickname` }),
  ({ key, owner }) => ({ what: 'misspelt element', apply: (at) => void (at[`${key}s9`] = at[key]), place: `${owner}.${key}s9` }),
  ({ key, property, owner }) => {
    const other = property.element.isChoice ? property.element.keys.find((name) => name !== key && !name.startsWith('_')) : undefined;
    if (other === undefined) return undefined;
    return {
      what: 'second type of a choice',
      apply: (at) => void (at[other] = goodValue(other, property)),
      place: `${owner}.${property.element.name}`,
    };
  },
  (site) =>
    site.property.type.kind === 'primitive' ? eachValue(site, 'object for a primitive', { a: 1 }) : eachValue(site, 'text for an object', 'x'),
  (site) => eachValue(site, 'null', null),
  ({ key, property }) => (property.element.isList ? undefined : { what: 'list for one value', apply: (at) => void (at[key] = [at[key]]) }),
  ({ key, property }) =>
    property.element.isList ? { what: 'one value for a list', apply: (at) => void (at[key] = (at[key] as unknown[])[0]) } : undefined,
  ({ key, property }) => (property.element.isList ? { what: 'empty list', apply: (at) => void (at[key] = []) } : undefined),
  (site) => (site.property.type.kind === 'primitive' ? eachValue(site, 'empty text', '') : eachValue(site, 'empty object', {})),
  ({ key, property, place }) =>
    Number.isFinite(property.element.max) && property.element.isList
      ? {
          what: 'more than allowed',
          apply: (at) => void (at[key] = Array.from({ length: property.element.max + 1 }, () => (at[key] as unknown[])[0])),
          place,
        }
      : undefined,
  (site) => {
    const { type } = site.property;
    if (type.kind !== 'primitive') return undefined;
    const list = BAD_TEXT[type.name] ?? [];
    // Which one follows from where it is, so that all of them are used.
    const pick = list[[...site.place].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % list.length];
    return pick === undefined ? undefined : eachValue(site, `bad ${type.name} ${JSON.stringify(pick)}`, pick);
  },
  (site) => {
    const { element, type } = site.property;
    const url = element.binding?.valueSet ?? '';
    if (element.binding?.strength !== 'required' || /mimetypes|currencies|ucum-units|all-languages|LL379/.test(url) || type.kind === 'resource')
      return undefined;
    const coding = { system: 'http://example.org/other', code: 'no-such-code' };
    if (type.name === 'CodeableConcept') return eachValue(site, 'code outside its required binding', { coding: [coding] });
    if (type.name === 'Coding') return eachValue(site, 'code outside its required binding', coding);
    return type.name === 'code' ? eachValue(site, 'code outside its required binding', 'no-such-code') : undefined;
  },
  (site) => {
    const { type } = site.property;
    if (type.kind !== 'complex' || !type.targets || type.targets.has('Slot')) return undefined;
    return eachValue(site, 'reference to a type not allowed', { reference: 'Slot/1' });
  },
  (site) => (isReference(site) ? inside(eachValue(site, 'reference to nothing contained', { reference: '#nobody' }), '.reference') : undefined),
  (site) => (isReference(site) ? inside(eachValue(site, 'no reference', { reference: 'somebody' }), '.reference') : undefined),
  (site) =>
    isReference(site) ? inside(eachValue(site, 'reference whose type differs', { reference: 'Patient/1', type: 'Group' }), '.type') : undefined,
  ({ key, property, place }) =>
    property.type.kind === 'primitive' && property.element.isList
      ? { what: 'extensions of another length', apply: (at) => void (at[`_${key}`] = [null, null, { id: 'x' }]), place }
      : undefined,
  ({ key, property, place, path }) =>
    property.type.kind === 'primitive' && !property.element.isList && key !== 'id' && !(key === 'url' && /xtension/.test(String(path.at(-2))))
      ? { what: 'value for an extension', apply: (at) => void (at[`_${key}`] = { value: 'x' }), place: `${place}.value` }
      : undefined,
];

function isReference({ property: { type } }: Site): boolean {
  return type.kind === 'complex' && type.name === 'Reference';
}

/** Whatever stands there, two types of a choice are one too many. */
function goodValue(key: string, { element }: Property): unknown {
  return key.slice(element.name.length) === 'Boolean' ? true : 'x';
}

/** Fisher–Yates over mulberry32. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list];
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
