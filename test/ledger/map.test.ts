/** The verifiable map against a tree built whole from its definition, and its proofs against whoever changes them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leafHash, nodeHash, sha256 } from '../../ledger/hash.ts';
import { createMap, emptyMapRoot, lookUp, type VerifiableMap } from '../../ledger/map.ts';

const named = (name: string | number): Buffer => sha256(`named ${name}`);

/** Keys that differ in their last bits only have walks of 256 steps, those of one byte short ones. */
const keys = fc
  .tuple(fc.constantFrom(0, 15, 31), fc.integer({ min: 0, max: 15 }))
  .map(([place, byte]) => Buffer.alloc(32).fill(byte * 17, place, place + 1));
const values = fc.integer({ min: 0, max: 3 }).map(named);
const entries = fc.array(fc.tuple(keys, values), { maxLength: 24 });

type Entries = readonly (readonly [Buffer, Buffer])[];

/** The definition, made anew from all entries each time. */
function naiveRoot(held: Entries, depth = 0): Uint8Array {
  const [only] = held;
  if (!only) return emptyMapRoot;
  if (held.length === 1) return sha256(Buffer.concat([Buffer.from([2]), ...only]));
  const side = (bit: string) => held.filter(([key]) => bits(key)[depth] === bit);
  return sha256(Buffer.concat([Buffer.from([3]), naiveRoot(side('0'), depth + 1), naiveRoot(side('1'), depth + 1)]));
}

function bits(key: Buffer): string {
  return BigInt(`0x${key.toString('hex')}`)
    .toString(2)
    .padStart(256, '0');
}

function mapOf(held: Entries): { readonly map: VerifiableMap; readonly held: Entries } {
  const map = createMap();
  const last = new Map<string, readonly [Buffer, Buffer]>();
  for (const entry of held) {
    map.set(...entry);
    last.set(entry[0].toString('hex'), entry);
  }
  return { map, held: [...last.values()] };
}

const hundred = mapOf(Array.from({ length: 100 }, (_, i) => [named(i), named(`value ${i}`)] as const)).map;

describe('a verifiable map', () => {
  it('has the root of its definition, whatever came first and however often it was asked in between', () => {
    fc.assert(
      fc.property(entries, fc.nat(24), (all, middle) => {
        const { map, held } = mapOf(all);
        const asked = createMap();
        for (const [i, entry] of all.entries()) {
          if (i === middle) asked.root();
          asked.set(...entry);
        }
        const backwards = mapOf(held.toReversed()).map;
        expect(map.root()).toEqual(naiveRoot(held));
        expect(asked.root()).toEqual(map.root());
        expect(backwards.root()).toEqual(map.root());
        expect(map.size).toBe(held.length);
      }),
    );
  });

  it('is as it was before a key was set once it is taken out, whatever else came and went', () => {
    fc.assert(
      fc.property(entries, entries, fc.boolean(), (all, more, asked) => {
        const { map, held } = mapOf(all);
        const kept = new Set(held.map(([key]) => key.toString('hex')));
        const others = more.filter(([key]) => !kept.has(key.toString('hex')));
        for (const entry of others) map.set(...entry);
        if (asked) map.root();
        for (const [key] of others.toReversed()) map.delete(key);
        map.delete(named('nobody set it'));
        expect(map.root()).toEqual(naiveRoot(held));
        expect(map.size).toBe(held.length);
        const again = mapOf([...held, ...others]);
        for (const entry of others) map.set(...entry);
        expect(map.root()).toEqual(naiveRoot(again.held));
        for (const [key, value] of again.held) expect(lookUp(map.prove(key), { root: map.root(), key })).toEqual({ kind: 'present', value });
      }),
    );
  });

  it('has the root of its definition as it grows over many shelves and most of it is taken out again', () => {
    const all = Array.from({ length: 700 }, (_, i) => [named(i), named(`value ${i}`)] as const);
    const { map } = mapOf(all);
    expect(map.root()).toEqual(naiveRoot(all));
    for (const [key] of all.slice(20)) map.delete(key);
    const few = all.slice(0, 20);
    expect([map.size, map.root()]).toEqual([20, naiveRoot(few)]);
    for (const [key, value] of few) expect(lookUp(map.prove(key), { root: map.root(), key })).toEqual({ kind: 'present', value });
    for (const [key] of all.slice(20)) expect(lookUp(map.prove(key), { root: map.root(), key })).toEqual({ kind: 'absent' });
    for (const entry of all.slice(20).toReversed()) map.set(...entry);
    expect(map.root()).toEqual(naiveRoot(all));
  });

  it('proves what stands under each key, and that nothing stands under any other', () => {
    fc.assert(
      fc.property(entries, keys, (all, key) => {
        const { map, held } = mapOf(all);
        const root = map.root();
        for (const [held1, value] of held) {
          expect(map.get(held1)).toEqual(value);
          expect(lookUp(map.prove(held1), { root, key: held1 })).toEqual({ kind: 'present', value });
        }
        const value = map.get(key);
        expect(lookUp(map.prove(key), { root, key })).toEqual(value ? { kind: 'present', value } : { kind: 'absent' });
      }),
    );
  });

  it('proves nothing to who holds the root before or after', () => {
    const { map } = mapOf([
      [named('a'), named(1)],
      [named('b'), named(1)],
    ]);
    const [key, before] = [named('a'), map.root()];
    const old = map.prove(key);
    map.set(key, named(2));
    expect(lookUp(old, { root: map.root(), key })).toBeUndefined();
    expect(lookUp(map.prove(key), { root: before, key })).toBeUndefined();
    expect(lookUp(old, { root: before, key })).toEqual({ kind: 'present', value: named(1) });
  });

  it('refuses a proof of another key, present or absent', () => {
    const root = hundred.root();
    for (const [proven, asked] of [
      [3, 4],
      [3, 'nobody'],
      ['nobody', 3],
    ] as const)
      expect(lookUp(hundred.prove(named(proven)), { root, key: named(asked) }), `${proven} for ${asked}`).toBeUndefined();
  });

  it.each([
    ['a key that is there', named(7)],
    ['a key whose place is free', Array.from({ length: 1000 }, (_, i) => named(`free ${i}`)).find((key) => hundred.prove(key)[0] === 0)],
    ['a key whose place is taken by another', Array.from({ length: 1000 }, (_, i) => named(`taken ${i}`)).find((key) => hundred.prove(key)[0] === 2)],
  ])('refuses a proof with any one bit changed, cut short or longer: %s', (_, found) => {
    const [key, root] = [found ?? expect.unreachable(), hundred.root()];
    const proof = hundred.prove(key);
    expect(lookUp(proof, { root, key })).toBeDefined();
    for (let bit = 0; bit < 8 * proof.length; bit++) {
      const changed = Buffer.from(proof);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(lookUp(changed, { root, key }), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < proof.length; length++) expect(lookUp(proof.subarray(0, length), { root, key })).toBeUndefined();
    expect(lookUp(Buffer.concat([proof, Buffer.alloc(1)]), { root, key })).toBeUndefined();
  });

  it('does not take the empty subtree spelled out, nor an entry from elsewhere as proof that a key is absent', () => {
    const [low, high] = [Buffer.alloc(32, 0), Buffer.alloc(32, 0xff)];
    const value = named('value');
    const only = mapOf([[low, value]]).map;
    const deep = mapOf([
      [low, value],
      [Buffer.alloc(32).fill(1, 31), value],
    ]).map;
    const spelled = Buffer.from(deep.prove(low));
    const bitmap = 3;
    expect(spelled.readUInt8(bitmap)).toBe(0);
    spelled[bitmap] = 0x80;
    const longer = Buffer.concat([spelled.subarray(0, bitmap + 32), emptyMapRoot, spelled.subarray(bitmap + 32)]);
    expect(lookUp(longer, { root: deep.root(), key: low })).toBeUndefined();
    // One entry is the whole map: true of every other key, but no proof about itself.
    expect(lookUp(only.prove(high), { root: only.root(), key: high })).toEqual({ kind: 'absent' });
    expect(lookUp(only.prove(high), { root: only.root(), key: low })).toBeUndefined();
    // `low` stands at the left: from the right, where `high` would be, it is nothing to go by.
    const both = mapOf([
      [low, value],
      [high, value],
    ]).map;
    const claimed = Buffer.concat([Buffer.from([2, 1, 0, 0x80]), both.prove(low).subarray(4, 36), low, value]);
    expect(lookUp(claimed, { root: both.root(), key: high })).toBeUndefined();
  });

  it('has no hash in common with the tree of the log', () => {
    const [key, value] = [named('key'), named('value')];
    const root = mapOf([[key, value]]).map.root();
    expect(root).not.toEqual(leafHash(Buffer.concat([key, value])));
    expect(root).not.toEqual(nodeHash(key, value));
  });

  it('takes keys and values of 32 bytes and no others', () => {
    const short = Buffer.alloc(31);
    expect(() => createMap().set(short, named(1))).toThrow(RangeError);
    expect(() => createMap().set(named(1), short)).toThrow(RangeError);
    expect(() => createMap().prove(short)).toThrow(RangeError);
    expect(lookUp(hundred.prove(named(1)), { root: hundred.root(), key: short })).toBeUndefined();
  });

  it('answers about one of 50,000 keys in less than a kilobyte', () => {
    const { map } = mapOf(Array.from({ length: 50_000 }, (_, i) => [named(i), named(0)] as const));
    const asked = Array.from({ length: 500 }, (_, i) => named(49_750 + i));
    const proofs = asked.map((key) => map.prove(key));
    expect(proofs.filter((proof, i) => lookUp(proof, { root: map.root(), key: asked[i] ?? emptyMapRoot }) === undefined)).toEqual([]);
    expect(Math.max(...proofs.map(({ length }) => length))).toBeLessThanOrEqual(1000);
  });
});
