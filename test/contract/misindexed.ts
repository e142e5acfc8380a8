import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshType, type OpenSubject, resource, store, type Subject } from './subject.ts';

/** What is written is in the index as its keys say, however it came there. Where somebody edits it: test/commands/fsck-index.test.ts */
export function misindexedContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  test('nothing that was written, changed, deleted, brought back, erased or given other keys is misindexed', async () => {
    const type = freshType();
    const keys = ['@patient/1', '~rank/4', 'a\\b', 'a\nb', 'ä', '\\n', '~when/1', '@patient/1'];
    await store(subject, ...['a', 'b', 'c', 'd', 'e'].map((id) => resource(type, id, { keys })));
    await store(subject, resource(type, 'b', { keys: ['@patient/2', 'a\\'], instant: 7 }), resource(type, 'c', { deleted: true, body: '', keys }));
    await store(subject, resource(type, 'd', { deleted: true, body: '', keys }));
    await store(subject, resource(type, 'd', { keys: ['@patient/3'] }), resource(type, 'f', { keys: [] }));
    await subject.engine.resources.commit({ guards: [], resources: [], records: [], log: [], erase: [{ type, id: 'e' }], bumpEpoch: false });
    await subject.engine.resources.reindex({ type }, ({ keys: old }) => ({ keys: [...old, '@writer/x', '~sens/HIV'], instant: 5 }));
    expect(await subject.engine.resources.misindexed(type, 10)).toEqual([]);
    expect(await subject.engine.resources.misindexed(freshType(), 10)).toEqual([]);
  });
}
