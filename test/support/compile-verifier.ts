/**
 * ledger/verifier/ → ledger/verifier/verify.html, one file that needs nothing else: `node test/support/compile-verifier.ts --write`.
 * A test compiles it again and compares.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const FOLDER = new URL('../../ledger/verifier/', import.meta.url);
const PAGE = new URL('verify.html', FOLDER);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8').trim();
const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

async function script(): Promise<string> {
  const built = await build({
    configFile: false,
    root: fileURLToPath(FOLDER),
    logLevel: 'error',
    resolve: { alias: { 'node:crypto': fileURLToPath(new URL('crypto.ts', FOLDER)) } },
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: fileURLToPath(new URL('page.ts', FOLDER)), formats: ['iife'], name: 'assent' },
    },
  });
  const [first] = (Array.isArray(built) ? built : [built]).flatMap((result) => ('output' in result ? result.output : []));
  if (first?.type !== 'chunk') throw new Error('The verifier was not bundled.');
  // Whatever ends a script in HTML must not stand in one.
  if (/<\/script|<!--/i.test(first.code)) throw new Error('The script would end in the middle.');
  return first.code.trim();
}

/** The text of verify.html. */
export async function compiledVerifier(): Promise<string> {
  const [code, style] = [await script(), read('page.css')];
  const policy = `default-src 'none'; script-src ${sha256(code)}; style-src ${sha256(style)}; base-uri 'none'; form-action 'none'`;
  return `${read('page.html')
    .replace('{policy}', policy)
    .replace('{style}', () => style)
    .replace('{script}', () => code)}\n`;
}

export function committedVerifier(): string {
  return readFileSync(PAGE, 'utf8');
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) writeFileSync(PAGE, await compiledVerifier());
