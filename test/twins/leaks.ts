/**
 * Leaks planted in a copy of the program: what the twin servers have to find. Each is a change of one place of the source; where that place is no
 * longer there, the plant fails rather than finds nothing. One copy has them all, and lets out one at a time.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Program } from './server.ts';

type Change = readonly [file: string, from: string, to: string];

const root = fileURLToPath(new URL('../..', import.meta.url));
const DISCLOSE = 'server/consent/enforce/disclose.ts';
const WRITE = 'server/consent/enforce/write.ts';
const looked = 'const current = await currentFor(deps, type, ';
const on = (name: string) => `globalThis.plantedLeak === '${name}'`;
const unseen = `const there = ${on('match')} && (await currentFor(deps, type, operation.id, { unseen: true })); if (there) refuseMismatch(operation, there);\n  `;

/** `world`: where looking for it begins. */
export type Leak = { readonly name: string; readonly key: string; readonly world: number; readonly changes: readonly Change[] };

export const leaks: readonly Leak[] = [
  {
    name: 'a count before the filter',
    key: 'count',
    world: 1,
    changes: [
      [
        DISCLOSE,
        "  if (page.kind !== 'rows') return page;\n  return total",
        `  if (${on('count')} && page.kind === 'rows' && page.total) return { ...page, total: { count: (await resources.count({ type, where, scope: 'internal' })).total, exact: true } };\n  if (page.kind !== 'rows') return page;\n  return total`,
      ],
    ],
  },
  {
    name: 'an unfiltered include',
    key: 'include',
    world: 6,
    changes: [
      [
        'server/consent/enforce/includes.ts',
        'find({ type, where, scope, order: newestFirst, limit: room',
        `find({ type, where, scope: ${on('include')} ? 'internal' : scope, order: newestFirst, limit: room`,
      ],
    ],
  },
  {
    name: '403 for what is hidden',
    key: 'forbidden',
    world: 1,
    changes: [
      [
        DISCLOSE,
        "import type { Act } from '../../audit/event.ts';",
        "import type { Act } from '../../audit/event.ts';\nimport { AssentError } from '../../errors.ts';",
      ],
      [
        DISCLOSE,
        '  if (opensByScopeAlone(asked.type)) return;\n',
        `  if (opensByScopeAlone(asked.type)) return;\n  if (${on('forbidden')} && hidden.kind === 'rows' && hidden.rows.length > 0) throw new AssentError('forbidden');\n`,
      ],
    ],
  },
  {
    name: 'If-Match before the decision',
    key: 'match',
    world: 1,
    changes: [[WRITE, `${looked}operation.id, {`, `${unseen}${looked}operation.id, {`]],
  },
];

export type Planted = {
  /** With this leak alone; undefined: with none. One at a time. */
  leaking(leak: Leak | undefined): Program;
  remove(): void;
};

/** The program with these leaks, in a folder of its own. */
export async function planted(all: readonly Leak[]): Promise<Planted> {
  const folder = mkdtempSync(join(tmpdir(), 'assent-planted-'));
  for (const part of ['server', 'ledger', 'fhir-profiles', 'migrations', 'package.json'])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [file, from, to] of all.flatMap(({ changes }) => changes)) {
    const text = readFileSync(join(folder, file), 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${file} holds not exactly one ${JSON.stringify(from)}.`);
    // As it is written: a `$` means nothing.
    writeFileSync(
      join(folder, file),
      text.replace(from, () => to),
    );
  }
  const load = async (file: string): Promise<object> => (await import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href)) as object;
  const program = { ...(await load('server/app.ts')), ...(await load('server/fhir/ids.ts')) } as Program;
  return {
    leaking(leak) {
      (globalThis as { plantedLeak?: string | undefined }).plantedLeak = leak?.key;
      return program;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
