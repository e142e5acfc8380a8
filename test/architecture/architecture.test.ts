/** The import table, the size limits and the one home of each ambient read hold for every file, and each rule is seen to bite. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { rooms, sizeExempt } from './rooms.ts';
import { countImports, roomOf, violations } from './rules.ts';

const root = new URL('../../', import.meta.url);
const sourceFiles = ['server', 'ledger', 'migrations'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`),
);
const sources = new Map(sourceFiles.map((path) => [path, readFileSync(new URL(path, root), 'utf8')]));
const broken = (path: string, text: string) => violations(new Map([[path, text]]));

describe('the house', () => {
  // It parses every source, which takes a busy machine longer than other tests are given.
  test('keeps every rule', () => {
    expect(violations(sources)).toEqual([]);
  });

  test('was looked at', () => {
    expect(sources.size).toBeGreaterThan(20);
    expect(countImports(sources)).toBeGreaterThan(50);
    for (const room of ['errors', 'fhir', 'search', 'consent/enforce', 'store/port', 'top']) {
      expect(sourceFiles.map(roomOf), room).toContain(room);
    }
  });

  test('a check of nothing is a failure, not a pass', () => {
    expect(() => violations(new Map())).toThrow('No source file');
    expect(() => broken('server/http/read.ts', 'import {')).toThrow('cannot be parsed');
  });

  test('exemptions name files that exist', () => {
    for (const path of Object.keys(sizeExempt)) expect(sources.has(path), path).toBe(true);
  });

  test('the table names only rooms that it defines', () => {
    const known = new Set([...Object.keys(rooms), 'records', '*']);
    expect(Object.values(rooms).flatMap(({ mayImport }) => mayImport.filter((room) => !known.has(room)))).toEqual([]);
  });
});

describe('planted violations are caught', () => {
  test.each([
    ['a handler with a store', 'server/http/read.ts', `import { createEmbeddedEngine } from '../store/embedded/engine.ts';`],
    ['a handler with a store type', 'server/http/read.ts', `import type { ResourceStore } from '../store/port.ts';`],
    ['a page with a record store', 'server/web/console.ts', `import type { RecordStore } from '../store/port.ts';`],
    ['a handler with the implementation of the Gate', 'server/http/read.ts', `import { createGateFor } from '../consent/enforce.ts';`],
    ['a handler with the ledger', 'server/http/read.ts', `import { leafHash } from '../../ledger/hash.ts';`],
    ['authorization with a resource store', 'server/authz/token.ts', `import type { RecordStore, ResourceStore } from '../store/port.ts';`],
    ['a whole-module import of the port', 'server/authz/token.ts', `import * as port from '../store/port.ts';`],
    ['a type query of the port', 'server/audit/record.ts', `type S = import('../store/port.ts').ResourceStore; export type T = S;`],
    ['a lazy import', 'server/http/read.ts', `export const late = () => import('../store/port.ts');`],
    ['a re-export', 'server/http/read.ts', `export { createEmbeddedEngine } from '../store/embedded/engine.ts';`],
    ['a re-export of everything', 'server/jobs/queue.ts', `export * from '../store/port.ts';`],
    ['the ledger importing the server', 'ledger/tree.ts', `import { AssentError } from '../server/errors.ts';`],
    ['one engine importing the other', 'server/store/mongo/engine.ts', `import { x } from '../embedded/engine.ts';`],
    ['an engine importing consent', 'server/store/embedded/engine.ts', `import type { Caller } from '../../consent/model.ts';`],
    ['consent reading the clock', 'server/consent/decide.ts', `import { systemClock } from '../clock.ts';`],
    ['errors importing anything', 'server/errors.ts', `import { systemClock } from './clock.ts';`],
    ['a file in no room', 'server/utils/strings.ts', 'export const x = 1;'],
    ['a package outside its wall', 'server/consent/keys.ts', `import { MerkleTree } from 'merkletreejs';`],
    ['a reading of the environment', 'server/http/read.ts', 'export const home = process.env;'],
    ['an aliased reading of the environment', 'server/http/read.ts', `import { env } from 'node:process'; export const e = env;`],
    ['a reading of the clock', 'server/http/read.ts', 'export const now = () => Date.now();'],
    ['a hidden reading of the clock', 'server/http/read.ts', 'export const now = () => new Date();'],
    ['a long function', 'server/http/read.ts', `export function long(): void {${'\n'.repeat(60)}}`],
    ['a long closure', 'server/http/read.ts', `export const long = () => {${'\n'.repeat(60)}};`],
    ['a long file', 'server/http/read.ts', 'export const x = [\n'.concat('1,\n'.repeat(500), '];')],
    ['many parameters', 'server/http/read.ts', 'export const f = (a: 1, b: 1, c: 1, d: 1, e: 1) => [a, b, c, d, e];'],
  ])('%s', (_, path, text) => {
    expect(broken(path, text)).toHaveLength(1);
  });

  test.each([
    ['a handler with the Gate type', 'server/http/read.ts', `import type { Gate } from '../consent/gate.ts';`],
    ['the Gate with the store', 'server/consent/enforce.ts', `import type { ResourceStore } from '../store/port.ts';`],
    ['authorization with records', 'server/authz/clients.ts', `import type { RecordStore } from '../store/port.ts';`],
    ['the composition root with an engine', 'server/app.ts', `import { createEmbeddedEngine } from './store/embedded/engine.ts';`],
    ['a date that is given', 'server/http/read.ts', 'export const at = (ms: number) => new Date(ms);'],
    ['a function of sixty lines', 'server/http/read.ts', `export function fits(): void {${'\n'.repeat(59)}}`],
  ])('and what is allowed passes: %s', (_, path, text) => {
    expect(broken(path, text)).toEqual([]);
  });
});
