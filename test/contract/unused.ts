import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, any, not, type Expression } from '../../server/search/expression.ts';
import type { Guard, ScopeOrInternal, StoredResource } from '../../server/store/port.ts';
import { commits, freshType, idsFound, type OpenSubject, query, resource, type Subject, store } from './subject.ts';

/** A target, and those that refer to it by a key. */
export function unusedContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  const KEY = '@ref/target';
  const refers = (type: string, id: string, ...more: string[]) => resource(type, id, { keys: [KEY, ...more] });
  const gone = (old: StoredResource) => resource(old.type, old.id, { deleted: true, body: '', keys: old.keys });
  const at = ({ type, id, version }: StoredResource): Guard => ({ kind: 'version', type, id, version });
  const unused = (types: readonly string[], ...allowed: readonly (readonly [string, Expression, ScopeOrInternal])[]): Guard => ({
    kind: 'unused',
    key: KEY,
    types,
    allowed: allowed.map(([type, where, scope]) => ({ type, where, scope })),
  });

  test('an unused guard fails where a live resource of its types has the key', async () => {
    const [type, other] = [freshType(), freshType()];
    expect(await commits(subject, [unused([type])], [])).toBe(true);
    await store(subject, refers(type, 'a'), refers(other, 'a'));
    expect(await commits(subject, [unused([type])], [])).toBe(false);
    expect(await commits(subject, [unused([other, type])], [])).toBe(false);
    await store(subject, gone(refers(type, 'a')));
    expect(await commits(subject, [unused([type])], [])).toBe(true);
    await store(subject, resource(other, 'a'));
    expect(await commits(subject, [unused([other, type])], [])).toBe(true);
  });

  test('what its where or its scope leaves out does not count; a stale scope proves nothing', async () => {
    const [type, other] = [freshType(), freshType()];
    await store(subject, refers(type, 'shown', '@patient/1'), refers(type, 'hidden', '@patient/2'));
    const epoch = await subject.engine.resources.epoch();
    const seen = (patient: string, of = epoch): ScopeOrInternal => ({ epoch: of, where: any([`@patient/${patient}`]) });
    expect(await commits(subject, [unused([type], [type, all, seen('1')])], [])).toBe(false);
    expect(await commits(subject, [unused([type], [type, all, seen('3')])], [])).toBe(true);
    expect(await commits(subject, [unused([type], [type, all, seen('3', epoch - 1)])], [])).toBe(false);
    const butShown = not({ kind: 'id', ids: new Set(['shown']) });
    expect(await commits(subject, [unused([type], [type, butShown, seen('1')])], [])).toBe(true);
    expect(await commits(subject, [unused([type], [type, butShown, 'internal'])], [])).toBe(false);
    // Of a type that nobody allowed for, every one counts.
    await store(subject, refers(other, 'new'));
    expect(await commits(subject, [unused([type, other], [type, all, seen('3')])], [])).toBe(false);
  });

  test('carriers names the types that have the key', async () => {
    const types = [freshType(), freshType(), freshType()];
    const [first = '', second = '', third = ''] = types;
    await store(subject, refers(first, 'a'), refers(first, 'b'), refers(third, 'a'), resource(second, 'a', { keys: [`${KEY}/more`] }));
    expect([...(await subject.engine.resources.carriers(KEY, types))].sort()).toEqual([first, third].sort());
    await store(subject, gone(refers(third, 'a')));
    expect(await subject.engine.resources.carriers(KEY, types)).toEqual([first]);
    expect(await subject.engine.resources.carriers(KEY, [second])).toEqual([]);
    expect(await subject.engine.resources.carriers(KEY, [])).toEqual([]);
  });

  test('whichever of a deletion and a new reference is first, the other is refused', async () => {
    const [type, other] = [freshType(), freshType()];
    const target = resource(type, 'first');
    await store(subject, target);
    const guards = [at(target), unused([other])];
    const results = await Promise.all([commits(subject, [at(target)], [refers(other, 'r')]), commits(subject, guards, [gone(target)])]);
    expect(results).toEqual([true, false]);
    const second = resource(type, 'second');
    await store(subject, second, gone(refers(other, 'r')));
    const reversed = await Promise.all([
      commits(subject, [at(second), unused([other])], [gone(second)]),
      commits(subject, [at(second)], [refers(other, 'r')]),
    ]);
    expect(reversed).toEqual([true, false]);
  });

  test('under fire no reference to something deleted is ever left', async () => {
    const [type, other] = [freshType(), freshType()];
    const targets = Array.from({ length: 30 }, (_, i) => resource(type, `t${i}`));
    await store(subject, ...targets);
    const key = ({ id }: StoredResource) => `@ref/${id}`;
    const race = targets.flatMap((target, i) => {
      // Some large, so that they are committed beside the small ones.
      const filling = Array.from({ length: i % 3 === 0 ? 60 : 0 }, (_, n) => resource(other, `fill-${i}-${n}`));
      const create = () => commits(subject, [at(target)], [resource(other, `r${i}`, { keys: [key(target)] }), ...filling]);
      const remove = () => commits(subject, [at(target), { kind: 'unused', key: key(target), types: [other], allowed: [] }], [gone(target)]);
      return i % 2 === 0 ? [create(), remove()] : [remove(), create()];
    });
    await Promise.all(race);
    const live = new Set(await idsFound(subject, query(type)));
    const referrers = (await idsFound(subject, query(other))).filter((id) => id.startsWith('r'));
    expect(referrers.filter((id) => !live.has(`t${id.slice(1)}`))).toEqual([]);
    expect(live.size).toBe(referrers.length);
  });
}
