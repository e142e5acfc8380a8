import { expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createCursors } from '../../server/search/page.ts';

const cursors = createCursors({ secret: new Uint8Array(32).fill(7) });
const position = { sort: 'Obama', id: 'patient-1' };

function opened(cursor: string, bound: string, from = cursors): unknown {
  try {
    return from.open(cursor, bound);
  } catch (error) {
    return error instanceof AssentError ? error.code : error;
  }
}

test('opens for the same caller, type and query, in every process with the same secret', () => {
  const cursor = cursors.seal(position, 'a');
  expect(opened(cursor, 'a')).toEqual(position);
  expect(opened(cursor, 'a', createCursors({ secret: new Uint8Array(32).fill(7) }))).toEqual(position);
});

test('tells nothing about the row, and is never the same twice', () => {
  const cursor = cursors.seal(position, 'a');
  expect(Buffer.from(cursor, 'base64url').toString('latin1')).not.toMatch(/Obama|patient/);
  expect(cursors.seal(position, 'a')).not.toBe(cursor);
});

test('is refused for another caller or query, with another secret, and altered anywhere', () => {
  const cursor = cursors.seal(position, 'a');
  expect(opened(cursor, 'b')).toBe('invalid-cursor');
  expect(opened(cursor, 'a', createCursors({ secret: new Uint8Array(32).fill(8) }))).toBe('invalid-cursor');
  for (let i = 0; i < cursor.length; i++) {
    const altered = `${cursor.slice(0, i)}${cursor[i] === 'A' ? 'B' : 'A'}${cursor.slice(i + 1)}`;
    expect(opened(altered, 'a'), String(i)).toBe('invalid-cursor');
  }
  for (const text of ['', 'AAAA', `${cursor}A`, cursor.slice(1), `${cursor}=`, 'A'.repeat(5000), '../..'])
    expect(opened(text, 'a'), text).toBe('invalid-cursor');
});

test('a short secret is a mistake of the operator', () => {
  expect(() => createCursors({ secret: new Uint8Array(8) })).toThrow('too short');
});
