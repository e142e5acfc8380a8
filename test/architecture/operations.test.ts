/** The pages for operators name files, commands, settings and metrics that exist, and every metric there is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeConfig } from '../../server/config.ts';
import { createMetrics } from '../../server/http/metrics.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const pages = readdirSync(new URL('docs/operations', root)).map((name) => `docs/operations/${name}`);
const all = pages.map(read).join('\n');
const found = (pattern: RegExp) => [...new Set([...all.matchAll(pattern)].map(([, name = '']) => name))];

describe('the pages for operators', () => {
  test('name files that exist', () => {
    const paths = found(/((?:server|ledger|migrations|test|bench|docker|docs)\/[\w-]+(?:\/[\w-]+)*\.\w+)/g);
    expect(paths.length).toBeGreaterThan(5);
    expect(paths.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
  });

  test.each(pages)('links in %s lead to a page, and to a heading of it', (page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].map(([, path = '', heading]) => ({
      url: new URL(path, new URL(page, root)),
      heading,
    }));
    for (const { url, heading } of links) {
      expect(existsSync(url), url.pathname).toBe(true);
      if (heading === undefined) continue;
      const headings = [...readFileSync(url, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
        text
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
      );
      expect(headings).toContain(heading);
    }
  });

  test('the index names each page of this set', () => {
    const index = read('docs/operations/README.md');
    expect(['run.md', 'upgrade.md', 'monitoring.md', 'scale.md'].filter((name) => !index.includes(`(${name})`))).toEqual([]);
  });

  test('name scripts and commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(found(/npm run ([\w:]+)/g).filter((name) => !(name in scripts))).toEqual([]);
    const commands = found(/npm run assent -- (\w+)/g);
    expect(commands.length).toBeGreaterThan(2);
    expect(commands.filter((name) => !read('server/main.ts').includes(`  ${name}: {`))).toEqual([]);
  });

  test('name settings that exist; ASSENT_BIND is the compose file’s own', () => {
    const known = new Set([...describeConfig().map(({ name }) => name), 'ASSENT_X', 'ASSENT_BIND']);
    const settings = found(/\b(ASSENT_[A-Z_]+)\b/g);
    expect(settings.length).toBeGreaterThan(6);
    expect(settings.filter((name) => !known.has(name.replace(/_FILE$/, '')))).toEqual([]);
  });

  test('list exactly the metrics that the server makes by itself', () => {
    const metrics = createMetrics();
    const made = [...metrics.text().matchAll(/^# TYPE (\w+) /gm)].map(([, name = '']) => name);
    metrics.close();
    const listed = [...read('docs/operations/monitoring.md').matchAll(/^\| `((?:assent|process)_\w+)` \|/gm)].map(([, name = '']) => name);
    expect(listed).toEqual(made);
  });

  test('quote what the server says', () => {
    const sources = ['server/store/embedded/migrations.ts', 'server/store/embedded/lock.ts', 'server/anchoring/signer.ts', 'server/app.ts']
      .map(read)
      .join('\n');
    const said = [
      'The database is older than this server.',
      'The database was migrated by a newer server (',
      'The database is not as this server left it: ',
      'Another process is using the data folder ',
      'the database is older than the signer.',
      'The signer’s state is older than the checkpoint in the database.',
      'sealing failed; it is tried again',
    ];
    expect(said.filter((sentence) => !sources.includes(sentence) || !all.includes(sentence.trim()))).toEqual([]);
  });
});
