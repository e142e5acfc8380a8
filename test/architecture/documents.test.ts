/** What the papers name exists: files in ARCHITECTURE.md and the decisions, scripts in the README, links between them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const exists = (path: string) => existsSync(new URL(path, root));
const decisions = readdirSync(new URL('docs/adr', root)).map((name) => `docs/adr/${name}`);
const papers = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...decisions];

/** Paths in backticks that start at a folder of the top level. */
function named(paper: string): string[] {
  return [...read(paper).matchAll(/`((?:server|ledger|migrations|test|bench|docs|docker|fhir-profiles)\/[\w./-]*)`/g)].map(([, path = '']) => path);
}

describe('ARCHITECTURE.md', () => {
  test('names files that exist', () => {
    const paths = named('ARCHITECTURE.md');
    expect(paths.length).toBeGreaterThan(40);
    expect(paths.filter((path) => !exists(path))).toEqual([]);
  });

  test('names every room of the server and of the top level', () => {
    const text = read('ARCHITECTURE.md');
    const rooms = readdirSync(new URL('server', root), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(rooms.length).toBeGreaterThan(8);
    expect(rooms.map(({ name }) => `server/${name}/`).filter((room) => !text.includes(room))).toEqual([]);
  });
});

describe('the papers', () => {
  test.each(papers.filter((paper) => paper !== 'ARCHITECTURE.md'))('%s names only files that exist', (paper) => {
    const made = ['bench/results.json'];
    expect(named(paper).filter((path) => !made.includes(path) && !exists(path))).toEqual([]);
  });

  test.each(papers)('links in %s lead somewhere', (paper) => {
    const folder = paper.replace(/[^/]+$/, '');
    const links = [...read(paper).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = '']) => folder + link);
    expect(links.filter((link) => !exists(link))).toEqual([]);
  });

  test('npm scripts and commands that are named exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(Object.keys(scripts).length).toBeLessThanOrEqual(10);
    const text = papers.map(read).join('\n');
    const used = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name);
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !(name in scripts))).toEqual([]);
    const commands = [...text.matchAll(/npm run assent -- (\w+)/g)].map(([, name = '']) => name);
    const main = read('server/main.ts');
    expect(commands.filter((name) => !new RegExp(`^  ${name}: \\{`, 'm').test(main))).toEqual([]);
  });

  test('every decision is listed', () => {
    const list = read('docs/adr/README.md');
    expect(decisions.filter((path) => !path.endsWith('README.md') && !list.includes(path.replace('docs/adr/', '')))).toEqual([]);
  });
});
